"""Copies of the training set, and the diversity of clips, both from distances of features.

The real set should be the *training* set: a copy of a clip that is not in the real set cannot be found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices
from vgbench.metrics.prdc import distance_blocks
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Blocks, Jackknife, Side, deal, resample, score_share

SHOWN = 10
EQUAL = 1e-5
"""Relative distance up to which two features count as equal; the batch size affects how they are rounded."""
Z = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""


def score_copies(generated: Samples, real: Samples, *, quantile: float = 0.01) -> Mapping[str, Score]:
    """Share of copies, and authenticity.

    With r(g) the real clip nearest to g, d(g) its distance, and ρ(r) the distance from a real clip to the
    nearest one of another group that is not a copy of it:

        copied       = share of g with d(g) ≤ the given quantile of all ρ, or with d(g) = 0: nearer than real
                       clips are to each other. It is about the quantile for fresh clips of the same
                       distribution, and 1 for copies.
        authenticity = share of g with d(g) > ρ(r(g)) (Alaa et al. 2022, arXiv:2102.08921): about a half
                       for fresh clips, 0 for copies; 1 also for clips that are far from all real ones.

    Distances up to `EQUAL` times the length of a feature count as 0, because features are rounded. The
    intervals are for other generated clips and other real clips of the same numbers. `details["nearest"]`
    names the pairs with the smallest d(g) / ρ(r(g)), and `details["threshold"]` is the quantile.

    Raises:
        VgbenchError: the real windows are of a single group, bad features, or a quantile above 1.
    """
    if not 0 <= quantile <= 1:
        raise VgbenchError(f"quantile = {quantile:g} is not between 0 and 1", "give a share, such as 0.01")
    x, y = matrices(generated.features, real.features)
    blocks_x, blocks_y = deal(generated.groups), deal(real.groups)
    if len(np.unique(real.groups)) < 2:
        raise VgbenchError("copies need at least two real source clips", "score against more clips")
    to_real = _Nearest.of(x, y, blocks_y)
    apart = _Nearest.of(y, y, blocks_y, real.groups)
    own = apart.distance()
    distance, nearest = to_real.distance(), to_real.row()
    threshold = np.quantile(own, quantile)

    def share_within(limit: float) -> npt.NDArray[np.bool_]:
        return np.asarray((distance <= limit) | (distance <= to_real.zero), dtype=np.bool_)

    copied = share_within(threshold)
    highest = _highest_level(own <= threshold, real.groups)
    beyond = float(share_within(np.quantile(own, highest)).mean()) - float(copied.mean())

    def authenticity(without_x: Sequence[int], without_y: Sequence[int]) -> float:
        kept = np.ones(len(x), dtype=bool)
        for block in without_x:
            kept[blocks_x[block]] = False
        authentic = to_real.distance(without_y) > apart.distance(without_y)[to_real.row(without_y)]
        return float(authentic[kept].mean())

    authentic = score_share(distance > own[nearest], generated.groups)
    spread = resample(authenticity, blocks_x, blocks_y, biased=False).score(len(x)).standard_error
    scores = {
        "copied": _widened(score_share(copied, generated.groups), beyond),
        "authenticity": _widened(authentic, _beyond_generated(authentic, spread)),
    }
    radius = own[nearest]
    ratio = np.divide(distance, radius, out=np.full(len(x), np.inf), where=radius > 0)
    scores["copied"].details["threshold"] = float(threshold)
    scores["copied"].details["nearest"] = [
        {
            "generated": _name(generated, i),
            "real": _name(real, int(nearest[i])),
            "distance": float(distance[i]),
            "real_to_real": float(radius[i]),
        }
        for i in np.argsort(ratio, kind="stable")[:SHOWN].tolist()
    ]
    return scores


@dataclass(frozen=True)
class _Nearest:
    """The nearest row of a set for each of N points, over all rows and without some of its B blocks.

    Attributes:
        distances: float64 [N, B], to the nearest row of each block; infinite where no row qualifies.
        rows: int64 [N, B], which row that is.
        zero: float64 [N], distances up to this one count as 0.
    """

    distances: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    zero: npt.NDArray[np.float64]

    @classmethod
    def of(
        cls, points: Matrix, y: Matrix, blocks: Blocks, groups: npt.NDArray[np.int64] | None = None
    ) -> _Nearest:
        """Find the nearest rows of `y`; a set without blocks is one block.

        With `groups`, the points are the rows of `y`, and rows of the same group and copies do not qualify.
        """
        blocks = blocks or [np.arange(len(y))]
        distances = np.empty((len(points), len(blocks)))
        rows = np.empty((len(points), len(blocks)), dtype=np.int64)
        zero = EQUAL * np.linalg.norm(points, axis=1)
        for part, d in distance_blocks(points, y):
            if groups is not None:
                d[(groups[part][:, None] == groups) | (d <= zero[part, None])] = np.inf
            for b, block in enumerate(blocks):
                rows[part, b] = block[d[:, block].argmin(axis=1)]
                distances[part, b] = d[:, block].min(axis=1)
        return cls(distances, rows, zero)

    def distance(self, without: Sequence[int] = ()) -> npt.NDArray[np.float64]:
        """Distance to the nearest row outside these blocks, float64 [N]; 0 where no row qualifies."""
        nearest = np.delete(self.distances, without, axis=1).min(axis=1)
        return np.where(np.isfinite(nearest), nearest, 0.0)

    def row(self, without: Sequence[int] = ()) -> npt.NDArray[np.int64]:
        """The row that is nearest, int64 [N]."""
        block = np.delete(self.distances, without, axis=1).argmin(axis=1)
        kept = np.delete(self.rows, without, axis=1)
        return np.asarray(kept[np.arange(len(kept)), block], dtype=np.int64)


def _highest_level(within: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]) -> float:
    """Upper limit of the share of all possible real clips that have a neighbour within the threshold.

    It is that of `score_share`, but √1.5 times as far from the share: of points in many dimensions, about
    half are the nearest one of their own nearest one, and both then have the same distance.
    """
    share = score_share(within, groups)
    highest = 1.0 if share.interval is None else share.interval[1]
    return min(1.0, share.value + math.sqrt(1.5) * (highest - share.value))


def _beyond_generated(share: Score, standard_error: float | None) -> float:
    """Half of a 95 % interval of what the real clips add to the error of a share."""
    if share.standard_error is None or standard_error is None:
        return 0.0
    return Z * math.sqrt(max(0.0, standard_error**2 - share.standard_error**2))


def _widened(share: Score, real_part: float) -> Score:
    """Add the error from the real clips to a share, whose interval regards the generated clips alone.

    Both parts are independent, so each limit is as far from the value as the root of the sum of squares of
    what the parts give (Newcombe, Statistics in Medicine 17, 1998).
    """
    if share.interval is None or share.standard_error is None:
        return share
    low = share.value - math.hypot(share.value - share.interval[0], real_part)
    high = share.value + math.hypot(share.interval[1] - share.value, real_part)
    return replace(
        share,
        interval=(max(0.0, low), min(1.0, high)),
        standard_error=math.hypot(share.standard_error, real_part / Z),
        method=f"{share.method}, and other real clips",
    )


def score_diversity(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """Mean Euclidean distance between two clips of one set, of different recordings.

    `real` is the same for the real set: below it, the generator repeats itself. With LPIPS in place of the
    distance this is the diversity of Zhu et al. 2017 (arXiv:1711.11586).

    Raises:
        VgbenchError: a set of a single source clip, or bad features.
    """
    matrices(generated.features, real.features)
    score, reference = (_diversity(side) for side in (generated, real))
    return {"diversity": replace(score, real=reference.value, real_error=reference.standard_error)}


def _diversity(samples: Samples) -> Score:
    blocks = deal(samples.groups)
    value, replicates = _mean_distance(samples, blocks)
    return Jackknife(value, Side.of(replicates, blocks), biased=False).score(len(samples))


def _mean_distance(samples: Samples, blocks: list[npt.NDArray[np.int64]]) -> tuple[float, list[float]]:
    """The mean over pairs of different recordings, and the same without each block."""
    recordings = samples.drawn_together
    if len(np.unique(recordings)) < 2:
        raise VgbenchError("diversity needs at least two source clips", "score more clips")
    block_of = np.zeros(len(samples), dtype=np.int64)
    for b, block in enumerate(blocks):
        block_of[block] = b
    count = max(1, len(blocks))
    sums, pairs = np.zeros((count, count)), np.zeros((count, count))
    member = np.eye(count)[block_of]  # [N, B]
    x = samples.features.astype(np.float64)
    for rows, d in distance_blocks(x, x):
        unlike = (recordings[rows][:, None] != recordings[None]).astype(np.float64)
        sums += member[rows].T @ ((d * unlike) @ member)
        pairs += member[rows].T @ (unlike @ member)
    whole, all_pairs = sums.sum(), pairs.sum()
    replicates = []
    for b in range(len(blocks)):
        left = whole - sums[b].sum() - sums[:, b].sum() + sums[b, b]
        left_pairs = all_pairs - pairs[b].sum() - pairs[:, b].sum() + pairs[b, b]
        replicates.append(float(left / left_pairs))
    return float(whole / all_pairs), replicates


def _name(samples: Samples, row: int) -> str:
    return samples.names[row] if samples.names else str(row)
