"""How many digits of a score mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable

from vgbench.metrics.score import Score

MOST_DECIMALS = 8


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


def p_text(p_value: float | None) -> str:
    """Write a p-value: `0.03`, `<0.001`, "–" for None."""
    if p_value is None:
        return "–"
    return "<0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))
