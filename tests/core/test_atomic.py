from __future__ import annotations

import pytest

from vgbench import atomic


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


def test_folders_are_replaced_whole(tmp_path):
    for text in ("one", "two"):
        with atomic.replacing(tmp_path / "run") as temporary:
            temporary.mkdir()
            (temporary / text).write_text(text)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
