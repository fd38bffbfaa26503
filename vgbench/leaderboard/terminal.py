"""Tables for the terminal: a leaderboard, one record, a comparison. Nothing is cut off at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vgbench.leaderboard.compare import Comparison
from vgbench.leaderboard.direction import ARROWS, direction
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.rounding import decimals_for, interval_text, number, p_text, with_error
from vgbench.leaderboard.table import TextCell, TextTable, text_table
from vgbench.results import Record

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

WORDS_WIDTH = 25
"""Characters of a column of words, such as a model's name, before it may wrap."""


def table(groups: Sequence[Group]) -> RenderableType:
    """Lay out a leaderboard: every group under its signature, in the order of all formats."""
    from rich.console import Group as Stack
    from rich.text import Text

    parts: list[RenderableType] = []
    for group in groups:
        parts += [
            Text(_printable(str(group.signature)), style="dim"),
            _Sheet(text_table(group), front=2, words=(1,)),
        ]
    return Stack(*parts)


def record_table(record: Record) -> RenderableType:
    """Lay out the scores of one record: estimate, error, interval, plain value, clips."""
    rows = []
    for name, score in record.scores.items():
        places = decimals_for([score])
        texts = (
            f"{name} {ARROWS[direction(name, record.details)]}",
            with_error(score, places),
            interval_text(score.interval, places),
            "" if score.debiased is None else number(score.value, places),
            str(score.n),
        )
        rows.append(tuple(map(TextCell, texts)))
    return _Sheet(
        TextTable(("metric", "score", "95 % interval", "plain", "n"), tuple(rows)), front=1, words=(0,)
    )


def comparison_table(comparison: Comparison) -> RenderableType:
    """Lay out a comparison: the difference with its interval and what that means, then both scores."""
    rows = []
    for metric in comparison.metrics:
        places = decimals_for([metric.first, metric.second])
        difference = metric.difference
        texts = (
            f"{metric.metric} {ARROWS[metric.better]}",
            f"{number(difference.value, places)} {interval_text(difference.interval, places)}",
            comparison.verdict(metric),
            with_error(metric.first, places),
            with_error(metric.second, places),
            p_text(difference.p_value),
        )
        rows.append(tuple(TextCell(text, bold=metric.improved is not None) for text in texts))
    header = ("metric", "difference, 95 %", "verdict", comparison.first, comparison.second, "p")
    return _Sheet(TextTable(header, tuple(rows)), front=1, words=(0, 2))


@dataclass(frozen=True)
class _Sheet:
    """Lays itself out when printed, since only then is the width known.

    Columns that do not fit follow in further tables with the same rows, the first `front` columns repeated.
    """

    content: TextTable
    front: int
    words: tuple[int, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        for columns in self._fitting(options.max_width):
            found = self._empty(columns)
            for row in self.content.rows:
                cells = (row[column] for column in columns)
                found.add_row(*(Text(_printable(str(c)), style="bold" if c.bold else "") for c in cells))
            yield found

    def _fitting(self, width: int) -> Iterator[list[int]]:
        """Split the columns greedily into tables of at most `width` characters."""
        front = list(range(self.front))
        widths = [self._width(column) for column in range(len(self.content.header))]
        taken: list[int] = []
        for column in range(self.front, len(widths)):
            if taken and sum(widths[c] for c in [*front, *taken, column]) > width:
                yield front + taken
                taken = []
            taken.append(column)
        yield front + taken

    def _width(self, column: int) -> int:
        """Least characters that a column needs, with the gap after it; names in the header may wrap."""
        from rich.cells import cell_len

        cells = [cell_len(str(row[column])) for row in self.content.rows]
        widest = max([*cells, min(cell_len(self.content.header[column]), WORDS_WIDTH)])
        return (min(widest, WORDS_WIDTH) if column in self.words else widest) + 3

    def _empty(self, columns: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            words = column in self.words
            found.add_column(
                Text(_printable(self.content.header[column])),
                justify="left" if words else "right",
                min_width=None if words else self._width(column) - 3,
                overflow="fold",
            )
        return found


def _printable(text: str) -> str:
    """Replace control characters: a model name must not drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
