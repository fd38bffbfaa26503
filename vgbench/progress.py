"""How a function that takes long tells its caller where it is. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total): the name of what is being done, and how many of its parts are done."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing; the default of functions that take a `Progress`."""
