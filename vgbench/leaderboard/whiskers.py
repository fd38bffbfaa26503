"""The bars below the numbers of a table: estimates and intervals, on one axis for the whole column."""

from __future__ import annotations

from dataclasses import dataclass

from vgbench.leaderboard.ranking import Column, Group, RankedScore


@dataclass(frozen=True)
class Axis:
    """A linear axis from 0 to 100 percent."""

    low: float
    high: float

    def position(self, value: float) -> float:
        """Position on the axis in percent, limited to its ends."""
        if self.high == self.low:
            return 50.0
        return round(min(max((value - self.low) / (self.high - self.low), 0.0), 1.0) * 100, 2)


@dataclass(frozen=True)
class Whisker:
    """An estimate with its interval, in percent of the column's axis.

    Attributes:
        low, middle, high: positions; without an interval, all three are equal.
        off: "left" or "right" if the estimate lies beyond that end of the axis, otherwise "".
    """

    low: float
    middle: float
    high: float
    off: str


def column_axis(group: Group, column: Column) -> Axis | None:
    """Span the intervals of all models, and those of reference rows that are near enough.

    A reference row that is further away than twice the models' own span lies beyond the axis, so that the
    axis still resolves the models. None if nothing has a finite value.
    """
    models: list[float] = []
    others: list[float] = []
    for row in group.rows:
        if column.name in row.cells:
            (models if row.role == "model" else others).extend(row.cells[column.name].score.ends)
    models, others = models or others, others if models else []
    if not models:
        return None
    low, high = min(models), max(models)
    reach = 2 * (high - low)
    near = [value for value in others if low - reach <= value <= high + reach]
    return Axis(min([low, *near]), max([high, *near]))


def whisker(cell: RankedScore, axis: Axis) -> Whisker | None:
    """Place one score on its column's axis; None if it is not finite."""
    found = cell.score.ends
    if not found:
        return None
    value = cell.score.best_estimate
    off = "left" if value < axis.low else "right" if value > axis.high else ""
    return Whisker(axis.position(min(found)), axis.position(value), axis.position(max(found)), off)
