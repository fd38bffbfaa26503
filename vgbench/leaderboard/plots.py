"""Coordinates of the page's small plots; the template draws them."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgbench.leaderboard.history import History
from vgbench.leaderboard.ranking import Cell, Column, Group, Row
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
    """A line plot in a box of 100 × 100.

    Attributes:
        title: what runs upwards.
        across: what runs to the right.
        points: of an SVG polyline.
        x_ends, y_ends: least and greatest value of the axes.
        band: of an SVG polygon, the 95 % interval around the line; empty where unknown.
        real, real_band: the same of the real clips, where the plot holds both.
    """

    title: str
    across: str
    points: str
    x_ends: tuple[str, str]
    y_ends: tuple[str, str]
    band: str = ""
    real: str = ""
    real_band: str = ""


@dataclass(frozen=True)
class Bars:
    """A bar chart of shares in a box of 100 × 100: one pair, or one bar, a label.

    Attributes:
        title: what is shown.
        labels: of the groups of bars.
        generated, real: (x, y, width, height) of each bar; either may be empty.
        top: share at the upper edge.
        note: one phrase for below.
    """

    title: str
    labels: tuple[str, ...]
    generated: tuple[tuple[float, float, float, float], ...]
    real: tuple[tuple[float, float, float, float], ...]
    top: str
    note: str


TITLES = {
    "fvd": "FVD during training",
    "discriminator_loss": "Discriminator loss",
    "generator_loss": "Generator loss",
    "flow": "Flow to the next frame",
    "change": "Change to the next frame",
    "drift": "Distance from the first frame",
    "sharpness": "Sharpness",
}
"""What plots are called; a curve of another name is called by it."""

CURVES = {"training": "step", "per_frame": "frame"}
"""Entries of `Record.details` that hold plain curves -> what runs along their x-axis."""


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
                found.append(_curve(TITLES.get(str(name), str(name)), across, points))
    return found


def motion_tops(rows: Iterable[Row]) -> dict[str, float]:
    """Upper end of each motion curve's axis, shared by the models of a group and their real clips."""
    tops: dict[str, float] = {}
    for row in rows:
        for name, sides in _motion(row.record.details).items():
            shown = [side for key, side in sides.items() if row.role == "model" or key == "real"]
            tops[name] = max(
                [tops.get(name, 0.0), *(high for side in shown for _, high in map(_reach, side))]
            )
    return tops


def motion_curves(details: Mapping[str, Any], tops: Mapping[str, float]) -> list[Curve]:
    """Read `details["motion"]` of `evaluate`: generated beside real, from 0 to the group's own top.

    A control that leaves this axis gets an axis of its own.
    """
    found = []
    for name, sides in _motion(details).items():
        own = max(high for side in sides.values() for _, high in map(_reach, side))
        generated, real = sides.get("generated", []), sides.get("real", [])
        top = tops.get(name, own)
        y_axis = Axis(0.0, (own if generated and max(m for m, _ in generated) > top else top) or 1.0)
        length = max(map(len, sides.values()))
        first = 1 if name in ("flow", "change") else 0
        x_axis = Axis(0, length - 1)
        found.append(
            Curve(
                TITLES.get(name, name),
                "frame",
                _line(generated, x_axis, y_axis),
                (str(first), str(first + length - 1)),
                ("0", short(y_axis.high)),
                _band(generated, x_axis, y_axis),
                _line(real, x_axis, y_axis),
                _band(real, x_axis, y_axis),
            )
        )
    return found


Side = list[tuple[float, float]]
"""(mean, standard error) of each frame."""


def _motion(details: Mapping[str, Any]) -> dict[str, dict[str, Side]]:
    """Curve -> side -> its values; what has another form is passed over."""
    motion = details.get("motion")
    if not isinstance(motion, Mapping) or motion.get("schema") != 1:
        return {}
    named = motion.get("curves")
    found: dict[str, dict[str, Side]] = {}
    for name, sides in named.items() if isinstance(named, Mapping) else ():
        read = {
            side: _side(sides[side])
            for side in ("generated", "real")
            if isinstance(sides, Mapping) and isinstance(sides.get(side), Mapping)
        }
        read = {side: values for side, values in read.items() if len(values) >= 2}
        if read:
            found[str(name)] = read
    return found


def _side(values: Mapping[str, Any]) -> Side:
    mean, error = values.get("mean"), values.get("error")
    if not isinstance(mean, list) or not all(map(is_number, mean)):
        return []
    if not isinstance(error, list) or len(error) != len(mean) or not all(map(is_number, error)):
        error = [0.0] * len(mean)
    return [(float(m), float(e)) for m, e in zip(mean, error, strict=True)]


def _reach(point: tuple[float, float]) -> tuple[float, float]:
    """Ends of the 95 % interval of a (mean, standard error)."""
    mean, error = point
    return max(mean - 1.96 * error, 0.0), mean + 1.96 * error


def _line(side: Side, x_axis: Axis, y_axis: Axis) -> str:
    return " ".join(
        f"{x_axis.position(x):g},{100 - y_axis.position(mean):g}" for x, (mean, _) in enumerate(side)
    )


def _band(side: Side, x_axis: Axis, y_axis: Axis) -> str:
    if not any(error for _, error in side):
        return ""
    ends = [(x_axis.position(x), *_reach(point)) for x, point in enumerate(side)]
    there = [f"{x:g},{100 - y_axis.position(high):g}" for x, _, high in ends]
    back = [f"{x:g},{100 - y_axis.position(low):g}" for x, low, _ in reversed(ends)]
    return " ".join(there + back)


DIRECTIONS = ("→", "↘", "↓", "↙", "←", "↖", "↑", "↗")
SPEEDS = ("1", "2", "4", "8", "16+")


def flow_bars(details: Mapping[str, Any]) -> list[Bars]:
    """Read the flow histogram of `evaluate`: shares of pixels by speed and by direction, both sides."""
    motion = details.get("motion")
    found = motion.get("flow_histogram") if isinstance(motion, Mapping) else None
    if not isinstance(motion, Mapping) or motion.get("schema") != 1 or not isinstance(found, Mapping):
        return []
    size = 1 + len(SPEEDS) * len(DIRECTIONS)
    sides = {
        side: values
        for side in ("generated", "real")
        if isinstance(values := found.get(side), list) and len(values) == size and all(map(is_number, values))
    }
    if not sides:
        return []
    tables = {
        side: [values[1 + k * len(DIRECTIONS) : 1 + (k + 1) * len(DIRECTIONS)] for k in range(len(SPEEDS))]
        for side, values in sides.items()
    }
    still = " and ".join(f"{values[0] * 100:.0f} % of the {side} pixels" for side, values in sides.items())
    speeds = {side: [math.fsum(row) for row in table] for side, table in tables.items()}
    turns = {
        side: [math.fsum(column) for column in zip(*table, strict=True)] for side, table in tables.items()
    }
    unit = "1/512 of the shorter side a frame"
    return [
        _bars("Pixels by speed", SPEEDS, speeds, f"in {unit}; {still} stand still"),
        _bars(
            "Pixels by direction",
            DIRECTIONS,
            turns,
            "share of all pixels; those that stand still have no direction",
        ),
    ]


def _bars(title: str, labels: tuple[str, ...], sides: Mapping[str, list[float]], note: str) -> Bars:
    top = max((value for values in sides.values() for value in values), default=0.0) or 1.0
    slot = 100 / len(labels)
    drawn: dict[str, tuple[tuple[float, float, float, float], ...]] = {}
    for place, side in enumerate(("generated", "real")):
        drawn[side] = tuple(
            (
                round(slot * (k + 0.14 + 0.37 * place), 2),
                round(100 - 100 * value / top, 2),
                round(slot * 0.35, 2),
                round(100 * value / top, 2),
            )
            for k, value in enumerate(sides.get(side, []))
        )
    return Bars(title, labels, drawn["generated"], drawn["real"], f"{top * 100:.2g} %", note)


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
    x_ends, y_ends = ((short(axis.low), short(axis.high)) for axis in (x_axis, y_axis))
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
    return Trend(tuple(points), line, dates, (short(y_axis.low), short(y_axis.high)))


def _times(created: Sequence[str]) -> list[float]:
    """Seconds since 1970 of ISO 8601 texts; 0, 1, … where one of them is none."""
    try:
        return [dt.datetime.fromisoformat(text).timestamp() for text in created]
    except (ValueError, OverflowError):
        return [float(place) for place in range(len(created))]


def short(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
