"""Can two models be told apart? Differences of scores, and the correction for asking many such questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vgbench.leaderboard.direction import badness
from vgbench.metrics import uncertainty
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score

LEVEL = 1 - uncertainty.CONFIDENCE
NORMAL = 1.96
"""Quantile of an interval around a difference that has no error of its own."""


@dataclass(frozen=True)
class Difference:
    """Second minus first, in the metric's unit.

    Attributes:
        value: the difference of the best estimates.
        standard_error: of the difference; None where one of the scores has none.
        interval: 95 %, not corrected for multiple tests; None as above.
        p_value: two-sided, of "both models would score the same", not corrected; below 0.05 exactly where the
            interval leaves out zero. None as above: then nothing can be told.
        method: how the error was made, such as "jackknife, real set shared".
    """

    value: float
    standard_error: float | None
    interval: tuple[float, float] | None
    p_value: float | None
    method: str = ""

    @property
    def significant(self) -> bool:
        """Whether the 95 % interval leaves out zero."""
        return self.p_value is not None and self.p_value < LEVEL


def score_difference(
    first: Score, second: Score, better: Better = "lower", *, same_real: bool = True
) -> Difference:
    """Estimate `second - first` for two scores made with equal signatures.

    Args:
        first: score of one model.
        second: score of another, in the same metric.
        better: with "real", distances from the real clips' own measurement are compared, not the scores. Its
            error counts too: twice between models on opposite sides of it, not at all between models on one.
        same_real: both were scored against the very same real windows, whose share of the error then cancels
            as far as it is common (see `vgbench.metrics.uncertainty.difference`).
    """
    estimate = uncertainty.difference(second, first, same_real)
    value = badness(second, better) - badness(first, better) if better == "real" else estimate.value
    if estimate.interval is None or estimate.standard_error is None:
        return Difference(value, None, None, None, estimate.method)
    standard_error, half = estimate.standard_error, (estimate.interval[1] - estimate.interval[0]) / 2
    from_real = _error_from_real(first, second, same_real) if better == "real" else 0.0
    if from_real > 0:
        quantile = half / standard_error if standard_error > 0 else NORMAL
        standard_error = math.hypot(standard_error, from_real)
        half = quantile * standard_error
    return Difference(
        value,
        standard_error,
        (value - half, value + half),
        _p_value(value, standard_error, half),
        estimate.method,
    )


def _error_from_real(first: Score, second: Score, same_real: bool) -> float:
    """What the real value's error adds to a difference of distances from it.

    Where r lies between a and b, |b - r| - |a - r| is 2 r - a - b or its negative; elsewhere r cancels. An
    older record does not hold the error of r; it is then taken for the larger one of both scores.
    """
    if first.real is None or second.real is None:
        return 0.0
    unknown = max(first.standard_error or 0.0, second.standard_error or 0.0)
    errors = [unknown if score.real_error is None else score.real_error for score in (first, second)]
    if not same_real:
        return math.hypot(*errors)
    opposite = (first.best_estimate - first.real) * (second.best_estimate - second.real) < 0
    return 2 * max(errors) if opposite else 0.0


def _p_value(value: float, standard_error: float, half: float) -> float:
    """Two-sided p-value of Student's t, with the degrees of freedom that the interval was made with."""
    from scipy.special import stdtr, stdtridf

    if standard_error == 0:
        return 1.0 if value == 0 else 0.0
    freedom = stdtridf(1 - LEVEL / 2, half / standard_error)
    return float(2 * stdtr(freedom, -abs(value) / standard_error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple tests, controlling the chance of any false alarm.

    Step-down: with m tests in rising order, the i-th (from 0) is multiplied by m - i, and no adjusted value
    is below the one before it.

    Args:
        p_values: each in [0, 1].

    Returns:
        Adjusted values in the order given, at most 1; reject where below the level.

    Reference:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6 (1979) 65-70.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for position, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - position) * p_values[index]))
        adjusted[index] = running
    return adjusted
