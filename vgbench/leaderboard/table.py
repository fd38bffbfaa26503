"""The tables of a leaderboard as plain text, which every format shows, and the notes below them."""

from __future__ import annotations

from collections.abc import Sequence

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
from vgbench.metrics.direction import ARROWS
from vgbench.pages.numbers import MISSING, number
from vgbench.pages.text_table import TextCell, TextTable, text_table

HOW_TO_READ = (
    "Scores are best estimates ± one standard error. Bold: no other model is significantly better. "
    "A rank is 1 + the number of models that are significantly better "
    "(two-sided test of the difference, 5 %, Holm-corrected over all pairs); “—” marks reference rows."
)
PLAIN_VALUE = (
    "“Plain” is the literature’s estimator, which increases as the number of clips decreases; "
    "the ranked number corrects this."
)


def ranking_table(group: Group) -> TextTable:
    """Lay out one group: rank, model, the primary metric with its interval, and the other metrics."""
    plain = any(
        row.cells[group.primary].score.debiased is not None
        for row in group.rows
        if group.primary in row.cells
    )
    decimals = {column.name: column_decimals(group, column) for column in group.columns}
    header = ["rank", "model"]
    for column in group.columns:
        header.append(f"{column.name} {ARROWS[column.better]}")
        if column.name == group.primary:
            header += ["95 % interval"] + [f"{column.name}, plain"] * plain
    rows = [_row(group, row, decimals, plain) for row in group.rows]
    return TextTable(tuple(header), tuple(rows))


def _row(group: Group, row: Row, decimals: dict[str, int], plain: bool) -> tuple[TextCell, ...]:
    cells = [TextCell("—" if row.rank is None else str(row.rank)), TextCell(row.model)]
    for column in group.columns:
        places = decimals[column.name]
        cell = row.cells.get(column.name)
        cells.append(_score_cell(cell, places) if cell else TextCell(MISSING))
        if column.name == group.primary:
            cells.append(TextCell(interval_text(cell.score.interval if cell else None, places)))
            if plain:
                cells.append(TextCell(number(cell.score.value, places) if cell else MISSING))
    return tuple(cells)


def _score_cell(cell: RankedScore, places: int) -> TextCell:
    score = cell.score
    error = None if score.standard_error is None else number(score.standard_error, places)
    return TextCell(number(score.best_estimate, places), error, cell.best)


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
    score = f"{history.metric} {ARROWS[history.better]}"
    return text_table(("created", score, "95 % interval", "change, 95 %", "verdict"), rows)


def footnotes(group: Group) -> list[str]:
    """What a reader must know about single rows: older records that were left out, and warnings.

    Warnings with the same meaning become one note, which names the rows and what was found for each.
    """
    notes = [
        f"{row.model}: the latest record ({row.record.created[:10]}) counts; "
        f"{len(row.history)} older {'one is' if len(row.history) == 1 else 'ones are'} left out"
        for row in group.rows
        if row.history
    ]
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


def reading_notes(group: Group) -> list[str]:
    """How to read the table of one group."""
    corrected = any(cell.score.debiased is not None for row in group.rows for cell in row.cells.values())
    return [HOW_TO_READ] + [PLAIN_VALUE] * corrected


def difference_notes(groups: Sequence[Group]) -> list[str]:
    """Why groups are separate tables: one line for each signature field that differs; empty for one group."""
    return [
        f"{field}: "
        + " / ".join(
            f"{value} ({group.signature.short_hash})" for group, value in zip(groups, values, strict=True)
        )
        for field, values in explain(groups).items()
    ]
