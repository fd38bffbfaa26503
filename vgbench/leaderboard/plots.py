"""Coordinates of the page's small plots; the template draws them."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgbench.leaderboard.history import History
from vgbench.leaderboard.ranking import Cell, Column, Group
from vgbench.metrics.score import Score


@dataclass(frozen=True)
class Axis:
    """A linear axis from 0 to 100 percent."""

    low: float
    high: float

    def position(self, value: float) -> float:
        """Percent along the axis, kept inside it."""
        if self.high == self.low:
            return 50.0
        return round(min(max((value - self.low) / (self.high - self.low), 0.0), 1.0) * 100, 2)


@dataclass(frozen=True)
class Whisker:
    """An estimate with its interval, in percent of the column's axis.

    Attributes:
        low, middle, high: positions; low and high are equal to middle without an interval.
        off: "left" or "right" where the estimate lies beyond the axis, else "".
    """

    low: float
    middle: float
    high: float
    off: str


def column_axis(group: Group, column: Column) -> Axis | None:
    """Span the intervals of all models, and of lines of reference unless they would squeeze the models.

    A line of reference further off than twice the models' own span stays beyond the axis. None where nothing
    has a finite value.
    """
    models: list[float] = []
    others: list[float] = []
    for row in group.rows:
        if column.name in row.cells:
            (models if row.role == "model" else others).extend(_ends(row.cells[column.name].score))
    models, others = models or others, others if models else []
    if not models:
        return None
    low, high = min(models), max(models)
    reach = 2 * (high - low)
    near = [value for value in others if low - reach <= value <= high + reach]
    return Axis(min([low, *near]), max([high, *near]))


def whisker(cell: Cell, axis: Axis) -> Whisker | None:
    """Place one score on its column's axis; None where it is not finite."""
    ends = _ends(cell.score)
    if not ends:
        return None
    value = cell.score.best_estimate
    off = "left" if value < axis.low else "right" if value > axis.high else ""
    return Whisker(axis.position(min(ends)), axis.position(value), axis.position(max(ends)), off)


def _ends(score: Score) -> list[float]:
    values = [score.best_estimate, *(score.interval or ())]
    return [value for value in values if math.isfinite(value)] if math.isfinite(values[0]) else []


@dataclass(frozen=True)
class Curve:
    """A line plot: `points` for an SVG polyline in a box of 100 × 100, and the ends of both axes."""

    title: str
    across: str
    points: str
    x_ends: tuple[str, str]
    y_ends: tuple[str, str]


CURVES = {"training": "step", "per_frame": "frame"}
"""Entries of `Record.details` that hold curves -> what runs along their x-axis."""


def curves(details: Mapping[str, Any]) -> list[Curve]:
    """Read the curves that a run left in its details; what has another form is passed over.

    `{"training": {"fvd": [[step, value], …]}}` and `{"per_frame": {"psnr": [value, …]}}` are curves.
    """
    found = []
    for entry, across in CURVES.items():
        named = details.get(entry)
        for name, values in named.items() if isinstance(named, Mapping) else ():
            points = _points(values)
            if len(points) >= 2:
                found.append(_curve(str(name), across, points))
    return found


def _points(values: Any) -> list[tuple[float, float]]:
    """Read `[[x, y], …]`, or `[y, …]` with x = 0, 1, …; empty for anything else."""
    if not isinstance(values, list | tuple):
        return []
    pairs = [value if isinstance(value, list | tuple) else (x, value) for x, value in enumerate(values)]
    if any(len(pair) != 2 or not all(map(is_number, pair)) for pair in pairs):
        return []
    return [(float(x), float(y)) for x, y in pairs]


def is_number(value: Any) -> bool:
    """A finite int or float; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _curve(title: str, across: str, points: Iterable[tuple[float, float]]) -> Curve:
    points = sorted(points)
    xs, ys = zip(*points, strict=True)
    x_axis, y_axis = Axis(min(xs), max(xs)), Axis(min(ys), max(ys))
    line = " ".join(f"{x_axis.position(x):g},{100 - y_axis.position(y):g}" for x, y in points)
    x_ends, y_ends = ((_short(axis.low), _short(axis.high)) for axis in (x_axis, y_axis))
    return Curve(title, across, line, x_ends, y_ends)


@dataclass(frozen=True)
class Trend:
    """Scores of one model's runs over time, in a box of 100 × 100.

    Attributes:
        points: (x, low, middle, high) of each run, percent from the left and from the top.
        line: `points` of an SVG polyline through the estimates.
        x_ends: dates of the first and the last run.
        y_ends: least and greatest value of the axis.
    """

    points: tuple[tuple[float, float, float, float], ...]
    line: str
    x_ends: tuple[str, str]
    y_ends: tuple[str, str]


def trend(history: History) -> Trend | None:
    """Place the runs by the time of their making; None for fewer than two runs with a finite score."""
    runs = [(run.record.created, _ends(run.score)) for run in history.runs if run.score]
    runs = [(created, ends) for created, ends in runs if ends]
    if len(runs) < 2:
        return None
    times = _times([created for created, _ in runs])
    values = [value for _, ends in runs for value in ends]
    x_axis, y_axis = Axis(min(times), max(times)), Axis(min(values), max(values))
    points = []
    for time, (_, ends) in zip(times, runs, strict=True):
        low, middle, high = (100 - y_axis.position(value) for value in (min(ends), ends[0], max(ends)))
        points.append((x_axis.position(time), low, middle, high))
    line = " ".join(f"{x:g},{middle:g}" for x, _, middle, _ in points)
    dates = (runs[0][0][:10], runs[-1][0][:10])
    return Trend(tuple(points), line, dates, (_short(y_axis.low), _short(y_axis.high)))


def _times(created: Sequence[str]) -> list[float]:
    """Seconds since 1970 of ISO 8601 texts; 0, 1, … where one of them is none."""
    try:
        return [dt.datetime.fromisoformat(text).timestamp() for text in created]
    except (ValueError, OverflowError):
        return [float(place) for place in range(len(created))]


def _short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
