"""What the terminal and the page both say: marks, single cells, and a conclusion for each metric."""

from __future__ import annotations

from vgbench.audit.halves import MEMORISE
from vgbench.audit.result import AuditResult, MetricAudit, Point, Reaction, Verdict
from vgbench.pages.numbers import MISSING, significant

MARKS: dict[Verdict, str] = {"worse": "*", "better": "!", "same": "", "unknown": "?"}
LEGEND = (
    "* significantly worse than undamaged (95 %)   ! significantly BETTER\n"
    "? no interval   ~ badness is not monotone   from: smallest strength marked by *\n"
    "ρ: rank correlation (Spearman) of strength and badness"
)
KINDS = {"spatial": "Content", "temporal": "Motion", "set": "Choice of clips"}


def estimate(point: Point) -> str:
    """Best estimate with the mark of its verdict."""
    return significant(point.score.best_estimate) + MARKS[point.verdict]


def interval(ends: tuple[float, float] | None, digits: int = 4) -> str:
    """Write an interval: `[low, high]`, `–` for None."""
    return f"[{', '.join(significant(end, digits) for end in ends)}]" if ends else MISSING


def order(reaction: Reaction) -> str:
    """Rank correlation, with a tilde if badness is not monotone."""
    if reaction.rank_correlation is None:
        return MISSING
    return f"{reaction.rank_correlation:.2f}".replace("-", "−") + ("" if reaction.monotone else "~")


def detection(reaction: Reaction) -> str:
    """Smallest strength that is detected, otherwise "rewards" or "never"."""
    if reaction.detects_from is not None:
        return f"{reaction.detects_from:g}"
    return "never" if reaction.rewards_from is None else "rewards"


def distortions(result: AuditResult) -> list[str]:
    """Every distortion with which some metric was audited, in the order of the audit."""
    return list(dict.fromkeys(r.distortion for metric in result.metrics for r in metric.reactions))


def threshold(metric: MetricAudit, distortion: str) -> str:
    """Cell of the table of all metrics: `detection`, `~` if it is not monotone, `–` if it was not audited."""
    reaction = next((r for r in metric.reactions if r.distortion == distortion), None)
    if reaction is None:
        return MISSING
    return detection(reaction) + ("" if reaction.monotone or reaction.detects_from is None else "~")


def listed(names: tuple[str, ...]) -> str:
    """Names with commas between them; `–` for none."""
    return ", ".join(names) or MISSING


def copying(metric: MetricAudit) -> str | None:
    """What the metric says about a generator that copies real clips; None if that was not audited."""
    reaction = next((r for r in metric.reactions if r.distortion == MEMORISE), None)
    if reaction is None:
        return None
    if reaction.rewards_from is not None:
        return (
            f"rewards copying: copies of real clips score better from strength {reaction.rewards_from:g} on"
        )
    if reaction.detects_from is not None:
        return f"penalises copying from strength {reaction.detects_from:g} on"
    return "does not notice copies of real clips"


def conclusion(metric: MetricAudit) -> list[str]:
    """Say in a few sentences what the metric detects and rewards on these clips."""
    sentences = []
    for kind, name in KINDS.items():
        reactions = [r for r in metric.reactions if r.kind == kind and r.distortion != MEMORISE]
        found = [f"{r.distortion} (from {r.detects_from:g})" for r in reactions if r.detects_from is not None]
        if reactions:
            names = f": {listed(tuple(found))}" if found else ""
            sentences.append(f"{name}: detects {len(found)} of {len(reactions)} distortions{names}.")
    rewarded = tuple(name for name in metric.rewards if name != MEMORISE)
    if rewarded:
        sentences.append(f"Rewards damage: {listed(rewarded)}.")
    verdict = copying(metric)
    if verdict is not None:
        sentences.append(f"{verdict[0].upper()}{verdict[1:]}.")
    return sentences
