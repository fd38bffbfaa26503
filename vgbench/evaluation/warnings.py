"""The warnings about the scores of an evaluation, as (warning code, sentence)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from vgbench.clips import moving_shapes
from vgbench.evaluation.choices import Plan
from vgbench.evaluation.measured import SIDES, Measured, Side, are_identical
from vgbench.metrics import Choice, Score
from vgbench.protocol import released
from vgbench.records.record import BELOW_REAL, DAMAGED_STORE, NOT_COMPARABLE, OTHER_CLASSES, UNRANKED_SCORES

Warnings = Iterator[tuple[str, str]]


def of_evaluation(plan: Plan, choices: Sequence[Choice], measured: Mapping[Side, Measured]) -> Warnings:
    """Warn of what weakens the scores of the chosen metrics, such as the extractor or too few clips."""
    spec = plan.measures.spec
    fits_covariance = any(c.metric.fits_covariance and c.metric.needs_extractor for c in choices)
    if spec is not None and not spec.published:
        yield NOT_COMPARABLE, f"extractor {spec.id}: compare with {spec.comparable_with}"
    yield from _of_preprocessing(plan)
    yield from _of_classes(plan, choices, measured["real"].source)
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


def _of_preprocessing(plan: Plan) -> Warnings:
    """Warn if an extractor that the user chose is not given its frames as the protocol states."""
    spec, known = plan.measures.spec, released(plan.protocol.name, plan.protocol.version)
    stated = known.extractor.preprocessing if known else None
    if (
        spec is None
        or known is None
        or stated is None
        or known.extractor.name == plan.protocol.extractor.name
    ):
        return
    if spec.preprocessing.split(" ")[0] != stated:
        yield (
            "other-preprocessing",
            f"protocol {known.name} prepares frames as '{stated}', which {spec.id} does not offer; it uses "
            f"'{spec.preprocessing}', so a difference is not due to the network alone",
        )


def _of_classes(plan: Plan, choices: Sequence[Choice], real_source: str) -> Warnings:
    """Warn of an Inception Score over classes of moving shapes, unless the clips are moving shapes."""
    spec = plan.measures.spec
    scored = {name for choice in choices for name in choice.metric.directions}
    meaningless = sorted(scored & UNRANKED_SCORES[OTHER_CLASSES])
    if spec is None or set(spec.classes) != set(moving_shapes.CLASSES) or not meaningless:
        return
    if not real_source.startswith("builtin:moving-shapes"):
        yield (
            OTHER_CLASSES,
            f"{', '.join(meaningless)}: {spec.id} knows the classes of builtin:moving-shapes only; on other "
            "clips an Inception Score over them means nothing and gets no rank",
        )


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
