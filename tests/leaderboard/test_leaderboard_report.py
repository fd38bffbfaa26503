"""From a results folder to files."""

from __future__ import annotations

import pytest
from leaderboard_records import make_record

from vgbench.errors import ConfigError, VgbenchError
from vgbench.leaderboard.report import FORMATS, write_report


@pytest.fixture
def results(tmp_path):
    for name, value in (("a", 100.0), ("b", 200.0)):
        make_record(name, value).save(tmp_path / "results" / name)
    return tmp_path / "results"


def test_one_file_a_format(results, tmp_path):
    paths = write_report([results], tmp_path / "out")
    assert [path.name for path in paths] == [file for file, _ in FORMATS.values()]
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
    with pytest.raises(VgbenchError, match="cannot write the report"):
        write_report([results], tmp_path / "file" / "out")
