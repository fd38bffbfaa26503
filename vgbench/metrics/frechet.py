"""Fréchet distance between Gaussians fitted to two feature sets; on I3D features it is FVD.

d² = ‖μ_x − μ_y‖² + Tr Σ_x + Tr Σ_y − 2 Tr (Σ_x Σ_y)^½  (Dowson and Landau 1982; Heusel et al. 2017;
Unterthiner et al. 2018)

No matrix root is taken. With Σ_x = L_xᵀ L_x and Σ_y = L_yᵀ L_y, Tr (Σ_x Σ_y)^½ is the sum of the singular
values of L_x L_yᵀ: (Σ_x Σ_y) has the eigenvalues of (L_x L_yᵀ)(L_x L_yᵀ)ᵀ. Singular covariances (fewer clips
than dimensions, constant features) need no special case and no added ε.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices, matrix
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Blocks, Jackknife, deal, resample

Covariance = Literal["unbiased", "biased"]
_DDOF = {"unbiased": 1, "biased": 0}


def frechet_distance(x: npt.ArrayLike, y: npt.ArrayLike, *, covariance: Covariance = "unbiased") -> float:
    """Fréchet distance (squared, as FID and FVD report it) between two sets of features.

    Args:
        x: [N, D], N >= 2.
        y: [M, D], M >= 2.
        covariance: "unbiased" divides by N − 1, "biased" by N.

    Returns:
        Value in [0, ∞); 0 means equal means and covariances. Computed in float64.

    Raises:
        VgbenchError: wrong shapes, different D, or values that are not finite.
    """
    first, second = matrices(x, y)
    return _distance(_Gaussian.of(first, _DDOF[covariance]), _Gaussian.of(second, _DDOF[covariance]))


def score(generated: Samples, real: Samples, *, covariance: Covariance = "unbiased") -> Mapping[str, Score]:
    """FVD with a jackknife error and a bias-corrected value."""
    return {"fvd": frechet_jackknife(generated, real, covariance=covariance).score(len(generated))}


def frechet_jackknife(generated: Samples, real: Samples, *, covariance: Covariance = "unbiased") -> Jackknife:
    """The distance on all clips and without blocks of source clips."""
    x, y = matrices(generated.features, real.features)
    ddof = _DDOF[covariance]
    blocks_x, blocks_y = deal(generated.groups), deal(real.groups)
    without_x, without_y = _Deletion.of(x, blocks_x, ddof), _Deletion.of(y, blocks_y, ddof)
    return resample(lambda i, j: _distance(without_x(i), without_y(j)), blocks_x, blocks_y)


@dataclass(frozen=True)
class _Gaussian:
    """Mean [D], a factor L [R, D] with Σ = Lᵀ L, and Tr Σ."""

    mean: npt.NDArray[np.float64]
    factor: Matrix
    trace: float

    @classmethod
    def of(cls, features: Matrix, ddof: int) -> _Gaussian:
        mean = features.mean(axis=0)
        factor = (features - mean) / np.sqrt(len(features) - ddof)
        trace = float(np.sum(factor**2))
        if len(factor) > factor.shape[1]:
            factor = np.linalg.qr(factor, mode="r")
        return cls(mean, factor, trace)


def _distance(x: _Gaussian, y: _Gaussian) -> float:
    cross = float(np.linalg.svd(x.factor @ y.factor.T, compute_uv=False).sum())
    return max(0.0, float(np.sum((x.mean - y.mean) ** 2)) + (x.trace + y.trace - 2 * cross))


@dataclass(frozen=True)
class _Deletion:
    """The Gaussian of one set without some blocks of rows, at a cost that does not grow with the set.

    With X − μ = Q R, deleting the rows b and centring the rest leaves the scatter Rᵀ (I − BᵀB) R, where B
    stacks the rows Q_b and one row for the shift of the mean. With BBᵀ = P diag(λ) Pᵀ its root is
    (I − BᵀB)^½ = I − Bᵀ P diag(1 / (1 + √(1 − λ))) Pᵀ B: a correction of the rank of the block, accurate to
    machine precision also where a difference of scatter matrices would lose half of the digits.
    """

    blocks: Blocks
    ddof: int
    mean: npt.NDArray[np.float64]
    centred: Matrix
    q: Matrix
    r: Matrix

    @classmethod
    def of(cls, features: Matrix, blocks: Blocks, ddof: int) -> _Deletion:
        mean = features.mean(axis=0)
        centred = features - mean
        q, r = np.linalg.qr(centred)
        return cls(blocks, ddof, mean, centred, q, r)

    def __call__(self, without: Sequence[int]) -> _Gaussian:
        rows = np.concatenate([np.empty(0, dtype=np.int64), *(self.blocks[j] for j in without)])
        rest = len(self.centred) - len(rows)
        factor, trace, mean = self.r, float(np.sum(self.r**2)), self.mean
        if len(rows):
            shift = self.centred[rows].sum(axis=0) / rest  # the mean moves by minus this much
            kept = self.q.sum(axis=0) - self.q[rows].sum(axis=0)
            factor = _downdate(np.vstack([self.q[rows], kept / np.sqrt(rest)]), self.r)
            trace -= float(np.sum(self.centred[rows] ** 2) + rest * np.sum(shift**2))
            mean = mean - shift
        scale = rest - self.ddof
        return _Gaussian(mean, factor / np.sqrt(scale), trace / scale)


def _downdate(b: Matrix, r: Matrix) -> Matrix:
    """(I − BᵀB)^½ R for B [K, P] whose singular values are at most 1, and R [P, D]."""
    eigenvalues, p = np.linalg.eigh(b @ b.T)
    left = 1 - np.clip(eigenvalues, 0, 1)
    left[left < 1e-13] = 0  # directions that only these rows had; rounding would leave √ε of them
    middle = (p / (1 + np.sqrt(left))) @ p.T
    return np.asarray(r - b.T @ (middle @ (b @ r)), dtype=np.float64)


@dataclass(frozen=True)
class FrechetMoments:
    """Sufficient statistics of one feature set, for sets too large to keep and for several processes.

    Partial results merge in any order (Chan, Golub and LeVeque 1983), so each process keeps its own and sends
    n, mean and scatter only.

    Attributes:
        n: rows seen.
        mean: float64 [D].
        scatter: float64 [D, D], Σ (x − mean)(x − mean)ᵀ.
    """

    n: int
    mean: npt.NDArray[np.float64]
    scatter: Matrix

    @classmethod
    def from_features(cls, features: npt.ArrayLike) -> FrechetMoments:
        """Moments of [N, D], N >= 1.

        Raises:
            VgbenchError: wrong shape, or values that are not finite.
        """
        x = matrix(features, "features", least_rows=1)
        mean = x.mean(axis=0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def add(self, batch: npt.ArrayLike) -> FrechetMoments:
        """Moments after seeing [B, D] more."""
        return self.merge(FrechetMoments.from_features(batch))

    def merge(self, other: FrechetMoments) -> FrechetMoments:
        """Moments of both sets together.

        Raises:
            VgbenchError: the feature dimensions differ.
        """
        if self.mean.shape != other.mean.shape:
            raise VgbenchError(
                f"cannot merge moments of {len(self.mean)} and {len(other.mean)} features",
                "use one extractor for all batches",
            )
        n = self.n + other.n
        gap = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(gap, gap) * (self.n * other.n / n)
        return FrechetMoments(n, self.mean + gap * (other.n / n), scatter)

    def distance(self, other: FrechetMoments, *, covariance: Covariance = "unbiased") -> float:
        """Fréchet distance to `other`, as `frechet_distance` on the features themselves.

        Only the scatter is known here, so directions without variance carry an error of √ε of the largest
        standard deviation; with more clips than dimensions both agree to about 1e-10.

        Raises:
            VgbenchError: fewer than two rows on a side, or different D.
        """
        if self.mean.shape != other.mean.shape:
            raise VgbenchError(f"moments of {len(self.mean)} and {len(other.mean)} features")
        ddof = _DDOF[covariance]
        return _distance(self._gaussian(ddof), other._gaussian(ddof))

    def _gaussian(self, ddof: int) -> _Gaussian:
        if self.n < 2:
            raise VgbenchError(f"{self.n} row(s) have no covariance", "add at least two")
        covariance = self.scatter / (self.n - ddof)
        eigenvalues, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        factor = np.sqrt(np.clip(eigenvalues, 0, None))[:, None] * vectors.T
        return _Gaussian(self.mean, factor, float(np.trace(covariance)))
