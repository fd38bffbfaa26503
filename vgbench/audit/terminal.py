"""An audit as tables for the terminal: one for each metric, and then a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vgbench.audit import words
from vgbench.audit.result import AuditResult, MetricAudit
from vgbench.metrics.direction import ARROWS
from vgbench.pages.numbers import MISSING, significant
from vgbench.pages.terminal import TerminalTable, safe_text
from vgbench.pages.text_table import TextTable, text_table

if TYPE_CHECKING:
    from rich.console import RenderableType


def audit_tables(result: AuditResult) -> RenderableType:
    """Lay out the whole audit; the summary comes last, where it is visible when the command ends."""
    from rich.console import Group as Stack
    from rich.text import Text

    parts: list[RenderableType] = []
    for metric in result.metrics:
        baseline = metric.baseline
        corrected = " (corrected)" if baseline.debiased is not None else ""
        undamaged = f"{significant(baseline.best_estimate)} {words.interval(baseline.interval)}"
        parts.append(safe_text(f"{_heading(metric)}   undamaged{corrected}: {undamaged}", "bold"))
        parts.append(TerminalTable(_metric(metric, result.strengths), front=1, words=(0,)))
    parts.append(Text(words.LEGEND + "\n", style="dim"))
    parts.append(Text("Mean increase of badness under damage, in standard errors", style="bold"))
    parts.append(TerminalTable(_summary(result), front=1, words=(0, 4, 5)))
    for reason in dict.fromkeys(entry.reason for entry in result.not_audited):
        names = tuple(entry.metric for entry in result.not_audited if entry.reason == reason)
        parts.append(safe_text(f"not audited: {words.listed(names)}: {reason}"))
    for metric in result.metrics:
        verdict = words.copying(metric)
        if verdict is not None:
            parts.append(safe_text(f"{metric.metric} {verdict}"))
    return Stack(*parts)


def _metric(metric: MetricAudit, strengths: tuple[float, ...]) -> TextTable:
    rows = []
    for reaction in metric.reactions:
        cells = {point.strength: words.estimate(point) for point in reaction.points}
        scores = (cells.get(strength, MISSING) for strength in strengths)
        rows.append(((reaction.distortion, *scores, words.order(reaction), words.detection(reaction)), False))
    return text_table(("distortion", *(f"{strength:g}" for strength in strengths), "ρ", "from"), rows)


def _summary(result: AuditResult) -> TextTable:
    rows = []
    for metric in result.metrics:
        texts = (
            _heading(metric),
            significant(metric.content_sensitivity, 3),
            significant(metric.motion_sensitivity, 3),
            significant(metric.motion_share, 2),
            words.listed(metric.blind_to),
            words.listed(metric.rewards),
        )
        rows.append((texts, False))
    return text_table(("metric", "content", "motion", "share", "blind to", "rewards"), rows)


def _heading(metric: MetricAudit) -> str:
    return f"{metric.metric} {ARROWS[metric.better]}"
