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
from vgbench.metrics.uncertainty import Jackknife, Side, deal

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
    """The distance on all clips and without each block of source clips."""
    x, y = matrices(generated.features, real.features)
    ddof = _DDOF[covariance]
    blocks_x, blocks_y = deal(generated.groups), deal(real.groups)
    gaussian_x, gaussian_y = _Gaussian.of(x, ddof), _Gaussian.of(y, ddof)
    return Jackknife(
        _distance(gaussian_x, gaussian_y),
        Side.of(_without_each(x, blocks_x, gaussian_y, ddof), blocks_x),
        Side.of(_without_each(y, blocks_y, gaussian_x, ddof), blocks_y),
    )


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
    cross = _nuclear_norm(x.factor @ y.factor.T)
    return max(0.0, float(np.sum((x.mean - y.mean) ** 2)) + (x.trace + y.trace - 2 * cross))


def _nuclear_norm(a: Matrix) -> float:
    return float(np.linalg.svd(a, compute_uv=False).sum())


def _without_each(
    features: Matrix, blocks: Sequence[npt.NDArray[np.int64]], other: _Gaussian, ddof: int
) -> list[float]:
    """Distance to `other` after deleting each block of rows in turn, without another pass over all rows.

    Let A = (X − μ) L_otherᵀ = Q R. Deleting the rows b and centring the rest leaves the Gram matrix
    Rᵀ (I − BᵀB) R, where B stacks the rows Q_b and one row for the shift of the mean. With
    BBᵀ = P diag(λ) Pᵀ, its root is (I − BᵀB)^½ = I − Bᵀ P diag(1 / (1 + √(1 − λ))) Pᵀ B: a correction of the
    rank of the block, accurate to machine precision also where the Gram matrix would lose half of the digits.
    """
    count = len(features)
    mean = features.mean(axis=0)
    centred = features - mean
    squares = np.sum(centred**2, axis=1)
    q, r = np.linalg.qr(centred @ other.factor.T)
    q_sum = q.sum(axis=0)
    distances = []
    for block in blocks:
        rest = count - len(block)
        shift = centred[block].sum(axis=0) / rest  # the mean moves by minus this much
        b = np.vstack([q[block], (q_sum - q[block].sum(axis=0)) / np.sqrt(rest)])
        root = _root_after_deletion(b, r)
        trace = (squares.sum() - squares[block].sum() - rest * np.sum(shift**2)) / (rest - ddof)
        gap = np.sum((mean - shift - other.mean) ** 2)
        cross = _nuclear_norm(root) / np.sqrt(rest - ddof)
        distances.append(float(gap + (trace + other.trace - 2 * cross)))
    return distances


def _root_after_deletion(b: Matrix, r: Matrix) -> Matrix:
    """(I − BᵀB)^½ R for B [K, P] whose singular values are at most 1, and R [P, D]."""
    eigenvalues, p = np.linalg.eigh(b @ b.T)
    left = 1 - np.clip(eigenvalues, 0, 1)
    left[left < 1e-13] = 0  # directions that only this block had; rounding would leave √ε of them
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
