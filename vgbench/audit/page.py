"""An audit as one self-contained HTML page: no network, no script, every text escaped."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import vgbench
from vgbench.audit import words
from vgbench.audit.result import AuditResult, MetricAudit, Reaction
from vgbench.metrics.score import Score

if TYPE_CHECKING:
    import jinja2

WIDTH, HEIGHT = 380, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 104, 12, 28
"""Margins of a panel; the right one holds the names of the lines."""
LABEL_GAP = 13.0


@dataclass(frozen=True)
class Line:
    """One distortion in a panel: SVG points of the line and its band, and where its name stands."""

    name: str
    number: int
    points: str
    band: str
    marks: tuple[tuple[float, float, str], ...]
    label_y: float


@dataclass(frozen=True)
class Panel:
    """All distortions of one kind on common axes. Coordinates are those of the SVG's view box.

    Attributes:
        title: what is damaged.
        lines: one for each distortion.
        ticks: (y, text) of the value axis.
        across: (x, text) of the strength axis.
        real: (y, height) of the interval of real against real; its line is at `real_y`.
    """

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[tuple[float, str], ...]
    across: tuple[tuple[float, str], ...]
    real: tuple[float, float]
    real_y: float


def render_html(result: AuditResult) -> str:
    """Write the page: conclusions, one plot for each metric, and every number in a table."""
    style = resources.files("vgbench.audit").joinpath("templates", "audit.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("audit.html")
        .render(
            result=result,
            metrics=[(metric, panels(metric)) for metric in result.metrics],
            words=words,
            frame={"w": WIDTH, "h": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "base": HEIGHT - BOTTOM},
            style=style,
            style_hash=f"'sha256-{digest}'",
            version=vgbench.__version__,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("vgbench.audit"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def panels(metric: MetricAudit) -> list[Panel]:
    """Place the lines of one metric: a panel for content, motion and choice of clips, as far as audited."""
    found = []
    for kind, title in words.KINDS.items():
        reactions = [reaction for reaction in metric.reactions if reaction.kind == kind]
        if reactions:
            found.append(_panel(title, reactions, metric.baseline))
    return found


def _panel(title: str, reactions: Sequence[Reaction], baseline: Score) -> Panel:
    scores = [baseline, *(point.score for reaction in reactions for point in reaction.points)]
    values = [value for score in scores for value in _ends(score)] or [0.0]
    ticks = ticks_between(min(values), max(values))
    low, high = min(values), max(values)

    def up(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)

    def across(strength: float) -> float:
        return round(LEFT + strength * (WIDTH - LEFT - RIGHT), 2)

    ends = _ends(baseline) or [low]
    places = [up(reaction.points[-1].score.best_estimate) for reaction in reactions]
    lines = []
    for index, (reaction, label_y) in enumerate(zip(reactions, spread(places), strict=True), start=1):
        middle = [(across(p.strength), up(p.score.best_estimate), p) for p in reaction.points]
        upper = [(across(p.strength), up(max(_ends(p.score)))) for p in reaction.points]
        lower = [(across(p.strength), up(min(_ends(p.score)))) for p in reaction.points]
        lines.append(
            Line(
                name=reaction.distortion,
                number=index,
                points=_path([(x, y) for x, y, _ in middle]),
                band=_path([*upper, *reversed(lower)]),
                marks=tuple((x, y, p.verdict) for x, y, p in middle if p.verdict in ("worse", "better")),
                label_y=label_y,
            )
        )
    top = up(max(ends))
    return Panel(
        title=title,
        lines=tuple(lines),
        ticks=tuple((up(tick), words.number(tick)) for tick in ticks),
        across=tuple((across(x), f"{x:g}") for x in (0, 0.2, 0.4, 0.6, 0.8, 1)),
        real=(top, round(up(min(ends)) - top, 2)),
        real_y=up(baseline.best_estimate),
    )


def _ends(score: Score) -> list[float]:
    return [value for value in (score.best_estimate, *(score.interval or ())) if math.isfinite(value)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def ticks_between(low: float, high: float) -> list[float]:
    """About four round numbers from `low` to `high`; `low` alone where there is none."""
    if not high > low:
        return [low]
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12 - math.floor(math.log10(step))) + 0.0 for k in range(first, last + 1)] or [low]


def spread(places: Sequence[float]) -> list[float]:
    """Move labels apart to `LABEL_GAP`, inside the panel, keeping their order; input order is kept."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    found = [0.0] * len(places)
    bottom = HEIGHT - BOTTOM - LABEL_GAP * (len(places) - 1)
    last = TOP + 4 - LABEL_GAP
    for rank, i in enumerate(order):
        last = max(last + LABEL_GAP, min(places[i], bottom + LABEL_GAP * rank))
        found[i] = round(last, 2)
    return found
