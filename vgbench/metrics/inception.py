"""Inception score of clips (Salimans et al. 2016; for video Saito et al. 2017, with C3D trained on UCF-101).

IS = exp( E_x KL(p(y|x) ‖ p(y)) ), p(y) the mean of p(y|x) over the clips of one split.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrix
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Jackknife, Side, _spread, deal

Variant = Literal["exact", "tgan", "tganv2", "stylegan-v"]
_EPSILON = {"exact": 0.0, "tgan": 1e-7, "tganv2": 1e-20, "stylegan-v": 0.0}


class InceptionScore(NamedTuple):
    """Mean and standard deviation (divisor = number of splits) over splits; the latter is 0 for one split."""

    mean: float
    std: float


def inception_score(logits: npt.ArrayLike, splits: int = 1, *, variant: Variant = "exact") -> InceptionScore:
    """Inception score from class logits.

    Args:
        logits: [N, K] before the softmax, one row for each generated clip.
        splits: parts of N / splits clips that are scored one by one. Smaller parts give lower scores.
        variant: "exact" takes 0 log 0 = 0. "tgan" adds 1e-7 inside each logarithm and "tganv2" 1e-20, as
            those code bases do. "stylegan-v" shuffles the clips by numpy's RandomState(42) before they are
            split (published with 10 splits of 2,048 clips).

    Returns:
        (mean, std) over splits, the mean in [1, K].

    Raises:
        VgbenchError: wrong shape, values that are not finite, or fewer clips than splits.
    """
    probabilities = _in_order(_softmax(matrix(logits, "logits", least_rows=1)), variant)
    values = _split_scores(probabilities, splits, _EPSILON[variant])
    return InceptionScore(float(values.mean()), float(values.std()))


def score(
    generated: Samples,
    real: Samples | None = None,  # noqa: ARG001, every set metric takes both sides
    *,
    splits: int = 1,
    variant: Variant = "exact",
) -> Mapping[str, Score]:
    """IS; by the jackknife with one split, by the spread of the splits otherwise.

    Raises:
        VgbenchError: the extractor has no classes.
    """
    if generated.logits is None:
        raise VgbenchError(
            "the inception score needs class logits, and this extractor has none",
            "choose an extractor with classes, such as c3d-ucf101, or leave 'is' out",
        )
    probabilities = _softmax(matrix(generated.logits, "logits", least_rows=1))
    epsilon = _EPSILON[variant]
    if splits == 1:
        return {"is": _jackknife(probabilities, generated.groups, epsilon).score(len(generated))}
    values = _split_scores(_in_order(probabilities, variant), splits, epsilon)
    mean = float(values.mean())
    deviations = (values - mean) / np.sqrt(splits * (splits - 1))
    standard_error, interval = _spread(mean, [deviations.tolist()])
    return {"is": Score(mean, standard_error, interval, len(generated), method=f"{splits} splits")}


def _softmax(logits: Matrix) -> Matrix:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


def _in_order(probabilities: Matrix, variant: Variant) -> Matrix:
    if variant != "stylegan-v":
        return probabilities
    order = np.arange(len(probabilities))
    np.random.RandomState(42).shuffle(order)  # the published protocol's generator
    return probabilities[order]


def _split_scores(probabilities: Matrix, splits: int, epsilon: float) -> npt.NDArray[np.float64]:
    count = len(probabilities)
    if not 1 <= splits <= count:
        raise VgbenchError(f"splits = {splits} with {count} clips", "use between 1 and N splits")
    edges = [i * count // splits for i in range(splits + 1)]
    parts = [probabilities[start:stop] for start, stop in itertools.pairwise(edges)]
    return np.array(
        [_from_sums(len(p), p.sum(axis=0), _negentropy(p, epsilon).sum(), epsilon) for p in parts]
    )


def _negentropy(p: Matrix, epsilon: float) -> npt.NDArray[np.float64]:
    """Σ_y p log(p + ε) along the last axis, 0 log 0 = 0."""
    return np.asarray(np.sum(p * np.log(np.where(p > 0, p + epsilon, 1.0)), axis=-1), dtype=np.float64)


def _from_sums(count: int, total: npt.NDArray[np.float64], negentropy: float, epsilon: float) -> float:
    """IS from Σ_x p(y|x) and Σ_x Σ_y p log p: all that a split, or a replicate, needs."""
    marginal = total / count
    return float(np.exp(negentropy / count - _negentropy(marginal, epsilon)))


def _jackknife(probabilities: Matrix, groups: npt.NDArray[np.int64], epsilon: float) -> Jackknife:
    blocks = deal(groups)
    count, total = len(probabilities), probabilities.sum(axis=0)
    negentropy = _negentropy(probabilities, epsilon)
    replicates = [
        _from_sums(
            count - len(block),
            total - probabilities[block].sum(axis=0),
            float(negentropy.sum() - negentropy[block].sum()),
            epsilon,
        )
        for block in blocks
    ]
    value = _from_sums(count, total, float(negentropy.sum()), epsilon)
    return Jackknife(value, Side.of(replicates, blocks))
