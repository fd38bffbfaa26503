"""Which scores are not the number that publications print under the same or a similar name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from vgbench.metrics.paired import PAIRED
from vgbench.metrics.table import METRICS

MARK = "*"
"""Follows the names of these scores in tables; a note below the table says how they differ."""


def differs(score_name: str, details: Mapping[str, Any] | None = None) -> str:
    """Say how a score differs from the published number of its name; empty if it does not.

    Args:
        score_name: key of `Record.scores`.
        details: `Record.details`. Its entry `differs` is used for metrics that vgbench does not ship.
    """
    if score_name in _shipped():
        return _shipped()[score_name]
    stated = (details or {}).get("differs")
    own = stated.get(score_name) if isinstance(stated, Mapping) else None
    return own if isinstance(own, str) else ""


def marked(score_name: str, details: Mapping[str, Any] | None = None) -> str:
    """The name of a score as tables show it, with `MARK` if it differs from the published number."""
    return score_name + MARK * bool(differs(score_name, details))


@cache
def _shipped() -> dict[str, str]:
    """Score name -> how it differs, for every metric of vgbench."""
    found = {name: metric.differs for metric in METRICS.values() for name in metric.directions}
    return {name: metric.differs for name, metric in PAIRED.items()} | found
