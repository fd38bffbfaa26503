"""Inception score of clips (Salimans et al. 2016; for video Saito et al. 2017, with C3D trained on UCF-101).

IS = exp( E_x KL(p(y|x) ‖ p(y)) ), p(y) the mean of p(y|x) over the clips of one split.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrix
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Jackknife, Side, deal, error_and_interval

Row = TypeVar("Row", np.float64, np.int64)
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
        splits: number of parts of N / splits clips, which are scored separately. Smaller parts give lower
            scores.
        variant: "exact" takes 0 log 0 = 0. "tgan" adds 1e-7 inside each logarithm and "tganv2" 1e-20, as
            those code bases do. "stylegan-v" shuffles the clips with numpy's RandomState(42) before splitting
            them (published with 10 splits of 2,048 clips).

    Returns:
        (mean, std) over splits, the mean in [1, K].

    Raises:
        VgbenchError: wrong shape, values that are not finite, or fewer clips than splits.
    """
    probabilities = _in_order(softmax(matrix(logits, "logits", least_rows=1)), variant)
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

    If windows depend on each other, so do the splits, and the jackknife is used for them too.

    Raises:
        VgbenchError: the extractor has no classes.
    """
    if generated.logits is None:
        raise VgbenchError(
            "the inception score needs class logits, and this extractor has none",
            "choose an extractor with classes, such as c3d-ucf101, or leave 'is' out",
        )
    probabilities = softmax(matrix(generated.logits, "logits", least_rows=1))
    epsilon = _EPSILON[variant]
    if splits == 1:
        return {"is": inception_jackknife(probabilities, generated.groups, epsilon).score(len(generated))}
    probabilities = _in_order(probabilities, variant)
    values = _split_scores(probabilities, splits, epsilon)
    mean = float(values.mean())
    groups = _in_order(generated.groups, variant)
    if len(np.unique(groups)) < len(groups):
        blocks = deal(groups)
        rest = [np.delete(probabilities, block, axis=0) for block in blocks]
        replicates = [float(_split_scores(part, splits, epsilon).mean()) for part in rest]
        return {"is": Jackknife(mean, Side.of(replicates, blocks), biased=False).score(len(generated))}
    deviations = (values - mean) / np.sqrt(splits * (splits - 1))
    standard_error, interval = error_and_interval(mean, [deviations], splits - 1)
    return {"is": Score(mean, standard_error, interval, len(generated), method=f"{splits} splits")}


def softmax(logits: Matrix) -> Matrix:
    """Turn class logits into probabilities.

    Args:
        logits: float64 [N, K], finite.

    Returns:
        float64 [N, K], each row in [0, 1] with sum 1.
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)


def _in_order(rows: npt.NDArray[Row], variant: Variant) -> npt.NDArray[Row]:
    if variant != "stylegan-v":
        return rows
    order = np.arange(len(rows))
    np.random.RandomState(42).shuffle(order)  # the published protocol's generator
    return rows[order]


def _split_scores(probabilities: Matrix, splits: int, epsilon: float) -> npt.NDArray[np.float64]:
    count = len(probabilities)
    if not 1 <= splits <= count:
        raise VgbenchError(f"splits = {splits} with {count} clips", "use between 1 and N splits")
    edges = [i * count // splits for i in range(splits + 1)]
    parts = [probabilities[start:stop] for start, stop in itertools.pairwise(edges)]
    return np.array([InceptionMoments.of(part, epsilon).score(epsilon) for part in parts])


def inception_jackknife(
    probabilities: Matrix, groups: npt.NDArray[np.int64], epsilon: float = 0.0
) -> Jackknife:
    """Inception score of one split, with its replicates without each block of source clips.

    Args:
        probabilities: float64 [N, K], as from `softmax`.
        groups: integers [N]; the windows of one source clip share a number.
        epsilon: added inside each logarithm; see `inception_score`.
    """
    blocks = deal(groups)
    whole = InceptionMoments.of(probabilities, epsilon)
    parts = [InceptionMoments.of(probabilities[block], epsilon) for block in blocks]
    replicates = [
        InceptionMoments(
            whole.n - part.n, whole.total - part.total, whole.negentropy - part.negentropy
        ).score(epsilon)
        for part in parts
    ]
    return Jackknife(whole.score(epsilon), Side.of(replicates, blocks))


@dataclass(frozen=True)
class InceptionMoments:
    """Sums that determine the score of one split; those of several batches or processes can be added.

    Attributes:
        n: clips seen.
        total: float64 [K], Σ_x p(y|x).
        negentropy: Σ_x Σ_y p(y|x) log p(y|x).
    """

    n: int
    total: npt.NDArray[np.float64]
    negentropy: float

    @classmethod
    def from_logits(cls, logits: npt.ArrayLike) -> InceptionMoments:
        """Sums over [N, K] logits.

        Raises:
            VgbenchError: wrong shape, or values that are not finite.
        """
        return cls.of(softmax(matrix(logits, "logits", least_rows=1)))

    @classmethod
    def of(cls, probabilities: Matrix, epsilon: float = 0.0) -> InceptionMoments:
        """Sums over [N, K] probabilities."""
        return cls(len(probabilities), probabilities.sum(axis=0), _negentropy(probabilities, epsilon))

    def score(self, epsilon: float = 0.0) -> float:
        """Inception score in [1, K]."""
        return float(np.exp(self.negentropy / self.n - _negentropy(self.total / self.n, epsilon)))


def _negentropy(p: npt.NDArray[np.float64], epsilon: float) -> float:
    """Σ p log(p + ε), 0 log 0 = 0."""
    return float(np.sum(p * np.log(np.where(p > 0, p + epsilon, 1.0))))
