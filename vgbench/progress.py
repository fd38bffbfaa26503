"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total)."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""
