"""From scores at increasing strengths to what they say about the metric, without clips and networks."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vgbench.audit.result import Kind, MetricAudit, Point, Reaction, Verdict
from vgbench.metrics.direction import badness
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.metrics.uncertainty import difference


def react(distortion: str, kind: Kind, better: Better, scores: Mapping[float, Score]) -> Reaction:
    """Summarise one metric on one distortion.

    Args:
        distortion: its name.
        kind: what it damages.
        better: direction of the metric.
        scores: strength -> score against the same reference half, including strength 0.
    """
    points = tuple(_point(strength, scores[strength], scores[0.0], better) for strength in sorted(scores))
    levels = _levels(points)
    return Reaction(
        distortion=distortion,
        kind=kind,
        points=points,
        monotone=all(before <= after for before, after in itertools.pairwise(levels)),
        rank_correlation=rank_correlation([point.strength for point in points], levels),
        detects_from=next((point.strength for point in points if point.verdict == "worse"), None),
        rewards_from=next((point.strength for point in points if point.verdict == "better"), None),
        sensitivity=_mean(point.reaction for point in points[1:]),
    )


def summarise(
    metric: str, title: str, better: Better, baseline: Score, reactions: Sequence[Reaction]
) -> MetricAudit:
    """Average the reactions of one metric over spatial and over temporal distortions."""
    content = _mean(reaction.sensitivity for reaction in reactions if reaction.kind == "spatial")
    motion = _mean(reaction.sensitivity for reaction in reactions if reaction.kind == "temporal")
    share = None
    if content is not None and motion is not None and max(content, motion) >= 1:
        share = max(motion, 0.0) / (max(content, 0.0) + max(motion, 0.0))
    return MetricAudit(
        metric=metric,
        title=title,
        better=better,
        baseline=_without_deviations(baseline),
        reactions=tuple(reactions),
        content_sensitivity=content,
        motion_sensitivity=motion,
        motion_share=share,
    )


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's ρ with ties at their mean rank; None if either is constant or not finite throughout."""
    from scipy.stats import spearmanr

    if len(set(x)) < 2 or len(set(y)) < 2 or not np.isfinite([*x, *y]).all():
        return None
    return float(spearmanr(x, y).statistic)


def _point(strength: float, score: Score, undamaged: Score, better: Better) -> Point:
    """Compare a damaged half with the undamaged one as if their clips were different (see docs/audit.md)."""
    gap = difference(score, undamaged, same_real=True)
    change = badness(score, better) - badness(undamaged, better)
    verdict: Verdict = "same"
    if gap.interval is None:
        verdict = "same" if strength == 0 else "unknown"
    elif strength > 0 and not gap.interval[0] <= 0 <= gap.interval[1]:
        verdict = "worse" if change > 0 else "better"
    return Point(
        strength=strength,
        score=_without_deviations(score),
        badness=badness(score, better),
        difference=_without_deviations(gap),
        verdict=verdict,
        reaction=_in_errors(change, gap.standard_error),
    )


def _in_errors(change: float, standard_error: float | None) -> float | None:
    if change == 0:
        return 0.0
    if not standard_error or not math.isfinite(change):
        return None
    return change / standard_error


def _levels(points: Sequence[Point]) -> list[float]:
    """Badness in units of a millionth of its size or error, so that rounding does not count as a reaction."""
    sizes = [abs(point.badness) for point in points if math.isfinite(point.badness)]
    unit = 1e-6 * max([*sizes, points[0].score.standard_error or 0.0], default=0.0)
    if unit == 0:
        return [point.badness for point in points]
    return [
        float(round(point.badness / unit)) if math.isfinite(point.badness) else point.badness
        for point in points
    ]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _without_deviations(score: Score) -> Score:
    return dataclasses.replace(score, deviations=None)
