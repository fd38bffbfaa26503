"""The one table that Markdown, LaTeX and the terminal show, as plain text before any format's escaping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vgbench.leaderboard.direction import ARROWS
from vgbench.leaderboard.ranking import Cell, Column, Group, Row, explain
from vgbench.leaderboard.rounding import decimals_for, interval_text, number

HOW_TO_READ = (
    "Scores are best estimates ± one standard error. Bold: no other model is significantly better. "
    "A rank is 1 + the number of models that are significantly better "
    "(two-sided test of the difference, 5 %, Holm-corrected over all pairs); “—” marks lines of reference."
)
PLAIN_VALUE = (
    "“Plain” is the literature’s estimator, which grows as clips get fewer; the ranked number corrects that."
)


@dataclass(frozen=True)
class TextCell:
    """One cell, before escaping: its text, the standard error where it is a score, whether it stands out."""

    text: str
    error: str | None = None
    bold: bool = False

    def __str__(self) -> str:
        return self.text if self.error is None else f"{self.text} ± {self.error}"


@dataclass(frozen=True)
class TextTable:
    """Rows of cells under a header; the first column is the rank, the second the model, the rest numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[TextCell, ...], ...]


def text_table(group: Group) -> TextTable:
    """Lay out one group: rank, model, the primary metric with its interval, the other metrics."""
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
        cells.append(_score_cell(cell, places) if cell else TextCell("–"))
        if column.name == group.primary:
            cells.append(TextCell(interval_text(cell.score.interval if cell else None, places)))
            if plain:
                cells.append(TextCell(number(cell.score.value, places) if cell else "–"))
    return tuple(cells)


def _score_cell(cell: Cell, places: int) -> TextCell:
    score = cell.score
    error = None if score.standard_error is None else number(score.standard_error, places)
    return TextCell(number(score.best_estimate, places), error, cell.best)


def column_decimals(group: Group, column: Column) -> int:
    """Decimals shared by every number of one column."""
    return decimals_for(row.cells[column.name].score for row in group.rows if column.name in row.cells)


def footnotes(group: Group) -> list[str]:
    """What a reader must know of single rows: older records left out, warnings that came with the scores.

    Warnings that mean the same make one note, with the rows and what was found for each.
    """
    notes = [
        f"{row.model}: the latest record ({row.record.created[:10]}) counts, "
        f"{len(row.history)} older {'is' if len(row.history) == 1 else 'are'} left out"
        for row in group.rows
        if row.history
    ]
    warned: dict[tuple[str, str], list[str]] = {}
    for row in group.rows:
        for warning in row.record.warnings:
            warned.setdefault(warning, []).append(row.model)
    alike: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for (code, sentence), models in warned.items():
        who = "all" if len(models) == len(group.rows) > 1 else ", ".join(models)
        fact, _, meaning = sentence.rpartition(": ")
        alike.setdefault((code, meaning), []).append((who, fact))
    for (code, meaning), found in alike.items():
        if len(found) == 1:
            ((who, fact),) = found
            subject = f"{who}: {fact}" if fact else who
        else:
            subject = "; ".join(f"{who} ({fact})" for who, fact in found)
        notes.append(f"{subject}: {meaning} ({code})")
    return notes


def reading_notes(group: Group) -> list[str]:
    """How to read the table of one group."""
    corrected = any(cell.score.debiased is not None for row in group.rows for cell in row.cells.values())
    return [HOW_TO_READ] + [PLAIN_VALUE] * corrected


def difference_notes(groups: Sequence[Group]) -> list[str]:
    """Why groups are separate tables, one line a signature field; empty for a single group."""
    return [
        f"{field}: "
        + " / ".join(
            f"{value} ({group.signature.short_hash})" for group, value in zip(groups, values, strict=True)
        )
        for field, values in explain(groups).items()
    ]
