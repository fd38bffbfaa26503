"""Results on disk → a leaderboard in any format, once or whenever records arrive."""

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

Render = Callable[[Sequence[Group], str, Sequence[PublishedLine]], str | bytes]
FORMATS: dict[str, tuple[str, Render]] = {
    "html": ("leaderboard.html", render_html),
    "md": ("leaderboard.md", render_markdown),
    "csv": ("leaderboard.csv", render_csv),
    "latex": ("leaderboard.tex", render_latex),
    "json": ("leaderboard.json", render_json),
    "parquet": ("leaderboard.parquet", render_parquet),
}
"""Name of a format -> its file in an output folder, and the function that writes it."""

BADGES = "badges"
"""The one format that is a folder: an SVG picture of each model's score."""

ALL = "all"
"""Stands for every format that can be written here: Parquet only where pyarrow is installed."""


def load_groups(records_paths: Iterable[str | Path], primary: str = "fvd") -> list[Group]:
    """Read records (files, or folders searched for them) and rank them; copies of one record count once.

    Raises:
        VgbenchError: a path does not exist, nothing was found, or a record is damaged.
    """
    found: dict[tuple[str, ...], tuple[Record, Path]] = {}
    for path in find_records(records_paths):
        record = load_record(path)
        found.setdefault(_identity(record), (record, path))
    return rank([record for record, _ in found.values()], primary, [path for _, path in found.values()])


def require_measured(groups: Iterable[Group], metric: str) -> None:
    """Refuse a metric that no record has; `load_groups` shows another one where it is missing.

    Raises:
        ConfigError: names the nearest.
    """
    measured = {name for group in groups for record in group.records for name in record.scores}
    if metric not in measured:
        raise unknown_name("metric", metric, measured)


def _identity(record: Record) -> tuple[str, ...]:
    """What no two evaluations share."""
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
    """Write a leaderboard in each format; every file appears whole or not at all.

    Args:
        records_paths: record files, or folders searched for them.
        output: a folder, or a file name with the suffix of the single format asked for.
        formats: any of `FORMATS`, "badges", and "all".
        primary: metric that orders the tables.
        title: heading of the page.
        published: data sets, or YAML files, whose published scores are shown apart; see `load_published`.

    Returns:
        The files, in the order of `formats`.

    Raises:
        VgbenchError: no or damaged records, unknown format, a format whose package is not installed, or a
            place that cannot be written to.
    """
    output = Path(output)
    formats = _spelled_out(formats)
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
    """Write each file, whole or not at all; one that holds the same bytes already is left as it is.

    Raises:
        VgbenchError: the place cannot be written to; names `output`.
    """
    try:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            if not path.is_file() or path.read_bytes() != data:
                atomic.write_bytes(path, data)
    except OSError as error:
        raise VgbenchError(
            f"{output}: cannot write the report ({error.strerror})",
            "free space there, or choose another folder",
        ) from error
    return list(files)


def changes(
    records_paths: Sequence[str | Path], seconds: float = 2.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Yield once there are records, and again whenever one arrives, changes or goes. Never ends by itself.

    Args:
        records_paths: files, or folders searched for records; they need not exist yet.
        seconds: between two looks.
        sleep: waits for so many seconds.
    """
    seen: frozenset[tuple[Path, int, int]] = frozenset()
    while True:
        there = _state(records_paths)
        if there and there != seen:
            seen = there
            yield
        sleep(seconds)


def _state(records_paths: Sequence[str | Path]) -> frozenset[tuple[Path, int, int]]:
    """(path, time of change, size) of every record; empty while there is none."""
    try:
        stats = [(path, path.stat()) for path in find_records(records_paths)]
    except (VgbenchError, OSError):  # none yet, or one went away while it was looked at
        return frozenset()
    return frozenset((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)


def _spelled_out(formats: Iterable[str]) -> list[str]:
    """Resolve "all" and refuse what is no format."""
    known = {**{name: suffix for name, (suffix, _) in FORMATS.items()}, BADGES: BADGES, ALL: ALL}
    every = [name for name in (*FORMATS, BADGES) if name != "parquet" or has_parquet()]
    wanted: dict[str, None] = {}
    for name in formats:
        lookup("format", name, known)
        wanted |= dict.fromkeys(every if name == ALL else [name])
    return list(wanted)


def _target(output: Path, file: str, formats: Sequence[str]) -> Path:
    """A path with the format's own suffix is the file itself where one format was asked for."""
    if output.suffix == Path(file).suffix and len(formats) == 1 and not output.is_dir():
        return output
    return output / file
