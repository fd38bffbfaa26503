"""Differences of scores with their errors, and the correction for testing many of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vgbench.metrics import uncertainty
from vgbench.metrics.direction import badness
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score

LEVEL = 1 - uncertainty.CONFIDENCE
NORMAL = 1.96
"""Half the width of a 95 % interval in standard errors, if the degrees of freedom are not known."""


@dataclass(frozen=True)
class Difference:
    """Second score minus first score, in the metric's unit.

    Attributes:
        value: difference of the best estimates.
        standard_error: of the difference; None if one of the scores has none.
        interval: 95 %, not corrected for multiple tests; None if there is no standard error.
        p_value: two-sided, of the hypothesis that both models would score the same, not corrected. It is
            below 0.05 exactly if the interval excludes zero. None if there is no standard error: nothing can
            be said then.
        method: how the error was estimated, such as "jackknife, real set shared".
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    method: str = ""

    @property
    def significant(self) -> bool:
        """Whether the 95 % interval excludes zero."""
        return self.p_value is not None and self.p_value < LEVEL


def score_difference(
    first: Score, second: Score, better: Better = "lower", *, same_real: bool = True
) -> Difference:
    """Estimate `second - first` for two scores with equal signatures.

    Args:
        first: score of one model.
        second: score of another model, in the same metric.
        better: direction of the metric. With "real", the distances from the real clips' own value are
            compared instead of the scores. The error of that value counts twice between models on opposite
            sides of it and not at all between models on the same side.
        same_real: whether both were scored against the same real windows. The part of the error that comes
            from these windows then cancels to the extent that it is common to both (see
            `vgbench.metrics.uncertainty.difference`).
    """
    estimate = uncertainty.difference(second, first, same_real)
    value = badness(second, better) - badness(first, better) if better == "real" else estimate.value
    if estimate.interval is None or estimate.standard_error is None:
        return Difference(value, None, None, None, estimate.method)
    low, high = estimate.interval
    below, above = estimate.value - low, high - estimate.value
    standard_error, freedom = estimate.standard_error, min(map(uncertainty.freedom, (first, second)))
    if better == "real":  # either arm may be on either side, depending on where the real value lies
        from_real = _error_from_real(first, second, same_real)
        below = above = math.hypot(max(below, above), uncertainty.student_t(freedom) * from_real)
        standard_error = math.hypot(standard_error, from_real)
    p_value = _p_value(value, below if value > 0 else above, freedom)
    return Difference(value, standard_error, (value - below, value + above), p_value, estimate.method)


def _error_from_real(first: Score, second: Score, same_real: bool) -> float:
    """What the real value's error adds to a difference of distances from it.

    If r lies between a and b, |b - r| - |a - r| is 2 r - a - b or its negative; otherwise r cancels. An older
    record does not contain the error of r; the larger error of the two scores is then taken instead.
    """
    if first.real is None or second.real is None:
        return 0.0
    unknown = max(first.standard_error or 0.0, second.standard_error or 0.0)
    errors = [unknown if score.real_error is None else score.real_error for score in (first, second)]
    if not same_real:
        return math.hypot(*errors)
    opposite = (first.best_estimate - first.real) * (second.best_estimate - second.real) < 0
    return 2 * max(errors) if opposite else 0.0


def _p_value(value: float, arm: float, freedom: float) -> float:
    """Two-sided p-value of Student's t, where the 95 % interval reaches from the value towards 0 by `arm`."""
    from scipy.special import stdtr

    if arm == 0:
        return 1.0 if value == 0 else 0.0
    return float(2 * stdtr(freedom, -uncertainty.student_t(freedom) * abs(value) / arm))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple tests, which controls the probability of any false positive.

    The method is step-down: of m tests in increasing order, the i-th (from 0) is multiplied by m - i, and no
    adjusted value is below the one before it.

    Args:
        p_values: each in [0, 1].

    Returns:
        The adjusted values in the order given, at most 1. Reject the hypotheses whose value is below the
        level.

    Reference:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979) 65-70.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return adjusted
