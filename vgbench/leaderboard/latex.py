"""Leaderboard as LaTeX tables for a paper (package booktabs)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from vgbench.leaderboard.published import HEADER, HOW_TO_READ, PublishedLine, numbered_sources, origin
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.table import TextCell, footnotes, reading_notes, text_table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "−": "$-$",
    "∞": r"$\infty$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "—": "---",
    "–": "--",
    "“": "``",
    "”": "''",
    "\u00a0": "~",
}


def render_latex(
    groups: Sequence[Group], title: str = "Leaderboard", published: Sequence[PublishedLine] = ()
) -> str:
    """Write one `table` environment a group; needs the packages booktabs and textcomp, with T1 fonts."""
    head = r"% needs \usepackage{booktabs,textcomp} and \usepackage[T1]{fontenc}"
    tables = [_table(group, title) for group in groups]
    if published:
        tables.append(_published(title, published))
    return "\n\n".join([head, *tables]) + "\n"


def escape(text: str) -> str:
    """Make any text literal in LaTeX; control characters become spaces."""
    spaced = "".join(" " if unicodedata.category(char).startswith("C") else char for char in text)
    return "".join(_SPECIAL.get(char, char) for char in " ".join(spaced.split()))


def _table(group: Group, title: str) -> str:
    table = text_table(group)
    notes = [*reading_notes(group), *footnotes(group)]
    # A signature is one long word: let it break after each field.
    signature = r"\textbar\allowbreak{}".join(escape(part) for part in str(group.signature).split("|"))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(title)}: {escape(group.name)}.}}",
            rf"\begin{{tabular}}{{rl{'r' * (len(table.header) - 2)}}}",
            r"\toprule",
            _line(escape(text) for text in table.header),
            r"\midrule",
            *(_line(map(_cell, row)) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\medskip\footnotesize\raggedright",
            *(rf"{escape(note)}\par" for note in notes),
            rf"Signature: {{\ttfamily {signature}}}",
            r"\end{table}",
        ]
    )


def _published(title: str, lines: Sequence[PublishedLine]) -> str:
    """A table of its own; sources are numbered below it, since they are long."""
    sources = numbered_sources(lines)
    rows = [
        (line.dataset, line.metric, line.model, line.score, str(sources[origin(line)]), line.comparable)
        for line in lines
    ]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(title)}: as published.}}",
            r"\begin{tabular}{lllrrl}",
            r"\toprule",
            _line(escape(text) for text in ("data set", "metric", "model", "score", "source", HEADER[-1])),
            r"\midrule",
            *(_line(map(escape, row)) for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\medskip\footnotesize\raggedright",
            rf"{escape(HOW_TO_READ)}\par",
            *(rf"{place}: {escape(source)}\par" for source, place in sources.items()),
            r"\end{table}",
        ]
    )


def _cell(cell: TextCell) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
    return text if cell.error is None else rf"{text} {{\scriptsize $\pm$ {escape(cell.error)}}}"


def _line(cells: Iterable[str]) -> str:
    # A row that begins with [ would read as an optional argument of the \\ before it.
    return " & ".join(f"{{{cell}}}" if cell.startswith("[") else cell for cell in cells) + r" \\"
