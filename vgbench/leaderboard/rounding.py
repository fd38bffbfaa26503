"""How many digits of a score are meaningful."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vgbench.leaderboard.significance import Difference
from vgbench.metrics.score import Score
from vgbench.pages.numbers import MISSING, number

MOST_DECIMALS = 8
MOST_DECIMALS_OF_ENDS = 16
"""For an end of an interval that would be printed as 0 with fewer decimals."""


def decimals_for(scores: Iterable[Score]) -> int:
    """Choose one number of decimals for a column, so that its decimal points line up.

    The largest standard error shows two significant digits and the smallest at least one. Scores without
    errors show four digits of the largest value, including the values of the real clips.
    """
    scores = [score for score in scores if math.isfinite(score.best_estimate)]
    errors = [s.standard_error for s in scores if s.standard_error and math.isfinite(s.standard_error)]
    if errors:
        wanted = max(1 - _magnitude(max(errors)), -_magnitude(min(errors)))
    else:
        largest = max((abs(v) for s in scores for v in (s.best_estimate, s.real or 0.0)), default=1.0)
        wanted = 3 - _magnitude(largest) if largest else 0
    return min(max(wanted, 0), MOST_DECIMALS)


def decimals_for_difference(difference: Difference, least: int) -> int:
    """Choose the number of decimals for a difference and its interval, at least that of its scores.

    Its standard error, which is smaller than those of the scores if the models share their real clips, shows
    two digits. If the interval excludes 0, neither of its ends is printed as 0, which would contradict the
    verdict.
    """
    error = difference.standard_error
    if error and math.isfinite(error):
        least = max(least, min(1 - _magnitude(error), MOST_DECIMALS))
    ends = difference.interval or (0.0, 0.0)
    if ends[0] > 0 or ends[1] < 0:
        nearest = min(map(abs, ends))
        while round(nearest, least) == 0 and least < MOST_DECIMALS_OF_ENDS:
            least += 1
    return least


def with_error(score: Score, decimals: int) -> str:
    """Write the best estimate and its standard error: `312.4 ± 8.1`."""
    text = number(score.best_estimate, decimals)
    if score.standard_error is None or not math.isfinite(score.best_estimate):
        return text
    return f"{text} ± {number(score.standard_error, decimals)}"


def interval_text(interval: tuple[float, float] | None, decimals: int) -> str:
    """Write an interval: `[296.5, 328.3]`, `–` for None."""
    return f"[{', '.join(number(end, decimals) for end in interval)}]" if interval else MISSING


def difference_text(difference: Difference, least: int) -> str:
    """Write a difference and its interval, with at least so many decimals: `3.10 [0.04, 6.16]`."""
    decimals = decimals_for_difference(difference, least)
    return f"{number(difference.value, decimals)} {interval_text(difference.interval, decimals)}"


def p_text(p_value: float | None) -> str:
    """Write a p-value: `0.03`, `<0.001`, `–` for None. Near 0.05, more digits show on which side it is."""
    if p_value is None:
        return MISSING
    if p_value < 0.001:
        return "<0.001"
    digits = 3 if 0.045 <= p_value < 0.055 else 2
    while p_value < 0.05 <= float(f"{p_value:.{digits}g}"):
        digits += 1
    return f"{p_value:.{digits}g}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))
