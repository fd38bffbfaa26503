"""The warnings about the scores of an evaluation, as (warning code, sentence)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vgbench.evaluation.choices import Plan
from vgbench.evaluation.measured import SIDES, Measured, Side, are_identical
from vgbench.metrics import Choice, Score
from vgbench.records.record import BELOW_REAL, DAMAGED_STORE, NOT_COMPARABLE

Warnings = Iterator[tuple[str, str]]


def of_evaluation(plan: Plan, choices: Sequence[Choice], measured: Mapping[Side, Measured]) -> Warnings:
    """Warn of what weakens the scores of the chosen metrics, such as the extractor or too few clips."""
    spec = plan.measures.spec
    fits_covariance = any(c.metric.fits_covariance and c.metric.needs_extractor for c in choices)
    if spec is not None and not spec.published:
        yield NOT_COMPARABLE, f"extractor {spec.id}: compare with {spec.comparable_with}"
    if are_identical(measured):
        yield (
            "identical-sets",
            f"both sides are the same {len(measured['real'].windows)} windows; a distance to itself has no "
            "error to estimate, so there is neither a corrected value nor an interval",
        )
    for side in reversed(SIDES):
        used, asked = len(measured[side].windows), getattr(plan.protocol.clips, side)
        if asked != "all" and used < asked:
            yield "few-clips", f"{side}: {used} windows where the protocol asks for {asked}"
        independent = measured[side].group_count
        windows = f"{used} windows" + (f" of {independent} independent clips" if independent < used else "")
        if spec is not None and independent < 2 * spec.feature_dimension:
            dimensions = f"{windows} for {spec.feature_dimension} feature dimensions"
            meaning = _meaning_of_few(independent, spec.feature_dimension, fits_covariance)
            yield "small-sample", f"{side}: {dimensions}; {meaning}"
        for metric in plan.measures.metrics:
            width = measured[side].samples_for(metric).features.shape[1]
            if not metric.per_clip and independent < 2 * width:
                meaning = _meaning_of_few(independent, width, metric.fits_covariance)
                yield "small-sample", f"{side}: {windows} for the {width} numbers of {metric.name}; {meaning}"
        if measured[side].skipped:
            yield "skipped-clips", f"{side}: {len(measured[side].skipped)} clips skipped"


def of_scores(choices: Iterable[Choice], scores: Mapping[str, Score]) -> Warnings:
    """Warn if a score's interval lies below the value of the real windows, and say what this means."""
    for choice in choices:
        for name in choice.metric.directions if choice.metric.below_real else ():
            score = scores[name]
            if score.interval is None or score.real is None or not score.interval[1] < score.real:
                continue
            sentence = choice.metric.below_real
            yield BELOW_REAL, f"{choice.name} {score.value:.3g}, real {score.real:.3g}: {sentence}"


def of_store(found: Iterable[Iterable[str]]) -> Warnings:
    """Warn that the feature store was damaged; no score depends on the damaged segments.

    Args:
        found: for each rank, the names of the damaged segments that it found.
    """
    damaged = {name for names in found for name in names}
    if damaged:
        count = f"{len(damaged)} damaged segment{'s' if len(damaged) > 1 else ''}"
        yield DAMAGED_STORE, f"feature store: {count}; what they held was computed again"


def _meaning_of_few(independent: int, dimensions: int, fits_covariance: bool) -> str:
    """Say what fewer independent windows than twice the dimensions mean; docs/metrics.md has the figures."""
    if not fits_covariance:
        return "compare with scores of as many windows only"
    if independent < dimensions:
        return (
            "with fewer windows than dimensions neither the Fréchet distance, nor its corrected value, nor "
            "its interval means anything"
        )
    return "the plain Fréchet distance is biased upwards here; use the corrected value"
