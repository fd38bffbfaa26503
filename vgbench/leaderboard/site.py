"""A folder for any web server: the page, its tables as files, badges, and the records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from vgbench.errors import VgbenchError
from vgbench.leaderboard.badge import badge_files
from vgbench.leaderboard.data_frame import render_csv
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.json_document import render_json
from vgbench.leaderboard.markdown import render_markdown
from vgbench.leaderboard.published import load_published, published_lines
from vgbench.leaderboard.report import load_groups, write_files
from vgbench.leaderboard.thumbnails import own_names
from vgbench.records.record import Record, load_record

RECORDS = "records"


def write_site(
    records_paths: Iterable[str | Path],
    output: str | Path,
    primary: str = "fvd",
    title: str = "Leaderboard",
    published: Sequence[str] = (),
) -> list[Path]:
    """Write a static site: `index.html`, the tables as CSV, JSON and Markdown, `badges/`, `records/`.

    The records have their thumbnails beside them, so that readers of the site can rank, compare and verify
    what it shows (`vgbench report site/records`). Other files in the folder are left untouched.

    Args:
        records_paths: record files, or folders that are searched for them.
        output: the folder.
        primary: metric that orders the tables.
        title: heading of the page.
        published: data sets, or YAML files, whose published scores are shown separately; see
            `load_published`.

    Returns:
        The files of the site.

    Raises:
        VgbenchError: there are no records, a damaged one, or two with one name, or nothing can be written
            there.
    """
    output = Path(output)
    groups = load_groups(records_paths, primary)
    rows = [row for group in groups for row in group.rows]
    lines = published_lines(load_published(published), groups)
    shown = {path: load_record(path) for row in rows for path in row.paths}
    links = {path: f"{RECORDS}/{record.stem}.json" for path, record in shown.items()}
    tables: dict[str, str | bytes] = {
        "leaderboard.csv": render_csv(groups),
        "leaderboard.json": render_json(groups, title, lines),
        "leaderboard.md": render_markdown(groups, title, lines),
    }
    files = {"index.html": render_html(groups, title, lines, links, list(tables)), **tables}
    files |= {f"badges/{name}": text for name, text in badge_files(groups).items()}
    for path, record in shown.items():
        for name, data in _record_files(path, record):
            if files.setdefault(f"{RECORDS}/{name}", data) != data:
                raise VgbenchError(f"{path}: another record is also named {name}", "remove or rename a model")
    files[".nojekyll"] = ""  # otherwise GitHub Pages omits names that begin with an underscore
    return write_files({output / name: data for name, data in files.items()}, output)


def _record_files(path: Path, record: Record) -> Iterable[tuple[str, bytes]]:
    """Yield (name, bytes) of the record and of those of its thumbnails whose hash is correct."""
    yield f"{record.stem}.json", path.read_bytes()
    own = own_names(record)
    for name, sha256 in record.thumbnails.items():
        file = path.parent / name
        if own.fullmatch(name) and file.is_file():
            data = file.read_bytes()
            if hashlib.sha256(data).hexdigest() == sha256:
                yield name, data
