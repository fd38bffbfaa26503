"""Leaderboard as a table for the terminal, in the order of every other format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.table import text_table

if TYPE_CHECKING:
    from rich.table import Table


def table(groups: Sequence[Group]) -> Table:
    """Return a rich table; a group begins with its signature on a line of its own.

    Every group is a table inside, since two signatures share no columns.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    outer = Table.grid(padding=(0, 0, 1, 0))
    for group in groups:
        plain = text_table(group)
        inner = Table(
            box=box.SIMPLE_HEAD,
            title=Text(str(group.signature), style="dim", overflow="fold"),
            title_justify="left",
            pad_edge=False,
        )
        for position, heading in enumerate(plain.header):
            inner.add_column(
                Text(heading),
                justify="left" if position == 1 else "right",
                no_wrap=position != 1,
                overflow="fold",
            )
        for row in plain.rows:
            inner.add_row(*(Text(_printable(str(c)), style="bold" if c.bold else "") for c in row))
        outer.add_row(inner)
    return outer


def _printable(text: str) -> str:
    """Drop control characters: a model name must not drive the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
