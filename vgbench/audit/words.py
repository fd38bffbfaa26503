"""What the terminal and the page both say: numbers, marks, and one conclusion for each metric."""

from __future__ import annotations

import math

from vgbench.audit.halves import MEMORISE
from vgbench.audit.result import AuditResult, MetricAudit, Point, Reaction, Verdict
from vgbench.metrics.metric import Better

ARROWS: dict[Better, str] = {"lower": "↓", "higher": "↑", "real": "→ real"}
MARKS: dict[Verdict, str] = {"worse": "*", "better": "!", "same": "", "unknown": "?"}
LEGEND = (
    "* told from real, as worse (95 %)   ! told from real, as BETTER   ? no interval\n"
    "ρ: Spearman's rank correlation of strength and badness; ~ not monotone   from: smallest strength told "
    "from real"
)
KINDS = {"spatial": "Content", "temporal": "Motion", "set": "Choice of clips"}


def number(value: float | None, digits: int = 4) -> str:
    """Write with so many significant digits and a true minus sign; "–" for None."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:,.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"
    return text.replace("-", "−")


def estimate(point: Point) -> str:
    """Best estimate with the mark of its verdict."""
    return number(point.score.best_estimate) + MARKS[point.verdict]


def interval(ends: tuple[float, float] | None) -> str:
    """Write `[low, high]`; "–" for None."""
    return "–" if ends is None else f"[{number(ends[0])}, {number(ends[1])}]"


def order(reaction: Reaction) -> str:
    """Rank correlation, with a tilde where badness is not monotone."""
    if reaction.rank_correlation is None:
        return "–"
    return f"{reaction.rank_correlation:.2f}".replace("-", "−") + ("" if reaction.monotone else "~")


def detection(reaction: Reaction) -> str:
    """Smallest strength told from real, or what happens instead."""
    if reaction.detects_from is not None:
        return f"{reaction.detects_from:g}"
    return "never" if reaction.rewards_from is None else "rewards"


def distortions(result: AuditResult) -> list[str]:
    """Every distortion that some metric was audited with, in the order of the audit."""
    return list(dict.fromkeys(r.distortion for metric in result.metrics for r in metric.reactions))


def threshold(metric: MetricAudit, distortion: str) -> str:
    """Cell of the table of all metrics: as `detection`, "~" where not monotone, "–" where not audited."""
    reaction = next((r for r in metric.reactions if r.distortion == distortion), None)
    if reaction is None:
        return "–"
    return detection(reaction) + ("" if reaction.monotone or reaction.detects_from is None else "~")


def listed(names: tuple[str, ...]) -> str:
    """Names with commas; "–" for none."""
    return ", ".join(names) or "–"


def copying(metric: MetricAudit) -> str | None:
    """What the metric says of a generator that copies real clips; None where that was not audited."""
    reaction = next((r for r in metric.reactions if r.distortion == MEMORISE), None)
    if reaction is None:
        return None
    if reaction.rewards_from is not None:
        return f"rewards copying: from strength {reaction.rewards_from:g} copies of real clips score better"
    if reaction.detects_from is not None:
        return f"punishes copying, from strength {reaction.detects_from:g}"
    return "does not notice copying of real clips"


def conclusion(metric: MetricAudit) -> list[str]:
    """Say in a few sentences what the metric can be trusted with on these clips."""
    sentences = []
    for kind, word in KINDS.items():
        reactions = [r for r in metric.reactions if r.kind == kind and r.distortion != MEMORISE]
        told = [f"{r.distortion} (from {r.detects_from:g})" for r in reactions if r.detects_from is not None]
        if reactions:
            names = f": {listed(tuple(told))}" if told else ""
            sentences.append(f"{word}: tells {len(told)} of {len(reactions)} from real{names}.")
    rewarded = tuple(name for name in metric.rewards if name != MEMORISE)
    if rewarded:
        sentences.append(f"Rewards damage: {listed(rewarded)}.")
    verdict = copying(metric)
    if verdict is not None:
        sentences.append(f"{verdict[0].upper()}{verdict[1:]}.")
    return sentences
