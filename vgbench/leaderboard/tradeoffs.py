"""Trade-offs: two metrics of a table, or a metric and a cost, with the models that no other model beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from vgbench.leaderboard.plots import is_number
from vgbench.leaderboard.ranking import Group, Role, Row
from vgbench.leaderboard.table import is_corrected
from vgbench.metrics import METRICS
from vgbench.metrics.direction import WORDS, oriented
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.pages.numbers import significant
from vgbench.pages.svg import plain_label, tick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = tuple[float, ...]
"""An estimate, and the ends of its interval if it has one."""


@dataclass(frozen=True)
class Measure:
    """The quantity on an axis: a metric, or a cost, which is any number in the details of a record."""

    name: str
    title: str
    better: Better
    is_cost: bool = False


@dataclass(frozen=True)
class Spot:
    """One row of the table in one plot."""

    model: str
    role: Role
    across: Values
    up: Values


@dataclass(frozen=True)
class Tradeoff:
    """One plot of all rows that have both measures.

    Attributes:
        across, up: the horizontal and the vertical axis.
        spots: the rows, in the order of the table.
    """

    across: Measure
    up: Measure
    spots: tuple[Spot, ...]

    def description(self) -> str:
        """Say what is shown and where the numbers are."""
        return f"{self.up.title} against {self.across.title}, {len(self.spots)} rows; scores are in the table"

    def front(self) -> list[Spot]:
        """Models that no other model beats on both axes, in the order of the horizontal axis.

        Empty if closer to real is better for one of the measures, because the best value is then not at an
        end of its axis.
        """
        if "real" in (self.across.better, self.up.better):
            return []

        def badness(spot: Spot) -> tuple[float, float]:
            return oriented(spot.across[0], self.across.better), oriented(spot.up[0], self.up.better)

        found: list[Spot] = []
        for spot in sorted((spot for spot in self.spots if spot.role == "model"), key=badness):
            if not found or badness(spot)[1] < badness(found[-1])[1]:
                found.append(spot)
        return found

    def draw(self, axes: Axes) -> None:
        axes.margins(0.07)
        front = self.front()
        if len(front) > 1:
            axes.plot(
                [s.across[0] for s in front], [s.up[0] for s in front], ":", linewidth=1.4, gid=".front"
            )
        for spot in self.spots:
            kind = "generated" if spot.role == "model" else "reference"
            (x, *_), (y, *_) = spot.across, spot.up
            axes.hlines(y, min(spot.across), max(spot.across), linewidth=1.5, gid=f".cross.{kind}")
            axes.vlines(x, min(spot.up), max(spot.up), linewidth=1.5, gid=f".cross.{kind}")
        for spot in self.spots:
            kind = "generated" if spot.role == "model" else "reference"
            (x, *_), (y, *_) = spot.across, spot.up
            tooltip = f"{spot.model}: {self.across.title} {significant(x)}, {self.up.title} {significant(y)}"
            axes.plot([x], [y], "o", markersize=9, gid=f".mark.{kind}:{tooltip}")
        _scale(axes, "x", [value for spot in self.spots for value in spot.across])
        _scale(axes, "y", [value for spot in self.spots for value in spot.up])
        axes.grid(axis="x", gid=".grid")
        axes.set_xlabel(_titled(self.across), gid=".title")
        axes.set_ylabel(_titled(self.up), gid=".title", rotation_mode="anchor")
        _write_names(axes, self.spots)


def measures(group: Group) -> list[Measure]:
    """Metrics of a table in their order, and then the costs, for which lower is better."""
    metrics = [
        Measure(
            column.name,
            metric_title(column.name) + ", corrected" * is_corrected(group, column),
            column.better,
        )
        for column in group.columns
    ]
    return metrics + [Measure(name, cost_title(name), "lower", is_cost=True) for name in costs(group.rows)]


def tradeoffs(group: Group) -> dict[tuple[int, int], Tradeoff]:
    """Positions of two measures -> their plot, for all pairs that some row has, except pairs of costs.

    The later measure is on the horizontal axis, so a cost always is.
    """
    named = measures(group)
    found = {}
    for (i, up), (j, across) in combinations(enumerate(named), 2):
        if not up.is_cost:
            spots = [
                Spot(row.model, row.role, x, y)
                for row in group.rows
                if (x := _values(row, across)) and (y := _values(row, up))
            ]
            if spots:
                found[i, j] = Tradeoff(across, up, tuple(spots))
    return found


def costs(rows: Iterable[Row]) -> list[str]:
    """Names of the numbers in the details of the rows."""
    named = (name for row in rows for name, value in row.record.details.items() if is_number(value))
    return list(dict.fromkeys(named))


def cost_title(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("gmac", "GMAC")


def metric_title(name: str) -> str:
    metric = METRICS.get(name)
    return metric.title if metric else name.replace("_", " ")


def _values(row: Row, measure: Measure) -> Values:
    """(estimate,) or (estimate, low, high); empty if the estimate is not finite or does not exist."""
    if measure.is_cost:
        value: Any = row.record.details.get(measure.name)
        return (float(value),) if is_number(value) else ()
    cell = row.cells.get(measure.name)
    return _point(cell.score) if cell else ()


def _point(score: Score) -> Values:
    values = (score.best_estimate, *(score.interval or ()))
    return values if all(map(is_number, values)) else values[:1] * is_number(values[0])


def _titled(measure: Measure) -> str:
    return f"{plain_label(measure.title)} ({WORDS[measure.better]})"


def _scale(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """Use a logarithmic axis for values that lie far apart."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis = axes.xaxis if which == "x" else axes.yaxis
    if min(values) > 0 and max(values) > 20 * min(values):
        steps = (1, 2, 5) if max(values) < 1000 * min(values) else (1,)
        axes.set(**{f"{which}scale": "log"})
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(tick)


OFFSETS = ((8, 3, "left"), (-8, 3, "right"), (8, -12, "left"), (-8, -12, "right"), (0, 9, "center"))
"""Places for a name: pixels to the right of and above its mark, and the end of the name that is there."""


def _write_names(axes: Axes, spots: Sequence[Spot]) -> None:
    """Write each name beside its mark if there is room; the others have only their tooltip."""
    from matplotlib.transforms import Bbox

    axes.autoscale_view()  # the places below are those of the finished plot
    room = Bbox.from_extents(axes.bbox.x0 - 20, axes.bbox.y0, axes.figure.bbox.x1, axes.bbox.y1 + 12)
    places = axes.transData.transform([(spot.across[0], spot.up[0]) for spot in spots])
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in places]
    for spot, (x, y) in zip(spots, places, strict=True):
        name = plain_label(spot.model)
        width = 6.4 * len(name)
        for right, above, end in OFFSETS:
            left = x + right - width * {"left": 0.0, "center": 0.5, "right": 1.0}[end]
            box = Bbox.from_bounds(left, y + above, width, 11)
            if all(room.contains(*corner) for corner in box.corners()) and not box.count_overlaps(taken):
                taken.append(box)
                at = (spot.across[0], spot.up[0])
                axes.annotate(name, at, (right, above), textcoords="offset points", ha=end, gid=".name")
                break
