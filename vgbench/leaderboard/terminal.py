"""Tables for the terminal: a leaderboard, one record, a comparison. Nothing is cut off at any width."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vgbench.leaderboard.compare import Comparison
from vgbench.leaderboard.direction import ARROWS, direction
from vgbench.leaderboard.history import History
from vgbench.leaderboard.published import HEADER, HOW_TO_READ, PublishedLine, numbered_sources, origin
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.rounding import (
    decimals_for,
    difference_text,
    interval_text,
    number,
    p_text,
    with_error,
)
from vgbench.leaderboard.table import TextCell, TextTable, text_table
from vgbench.leaderboard.verification import Verification
from vgbench.records.record import Record

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

WORDS_WIDTH = 25
"""Characters of a column of words, such as a model's name, before it may wrap."""
GAP = 2
"""Characters between two columns."""


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


def published_table(lines: Sequence[PublishedLine]) -> RenderableType:
    """Lay out scores as others printed them, under what to know of them."""
    from rich.console import Group as Stack
    from rich.text import Text

    sources = numbered_sources(lines)
    rows = [
        (line.dataset, line.metric, line.model, line.score, str(sources[origin(line)]), line.comparable)
        for line in lines
    ]
    header = ("as published: data set", "metric", "model", "score", "source", HEADER[-1])
    content = TextTable(header, tuple(tuple(map(TextCell, row)) for row in rows))
    texts = (HOW_TO_READ, *(f"{place}: {source}" for source, place in sources.items()))
    notes = (Text(_printable(text), style="dim") for text in texts)
    return Stack(_Sheet(content, front=3, words=(0, 1, 2)), *notes)


def record_table(record: Record) -> RenderableType:
    """Lay out the scores of one record: estimate, error, interval, and what to read it beside.

    That is the literature's plain value where the estimate is corrected, or the real clips' own.
    """
    rows = []
    for name, score in record.scores.items():
        places = decimals_for([score])
        beside = [] if score.debiased is None else [f"plain {number(score.value, places)}"]
        beside += [] if score.real is None else [f"real {number(score.real, places)}"]
        texts = (
            f"{ARROWS[direction(name, record.details)][0]} {name}",
            with_error(score, places),
            interval_text(score.interval, places),
            ", ".join(beside),
        )
        rows.append(tuple(map(TextCell, texts)))
    header = ("metric", "score", "95 % interval", "beside")
    return _Sheet(TextTable(header, tuple(rows)), front=1, words=(0,))


def curve_table(records: Mapping[int, Record]) -> RenderableType:
    """Lay out records over time, first frame -> record: each score with its interval and the windows used."""
    rows = []
    for name in next(iter(records.values())).scores:
        there = {offset: record for offset, record in records.items() if name in record.scores}
        places = decimals_for([record.scores[name] for record in there.values()])
        for offset, record in there.items():
            score, used = record.scores[name], record.clips
            texts = (
                f"{ARROWS[direction(name, record.details)][0]} {name}",
                str(offset),
                with_error(score, places),
                interval_text(score.interval, places),
                f"{used.generated.used} + {used.real.used}",
            )
            rows.append(tuple(map(TextCell, texts)))
    header = ("metric", "from frame", "score", "95 % interval", "windows")
    return _Sheet(TextTable(header, tuple(rows)), front=1, words=(0,))


def comparison_table(comparison: Comparison) -> RenderableType:
    """Lay out a comparison: the difference with its interval and what that means, then both scores."""
    rows = []
    for metric in comparison.metrics:
        places = decimals_for([metric.first, metric.second])
        texts = (
            f"{metric.metric} {ARROWS[metric.better]}",
            difference_text(metric.difference, places),
            comparison.verdict(metric),
            with_error(metric.first, places),
            with_error(metric.second, places),
            p_text(metric.difference.p_value),
        )
        rows.append(tuple(TextCell(text, bold=metric.improved is not None) for text in texts))
    header = ("metric", "difference, 95 %", "verdict", comparison.first, comparison.second, "p")
    return _Sheet(TextTable(header, tuple(rows)), front=1, words=(0, 2))


def verification_table(verification: Verification) -> RenderableType:
    """Lay out a verification: every metric as recorded and as computed again."""
    rows = []
    for check in verification.metrics:
        places = decimals_for(score for score in (check.recorded, check.computed) if score)
        verdict = "equal" if check.equal else "differs"
        texts = (
            check.name,
            f"{verdict}, {check.deviation:.0e}" if 0 < check.deviation < math.inf else verdict,
            "missing" if check.recorded is None else with_error(check.recorded, places),
            "missing" if check.computed is None else with_error(check.computed, places),
        )
        rows.append(tuple(TextCell(text, bold=not check.equal) for text in texts))
    header = ("metric", "", "recorded", "computed again")
    return _Sheet(TextTable(header, tuple(rows)), front=1, words=(0, 1))


def history_table(histories: Sequence[History]) -> RenderableType:
    """Lay out runs: a table for each model and signature, a line for each record, the newest last."""
    from rich.console import Group as Stack
    from rich.text import Text

    parts: list[RenderableType] = []
    for history in histories:
        places = decimals_for(run.score for run in history.runs if run.score)
        rows = []
        for run in history.runs:
            texts = (
                run.record.created[:16].replace("T", " "),
                with_error(run.score, places) if run.score else "–",
                interval_text(run.score.interval if run.score else None, places),
                difference_text(run.change, places) if run.change else "",
                run.verdict,
            )
            rows.append(tuple(TextCell(text, bold=run.improved is not None) for text in texts))
        name = f"{history.metric} {ARROWS[history.better]}"
        header = ("created", name, "95 % interval", "change, 95 %", "verdict")
        parts += [
            Text(_printable(history.model), style="bold"),
            Text(_printable(str(history.signature)), style="dim"),
            _Sheet(TextTable(header, tuple(rows)), front=1, words=(4,)),
        ]
    return Stack(*parts)


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
            yield Text("")

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
        return (min(widest, WORDS_WIDTH) if column in self.words else widest) + GAP

    def _empty(self, columns: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        found = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        for column in columns:
            words = column in self.words
            found.add_column(
                Text(_printable(self.content.header[column])),
                justify="left" if words else "right",
                min_width=None if words else self._width(column) - GAP,
                overflow="fold",
            )
        return found


def _printable(text: str) -> str:
    """Replace control characters: a model name must not drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
