"""Statements of a record that cannot be true, whoever wrote them and whatever hash they carry."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from functools import cache

from vgbench.metrics import METRICS
from vgbench.metrics.score import Score

_TOLERANCE = 1e-6
"""Relative to the standard error; numbers of a record went through text."""
_CLOCKS = dt.timedelta(days=1)
"""How far the clocks of two machines may be apart."""


def contradictions(scores: Mapping[str, Score], created: str) -> Iterator[str]:
    """Yield a sentence for each statement about the scores that cannot be true.

    Args:
        scores: score name -> score.
        created: when the record says that it was made, ISO 8601. Text that is no date is not judged.
    """
    for name, score in scores.items():
        for what in _of_score(score, _bounds().get(name, (-math.inf, math.inf))):
            yield f"{name}: {what}"
    try:
        made = dt.datetime.fromisoformat(created)
    except ValueError:
        return
    if made.tzinfo is not None and made > dt.datetime.now(dt.UTC) + _CLOCKS:
        yield f"its date, {created[:10]}, is in the future"


def _of_score(score: Score, bounds: tuple[float, float]) -> Iterator[str]:
    error = score.standard_error
    if error is not None and not 0 <= error < math.inf:
        yield f"its standard error is {error:g}"
        return
    if score.interval is not None:
        yield from _of_interval(score, score.interval, bounds)
    if score.deviations is not None and error is not None:
        total = math.sqrt(math.fsum(value**2 for part in score.deviations for value in part))
        if not abs(total - error) <= _TOLERANCE * error:
            yield f"its deviations amount to a standard error of {total:g}, but it states {error:g}"


def _of_interval(score: Score, interval: tuple[float, float], bounds: tuple[float, float]) -> Iterator[str]:
    """An estimate outside the range of its metric is nearest to the end of the range, where intervals end."""
    low, high = interval
    text = f"its interval [{low:g}, {high:g}]"
    if not low <= high:
        yield f"{text} has no length"
        return
    estimate = min(max(score.best_estimate, bounds[0]), bounds[1])
    slack = _TOLERANCE * max(abs(estimate), score.standard_error or 0.0)
    if math.isfinite(estimate) and not low - slack <= estimate <= high + slack:
        yield f"{text} does not hold its estimate, {estimate:g}"


@cache
def _bounds() -> dict[str, tuple[float, float]]:
    """Score name -> least and greatest value, for vgbench's own metrics that have them."""
    return {name: ends for metric in METRICS.values() for name, ends in metric.bounds.items()}
