"""Results on disk → a leaderboard in any format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vgbench import atomic
from vgbench.errors import VgbenchError
from vgbench.leaderboard.badge import badge_files
from vgbench.leaderboard.csv_table import render_csv
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.json_document import render_json
from vgbench.leaderboard.latex import render_latex
from vgbench.leaderboard.markdown import render_markdown
from vgbench.leaderboard.ranking import Group, rank
from vgbench.named import lookup
from vgbench.results import find_records, load_record

FORMATS: dict[str, tuple[str, Callable[[Sequence[Group], str], str]]] = {
    "html": ("leaderboard.html", render_html),
    "md": ("leaderboard.md", render_markdown),
    "csv": ("leaderboard.csv", render_csv),
    "latex": ("leaderboard.tex", render_latex),
    "json": ("leaderboard.json", render_json),
}
"""Name of a format -> its file in an output folder, and the function that writes it."""

BADGES = "badges"
"""The one format that is a folder: an SVG picture of each model's score."""


def load_groups(records_paths: Iterable[str | Path], primary: str = "fvd") -> list[Group]:
    """Read records (files, or folders searched for them) and rank them.

    Raises:
        VgbenchError: a path does not exist, nothing was found, or a record is damaged.
    """
    paths = find_records(records_paths)
    return rank([load_record(path) for path in paths], primary, paths)


def write_report(
    records_paths: Iterable[str | Path],
    output: str | Path,
    formats: Sequence[str] = ("html", "md", "csv", "latex", "json"),
    primary: str = "fvd",
    title: str = "Leaderboard",
) -> list[Path]:
    """Write a leaderboard in each format; every file appears whole or not at all.

    Args:
        records_paths: record files, or folders searched for them.
        output: a folder, or a file name with the suffix of the single format asked for.
        formats: any of `FORMATS`, and "badges".
        primary: metric that orders the tables.
        title: heading of the page.

    Returns:
        The files written, in the order of `formats`.

    Raises:
        VgbenchError: no or damaged records, unknown format, or a place that cannot be written to.
    """
    output = Path(output)
    known = {**{name: suffix for name, (suffix, _) in FORMATS.items()}, BADGES: BADGES}
    for name in formats:
        lookup("format", name, known)
    groups = load_groups(records_paths, primary)
    written: list[Path] = []
    try:
        for name in formats:
            if name == BADGES:
                files = {output / BADGES / file: text for file, text in badge_files(groups).items()}
            else:
                file, render = FORMATS[name]
                files = {_target(output, file, formats): render(groups, title)}
            for path, text in files.items():
                atomic.write_text(path, text)
                written.append(path)
    except OSError as error:
        raise VgbenchError(f"{output}: cannot write the report ({error.strerror})") from error
    return written


def _target(output: Path, file: str, formats: Sequence[str]) -> Path:
    """A path with the format's own suffix is the file itself where one format was asked for."""
    if output.suffix == Path(file).suffix and len(formats) == 1 and not output.is_dir():
        return output
    return output / file
