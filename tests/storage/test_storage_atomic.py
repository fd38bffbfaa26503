from __future__ import annotations

import pytest

from vgbench.storage import atomic


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic.replacing(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_temporary_name_keeps_the_suffix_and_is_hidden(tmp_path):
    with atomic.replacing(tmp_path / "deep" / "clip.mp4") as temporary:
        assert temporary.suffix == ".mp4"
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"x")
    assert (tmp_path / "deep" / "clip.mp4").read_bytes() == b"x"


@pytest.mark.parametrize("links", [True, False])
def test_what_is_there_stays_where_a_new_file_is_wanted(tmp_path, links, monkeypatch):
    def no_links(source, target):
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(atomic.os, "link", no_links)
    atomic.write_new(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        atomic.write_new(tmp_path / "a", b"second")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"first")]


def test_folders_are_replaced_whole(tmp_path):
    for text in ("one", "two"):
        with atomic.replacing(tmp_path / "run") as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in ("a.txt", ".hidden", ".gitignore", ".a.1234.0123abcd.txt", ".run.7.00000000"):
        (tmp_path / name).write_text("")
    atomic.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", ".hidden", "a.txt"]
