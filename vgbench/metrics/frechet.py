"""Fréchet distance between Gaussians fitted to two feature sets; on I3D features it is FVD.

d² = ‖μ_x − μ_y‖² + Tr Σ_x + Tr Σ_y − 2 Tr (Σ_x Σ_y)^½  (Dowson and Landau 1982; Heusel et al. 2017;
Unterthiner et al. 2018)

No matrix root is computed. With Σ_x = L_xᵀ L_x and Σ_y = L_yᵀ L_y, Tr (Σ_x Σ_y)^½ is the sum of the singular
values of L_x L_yᵀ: (Σ_x Σ_y) has the eigenvalues of (L_x L_yᵀ)(L_x L_yᵀ)ᵀ. Singular covariances (fewer clips
than dimensions, constant features) need neither a special case nor an added ε.
"""

from __future__ import annotations

import math
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
_MANY = 1024


def frechet_distance(
    x: npt.ArrayLike, y: npt.ArrayLike, *, covariance: Covariance = "unbiased", ridge: float = 0.0
) -> float:
    """Fréchet distance (squared, as FID and FVD report it) between two sets of features.

    Args:
        x: [N, D], N >= 2.
        y: [M, D], M >= 2.
        covariance: "unbiased" divides by N − 1, "biased" by N.
        ridge: added to the diagonal of both covariances, as some code does to stabilise a matrix root; with
            fewer clips than dimensions it clearly lowers the value.

    Returns:
        Value in [0, ∞); 0 means equal means and covariances. Computed in float64.

    Raises:
        VgbenchError: wrong shapes, different D, or values that are not finite.
    """
    first, second = matrices(x, y)
    ddof = _DDOF[covariance]
    return _distance(_Gaussian.of(first, ddof, ridge), _Gaussian.of(second, ddof, ridge))


def score(
    generated: Samples,
    real: Samples,
    *,
    covariance: Covariance = "unbiased",
    ridge: float = 0.0,
    name: str = "fvd",
) -> Mapping[str, Score]:
    """The distance with a jackknife error and a bias-corrected value, under the given name.

    A ridge moves the value by nearly the same for all replicates, so error and bias are those without it.
    """
    jackknife = frechet_jackknife(generated, real, covariance=covariance)
    if ridge:
        x, y = generated.features, real.features
        ridged = frechet_distance(x, y, covariance=covariance, ridge=ridge)
        jackknife = jackknife.shifted(ridged - jackknife.value)
    return {name: jackknife.score(len(generated))}


def frechet_jackknife(generated: Samples, real: Samples, *, covariance: Covariance = "unbiased") -> Jackknife:
    """The distance on all clips and without blocks of source clips.

    With more than `_MANY` dimensions (and clips) only single blocks are left out, which halves the time and
    leaves the error on the safe side.
    """
    x, y = matrices(generated.features, real.features)
    ddof = _DDOF[covariance]
    blocks_x, blocks_y = deal(generated.groups), deal(real.groups)
    without_x, without_y = _Deletion.of(x, blocks_x, ddof), _Deletion.of(y, blocks_y, ddof)
    cross = without_x.r @ without_y.r.T
    lost = _nuclear_norm(cross) - _sum_of_roots(cross)

    def distance(i: Sequence[int], j: Sequence[int]) -> float:
        rest_x, rest_y = without_x(i), without_y(j)
        nuclear_norm = _sum_of_roots(rest_y.root(rest_x.root(cross).T)) + lost
        return _combine(rest_x, rest_y, nuclear_norm / math.sqrt(rest_x.scale * rest_y.scale))

    return resample(distance, blocks_x, blocks_y, pairs=min(cross.shape) <= _MANY)


@dataclass(frozen=True)
class _Gaussian:
    """Mean [D], a factor L [R, D] with Σ = Lᵀ L, and Tr Σ."""

    mean: npt.NDArray[np.float64]
    factor: Matrix
    trace: float

    @classmethod
    def of(cls, features: Matrix, ddof: int, ridge: float = 0.0) -> _Gaussian:
        mean = features.mean(axis=0)
        factor = (features - mean) / np.sqrt(len(features) - ddof)
        if ridge:
            factor = np.vstack([factor, math.sqrt(ridge) * np.eye(features.shape[1])])
        trace = float(np.sum(factor**2))
        if len(factor) > factor.shape[1]:
            factor = np.linalg.qr(factor, mode="r")
        return cls(mean, factor, trace)


def _distance(x: _Gaussian, y: _Gaussian) -> float:
    return _combine(x, y, _nuclear_norm(x.factor @ y.factor.T))


def _combine(x: _Gaussian | _Rest, y: _Gaussian | _Rest, nuclear_norm: float) -> float:
    gap = float(np.sum((x.mean - y.mean) ** 2))
    return max(0.0, gap + (x.trace + y.trace - 2 * nuclear_norm))


def _nuclear_norm(a: Matrix) -> float:
    return float(np.linalg.svd(a, compute_uv=False).sum())


def _sum_of_roots(a: Matrix) -> float:
    """The nuclear norm in half the time, except for singular values below √ε of the largest.

    Their sum differs between the replicates of one set by far less than their spread, so it is computed once.
    """
    eigenvalues = np.linalg.eigvalsh(a @ a.T if a.shape[0] <= a.shape[1] else a.T @ a)
    noise = len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[-1]
    return float(np.sqrt(eigenvalues[eigenvalues > noise]).sum())


@dataclass(frozen=True)
class _Rest:
    """One set without some blocks: mean, Tr Σ, N − ddof, and how its factor changed."""

    mean: npt.NDArray[np.float64]
    trace: float
    scale: int
    b: Matrix
    middle: Matrix

    def root(self, a: Matrix) -> Matrix:
        """(I − BᵀB)^½ A."""
        return np.asarray(a - self.b.T @ (self.middle @ (self.b @ a)), dtype=np.float64)


@dataclass(frozen=True)
class _Deletion:
    """The Gaussian of one set without some blocks of rows; its roots have the smaller size of block and D.

    With X − μ = Q R, deleting the rows b and centring the rest leaves the scatter Rᵀ (I − BᵀB) R, where B
    stacks the rows Q_b and one row for the shift of the mean. With BBᵀ = P diag(λ) Pᵀ its root is
    (I − BᵀB)^½ = I − Bᵀ P diag(1 / (1 + √(1 − λ))) Pᵀ B: a correction of the rank of the block, accurate to
    machine precision even where a difference of scatter matrices would lose half of the digits.
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

    def __call__(self, without: Sequence[int]) -> _Rest:
        rows = np.concatenate([np.empty(0, dtype=np.int64), *(self.blocks[j] for j in without)])
        rest = len(self.centred) - len(rows)
        shift = self.centred[rows].sum(axis=0) / rest  # the mean moves by minus this much
        lost = float(np.sum(self.centred[rows] ** 2) + rest * np.sum(shift**2))
        trace = (float(np.sum(self.r**2)) - lost) / (rest - self.ddof)
        b = self.q[rows]
        if len(rows):
            kept = self.q.sum(axis=0) - b.sum(axis=0)
            b = np.vstack([b, kept / np.sqrt(rest)])
        if (
            len(b) > b.shape[1]
        ):  # only BᵀB matters, which at most D rows determine; needed for many frames of one clip
            b = np.linalg.qr(b, mode="r")
        eigenvalues, p = np.linalg.eigh(b @ b.T)
        left = 1 - np.clip(eigenvalues, 0, 1)
        left[left < 1e-13] = 0  # directions of these rows alone; rounding would leave √ε of them
        return _Rest(self.mean - shift, trace, rest - self.ddof, b, (p / (1 + np.sqrt(left))) @ p.T)


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
