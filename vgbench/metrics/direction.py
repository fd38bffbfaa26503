"""Which direction of a score is better, how that is shown, and how bad a score is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from vgbench.metrics import METRICS
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score

WORDS: dict[Better, str] = {
    "lower": "lower is better",
    "higher": "higher is better",
    "real": "closer to real is better",
}
ARROWS: dict[Better, str] = {"lower": "↓", "higher": "↑", "real": "→ real"}


def direction(score_name: str, details: Mapping[str, Any] | None = None) -> Better:
    """Look up which direction of a score is better.

    Args:
        score_name: key of `Record.scores`.
        details: `Record.details`. Its entry `better`, such as `{"my_metric": "higher"}`, is used for metrics
            that vgbench does not ship.

    Returns:
        The direction of vgbench's own metric of that name, otherwise the one that the record states, and
        otherwise "lower", because most metrics of the field are distances.
    """
    shipped = _shipped().get(score_name)
    if shipped is not None:
        return shipped
    stated = (details or {}).get("better")
    own = stated.get(score_name) if isinstance(stated, Mapping) else None
    return own if own in WORDS else "lower"


def badness(score: Score, better: Better) -> float:
    """How bad the best estimate of a score is, in its own unit; see `oriented`."""
    return oriented(score.best_estimate, better, score.real)


def oriented(value: float, better: Better, real: float | None = None) -> float:
    """Turn a value so that lower is better: x, −x, or |x − real| if the real value is known."""
    if better == "higher":
        return -value
    return abs(value - real) if better == "real" and real is not None else value


@cache
def _shipped() -> dict[str, Better]:
    """Score name -> direction, for every metric in vgbench's own table."""
    directions: dict[str, Better] = {}
    for metric in METRICS.values():
        directions |= metric.directions
    return directions
