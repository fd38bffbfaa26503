"""An audit as tables for the terminal: one for each metric, then one that sums up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vgbench.audit import words
from vgbench.audit.result import AuditResult, MetricAudit

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def audit_tables(result: AuditResult) -> RenderableType:
    """Lay out the whole audit; what matters most comes last, where the reader's prompt is."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for metric in result.metrics:
        real = f"{words.number(metric.baseline.best_estimate)} {words.interval(metric.baseline.interval)}"
        parts.append(Text(f"{_heading(metric)}   real against real: {real}", style="bold"))
        parts.append(_metric(metric, result.strengths))
    parts.append(Text(words.LEGEND + "\n", style="dim"))
    parts.append(Text("Standard errors by which damage makes a metric worse, on average", style="bold"))
    parts.append(_summary(result))
    for reason in dict.fromkeys(entry.reason for entry in result.not_audited):
        names = tuple(entry.metric for entry in result.not_audited if entry.reason == reason)
        parts.append(Text(_printable(f"not audited: {words.listed(names)}: {reason}")))
    for metric in result.metrics:
        verdict = words.copying(metric)
        if verdict is not None:
            parts.append(Text(f"{_printable(metric.metric)} {verdict}"))
    return Group(*parts)


def _metric(metric: MetricAudit, strengths: tuple[float, ...]) -> Table:
    table = _table()
    table.add_column("distortion", no_wrap=True)
    for strength in strengths:
        table.add_column(f"{strength:g}", justify="right")
    table.add_column("ρ", justify="right")
    table.add_column("from", justify="right")
    for reaction in metric.reactions:
        cells = {point.strength: words.estimate(point) for point in reaction.points}
        table.add_row(
            reaction.distortion,
            *(cells.get(strength, "–") for strength in strengths),
            words.order(reaction),
            words.detection(reaction),
        )
    return table


def _summary(result: AuditResult) -> Table:
    table = _table()
    table.add_column("metric", no_wrap=True)
    for name in ("content", "motion", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("blind to", overflow="fold")
    table.add_column("rewards", overflow="fold")
    for metric in result.metrics:
        table.add_row(
            _heading(metric),
            words.number(metric.content_sensitivity, 3),
            words.number(metric.motion_sensitivity, 3),
            words.number(metric.motion_share, 2),
            words.listed(metric.blind_to),
            words.listed(metric.rewards),
        )
    return table


def _heading(metric: MetricAudit) -> str:
    return f"{_printable(metric.metric)} {words.ARROWS[metric.better]}"


def _printable(text: str) -> str:
    """Replace control characters: the name of a user's metric must not drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False)
