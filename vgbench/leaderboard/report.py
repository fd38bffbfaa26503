"""From records on disk to a leaderboard in any format, once or whenever records change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from vgbench.errors import VgbenchError
from vgbench.leaderboard.badge import badge_files
from vgbench.leaderboard.data_frame import has_parquet, render_csv, render_parquet
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.json_document import render_json
from vgbench.leaderboard.latex import render_latex
from vgbench.leaderboard.markdown import render_markdown
from vgbench.leaderboard.published import PublishedLine, load_published, published_lines
from vgbench.leaderboard.ranking import Group, rank
from vgbench.named import lookup, unknown_name
from vgbench.records.record import Record, find_records, load_record
from vgbench.storage import atomic
from vgbench.storage.writing import writing_to

Render = Callable[[Sequence[Group], str, Sequence[PublishedLine]], str | bytes]
FORMATS: dict[str, tuple[str, Render]] = {
    "html": ("leaderboard.html", render_html),
    "md": ("leaderboard.md", render_markdown),
    "csv": ("leaderboard.csv", render_csv),
    "latex": ("leaderboard.tex", render_latex),
    "json": ("leaderboard.json", render_json),
    "parquet": ("leaderboard.parquet", render_parquet),
}
"""Name of a format -> the name of its file, and the function that renders it."""

BADGES = "badges"
"""The one format that is a folder: an SVG image with the score of each model."""

ALL = "all"
"""Stands for every format that can be written: Parquet only if pyarrow is installed."""


def load_groups(records_paths: Iterable[str | Path], primary: str = "fvd") -> list[Group]:
    """Read records (files, or folders that are searched) and rank them; copies of one record count once.

    Raises:
        VgbenchError: a path does not exist, there are no records, or a record is damaged.
    """
    found: dict[tuple[str, ...], tuple[Record, Path]] = {}
    for path in find_records(records_paths):
        record = load_record(path)
        found.setdefault(_identity(record), (record, path))
    return rank([record for record, _ in found.values()], primary, [path for _, path in found.values()])


def require_measured(groups: Iterable[Group], metric: str) -> None:
    """Refuse a metric that no record has. `load_groups` itself uses another one in groups without it.

    Raises:
        ConfigError: no record has it; the message names similar ones.
    """
    measured = {name for group in groups for record in group.records for name in record.scores}
    if metric not in measured:
        raise unknown_name("metric", metric, measured)


def _identity(record: Record) -> tuple[str, ...]:
    """What two different evaluations never share."""
    manifest = record.clips.generated.manifest_hash
    return record.model, record.signature, record.created, manifest, repr(record.scores)


def write_report(
    records_paths: Iterable[str | Path],
    output: str | Path,
    formats: Sequence[str] = ("html", "md", "csv", "latex", "json"),
    primary: str = "fvd",
    title: str = "Leaderboard",
    published: Sequence[str] = (),
) -> list[Path]:
    """Write a leaderboard in each format; every file appears completely or not at all.

    Args:
        records_paths: record files, or folders that are searched for them.
        output: a folder, or a file name if there is one format and the file has its suffix.
        formats: any of `FORMATS`, "badges" and "all".
        primary: metric that orders the tables.
        title: heading of the page.
        published: data sets, or YAML files, whose published scores are shown separately; see
            `load_published`.

    Returns:
        The files, in the order of `formats`.

    Raises:
        VgbenchError: there are no records or a damaged one, a format is unknown or its package is not
            installed, or nothing can be written to `output`.
    """
    output = Path(output)
    formats = _resolved(formats)
    groups = load_groups(records_paths, primary)
    lines = published_lines(load_published(published), groups)
    files: dict[Path, str | bytes] = {}
    for name in formats:
        if name == BADGES:
            files |= {output / BADGES / file: text for file, text in badge_files(groups).items()}
        else:
            file, render = FORMATS[name]
            files[_target(output, file, formats)] = render(groups, title, lines)
    return write_files(files, output)


def write_files(files: dict[Path, str | bytes], output: Path) -> list[Path]:
    """Write each file completely or not at all; a file that already has the same bytes is left untouched.

    Raises:
        VgbenchError: a file cannot be written; the message names `output`.
    """
    with writing_to(output):
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            if not path.is_file() or path.read_bytes() != data:
                atomic.write_bytes(path, data)
    return list(files)


def changes(
    records_paths: Sequence[str | Path], seconds: float = 2.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Yield as soon as there are records, and again whenever one is added, changed or removed; never ends.

    Args:
        records_paths: record files, or folders that are searched for them; they need not exist yet.
        seconds: time between two checks.
        sleep: waits for so many seconds.
    """
    seen: frozenset[tuple[Path, int, int]] = frozenset()
    while True:
        found = _state(records_paths)
        if found and found != seen:
            seen = found
            yield
        sleep(seconds)


def _state(records_paths: Sequence[str | Path]) -> frozenset[tuple[Path, int, int]]:
    """(path, modification time, size) of every record; empty while there are none."""
    try:
        stats = [(path, path.stat()) for path in find_records(records_paths)]
    except (VgbenchError, OSError):  # there are none yet, or one was removed during the check
        return frozenset()
    return frozenset((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def _resolved(formats: Iterable[str]) -> list[str]:
    """Resolve "all", and refuse unknown formats."""
    known = {**{name: suffix for name, (suffix, _) in FORMATS.items()}, BADGES: BADGES, ALL: ALL}
    every = [name for name in (*FORMATS, BADGES) if name != "parquet" or has_parquet()]
    wanted: dict[str, None] = {}
    for name in formats:
        lookup("format", name, known)
        wanted |= dict.fromkeys(every if name == ALL else [name])
    return list(wanted)


def _target(output: Path, file: str, formats: Sequence[str]) -> Path:
    """Use `output` itself as the file if there is one format and the path has its suffix."""
    if output.suffix == Path(file).suffix and len(formats) == 1 and not output.is_dir():
        return output
    return output / file
