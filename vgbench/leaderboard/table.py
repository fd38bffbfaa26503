"""The tables of a leaderboard as plain text, which every format shows, and the notes below them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from vgbench.leaderboard.history import History
from vgbench.leaderboard.ranking import Column, Group, RankedScore, Row, explain
from vgbench.leaderboard.rounding import (
    decimals_for,
    decimals_for_difference,
    difference_text,
    interval_text,
    p_text,
    with_error,
)
from vgbench.metrics.differs import differs, marked
from vgbench.metrics.direction import ARROWS
from vgbench.metrics.metric import Better
from vgbench.pages.numbers import MISSING, number
from vgbench.pages.text_table import TextCell, TextTable, text_table
from vgbench.protocol import reproduces_code

HOW_TO_READ = (
    "Scores are best estimates ± one standard error. Bold: no other model is significantly better. "
    "A rank is 1 + the number of models that are significantly better "
    "(two-sided test of the difference, 5 %, Holm-corrected over all pairs); “—” marks reference rows."
)
PLAIN_VALUE = (
    "“Plain” is {estimator}, which increases as the number of clips decreases. "
    "“Corrected” is without this bias; intervals, tests and ranks are those of the corrected value."
)
PLAIN_FIRST = "The plain value comes first because this protocol reproduces published numbers."


TextOf = Callable[[RankedScore, int], TextCell]
"""Writes a part of a score with so many decimals."""


def ranking_table(group: Group) -> TextTable:
    """Lay out one group: rank, model, the primary metric with its interval, and the other metrics."""
    header = ["rank", "model"]
    rows = [[TextCell("—" if row.rank is None else str(row.rank)), TextCell(row.model)] for row in group.rows]
    for column in group.columns:
        places = column_decimals(group, column)
        for title, cell_of in _parts(group, column):
            header.append(title)
            for row, cells in zip(group.rows, rows, strict=True):
                cell = row.cells.get(column.name)
                cells.append(cell_of(cell, places) if cell else TextCell(MISSING))
    return TextTable(tuple(header), tuple(map(tuple, rows)))


def _parts(group: Group, column: Column) -> list[tuple[str, TextOf]]:
    """Return the columns of text for one metric: title -> the text of a cell with so many decimals."""
    corrected = is_corrected(group, column)
    parts: list[tuple[str, TextOf]] = [
        (heading(column.name, column.better, corrected=corrected), _score_cell)
    ]
    if column.name != group.primary:
        return parts
    parts.append(("95 % interval", _interval_cell))
    if corrected:
        plain = f"{column.name}, plain"
        parts.insert(0 if plain_first(group) else 2, (plain, _plain_cell))
    return parts


def heading(metric: str, better: Better, *, corrected: bool) -> str:
    """Title of a column of best estimates, which says whether they are corrected: `fvd, corrected ↓`.

    An asterisk marks metrics that are not the published number of their name; see `differs_notes`.
    """
    return f"{marked(metric)}{', corrected' * corrected} {ARROWS[better]}"


def is_corrected(group: Group, column: Column) -> bool:
    """Whether best estimates of a column are corrected for a bias."""
    cells = (row.cells.get(column.name) for row in group.rows)
    return any(cell is not None and cell.score.debiased is not None for cell in cells)


def plain_first(group: Group) -> bool:
    """Whether readers compare the plain values with published ones, so that these come first."""
    return reproduces_code(group.name)


def _score_cell(cell: RankedScore, places: int) -> TextCell:
    score = cell.score
    error = None if score.standard_error is None else number(score.standard_error, places)
    return TextCell(number(score.best_estimate, places), error, cell.best)


def _interval_cell(cell: RankedScore, places: int) -> TextCell:
    return TextCell(interval_text(cell.score.interval, places))


def _plain_cell(cell: RankedScore, places: int) -> TextCell:
    return TextCell(number(cell.score.value, places))


def column_decimals(group: Group, column: Column) -> int:
    """Number of decimals that all numbers of a column have."""
    return decimals_for(row.cells[column.name].score for row in group.rows if column.name in row.cells)


def pairs_table(group: Group) -> TextTable:
    """Lay out the pairwise tests in the primary metric, on which its ranks are based."""
    least = column_decimals(group, group.columns[0]) if group.columns else 0
    rows = []
    for pair in group.pairs:
        if pair.metric == group.primary:
            places = decimals_for_difference(pair.difference, least)
            texts = (
                pair.second,
                pair.first,
                number(pair.difference.value, places),
                interval_text(pair.difference.interval, places),
                p_text(pair.p_adjusted),
                f"{pair.first} is better" if pair.significant else "no significant difference",
            )
            rows.append((texts, False))
    return text_table(("model", "against", "difference", "95 % interval", "p, Holm", "verdict"), rows)


def runs_table(history: History) -> TextTable:
    """Lay out the runs of one model, oldest first, each with its change from the run before."""
    places = decimals_for(run.score for run in history.runs if run.score)
    rows = []
    for run in history.runs:
        texts = (
            run.record.created[:16].replace("T", " "),
            with_error(run.score, places) if run.score else MISSING,
            interval_text(run.score.interval if run.score else None, places),
            difference_text(run.change, places) if run.change else "",
            run.verdict,
        )
        rows.append((texts, run.improved is not None))
    corrected = any(run.score is not None and run.score.debiased is not None for run in history.runs)
    score = heading(history.metric, history.better, corrected=corrected)
    return text_table(("created", score, "95 % interval", "change, 95 %", "verdict"), rows)


def footnotes(group: Group) -> list[str]:
    """What a reader must know about single rows: older records that were left out, and warnings.

    Warnings with the same meaning become one note, which names the rows and what was found for each.
    """
    notes = [f"{row.model}: {replaced(row)}" for row in group.rows if row.history]
    warned: dict[tuple[str, str], list[str]] = {}
    for row in group.rows:
        for warning in row.record.warnings:
            warned.setdefault(warning, []).append(row.model)
    by_meaning: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for (code, sentence), models in warned.items():
        who = "all" if len(models) == len(group.rows) > 1 else ", ".join(models)
        finding, _, meaning = sentence.rpartition(": ")
        by_meaning.setdefault((code, meaning), []).append((who, finding))
    for (code, meaning), found in by_meaning.items():
        if len(found) == 1:
            ((who, finding),) = found
            subject = f"{who}: {finding}" if finding else who
        else:
            subject = "; ".join(f"{who} ({finding})" for who, finding in found)
        notes.append(f"{subject}: {meaning} ({code})")
    return notes


def replaced(row: Row) -> str:
    """Say that older records of a row are left out, and what to do if they are of another model."""
    older = "an older one is" if len(row.history) == 1 else f"{len(row.history)} older ones are"
    text = f"the latest record ({row.record.created[:10]}) counts, and {older} left out"
    clips = {record.clips.generated.manifest_hash for record in (row.record, *row.history)}
    if len(clips) == 1:
        return text
    return f"{text}; if they are of different models, give each a --name or --meta submitter=… of its own"


def reading_notes(group: Group) -> list[str]:
    """How to read the table of one group."""
    corrected = any(is_corrected(group, column) for column in group.columns)
    first = corrected and plain_first(group)
    estimator = "without this correction" if differs(group.primary) else "the literature’s estimator"
    plain = PLAIN_VALUE.format(estimator=estimator)
    names = (column.name for column in group.columns)
    return [HOW_TO_READ] + [plain] * corrected + [PLAIN_FIRST] * first + differs_notes(names)


def differs_notes(metrics: Iterable[str], details: Mapping[str, Any] | None = None) -> list[str]:
    """How metrics differ from the published numbers of their names; one note for each that does."""
    found = {name: differs(name, details) for name in metrics}
    return [f"{marked(name, details)}: {text}." for name, text in found.items() if text]


def difference_notes(groups: Sequence[Group]) -> list[str]:
    """Why groups are separate tables: one line for each signature field that differs; empty for one group."""
    return [
        f"{field}: "
        + " / ".join(
            f"{value} ({group.signature.short_hash})" for group, value in zip(groups, values, strict=True)
        )
        for field, values in explain(groups).items()
    ]
