"""Leaderboard as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from vgbench.leaderboard.ranking import Group


def render_html(groups: Sequence[Group], title: str = "Leaderboard") -> str:
    """Provisional until the template lands in this file."""
    raise NotImplementedError
