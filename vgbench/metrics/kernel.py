"""Squared maximum mean discrepancy with a polynomial kernel; on I3D features the cubic one is KVD.

k(x, y) = (γ ⟨x, y⟩ + c)^d with γ = 1 / D.
MMD² = mean k(x, x') + mean k(y, y') − 2 mean k(x, y)  (Gretton et al. 2012; Bińkowski et al. 2018)

The unbiased estimate leaves out the pairs of a window with itself, and with others of its own recording: a
mean over pairs is unbiased only if each is a pair of independent windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices
from vgbench.metrics.recordings import Groups, Numbers, numbered, rows_of_each
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Blocks, Jackknife, deal, resample

_CHUNK = 2048  # rows of a kernel matrix in memory at once


def kernel_distance(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    degree: int = 3,
    coef0: float = 1.0,
    gamma: float | None = None,
    biased: bool = False,
    groups: Groups | None = None,
) -> float:
    """MMD² with a polynomial kernel; the defaults are KVD (and KID without its subsets).

    Args:
        x: [N, D], N >= 2.
        y: [M, D], M >= 2.
        degree: d.
        coef0: c.
        gamma: γ; 1 / D if None.
        biased: keep the diagonals k(x_i, x_i), which makes the estimate larger and never negative.
        groups: a label for each row of `x` and of `y`. Rows of one label, such as windows of one clip, are
            not independent, and the unbiased estimate leaves out their pairs.

    Returns:
        0 for equal distributions; the unbiased estimate may be slightly negative. Computed in float64.

    Raises:
        VgbenchError: wrong shapes, different D, values that are not finite or too large for the kernel, or a
            side without a pair of rows of different labels.
    """
    first, second = matrices(x, y)
    kernel = _Kernel(degree, coef0, 1 / first.shape[1] if gamma is None else gamma)
    recordings = numbered(groups, len(first), len(second))
    if not biased:
        _require_pairs(recordings)
    return _Sums.of(first, second, [], [], kernel, recordings).distance(biased)


def jedi_mmd(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """MMD of JEDi (Luo et al. 2024): quadratic kernel ⟨x, y⟩² / D², biased estimate, times 100."""
    return 100 * kernel_distance(x, y, degree=2, coef0=0.0, biased=True)


def score(
    generated: Samples,
    real: Samples,
    *,
    degree: int = 3,
    coef0: float = 1.0,
    biased: bool = False,
) -> Mapping[str, Score]:
    """KVD with a jackknife error. The unbiased estimate needs no correction."""
    jackknife = kernel_jackknife(generated, real, degree=degree, coef0=coef0, biased=biased)
    return {"kvd": jackknife.score(len(generated))}


def score_jedi(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """JEDi's MMD with a jackknife error and a bias-corrected value."""
    jackknife = kernel_jackknife(generated, real, degree=2, coef0=0.0, biased=True, scale=100.0)
    return {"jedi_mmd": jackknife.score(len(generated))}


def kernel_jackknife(
    generated: Samples,
    real: Samples,
    *,
    degree: int = 3,
    coef0: float = 1.0,
    biased: bool = False,
    scale: float = 1.0,
) -> Jackknife:
    """The distance on all clips and without blocks of source clips, from one pass over the kernel.

    The kernel matrix is kept as sums over pairs of blocks; leaving a block out is then a subtraction.

    Raises:
        VgbenchError: as `kernel_distance`.
    """
    x, y = matrices(generated.features, real.features)
    blocks_x, blocks_y = deal(generated.groups), deal(real.groups)
    recordings = generated.drawn_together, real.drawn_together
    if not biased:
        _require_pairs(recordings)
    sums = _Sums.of(x, y, blocks_x, blocks_y, _Kernel(degree, coef0, 1 / x.shape[1]), recordings)
    return resample(lambda i, j: scale * sums.distance(biased, i, j), blocks_x, blocks_y, biased=biased)


def _require_pairs(recordings: tuple[Numbers, Numbers]) -> None:
    if min(len(np.unique(numbers)) for numbers in recordings) < 2:
        raise VgbenchError(
            "the unbiased kernel distance needs windows of at least two clips on each side, because it "
            "averages over pairs of independent windows",
            "score more clips",
        )


@dataclass(frozen=True)
class _Kernel:
    degree: int
    coef0: float
    gamma: float

    def __call__(self, x: Matrix, y: Matrix) -> Matrix:
        return np.asarray((self.gamma * (x @ y.T) + self.coef0) ** self.degree, dtype=np.float64)

    def diagonal(self, x: Matrix) -> npt.NDArray[np.float64]:
        return np.asarray((self.gamma * np.sum(x**2, axis=1) + self.coef0) ** self.degree, dtype=np.float64)


@dataclass(frozen=True)
class _Sums:
    """Sums of kernel values over pairs of blocks.

    Attributes:
        xx, yy, xy: [G, G], [H, H], [G, H].
        own_x, own_y: [G], [H], sums over the pairs of rows of one recording, each row with itself included.
        pairs_x, pairs_y: [G], [H], the numbers of these pairs.
        sizes_x, sizes_y: [G], [H], rows in each block.
    """

    xx: Matrix
    yy: Matrix
    xy: Matrix
    own_x: npt.NDArray[np.float64]
    own_y: npt.NDArray[np.float64]
    pairs_x: npt.NDArray[np.int64]
    pairs_y: npt.NDArray[np.int64]
    sizes_x: npt.NDArray[np.int64]
    sizes_y: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        x: Matrix,
        y: Matrix,
        blocks_x: Blocks,
        blocks_y: Blocks,
        kernel: _Kernel,
        recordings: tuple[Numbers, Numbers],
    ) -> _Sums:
        """One pass over the kernel matrices; a side without blocks is one block.

        No recording has rows in two blocks.

        Raises:
            VgbenchError: kernel values beyond what a float can hold.
        """
        blocks_x, blocks_y = blocks_x or [np.arange(len(x))], blocks_y or [np.arange(len(y))]
        order_x, order_y = np.concatenate(blocks_x), np.concatenate(blocks_y)
        sizes_x = np.array([len(block) for block in blocks_x])
        sizes_y = np.array([len(block) for block in blocks_y])
        x, y = x[order_x], y[order_y]
        recordings_x, recordings_y = recordings[0][order_x], recordings[1][order_y]
        with np.errstate(over="ignore", invalid="ignore"):
            sums = (
                _block_sums(x, x, sizes_x, sizes_x, kernel),
                _block_sums(y, y, sizes_y, sizes_y, kernel),
                _block_sums(x, y, sizes_x, sizes_y, kernel),
                np.add.reduceat(_own_sums(x, recordings_x, kernel), _starts(sizes_x)),
                np.add.reduceat(_own_sums(y, recordings_y, kernel), _starts(sizes_y)),
            )
        if not all(np.isfinite(part).all() for part in sums):
            largest = max(float(np.abs(side).max()) for side in (x, y))
            raise VgbenchError(
                f"features up to {largest:.3g} are too large for a kernel of degree {kernel.degree}",
                "scale the features, or take a lower degree",
            )
        pairs_x = np.add.reduceat(_own_rows(recordings_x), _starts(sizes_x))
        pairs_y = np.add.reduceat(_own_rows(recordings_y), _starts(sizes_y))
        return cls(*sums, pairs_x, pairs_y, sizes_x, sizes_y)

    def distance(self, biased: bool, without_x: Sequence[int] = (), without_y: Sequence[int] = ()) -> float:
        """MMD² of the rows outside the given blocks."""
        keep_x = [j for j in range(len(self.sizes_x)) if j not in without_x]
        keep_y = [j for j in range(len(self.sizes_y)) if j not in without_y]
        n, m = int(self.sizes_x[keep_x].sum()), int(self.sizes_y[keep_y].sum())
        within_x, within_y = self.xx[keep_x][:, keep_x].sum(), self.yy[keep_y][:, keep_y].sum()
        cross = self.xy[keep_x][:, keep_y].sum() / (n * m)
        if biased:
            return float(within_x / n**2 + within_y / m**2 - 2 * cross)
        pairs_x = n**2 - int(self.pairs_x[keep_x].sum())
        pairs_y = m**2 - int(self.pairs_y[keep_y].sum())
        within_x -= self.own_x[keep_x].sum()
        within_y -= self.own_y[keep_y].sum()
        return float(within_x / pairs_x + within_y / pairs_y - 2 * cross)


def _own_sums(x: Matrix, recordings: Numbers, kernel: _Kernel) -> npt.NDArray[np.float64]:
    """For each row, the sum of its kernel values with all rows of its recording, itself included, [N]."""
    sums = kernel.diagonal(x)
    for rows in rows_of_each(recordings):
        for start in range(0, len(rows) if len(rows) > 1 else 0, _CHUNK):
            part = rows[start : start + _CHUNK]
            sums[part] = kernel(x[part], x[rows]).sum(axis=1)
    return sums


def _own_rows(recordings: Numbers) -> Numbers:
    """For each row, the number of rows of its recording, itself included, [N]."""
    _, member, counts = np.unique(recordings, return_inverse=True, return_counts=True)
    return np.asarray(counts[member], dtype=np.int64)


def _starts(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.cumsum(sizes) - sizes


def _block_sums(
    x: Matrix, y: Matrix, sizes_x: npt.NDArray[np.int64], sizes_y: npt.NDArray[np.int64], kernel: _Kernel
) -> Matrix:
    """Sum k(x_i, y_j) over each pair of blocks; rows are sorted by block, so blocks are runs."""
    by_row = np.empty((len(x), len(sizes_y)))
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        by_row[rows] = np.add.reduceat(kernel(x[rows], y), _starts(sizes_y), axis=1)
    return np.asarray(np.add.reduceat(by_row, _starts(sizes_x), axis=0), dtype=np.float64)
