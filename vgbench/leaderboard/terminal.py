"""What commands print: a leaderboard, one record, a comparison, a history, a verification."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vgbench.leaderboard.comparison import Comparison
from vgbench.leaderboard.history import History
from vgbench.leaderboard.published import HOW_TO_READ, PublishedLine, numbered_sources, numbered_table
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.rounding import decimals_for, difference_text, interval_text, p_text, with_error
from vgbench.leaderboard.table import differs_notes, heading, ranking_table, replaced, runs_table
from vgbench.leaderboard.verification import Verification
from vgbench.metrics.differs import marked
from vgbench.metrics.direction import ARROWS, direction
from vgbench.pages.numbers import number
from vgbench.pages.terminal import TerminalTable, safe_text
from vgbench.pages.text_table import text_table
from vgbench.protocol import reproduces_code
from vgbench.records.record import Record

if TYPE_CHECKING:
    from rich.console import RenderableType


def leaderboard_tables(groups: Sequence[Group]) -> RenderableType:
    """Lay out a leaderboard: every group under its signature."""
    from rich.console import Group as Stack

    parts: list[RenderableType] = []
    for group in groups:
        parts.append(safe_text(str(group.signature), "dim"))
        parts.append(TerminalTable(ranking_table(group), front=2, words=(1,)))
        parts += [safe_text(note, "dim") for note in differs_notes(column.name for column in group.columns)]
        parts += [safe_text(f"{row.model}: {replaced(row)}", "dim") for row in group.rows if row.history]
    return Stack(*parts)


def published_table(lines: Sequence[PublishedLine]) -> RenderableType:
    """Lay out published scores, with the notes on how to read them."""
    from rich.console import Group as Stack

    sources = (f"{place}: {source}" for source, place in numbered_sources(lines).items())
    notes = (safe_text(text, "dim") for text in (HOW_TO_READ, *sources))
    title = safe_text("As published", "bold")
    return Stack(title, TerminalTable(numbered_table(lines), front=3, words=(0, 1, 2)), *notes)


def record_table(record: Record) -> RenderableType:
    """Lay out the scores of one record: estimate, error, interval, and what to read beside the estimate.

    That is the literature's plain value if the estimate is corrected, and the real clips' own value. The
    plain value comes first under a protocol that reproduces published numbers.
    """
    corrected = any(score.debiased is not None for score in record.scores.values())
    first = corrected and reproduces_code(str(record.protocol.get("name")))
    rows = []
    for name, score in record.scores.items():
        places = decimals_for([score])
        plain = "" if score.debiased is None else number(score.value, places)
        beside = [f"plain {plain}"] if plain and not first else []
        beside += [] if score.real is None else [f"real {number(score.real, places)}"]
        texts = (
            _arrow_first(name, record),
            *([plain] if first else []),
            with_error(score, places),
            interval_text(score.interval, places),
            ", ".join(beside),
        )
        rows.append((texts, False))
    header = ("metric", *(["plain, as published"] if first else []), "score", "95 % interval", "beside")
    return TerminalTable(text_table(header, rows), front=1, words=(0,))


def curve_table(records: Mapping[int, Record]) -> RenderableType:
    """Lay out scores over time (first frame -> record), each with its interval and the windows used."""
    rows = []
    for name in next(iter(records.values())).scores:
        measured = {offset: record for offset, record in records.items() if name in record.scores}
        places = decimals_for([record.scores[name] for record in measured.values()])
        for offset, record in measured.items():
            score, used = record.scores[name], record.clips
            texts = (
                _arrow_first(name, record),
                str(offset),
                with_error(score, places),
                interval_text(score.interval, places),
                f"{used.generated.used} + {used.real.used}",
            )
            rows.append((texts, False))
    header = ("metric", "from frame", "score", "95 % interval", "windows")
    return TerminalTable(text_table(header, rows), front=1, words=(0,))


def comparison_table(comparison: Comparison) -> RenderableType:
    """Lay out a comparison: the difference with its interval and its meaning, then both scores."""
    rows = []
    for metric in comparison.metrics:
        places = decimals_for([metric.first, metric.second])
        texts = (
            heading(metric.metric, metric.better, corrected=metric.first.debiased is not None),
            difference_text(metric.difference, places),
            comparison.verdict(metric),
            with_error(metric.first, places),
            with_error(metric.second, places),
            p_text(metric.difference.p_value),
        )
        rows.append((texts, metric.improved is not None))
    header = (
        "metric",
        "second − first, 95 %",
        "verdict",
        f"first: {comparison.first}",
        f"second: {comparison.second}",
        "p",
    )
    return TerminalTable(text_table(header, rows), front=1, words=(0, 2))


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
        rows.append((texts, not check.equal))
    header = ("metric", "", "recorded", "computed again")
    return TerminalTable(text_table(header, rows), front=1, words=(0, 1))


def history_table(histories: Sequence[History]) -> RenderableType:
    """Lay out runs: one table for each model and signature, one line for each record, the newest last."""
    from rich.console import Group as Stack

    parts: list[RenderableType] = []
    for history in histories:
        parts.append(safe_text(history.model, "bold"))
        parts.append(safe_text(str(history.signature), "dim"))
        parts.append(TerminalTable(runs_table(history), front=1, words=(4,)))
    return Stack(*parts)


def _arrow_first(metric: str, record: Record) -> str:
    """The name of a metric after its arrow, which keeps the names aligned; says if the score is corrected."""
    corrected = ", corrected" if record.scores[metric].debiased is not None else ""
    name = marked(metric, record.details)
    return f"{ARROWS[direction(metric, record.details)][0]} {name}{corrected}"
