"""Tables for the terminal: a leaderboard, one record, a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgbench.leaderboard.compare import Comparison
from vgbench.leaderboard.direction import ARROWS, direction
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.rounding import decimals_for, interval_text, number, p_text, with_error
from vgbench.leaderboard.table import text_table
from vgbench.results import Record

if TYPE_CHECKING:
    from rich.table import Table


def table(groups: Sequence[Group]) -> Table:
    """Lay out a leaderboard: every group a table of its own under its signature."""
    from rich.table import Table
    from rich.text import Text

    outer = Table.grid(padding=(0, 0, 1, 0))
    for group in groups:
        plain = text_table(group)
        inner = _table(plain.header, left=(1,))
        for row in plain.rows:
            inner.add_row(*(Text(_printable(str(c)), style="bold" if c.bold else "") for c in row))
        outer.add_row(Text(_printable(str(group.signature)), style="dim", overflow="fold"))
        outer.add_row(inner)
    return outer


def record_table(record: Record) -> Table:
    """Lay out the scores of one record: estimate, error, interval, plain value, clips."""
    from rich.text import Text

    plain = any(score.debiased is not None for score in record.scores.values())
    found = _table(("metric", "score", "95 % interval", *(("plain value",) if plain else ()), "n"), left=(0,))
    for name, score in record.scores.items():
        places = decimals_for([score])
        uncorrected = "" if score.debiased is None else number(score.value, places)
        cells = [
            f"{name} {ARROWS[direction(name, record.details)]}",
            with_error(score, places),
            interval_text(score.interval, places),
            *((uncorrected,) if plain else ()),
            str(score.n),
        ]
        found.add_row(*(Text(_printable(cell)) for cell in cells))
    return found


def comparison_table(comparison: Comparison) -> Table:
    """Lay out a comparison: both scores, their difference with its interval, and what that means."""
    from rich.text import Text

    header = ("metric", comparison.first, comparison.second, "difference", "95 % interval", "p", "verdict")
    found = _table(tuple(map(_printable, header)), left=(0, 6))
    for metric in comparison.metrics:
        places = decimals_for([metric.first, metric.second])
        cells = [
            f"{metric.metric} {ARROWS[metric.better]}",
            with_error(metric.first, places),
            with_error(metric.second, places),
            number(metric.difference.value, places),
            interval_text(metric.difference.interval, places),
            p_text(metric.difference.p_value),
            comparison.verdict(metric),
        ]
        style = "" if metric.improved is None else "bold"
        found.add_row(*(Text(_printable(cell), style=style) for cell in cells))
    return found


def _table(header: Sequence[str], left: Sequence[int]) -> Table:
    """Start a table of numbers to the right, with the columns in `left` to the left and free to wrap."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for position, heading in enumerate(header):
        words = position in left
        found.add_column(
            Text(heading), justify="left" if words else "right", no_wrap=not words, overflow="fold"
        )
    return found


def _printable(text: str) -> str:
    """Replace control characters: a model name must not drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
