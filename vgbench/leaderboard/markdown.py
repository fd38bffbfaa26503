"""The leaderboard as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple

from vgbench.leaderboard.published import HEADER, HOW_TO_READ, PublishedLine
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.table import difference_notes, footnotes, ranking_table, reading_notes
from vgbench.pages.text_table import TextCell


def render_markdown(
    groups: Sequence[Group], title: str = "Leaderboard", published: Sequence[PublishedLine] = ()
) -> str:
    """Write one table per group, with its signature and notes; text from records is escaped."""
    parts = [f"# {escape(title)}"]
    for group in groups:
        table = ranking_table(group)
        rows = (map(_cell, row) for row in table.rows)
        parts += [
            f"## {escape(group.name)}",
            code(str(group.signature)),
            pipe_table(map(escape, table.header), rows, words=(1,)),
        ]
        parts += [escape(note) for note in reading_notes(group)]
        parts += ["\n".join(f"- {escape(note)}" for note in footnotes(group))]
    if len(groups) > 1:
        parts += ["## Why these are separate tables"]
        parts += ["\n".join(f"- {escape(note)}" for note in difference_notes(groups))]
    if published:
        rows = (map(escape, astuple(line)) for line in published)
        parts += ["## As published", escape(HOW_TO_READ), pipe_table(HEADER, rows, words=(0, 1, 2, 4, 5, 6))]
    return "\n\n".join(part for part in parts if part) + "\n"


def pipe_table(header: Iterable[str], rows: Iterable[Iterable[str]], words: Sequence[int] = (0,)) -> str:
    """Lay escaped texts out as a table, with the columns at the positions `words` aligned to the left."""
    header = list(header)
    rule = ["---" if column in words else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def escape(text: str) -> str:
    """Make any text literal in Markdown, also inside a table."""
    text = re.sub(r"[\\`*_{}\[\]#|~$@]|:(?=\S)", r"\\\g<0>", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Put text between backticks, more of them than the text has in a row."""
    text = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _cell(cell: TextCell) -> str:
    text = escape(str(cell))
    return f"**{text}**" if cell.bold else text
