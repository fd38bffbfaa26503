"""A site is complete by itself: every link of its page leads to a file of its own folder."""

from __future__ import annotations

import hashlib
import re

import pytest
from leaderboard_records import make_record

from vgbench.errors import VgbenchError
from vgbench.leaderboard.report import load_groups
from vgbench.leaderboard.site import write_site
from vgbench.records.record import load_record


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    make_record("a", 120.0, created="2026-11-01T00:00:00Z").save(folder / "old")
    make_record("b & c", 200.0).save(folder)
    record = make_record("a", 100.0)
    name = f"{record.stem}.clips/generated-nearest.webp"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"RIFF picture")
    thumbnails = {
        name: hashlib.sha256(b"RIFF picture").hexdigest(),
        "../secret.txt": hashlib.sha256(b"secret").hexdigest(),
    }
    (tmp_path / "secret.txt").write_bytes(b"secret")
    record.model_copy(update={"thumbnails": thumbnails}).save(folder)
    return folder


def test_every_link_of_the_page_is_a_file_of_the_site(results, tmp_path):
    written = write_site([results], tmp_path / "site", title="My board")
    page = (tmp_path / "site" / "index.html").read_text()
    links = [link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("#")]
    assert len(links) == 3 + 2  # the tables, and the newest record of each model
    assert all((tmp_path / "site" / link).is_file() for link in links)
    assert "My board" in page
    assert all(path.is_file() for path in written)
    assert (tmp_path / "site" / ".nojekyll").is_file()
    assert len(list((tmp_path / "site" / "badges").glob("*.svg"))) == 2


def test_the_records_of_a_site_are_results_like_any_other(results, tmp_path):
    write_site([results], tmp_path / "site")
    copied, original = load_groups([tmp_path / "site" / "records"]), load_groups([results])
    assert [(row.record, row.history) for group in copied for row in group.rows] == [
        (row.record, row.history) for group in original for row in group.rows
    ]


def test_a_site_holds_its_own_thumbnails_and_no_other_file(results, tmp_path):
    write_site([results], tmp_path / "site")
    files = {path.name for path in (tmp_path / "site" / "records").rglob("*") if path.is_file()}
    assert {name for name in files if not name.endswith(".json")} == {"generated-nearest.webp"}
    assert not list(tmp_path.rglob("site/**/secret.txt"))


def test_a_site_inside_of_its_results_settles(results):
    write_site([results], results / "site")
    before = {path: path.stat().st_mtime_ns for path in (results / "site").rglob("*.json")}
    write_site([results], results / "site")
    assert {path: path.stat().st_mtime_ns for path in (results / "site").rglob("*.json")} == before


def test_two_records_of_one_name_are_refused(tmp_path):
    paths = [make_record("a", 1.0).save(tmp_path / "x"), make_record("a", 2.0).save(tmp_path / "y")]
    assert load_record(paths[0]).stem == load_record(paths[1]).stem
    with pytest.raises(VgbenchError, match="another record is also named"):
        write_site(paths, tmp_path / "site")
    assert not (tmp_path / "site").exists()
