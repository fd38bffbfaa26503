"""How many digits of a score mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vgbench.leaderboard.significance import Difference
from vgbench.metrics.score import Score

MOST_DECIMALS = 8
MOST_DECIMALS_OF_ENDS = 16
"""For an end of an interval that would else read as 0."""


def decimals_for(scores: Iterable[Score]) -> int:
    """Choose one number of decimals for a column, so that its decimal points line up.

    The largest standard error shows two significant digits and the smallest at least one. Scores without an
    error show four digits of the largest value, that of the real clips among them.
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
    """Choose decimals for a difference and its interval, at least those of its scores.

    Its standard error shows two digits: where models share their real clips it is smaller than theirs. No end
    of an interval that leaves out 0 reads as 0, or the text would contradict the verdict.
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


def number(value: float | None, decimals: int) -> str:
    """Write one number with a true minus sign; "–" for None, "∞" and "NaN" as they are."""
    if value is None:
        return "–"
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")  # no negative zero
    return text.replace("-", "−")


def with_error(score: Score, decimals: int) -> str:
    """Write `312.4 ± 8.1`, the best estimate and its standard error."""
    text = number(score.best_estimate, decimals)
    if score.standard_error is None or not math.isfinite(score.best_estimate):
        return text
    return f"{text} ± {number(score.standard_error, decimals)}"


def interval_text(interval: tuple[float, float] | None, decimals: int) -> str:
    """Write `[296.5, 328.3]`; "–" for None."""
    return f"[{', '.join(number(end, decimals) for end in interval)}]" if interval else "–"


def difference_text(difference: Difference, least: int) -> str:
    """Write `3.10 [0.04, 6.16]`, a difference and its interval, with at least the given decimals."""
    decimals = decimals_for_difference(difference, least)
    return f"{number(difference.value, decimals)} {interval_text(difference.interval, decimals)}"


def p_text(p_value: float | None) -> str:
    """Write a p-value: `0.03`, `<0.001`, "–" for None; near 0.05 with the digits that tell its side."""
    if p_value is None:
        return "–"
    if p_value < 0.001:
        return "<0.001"
    digits = 3 if 0.045 <= p_value < 0.055 else 2
    while p_value < 0.05 <= float(f"{p_value:.{digits}g}"):
        digits += 1
    return f"{p_value:.{digits}g}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))
