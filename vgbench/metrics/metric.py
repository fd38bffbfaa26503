"""What a metric declares: what it looks at, how it scores two sets, and which direction is better."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import score_clips, score_share

Value = bool | int | float | str
Better = Literal["lower", "higher", "real"]
"""In which direction a score improves; "real" means towards the value of the real clips."""
Sees = Literal["features", "logits", "frames", "pixels", "motion"]
"""What a metric looks at.

From an extractor: "features", "logits", or "frames" (features of single frames). From the window: "pixels"
(uint8 [T, H, W, 3]), or "motion" (a `ClipView`: the same frames with their optical flow).
"""

SCORED_BY_EXTRACTOR = ("features", "logits", "frames")


@dataclass(frozen=True)
class Option:
    """A parameter of a metric.

    Attributes:
        default: the value if the user gives none; its type is the option's type.
        meaning: a short description.
        allowed: the values that are allowed; if empty, any value of the type.
        least: the smallest number that is allowed.
    """

    default: Value
    meaning: str
    allowed: tuple[Value, ...] = ()
    least: float = -math.inf


@dataclass(frozen=True)
class Metric:
    """A comparison of two sets of windows.

    A metric that sees pixels or motion first measures each window by itself; the numbers that `measure` gives
    become the features of its `Samples`.

    Attributes:
        name: as users type it.
        title: as tables and papers print it.
        sees: what it looks at, see `Sees`.
        score: called as score(generated, real, **options) with the `Samples` of both sets; returns one
            `Score` for each name in `directions`.
        directions: score name -> the direction in which it improves.
        citation: the paper that defines it, or what it derives from.
        measure: for metrics that see pixels or motion: one window -> a number, or float64 [D] with the same D
            for all windows of equal length. None for all other metrics.
        version: changes whenever a number that the metric gives changes; part of the signature.
        version_of_several: the same for sets in which a recording has several windows, if it is another one.
        alike_if: values of options, any of which makes `version` hold for such sets too.
        options: parameters of `score`, in the order in which they print.
        companion: a metric that must be read together with this one, and is measured with it.
        bounds: score name -> least and greatest possible value; a score that is not listed is unbounded.
        is_distance: whether its scores are distances between two distributions, 0 if these are equal.
            Estimates may lie below 0 by chance, and intervals then reach up to 0.
        per_clip: whether the score is a mean over windows that were measured one by one, so that it says
            nothing about how they differ from each other.
        labels: whether every window of both sets must have a class label.
        fits_covariance: whether it fits a covariance, which needs more windows than features.
        least_frames: the shortest window that `measure` accepts.
        least_size: the smallest side length of a frame that `measure` accepts, in pixels.
        below_real: text of the warning for a score below that of the real windows; says what this means.
        differs: how its scores differ from the numbers that publications print under this name; empty if they
            do not, or if it has no namesake. Shown wherever a score is read.
    """

    name: str
    title: str
    sees: Sees
    score: Callable[..., Mapping[str, Score]]
    directions: Mapping[str, Better]
    citation: str
    measure: Callable[[Any], float | npt.NDArray[np.float64]] | None = None
    version: str = "1"
    version_of_several: str = ""
    alike_if: Mapping[str, Value] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    companion: str = ""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    is_distance: bool = False
    per_clip: bool = False
    labels: bool = False
    fits_covariance: bool = False
    least_frames: int = 2
    least_size: int = 1
    below_real: str = ""
    differs: str = ""

    def __post_init__(self) -> None:
        if (self.measure is None) != (self.sees in SCORED_BY_EXTRACTOR):
            raise TypeError(
                f"metric '{self.name}' sees {self.sees}: a metric has a function `measure` if, and only if, "
                "it sees pixels or motion"
            )

    def compare(self, generated: Samples, real: Samples, **options: Any) -> dict[str, Score]:
        """Score two sets, and limit the intervals to the range of the metric."""
        return {
            name: _within(score, self.bounds.get(name, (-math.inf, math.inf)), self.is_distance)
            for name, score in self.score(generated, real, **options).items()
        }

    def version_for(self, options: Mapping[str, Value], *, shares_recordings: bool) -> str:
        """Return the version that a signature names.

        Args:
            options: the value of every option.
            shares_recordings: whether a recording of either set has several windows.
        """
        if not (shares_recordings and self.version_of_several):
            return self.version
        is_alike = any(options[name] == value for name, value in self.alike_if.items())
        return self.version if is_alike else self.version_of_several

    @property
    def needs_extractor(self) -> bool:
        """Whether it looks at the output of an extractor, and not at the window itself."""
        return self.measure is None


def _within(score: Score, bounds: tuple[float, float], is_distance: bool) -> Score:
    if score.interval is None:
        return score
    low, high = (min(max(end, bounds[0]), bounds[1]) for end in score.interval)
    if is_distance:
        high = max(high, 0.0)
    return dataclasses.replace(score, interval=(low, high))


def per_clip_metric(
    name: str,
    title: str,
    measure: Callable[[Any], float],
    *,
    better: Better,
    citation: str,
    sees: Literal["pixels", "motion"] = "pixels",
    is_share: bool = False,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    **declared: Any,
) -> Metric:
    """Create a metric that measures windows one by one; its score is the mean over them.

    Args:
        name: as users type it, and the name of its only score.
        title: as tables and papers print it.
        measure: one window (see `Sees`) -> a number.
        better: direction of the score.
        citation: the paper that defines it, or what it derives from.
        sees: what `measure` is given.
        is_share: whether `measure` gives 0 or 1, so that the mean is a share.
        bounds: least and greatest value that `measure` can give.
        declared: the remaining attributes of `Metric`.
    """
    return Metric(
        name,
        title,
        sees,
        partial(mean_over_clips, name=name, is_share=is_share, bounds=bounds),
        {name: better},
        citation,
        measure,
        bounds={name: bounds},
        per_clip=True,
        **declared,
    )


def mean_over_clips(
    generated: Samples,
    real: Samples,
    *,
    name: str,
    is_share: bool = False,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Mapping[str, Score]:
    """Average one number per window, features [N, 1] within `bounds`, over each of the two sets.

    The error is that of `uncertainty.score_clips`, or of `score_share`. The value of the real windows and its
    error become `real` and `real_error` of the score.
    """
    average = score_share if is_share else partial(score_clips, bounds=bounds)
    ours, theirs = (average(side.features[:, 0], side.groups) for side in (generated, real))
    return {name: dataclasses.replace(ours, real=theirs.value, real_error=theirs.standard_error)}
