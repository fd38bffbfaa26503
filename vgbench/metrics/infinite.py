"""FVD and inception score extrapolated to infinitely many clips (Chong and Forsyth 2020, arXiv:1911.07023).

Both are biased by about c / N for N clips. Computed at several N and fitted by a straight line in 1 / N, the
value at 1 / N = 0 is free of that bias to first order.

The authors keep the real statistics, of 50,000 images or more, and shrink the generated set from N to 5,000.
Video sets have about 2,048 clips per side, so here both sides shrink by the same factor, which also removes
the bias of the real side. There are `SIZES` factors, evenly spaced in N, from 1 down to a quarter, or where
that would leave fewer clips than dimensions, down to D + 1 clips, but never to more than half of them.

Whole groups of windows are drawn: the bias falls with the number of independent clips, and single windows of
the same clips would not show it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics import inception
from vgbench.metrics.checks import matrices, matrix
from vgbench.metrics.frechet import frechet_distance, frechet_jackknife
from vgbench.metrics.recordings import Groups, Numbers, numbered, rows_of_each
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import error_and_interval

SIZES = 15
SEED = 0
LEAST = 8
"""Fewest independent clips of a set; a quarter of them is the smallest part that is drawn."""


@dataclasses.dataclass(frozen=True)
class Extrapolation:
    """A straight line through values at several sizes.

    Attributes:
        value: at 1 / N = 0.
        standard_error: of the intercept, from the residuals (ordinary least squares).
        points: (share of the clips, value) of each size.
    """

    value: float
    standard_error: float
    points: tuple[tuple[float, float], ...]


def extrapolate(measure: Callable[[float], float], least: float) -> Extrapolation:
    """Fit measure(share) by a line in 1 / share, over `SIZES` shares from `least` to 1.

    Args:
        measure: the metric on a random part of that share of the clips.
        least: in (0, 1).
    """
    shares = np.linspace(least, 1, SIZES)
    values = np.array([measure(float(share)) for share in shares])
    design = np.stack([np.ones(SIZES), 1 / shares], axis=1)
    fit, *_ = np.linalg.lstsq(design, values, rcond=None)
    variance = np.sum((values - design @ fit) ** 2) / (SIZES - 2)
    error = math.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0])
    return Extrapolation(float(fit[0]), error, tuple(zip(shares.tolist(), values.tolist(), strict=True)))


def frechet_extrapolated(
    x: npt.ArrayLike, y: npt.ArrayLike, *, groups: Groups | None = None
) -> Extrapolation:
    """Fréchet distance of two sets, [N, D] and [M, D], at infinitely many clips.

    Args:
        x: [N, D].
        y: [M, D].
        groups: a label for each row of `x` and of `y`. Rows of one label, such as windows of one clip, are
            not independent, and are drawn together.

    Raises:
        VgbenchError: as `frechet_distance`, or fewer than `LEAST` rows or labels on a side.
    """
    first, second = matrices(x, y, least_rows=LEAST)
    members = [_members(numbers) for numbers in numbered(groups, len(first), len(second))]
    smaller, dimension = min(len(first), len(second)), first.shape[1]
    rng = np.random.default_rng(SEED)

    def measure(share: float) -> float:
        rows = [_drawn(rng, groups_of_side, share) for groups_of_side in members]
        return frechet_distance(first[rows[0]], second[rows[1]])

    return extrapolate(measure, max(0.25, min(0.5, (dimension + 1) / smaller)))


def score_frechet(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """FVD∞; the error is that of the jackknife of FVD, with the error of the fit."""
    groups = generated.groups, real.groups
    fit = frechet_extrapolated(generated.features, real.features, groups=groups)
    jackknife = frechet_jackknife(generated, real)
    plain = dataclasses.replace(jackknife.shifted(fit.value - jackknife.value), biased=False)
    return {"fvd_infinite": _with_error_of_fit(plain.score(len(generated)), fit, jackknife.bends)}


def score_inception(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """IS∞; the error as in `score_frechet`.

    Raises:
        VgbenchError: the extractor has no classes, or fewer than `LEAST` clips.
    """
    inception.score(generated, real)  # refuses what has no classes
    p = inception.softmax(matrix(generated.logits if generated.logits is not None else [], "logits", LEAST))
    members = _members(generated.groups)
    rng = np.random.default_rng(SEED)

    def measure(share: float) -> float:
        return inception.InceptionMoments.of(p[_drawn(rng, members, share)]).score()

    fit = extrapolate(measure, 0.25)
    jackknife = inception.inception_jackknife(p, generated.groups)
    plain = dataclasses.replace(jackknife.shifted(fit.value - jackknife.value), biased=False)
    return {"is_infinite": _with_error_of_fit(plain.score(len(generated)), fit)}


def _members(groups: Numbers) -> list[npt.NDArray[np.intp]]:
    members = rows_of_each(groups)
    if len(members) < LEAST:
        raise VgbenchError(
            f"an extrapolation needs {LEAST} independent clips on each side, there are {len(members)}",
            "score more clips",
        )
    return members


def _drawn(
    rng: np.random.Generator, members: Sequence[npt.NDArray[np.intp]], share: float
) -> npt.NDArray[np.intp]:
    """Rows of a random part of the groups."""
    return np.concatenate([members[k] for k in rng.permutation(len(members))[: round(share * len(members))]])


def _with_error_of_fit(
    score: Score, fit: Extrapolation, bends: tuple[float, float, float] | None = None
) -> Score:
    details = {"points": [list(point) for point in fit.points], "error_of_fit": fit.standard_error}
    if score.deviations is None:
        return dataclasses.replace(score, details=details)
    generated, real = score.deviations
    deviations = ((*generated, fit.standard_error), real)
    freedom = min(len(part) for part in (generated, real) if part) - 1
    parts = [part for part in deviations if part]
    error, interval = error_and_interval(score.value, parts, freedom, bends=bends)
    return dataclasses.replace(
        score, standard_error=error, interval=interval, deviations=deviations, details=details
    )
