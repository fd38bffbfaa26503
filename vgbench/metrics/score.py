"""Inputs and results of metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Score:
    """One number with its uncertainty.

    Attributes:
        value: the metric as the literature defines it, on all clips.
        standard_error: of `debiased` where that exists, of `value` otherwise; None where it is undefined
            (a single clip).
        interval: 95 % interval around the same number; None as above.
        n: number of windows of the generated set that the value is computed from.
        debiased: the value minus its estimated finite-sample bias; None for metrics without such a bias.
        method: how the uncertainty was computed, such as "jackknife(32+32 groups)".
        real: the same measurement on the real set, for metrics of single clips; None otherwise.
        real_error: standard error of `real`; None where unknown, as in older records.
        deviations: what each block of (generated, real) source clips adds to the error; the squares of all
            sum to standard_error². Two scores against one real set share the part of that
            set, which `uncertainty.difference` uses. For a mean over pairs, what each pair adds, all of it in
            the second part. None where the score is neither from a jackknife nor from pairs.
        details: further results, such as a value for each class; only values that JSON can hold.
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    n: int
    debiased: float | None = None
    method: str = ""
    real: float | None = None
    real_error: float | None = None
    deviations: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def best_estimate(self) -> float:
        """The number that the interval belongs to, and that rankings use."""
        return self.value if self.debiased is None else self.debiased

    @property
    def ends(self) -> list[float]:
        """The best estimate, then both ends of its interval as far as known; empty where it is not finite."""
        values = [self.best_estimate, *(self.interval or ())]
        return [value for value in values if math.isfinite(value)] if math.isfinite(values[0]) else []


@dataclass(frozen=True)
class Samples:
    """Results of an extractor, or of a function of the pixels, for one set of clips.

    Attributes:
        features: float [N, D].
        logits: float32 [N, K], or None where the extractor has no classes.
        groups: int64 [N]; windows that depend on each other share a number. Such are windows of one recording
            (a clip, or the clips of one declared group), and copies.
        frames: float32 [N, T, D'], features of single frames, or None where the extractor has none.
        labels: N class names, None for a clip without one; empty where no metric needs them.
        names: N names of windows, for details; empty where no metric needs them.
        recordings: int64 [N]; windows of one recording share a number, and copies in different recordings do
            not. None if they are the same as `groups`.
    """

    features: npt.NDArray[np.floating]
    logits: npt.NDArray[np.float32] | None
    groups: npt.NDArray[np.int64]
    frames: npt.NDArray[np.float32] | None = None
    labels: tuple[str | None, ...] = ()
    names: tuple[str, ...] = ()
    recordings: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def drawn_together(self) -> npt.NDArray[np.int64]:
        """Number of each window's recording, int64 [N].

        Values that compare the windows of a set with each other leave out those of one recording, which are
        alike because of how the set was made. Copies in different recordings are left in, because a generator
        that repeats itself is less varied. Errors are based on `groups`, in which copies count as one.
        """
        return self.groups if self.recordings is None else self.recordings
