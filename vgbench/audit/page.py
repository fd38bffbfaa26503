"""An audit as one HTML page: no network, no script, and every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import vgbench
from vgbench.audit import words
from vgbench.audit.result import AuditResult, MetricAudit, Point, Reaction
from vgbench.metrics.direction import ARROWS
from vgbench.metrics.score import Score
from vgbench.pages.numbers import significant
from vgbench.pages.svg import few_ticks, plain_label, svg
from vgbench.pages.templates import render_page
from vgbench.storage import atomic
from vgbench.storage.writing import writing_to

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

SIZE, MARGINS = (400, 250), (56, 124, 10, 26)
"""Of a panel, in pixels; the right margin holds the names of the lines."""


@dataclass(frozen=True)
class Panel:
    """All distortions of one kind on common axes."""

    title: str
    reactions: tuple[Reaction, ...]
    baseline: Score

    def draw(self, axes: Axes) -> None:
        if ends := self.baseline.ends:
            axes.axhspan(min(ends), max(ends), gid=".undamaged")
            axes.axhline(ends[0], linestyle=":", linewidth=1)
        named = []
        for number, reaction in enumerate(self.reactions, start=1):
            color = f".c{(number - 1) % 5 + 1}"
            points = [point for point in reaction.points if point.score.ends]
            if points:
                named.append(
                    (points[-1].score.best_estimate, color, _draw_line(axes, reaction, points, color))
                )
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        axes.xaxis.set_major_formatter("{x:g}")
        few_ticks(axes, most=5)
        named.sort(key=lambda entry: -entry[0])  # in the order in which the lines end, from the top
        legend = axes.legend(
            handles=[line for _, _, line in named],
            loc="center left",
            bbox_to_anchor=(1.02, 0.5),
            borderaxespad=0,
            handlelength=1,
            frameon=False,
        )
        for (_, color, _), handle, text in zip(named, legend.legend_handles, legend.get_texts(), strict=True):
            text.set_gid(f"{color}.name")
            if handle is not None:
                handle.set_gid(color)


def _draw_line(axes: Axes, reaction: Reaction, points: Sequence[Point], color: str) -> Line2D:
    strengths = [point.strength for point in points]
    ends = [point.score.ends for point in points]
    axes.fill_between(
        strengths, [min(e) for e in ends], [max(e) for e in ends], alpha=0.09, gid=f"{color}.band"
    )
    (line,) = axes.plot(strengths, [e[0] for e in ends], label=plain_label(reaction.distortion), gid=color)
    for verdict in ("worse", "better"):
        found = [(point.strength, point.score.best_estimate) for point in points if point.verdict == verdict]
        if found:
            axes.plot(*zip(*found, strict=True), "o", markersize=6.8, gid=f"{color}.{verdict}")
    return line


def render_html(result: AuditResult) -> str:
    """Write the page: a summary, and for each metric conclusions, plots, and every number in a table."""
    metrics = [(metric, _drawn(f"m{place}", metric)) for place, metric in enumerate(result.metrics, start=1)]
    return render_page(
        "vgbench.audit",
        "audit",
        result=result,
        metrics=metrics,
        words=words,
        arrows=ARROWS,
        significant=significant,
        version=vgbench.__version__,
    )


def write_audit(result: AuditResult, folder: str | Path) -> list[Path]:
    """Write `audit.json` and `audit.html`, each completely or not at all, and return their paths.

    Raises:
        VgbenchError: the folder cannot be written to.
    """
    texts = {"audit.json": result.to_json(), "audit.html": render_html(result)}
    with writing_to(folder):
        for name, text in texts.items():
            atomic.write_text(Path(folder) / name, text)
    return [Path(folder) / name for name in texts]


def panels(metric: MetricAudit) -> list[Panel]:
    """Collect the lines of one metric: a panel each for content, motion and choice of clips, if audited."""
    found = []
    for kind, title in words.KINDS.items():
        reactions = tuple(reaction for reaction in metric.reactions if reaction.kind == kind)
        if reactions:
            found.append(Panel(title, reactions, metric.baseline))
    return found


def _drawn(identity: str, metric: MetricAudit) -> list[tuple[str, str]]:
    """(title, SVG) of each panel."""
    return [
        (
            panel.title,
            svg(
                panel.draw,
                SIZE,
                MARGINS,
                f"{identity}-{number}",
                f"{metric.title} against the strength of the damage; {panel.title}; the numbers are below",
            ),
        )
        for number, panel in enumerate(panels(metric))
    ]
