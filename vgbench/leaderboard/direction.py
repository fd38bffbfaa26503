"""Which way a metric improves."""

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
    """Look up the direction of one score.

    Args:
        score_name: key of `Record.scores`.
        details: `Record.details`; its `better` entry, such as `{"my_metric": "higher"}`, speaks for metrics
            that vgbench does not ship.

    Returns:
        What vgbench's metric says, else what the record says, else "lower": most of the field's metrics are
        distances.
    """
    said = (details or {}).get("better")
    own = said.get(score_name) if isinstance(said, Mapping) else None
    shipped = _shipped().get(score_name)
    if shipped is not None:
        return shipped
    return own if own in WORDS else "lower"


def badness(score: Score, better: Better) -> float:
    """Map a score to a number that falls as the model improves, in the metric's own unit."""
    if better == "higher":
        return -score.best_estimate
    if better == "real" and score.real is not None:
        return abs(score.best_estimate - score.real)
    return score.best_estimate


@cache
def _shipped() -> dict[str, Better]:
    """Score name -> direction, for every metric of vgbench's own table."""
    directions: dict[str, Better] = {}
    for metric in METRICS.values():
        directions |= metric.directions
    return directions
