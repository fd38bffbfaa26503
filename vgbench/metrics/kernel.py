"""Squared maximum mean discrepancy with a polynomial kernel; on I3D features the cubic one is KVD.

k(x, y) = (γ ⟨x, y⟩ + c)^d with γ = 1 / D.
MMD² = mean k(x, x') + mean k(y, y') − 2 mean k(x, y)  (Gretton et al. 2012; Bińkowski et al. 2018)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices
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
) -> float:
    """MMD² with a polynomial kernel; the defaults are KVD (and KID without its subsets).

    Args:
        x: [N, D], N >= 2.
        y: [M, D], M >= 2.
        degree: d.
        coef0: c.
        gamma: γ; 1 / D if None.
        biased: keep the diagonals k(x_i, x_i), which makes the estimate larger and never negative.

    Returns:
        0 for equal distributions; the unbiased estimate may be slightly negative. Computed in float64.

    Raises:
        VgbenchError: wrong shapes, different D, or values that are not finite or too large for the kernel.
    """
    first, second = matrices(x, y)
    kernel = _Kernel(degree, coef0, 1 / first.shape[1] if gamma is None else gamma)
    return _Sums.of(first, second, [], [], kernel).distance(biased)


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
    sums = _Sums.of(x, y, blocks_x, blocks_y, _Kernel(degree, coef0, 1 / x.shape[1]))
    jackknife = resample(lambda i, j: scale * sums.distance(biased, i, j), blocks_x, blocks_y, biased=biased)
    return replace(jackknife, positive=scale * sums.distance(biased=True))


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
        diagonal_x, diagonal_y: [G], [H], sums of k(x_i, x_i).
        sizes_x, sizes_y: [G], [H], rows in each block.
    """

    xx: Matrix
    yy: Matrix
    xy: Matrix
    diagonal_x: npt.NDArray[np.float64]
    diagonal_y: npt.NDArray[np.float64]
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
    ) -> _Sums:
        """One pass over the kernel matrices; a side without blocks is one block.

        Raises:
            VgbenchError: kernel values beyond what a float can hold.
        """
        blocks_x, blocks_y = blocks_x or [np.arange(len(x))], blocks_y or [np.arange(len(y))]
        order_x, order_y = np.concatenate(blocks_x), np.concatenate(blocks_y)
        sizes_x = np.array([len(block) for block in blocks_x])
        sizes_y = np.array([len(block) for block in blocks_y])
        x, y = x[order_x], y[order_y]
        with np.errstate(over="ignore", invalid="ignore"):
            sums = (
                _block_sums(x, x, sizes_x, sizes_x, kernel),
                _block_sums(y, y, sizes_y, sizes_y, kernel),
                _block_sums(x, y, sizes_x, sizes_y, kernel),
                np.add.reduceat(kernel.diagonal(x), _starts(sizes_x)),
                np.add.reduceat(kernel.diagonal(y), _starts(sizes_y)),
            )
        if not all(np.isfinite(part).all() for part in sums):
            largest = max(float(np.abs(side).max()) for side in (x, y))
            raise VgbenchError(
                f"features up to {largest:.3g} are too large for a kernel of degree {kernel.degree}",
                "scale the features, or take a lower degree",
            )
        return cls(*sums, sizes_x, sizes_y)

    def distance(self, biased: bool, without_x: Sequence[int] = (), without_y: Sequence[int] = ()) -> float:
        """MMD² of the rows outside the given blocks."""
        keep_x = [j for j in range(len(self.sizes_x)) if j not in without_x]
        keep_y = [j for j in range(len(self.sizes_y)) if j not in without_y]
        n, m = int(self.sizes_x[keep_x].sum()), int(self.sizes_y[keep_y].sum())
        within_x, within_y = self.xx[keep_x][:, keep_x].sum(), self.yy[keep_y][:, keep_y].sum()
        cross = self.xy[keep_x][:, keep_y].sum() / (n * m)
        if biased:
            return float(within_x / n**2 + within_y / m**2 - 2 * cross)
        within_x -= self.diagonal_x[keep_x].sum()
        within_y -= self.diagonal_y[keep_y].sum()
        return float(within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * cross)


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
