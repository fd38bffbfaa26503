"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

A set's manifold is the union of balls around its points, each reaching to the k-th nearest other point of the
same set. With d_ij = ‖r_i − g_j‖, ρ_i the radius of real point i and γ_j that of generated point j:

    precision = mean_j [ ∃i: d_ij < ρ_i ]      density  = (1/k) mean_j #{ i: d_ij < ρ_i }
    recall    = mean_i [ ∃j: d_ij < γ_j ]      coverage = mean_i [ min_j d_ij < ρ_i ]

Comparisons are strict, so points at radius 0 (repeated features) cover nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Blocks, Jackknife, Side, deal, neighbours, pairs_within

_CHUNK = 1024  # rows of the distance matrix in memory at once
_SPARE = 8  # a point's nearest neighbours that are kept beyond k, to find its radius without one block


class PRDC(NamedTuple):
    """Precision, recall and coverage in [0, 1]; density in [0, ∞), about 1 for equal distributions."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall_density_coverage(real: npt.ArrayLike, generated: npt.ArrayLike, k: int = 5) -> PRDC:
    """Measure fidelity (precision, density) and diversity (recall, coverage) of a generated set.

    Args:
        real: [N, D], N > k.
        generated: [M, D], M > k.
        k: which nearest neighbour sets the radius.

    Raises:
        VgbenchError: wrong shapes, different D, values that are not finite, or too few rows for k.
    """
    r, g = _checked(real, generated, k)
    return PRDC(*_resampled(r, g, [], [], k)[0].tolist())


def score(generated: Samples, real: Samples, *, k: int = 5) -> Mapping[str, Score]:
    """All four with a jackknife error.

    The jackknife leaves out whole blocks of source clips, both as balls and as points; pairs of blocks of one
    side are left out too, because each radius depends on several clips. A bootstrap would not
    work, because repeated points shrink radii to zero. There is no bias correction, because the four depend
    on the number of clips by definition and are comparable only at equal numbers.
    """
    r, g = _checked(real.features, generated.features, k)
    blocks_r, blocks_g = deal(real.groups), deal(generated.groups)
    if min((len(r) - len(b) for b in blocks_r), default=k + 1) <= k:
        blocks_r = []
    if min((len(g) - len(b) for b in blocks_g), default=k + 1) <= k:
        blocks_g = []
    pairs_r, pairs_g = _merged(blocks_r, len(r) - k), _merged(blocks_g, len(g) - k)
    value, without_r, without_g = _resampled(r, g, [*blocks_r, *pairs_r], [*blocks_g, *pairs_g], k)
    without_r, without_rr = np.split(without_r, [len(blocks_r)])
    without_g, without_gg = np.split(without_g, [len(blocks_g)])
    scores = {}
    for i, name in enumerate(PRDC._fields):
        sides = Side.of(without_g[:, i].tolist(), blocks_g), Side.of(without_r[:, i].tolist(), blocks_r)
        jackknife = Jackknife(
            float(value[i]),
            *sides,
            biased=False,
            from_pairs=math.hypot(
                *(
                    pairs_within(float(value[i]), side, pairs[:, i].tolist())
                    for side, pairs in zip(sides, (without_gg, without_rr), strict=True)
                    if len(pairs)
                )
            ),
            positive=float(value[i]) if name == "density" else None,
            share_of={"precision": len(g), "recall": len(r), "coverage": len(r)}.get(name),
        )
        scores[name] = jackknife.score(len(g))
    return scores


def _merged(blocks: Blocks, limit: int) -> Blocks:
    """Each pair of neighbouring blocks as one; none if a pair has `limit` rows or more."""
    pairs = [np.concatenate([blocks[i], blocks[j]]) for i, j in neighbours(len(blocks))]
    return pairs if all(len(pair) < limit for pair in pairs) else []


def _checked(real: npt.ArrayLike, generated: npt.ArrayLike, k: int) -> tuple[Matrix, Matrix]:
    r, g = matrices(real, generated)
    if not 1 <= k < min(len(r), len(g)):
        raise VgbenchError(
            f"k = {k} with {len(r)} real and {len(g)} generated clips",
            "k must be at least 1 and smaller than both numbers",
        )
    return r, g


def _resampled(
    r: Matrix, g: Matrix, blocks_r: Blocks, blocks_g: Blocks, k: int
) -> tuple[npt.NDArray[np.float64], Matrix, Matrix]:
    """The four numbers [4], without each real block [G, 4], and without each generated block [H, 4].

    One pass over the distances, in chunks of real rows. Row 0 of every table below is the full set; row
    1 + b is the set without block b.
    """
    keep_r, keep_g = _kept(len(r), blocks_r), _kept(len(g), blocks_g)
    radii_r, radii_g = _radii(r, blocks_r, k), _radii(g, blocks_g, k)
    # How many balls of real points each generated point lies in.
    balls = np.zeros((len(keep_r), len(g)), dtype=np.int64)
    recalled = np.zeros((len(keep_g), len(r)), dtype=bool)
    nearest = np.empty((len(keep_g), len(r)))
    for rows, d in distance_blocks(r, g):
        for b, keep in enumerate(keep_r):
            balls[b] += np.count_nonzero((d < radii_r[b, rows, None])[keep[rows]], axis=0)
        for b, keep in enumerate(keep_g):
            recalled[b, rows] = ((d < radii_g[b]) & keep).any(axis=1)
            nearest[b, rows] = np.where(keep, d, np.inf).min(axis=1)
    without_r = [
        _summary(balls[b], recalled[0, keep], (nearest[0] < radii_r[b])[keep], k)
        for b, keep in enumerate(keep_r)
    ]
    without_g = [
        _summary(balls[0, keep], recalled[b], nearest[b] < radii_r[0], k) for b, keep in enumerate(keep_g)
    ]
    full = np.array(without_r[0])
    return full, np.array(without_r[1:]).reshape(-1, 4), np.array(without_g[1:]).reshape(-1, 4)


def _summary(
    balls: npt.NDArray[np.int64], recalled: npt.NDArray[np.bool_], covered: npt.NDArray[np.bool_], k: int
) -> list[float]:
    """Precision, recall, density, coverage."""
    return [float(x) for x in ((balls > 0).mean(), recalled.mean(), balls.mean() / k, covered.mean())]


def _kept(count: int, blocks: Blocks) -> npt.NDArray[np.bool_]:
    keep = np.ones((1 + len(blocks), count), dtype=bool)
    for b, block in enumerate(blocks):
        keep[1 + b, block] = False
    return keep


def distance_blocks(x: Matrix, y: Matrix) -> Iterator[tuple[slice, Matrix]]:
    """Euclidean distances between all rows of two sets, a chunk of the rows of `x` at a time.

    They are computed from differences, so equal rows have a distance of exactly 0 with every BLAS and number
    of threads.

    Args:
        x: float64 [N, D].
        y: float64 [M, D].

    Yields:
        rows of `x`, and their distances to the rows of `y`, float64 [rows, M], which the caller may change.
    """
    from scipy.spatial.distance import cdist

    for start in range(0, len(x), _CHUNK):
        rows = slice(start, min(start + _CHUNK, len(x)))
        yield rows, cdist(x[rows], y)


def _radii(x: Matrix, blocks: Blocks, k: int) -> Matrix:
    """Distance to the k-th nearest other row: row 0 among all rows, row 1 + b among those outside block b.

    A radius differs from the full one only where block b holds one of the k nearest, so a short list of
    nearest neighbours suffices for nearly all rows; where a block holds most of that list, the whole row is
    searched again.
    """
    keep = _kept(len(x), blocks)
    listed = min(k + _SPARE, len(x) - 1)
    radii = np.empty((1 + len(blocks), len(x)))
    for rows, d in distance_blocks(x, x):
        own = np.arange(rows.start, rows.stop)
        d[own - rows.start, own] = np.inf
        near = np.argpartition(d, listed - 1, axis=1)[:, :listed]
        sorted_d = np.take_along_axis(d, near, axis=1)
        order = np.argsort(sorted_d, axis=1)
        sorted_d = np.take_along_axis(sorted_d, order, axis=1)
        near = np.take_along_axis(near, order, axis=1)
        radii[:, rows] = sorted_d[:, k - 1]
        for b in range(len(blocks)):
            outside = np.cumsum(keep[1 + b][near], axis=1)
            radii[1 + b, rows] = np.take_along_axis(sorted_d, np.argmax(outside == k, axis=1)[:, None], 1)[
                :, 0
            ]
            for i in np.flatnonzero(outside[:, -1] < k):
                radii[1 + b, rows.start + i] = np.partition(d[i, keep[1 + b]], k - 1)[k - 1]
    return radii
