"""From a results folder to files."""

from __future__ import annotations

import pytest
from leaderboard_records import make_record

from vgbench.errors import ConfigError, VgbenchError
from vgbench.leaderboard import report
from vgbench.leaderboard.report import FORMATS, changes, load_groups, write_report


@pytest.fixture
def results(tmp_path):
    for name, value in (("a", 100.0), ("b", 200.0)):
        make_record(name, value).save(tmp_path / "results" / name)
    return tmp_path / "results"


def test_one_file_a_format(results, tmp_path):
    paths = write_report([results], tmp_path / "out")
    assert [path.name for path in paths] == [file for name, (file, _) in FORMATS.items() if name != "parquet"]
    assert all("a" in path.read_text() for path in paths)


def test_a_file_name_is_the_file_where_one_format_is_asked_for(results, tmp_path):
    assert write_report([results], tmp_path / "table.tex", ["latex"]) == [tmp_path / "table.tex"]
    assert write_report([results], tmp_path / "v1.2", ["csv"]) == [tmp_path / "v1.2" / "leaderboard.csv"]


def test_badges_are_a_folder(results, tmp_path):
    paths = write_report([results], tmp_path / "out", ["badges"])
    assert [path.parent.name for path in paths] == ["badges", "badges"]


def test_unknown_format_is_refused_before_anything_is_written(results, tmp_path):
    with pytest.raises(ConfigError, match="unknown format 'pdf'"):
        write_report([results], tmp_path / "out", ["md", "pdf"])
    assert not (tmp_path / "out").exists()


def test_a_damaged_record_is_named(results, tmp_path):
    (results / "broken.json").write_text('{"schema": 1, "model": "x"}')
    with pytest.raises(VgbenchError, match=r"broken\.json: damaged record"):
        write_report([results], tmp_path / "out")


def test_a_place_that_cannot_be_written_to(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VgbenchError, match="cannot be written to"):
        write_report([results], tmp_path / "file" / "out")


@pytest.mark.parametrize("parquet", [True, False])
def test_all_formats_are_those_that_can_be_written_here(results, tmp_path, monkeypatch, parquet):
    monkeypatch.setattr(report, "has_parquet", lambda: parquet)
    monkeypatch.setitem(report.FORMATS, "parquet", ("leaderboard.parquet", lambda *_: b"PAR1"))
    names = [path.name for path in write_report([results], tmp_path / "out", ["md", "all"])]
    assert names[0] == "leaderboard.md"
    assert len(names) == len(set(names)) == len(FORMATS) - 1 + parquet + 2
    assert ("leaderboard.parquet" in names) == parquet


def test_outputs_inside_of_the_results_folder_are_no_records(results):
    first = load_groups([results])
    for _ in range(2):
        write_report([results], results, ["all"])
    (results / "audit.json").write_text('{\n "schema": 1,\n "real": "clips"\n}')
    assert load_groups([results]) == first


def test_a_copy_of_a_record_counts_once(results, tmp_path):
    (original,) = (results / "a").glob("*.json")
    (results / "copy.json").write_bytes(original.read_bytes())
    (group,) = load_groups([results])
    assert [(row.model, len(row.history)) for row in group.rows] == [("a", 0), ("b", 0)]


def test_a_file_that_would_not_change_is_left_alone(results, tmp_path):
    (path,) = write_report([results], tmp_path / "out", ["csv"])
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_report([results], tmp_path / "out", ["csv"])
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_changes_come_once_for_each_arrival(tmp_path):
    waits = []

    def arrive(seconds):
        """What happens in the folder while the watch sleeps."""
        waits.append(seconds)
        if len(waits) == 2:
            make_record("a").save(tmp_path / "results")
        if len(waits) == 4:
            make_record("b").save(tmp_path / "results")
            (tmp_path / "results" / "notes.txt").write_text("no record")
        if len(waits) == 6:
            raise KeyboardInterrupt

    seen = []

    def watch():
        for _ in changes([tmp_path / "results"], 0.5, arrive):
            (group,) = load_groups([tmp_path / "results"])
            seen.append((len(waits), [row.model for row in group.rows]))

    with pytest.raises(KeyboardInterrupt):
        watch()
    # The folder is not there at first; two rounds see no change.
    assert seen == [(2, ["a"]), (4, ["a", "b"])]
    assert waits == [0.5] * 6
