"""Plots of one model: the data in its record, read with care and drawn on the axes of `vgbench.pages.svg`."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vgbench.leaderboard.history import History
from vgbench.leaderboard.ranking import Row
from vgbench.leaderboard.significance import NORMAL
from vgbench.pages.numbers import significant
from vgbench.pages.svg import few_ticks, plain_label, tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDES = ("generated", "real")


@dataclass(frozen=True)
class Line:
    """A line with a band around it, the 95 % interval; without an interval, `low` and `high` equal `y`."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Curve:
    """A line plot.

    Attributes:
        title: the quantity on the vertical axis.
        across: the quantity on the horizontal axis.
        lines: side ("generated" or "real") -> its line, for the sides that have one.
        top: upper end of a vertical axis that begins at 0; None for an axis that spans the lines.
        note: a phrase below the plot.
    """

    title: str
    across: str
    lines: dict[str, Line]
    top: float | None = None
    note: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Entries of the legend; none if there is one line."""
        return tuple(self.lines) if "real" in self.lines else ()

    def description(self) -> str:
        """Say where each line begins and ends, for readers who do not see it."""
        spans = (
            f"{side} {significant(line.y[0])} at {self.across} {significant(line.x[0])}, "
            f"{significant(line.y[-1])} at {significant(line.x[-1])}"
            for side, line in self.lines.items()
        )
        return f"{self.title}: {'; '.join(spans)}"

    def draw(self, axes: Axes) -> None:
        for side, line in self.lines.items():
            if line.low != line.high:
                axes.fill_between(line.x, line.low, line.high, alpha=0.16, gid=f".band.{side}")
            axes.plot(line.x, line.y, gid=f".line.{side}")
        if self.top is not None:
            axes.set_ylim(0, self.top)
        axes.margins(x=0.01)
        axes.set_xlabel(self.across)
        axes.locator_params(axis="x", nbins=5, integer=True)
        axes.xaxis.set_major_formatter(tick)
        few_ticks(axes)


@dataclass(frozen=True)
class Bars:
    """A bar chart of shares: for each label, one bar per side.

    Attributes:
        title: what is shown.
        labels: labels of the groups of bars.
        sides: "generated" and "real", if there are data -> shares, one per label.
        note: a phrase below the plot.
    """

    title: str
    labels: tuple[str, ...]
    sides: dict[str, tuple[float, ...]]
    note: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Entries of the legend."""
        return tuple(self.sides)

    def description(self) -> str:
        """State each share, for readers who do not see the bars."""
        shares = (
            f"{side} {', '.join(f'{name} {v:.1%}' for name, v in zip(self.labels, values, strict=True))}"
            for side, values in self.sides.items()
        )
        return f"{self.title}: {'; '.join(shares)}"

    def draw(self, axes: Axes) -> None:
        from matplotlib.ticker import PercentFormatter

        places = range(len(self.labels))
        for side, values in self.sides.items():
            shift = -0.19 if side == "generated" else 0.19
            axes.bar([place + shift for place in places], values, width=0.36, gid=f".bar.{side}")
        axes.set_xticks(places, self.labels)
        axes.set_ylim(bottom=0)
        few_ticks(axes)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))


@dataclass(frozen=True)
class Trend:
    """Scores of one model's runs over time.

    Attributes:
        title: what is shown.
        times: times of the runs in seconds, or 0, 1, … if a date cannot be read.
        dates: dates of the first and the last run.
        scores: (estimate, low, high) of each run; without an interval, all three are equal.
    """

    title: str
    times: tuple[float, ...]
    dates: tuple[str, str]
    scores: tuple[tuple[float, float, float], ...]
    keys: tuple[str, ...] = ()
    note: str = ""

    def description(self) -> str:
        """Say what is shown and where the numbers are."""
        return f"{self.title}; the numbers are under Runs"

    def draw(self, axes: Axes) -> None:
        estimates, low, high = zip(*self.scores, strict=True)
        axes.plot(self.times, estimates, linewidth=1, gid=".way")
        axes.vlines(self.times, low, high, linewidth=4, gid=".interval")
        axes.plot(self.times, estimates, "o", markersize=7, gid=".generated")
        axes.set_xticks([self.times[0], self.times[-1]], self.dates)
        first, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        few_ticks(axes)


TITLES = {
    "fvd": "FVD during training",
    "discriminator_loss": "Discriminator loss",
    "generator_loss": "Generator loss",
    "flow": "Flow to the next frame",
    "change": "Change to the next frame",
    "drift": "Distance from the first frame",
    "sharpness": "Sharpness",
}
"""Titles of plots; a curve of another name has its name as its title."""

CURVES = {"training": "step", "per_frame": "frame"}
"""Entries of `Record.details` that hold curves -> the quantity on the horizontal axis."""


def curves(details: Mapping[str, Any]) -> list[Curve]:
    """Read the curves in the details of a record; values of another form are ignored.

    `{"training": {"fvd": [[step, value], …]}}` and `{"per_frame": {"psnr": [value, …]}}` are curves.
    """
    found = []
    for entry, across in CURVES.items():
        named = details.get(entry)
        for name, values in named.items() if isinstance(named, Mapping) else ():
            points = sorted(_points(values))
            if len(points) >= 2:
                xs, ys = zip(*points, strict=True)
                lines = {"generated": Line(xs, ys, ys, ys)}
                found.append(Curve(TITLES.get(str(name), str(name)), across, lines))
    return found


def motion_tops(rows: Iterable[Row]) -> dict[str, float]:
    """Upper end of the axis of each motion curve, shared by the models of a group and their real clips."""
    tops: dict[str, float] = {}
    for row in rows:
        for name, sides in _motion(row.record.details).items():
            shown = [means for side, means in sides.items() if row.role == "model" or side == "real"]
            tops[name] = max(
                [tops.get(name, 0.0), *(high for means in shown for _, high in map(_interval, means))]
            )
    return tops


def motion_curves(details: Mapping[str, Any], tops: Mapping[str, float]) -> list[Curve]:
    """Read `details["motion"]` of `evaluate`: generated beside real, on an axis from 0 to the group's top.

    A control that exceeds this axis has an axis of its own.
    """
    found = []
    for name, sides in _motion(details).items():
        own = max(high for means in sides.values() for _, high in map(_interval, means))
        top = tops.get(name, own)
        if any(mean > top for mean, _ in sides.get("generated", [])):
            top = own
        first = 1 if name in ("flow", "change") else 0
        lines = {side: _line(means, first, top or 1.0) for side, means in sides.items()}
        found.append(Curve(TITLES.get(name, name), "frame", lines, top or 1.0))
    return found


FrameMeans = list[tuple[float, float]]
"""(mean, standard error) of each frame."""


def _motion(details: Mapping[str, Any]) -> dict[str, dict[str, FrameMeans]]:
    """Curve -> side -> its means; values of another form are ignored."""
    motion = details.get("motion")
    if not isinstance(motion, Mapping) or motion.get("schema") != 1:
        return {}
    named = motion.get("curves")
    found: dict[str, dict[str, FrameMeans]] = {}
    for name, sides in named.items() if isinstance(named, Mapping) else ():
        read = {
            side: _frame_means(sides[side])
            for side in SIDES
            if isinstance(sides, Mapping) and isinstance(sides.get(side), Mapping)
        }
        read = {side: means for side, means in read.items() if len(means) >= 2}
        if read:
            found[str(name)] = read
    return found


def _frame_means(values: Mapping[str, Any]) -> FrameMeans:
    mean, error = values.get("mean"), values.get("error")
    if not isinstance(mean, list) or not all(map(is_number, mean)):
        return []
    if not isinstance(error, list) or len(error) != len(mean) or not all(map(is_number, error)):
        error = [0.0] * len(mean)
    return [(float(m), float(e)) for m, e in zip(mean, error, strict=True)]


def _interval(point: tuple[float, float]) -> tuple[float, float]:
    """95 % interval of a (mean, standard error) that cannot be negative."""
    mean, error = point
    return max(mean - NORMAL * error, 0.0), mean + NORMAL * error


def _line(means: FrameMeans, first: int, top: float) -> Line:
    low, high = zip(*map(_interval, means), strict=True)
    mean = tuple(mean for mean, _ in means)
    if not any(error for _, error in means):
        low = high = mean
    frames = tuple(float(x) for x in range(first, first + len(means)))
    return Line(frames, mean, low, tuple(min(h, top) for h in high))


DIRECTIONS = ("→", "↘", "↓", "↙", "←", "↖", "↑", "↗")
SPEEDS = ("1", "2", "4", "8", "16+")


def flow_bars(details: Mapping[str, Any]) -> list[Bars]:
    """Read the flow histogram of `evaluate`: shares of pixels by speed and by direction, for both sides."""
    motion = details.get("motion")
    found = motion.get("flow_histogram") if isinstance(motion, Mapping) else None
    if not isinstance(motion, Mapping) or motion.get("schema") != 1 or not isinstance(found, Mapping):
        return []
    size = 1 + len(SPEEDS) * len(DIRECTIONS)
    sides = {
        side: values
        for side in SIDES
        if isinstance(values := found.get(side), list) and len(values) == size and all(map(is_number, values))
    }
    if not sides:
        return []
    tables = {
        side: [values[1 + k * len(DIRECTIONS) : 1 + (k + 1) * len(DIRECTIONS)] for k in range(len(SPEEDS))]
        for side, values in sides.items()
    }
    static = " and ".join(f"{values[0] * 100:.0f} % of the {side} pixels" for side, values in sides.items())
    speeds = {side: tuple(math.fsum(row) for row in table) for side, table in tables.items()}
    directions = {
        side: tuple(math.fsum(column) for column in zip(*table, strict=True))
        for side, table in tables.items()
    }
    unit = "1/512 of the shorter side per frame"
    return [
        Bars("Pixels by speed", SPEEDS, speeds, f"in {unit}; {static} do not move"),
        Bars(
            "Pixels by direction",
            DIRECTIONS,
            directions,
            "share of all pixels; those that do not move have no direction",
        ),
    ]


def _points(values: Any) -> list[tuple[float, float]]:
    """Read `[[x, y], …]`, or `[y, …]` with x = 0, 1, …; empty for anything else."""
    if not isinstance(values, list | tuple):
        return []
    pairs = [value if isinstance(value, list | tuple) else (x, value) for x, value in enumerate(values)]
    if any(len(pair) != 2 or not all(map(is_number, pair)) for pair in pairs):
        return []
    return [(float(x), float(y)) for x, y in pairs]


def is_number(value: Any) -> bool:
    """Whether a value is an int or a float within ±1e100, so that it can be drawn; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e100


def trend(history: History) -> Trend | None:
    """Place the runs of a model by their time; None for fewer than two runs with a finite score."""
    runs = [(run.record.created, run.score.ends) for run in history.runs if run.score]
    runs = [(created, ends) for created, ends in runs if ends and all(map(is_number, ends))]
    if len(runs) < 2:
        return None
    return Trend(
        title=f"{history.metric} by date, {len(runs)} runs with 95 % intervals",
        times=_times([created for created, _ in runs]),
        dates=(plain_label(runs[0][0][:10]), plain_label(runs[-1][0][:10])),
        scores=tuple((ends[0], min(ends), max(ends)) for _, ends in runs),
    )


def _times(created: Sequence[str]) -> tuple[float, ...]:
    """Seconds since 1970 of ISO 8601 texts; 0, 1, … if one of them is not a date."""
    try:
        return tuple(dt.datetime.fromisoformat(text).timestamp() for text in created)
    except (ValueError, OverflowError):
        return tuple(float(place) for place in range(len(created)))
