"""Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

A set's manifold is the union of balls around its points, each reaching to the k-th nearest other point of the
same set. With d_ij = ‖r_i − g_j‖, ρ_i the radius of real point i and γ_j that of generated point j:

    precision = mean_j [ ∃i: d_ij < ρ_i ]      density  = (1/k) mean_j #{ i: d_ij < ρ_i }
    recall    = mean_i [ ∃j: d_ij < γ_j ]      coverage = mean_i [ min_j d_ij < ρ_i ]

Comparisons are strict, so points at radius 0 (repeated features) cover nothing.

Windows of one recording are near each other, so that their balls would cover little beside themselves. All
four are therefore measured on one window of each recording, and averaged over several choices of windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices
from vgbench.metrics.recordings import Groups, numbered, one_of_each
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


def precision_recall_density_coverage(
    real: npt.ArrayLike, generated: npt.ArrayLike, k: int = 5, *, groups: Groups | None = None
) -> PRDC:
    """Measure fidelity (precision, density) and diversity (recall, coverage) of a generated set.

    Args:
        real: [N, D], N > k.
        generated: [M, D], M > k.
        k: which nearest neighbour sets the radius.
        groups: a label for each row of `real` and of `generated`. Rows of one label, such as windows of one
            clip, are not independent: the mean over choices of one row per label is returned. There must be
            more than k labels on each side.

    Raises:
        VgbenchError: wrong shapes, different D, values that are not finite, or too few rows or labels for k.
    """
    r, g = matrices(real, generated)
    rows_r, rows_g = one_of_each(numbered(groups, len(r), len(g)))
    return PRDC(*_averaged(r, g, rows_r, rows_g, [], [], k)[0].tolist())


def score(generated: Samples, real: Samples, *, k: int = 5) -> Mapping[str, Score]:
    """All four with a jackknife error.

    The jackknife leaves out whole blocks of source clips, both as balls and as points; pairs of blocks of one
    side are left out too, because each radius depends on several clips. A bootstrap would not
    work, because repeated points shrink radii to zero. There is no bias correction, because the four depend
    on the number of clips by definition and are comparable only at equal numbers.
    """
    r, g = matrices(real.features, generated.features)
    rows_r, rows_g = one_of_each((real.drawn_together, generated.drawn_together))
    blocks_r, blocks_g = deal(real.groups[rows_r[0]]), deal(generated.groups[rows_g[0]])
    if min((rows_r.shape[1] - len(b) for b in blocks_r), default=k + 1) <= k:
        blocks_r = []
    if min((rows_g.shape[1] - len(b) for b in blocks_g), default=k + 1) <= k:
        blocks_g = []
    pairs_r, pairs_g = _merged(blocks_r, rows_r.shape[1] - k), _merged(blocks_g, rows_g.shape[1] - k)
    left_out = [*blocks_r, *pairs_r], [*blocks_g, *pairs_g]
    value, without_r, without_g = _averaged(r, g, rows_r, rows_g, *left_out, k)
    without_r, without_rr = np.split(without_r, [len(blocks_r)])
    without_g, without_gg = np.split(without_g, [len(blocks_g)])
    recordings = {"precision": rows_g.shape[1], "recall": rows_r.shape[1], "coverage": rows_r.shape[1]}
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
            share_of=recordings.get(name),
        )
        scores[name] = jackknife.score(len(g))
    return scores


def _merged(blocks: Blocks, limit: int) -> Blocks:
    """Each pair of neighbouring blocks as one; none if a pair has `limit` rows or more."""
    pairs = [np.concatenate([blocks[i], blocks[j]]) for i, j in neighbours(len(blocks))]
    return pairs if all(len(pair) < limit for pair in pairs) else []


Rows = npt.NDArray[np.intp]


def _averaged(
    r: Matrix, g: Matrix, rows_r: Rows, rows_g: Rows, blocks_r: Blocks, blocks_g: Blocks, k: int
) -> tuple[npt.NDArray[np.float64], Matrix, Matrix]:
    """`_resampled`, averaged over the choices of rows.

    Args:
        r: real features.
        g: generated features.
        rows_r: one row of each real recording for each choice, from `one_of_each`.
        rows_g: the same of the generated set.
        blocks_r: blocks of columns of `rows_r`; they may overlap.
        blocks_g: blocks of columns of `rows_g`; they may overlap.
        k: which nearest neighbour sets the radius.

    Raises:
        VgbenchError: too few recordings for k.
    """
    counts = rows_r.shape[1], rows_g.shape[1]
    if not 1 <= k < min(counts):
        raise VgbenchError(
            f"k = {k} with {counts[0]} real and {counts[1]} generated clips",
            "k must be at least 1 and smaller than both numbers; windows of one clip count once",
        )
    choices = [_resampled(r[i], g[j], blocks_r, blocks_g, k) for i, j in zip(rows_r, rows_g, strict=True)]
    value, without_r, without_g = (np.mean(parts, axis=0) for parts in zip(*choices, strict=True))
    return value, without_r, without_g


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
