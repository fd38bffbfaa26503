"""Leaderboard as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from vgbench.leaderboard.published import HEADER, HOW_TO_READ, PublishedLine
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.table import TextCell, difference_notes, footnotes, reading_notes, text_table


def render_markdown(
    groups: Sequence[Group], title: str = "Leaderboard", published: Sequence[PublishedLine] = ()
) -> str:
    """Write one table a group, with its signature and notes; text from records is escaped."""
    parts = [f"# {escape(title)}"]
    for group in groups:
        table = text_table(group)
        lines = [
            _line(escape(text) for text in table.header),
            _line(["---:", "---"] + ["---:"] * (len(table.header) - 2)),
            *(_line(map(_cell, row)) for row in table.rows),
        ]
        parts += [f"## {escape(group.name)}", code(str(group.signature)), "\n".join(lines)]
        parts += [escape(note) for note in reading_notes(group)]
        parts += ["\n".join(f"- {escape(note)}" for note in footnotes(group))]
    if len(groups) > 1:
        parts += ["## Why these are separate tables"]
        parts += ["\n".join(f"- {escape(note)}" for note in difference_notes(groups))]
    if published:
        rows = [tuple(map(escape, astuple(line))) for line in published]
        lines = [_line(HEADER), _line(["---"] * 3 + ["---:"] + ["---"] * 3), *map(_line, rows)]
        parts += ["## As published", escape(HOW_TO_READ), "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Make any text literal in Markdown, also inside a table."""
    text = re.sub(r"[\\`*_{}\[\]#|~$@]|:(?=\S)", r"\\\g<0>", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Wrap text in backticks, more of them than the text has in a row."""
    text = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cell(cell: TextCell) -> str:
    text = escape(str(cell))
    return f"**{text}**" if cell.bold else text


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
