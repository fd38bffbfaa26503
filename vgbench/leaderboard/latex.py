"""The leaderboard as LaTeX tables for a paper (package booktabs)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from vgbench.leaderboard.published import HOW_TO_READ, PublishedLine, numbered_sources, numbered_table
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.table import footnotes, ranking_table, reading_notes
from vgbench.pages.text_table import TextCell

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
    "\u2060": "{}",
}

_LATIN = (frozenset(map(chr, range(0xA1, 0x17F))) - frozenset("ĦħĸĿŀŉŦŧ")) | frozenset("‘’‚„†‡•…‰‹›€™")
"""Characters beyond ASCII that pdflatex has in T1 fonts; any other character is written by its number."""


def render_latex(
    groups: Sequence[Group], title: str = "Leaderboard", published: Sequence[PublishedLine] = ()
) -> str:
    """Write one `table` environment per group, shrunk to the width of the text if it is wider.

    Published scores become a `longtable`, which may extend over several pages.
    """
    head = r"% needs \usepackage{booktabs,textcomp,graphicx,longtable,lmodern} and \usepackage[T1]{fontenc}"
    tables = [_table(group, title) for group in groups]
    if published:
        tables.append(_published(title, published))
    return "\n\n".join([head, *tables]) + "\n"


def escape(text: str) -> str:
    """Make any text literal in LaTeX; control characters become spaces.

    A character that the Latin fonts of pdflatex lack would be an error, so it is written as `U+6A21`.
    """
    spaced = "".join(" " if unicodedata.category(char).startswith("C") else char for char in text)
    composed = unicodedata.normalize("NFC", " ".join(spaced.split()))
    parted = re.sub("(?<=-)(?=-)|(?<=,)(?=,)", "\N{WORD JOINER}", composed)  # otherwise two become one sign
    return "".join(map(_escape_character, parted))


def _escape_character(char: str) -> str:
    if char in _SPECIAL or char.isascii() or char in _LATIN:
        return _SPECIAL.get(char, char)
    return rf"\texttt{{U+{ord(char):04X}}}"


def _table(group: Group, title: str) -> str:
    table = ranking_table(group)
    notes = [*reading_notes(group), *footnotes(group)]
    # A signature is one long word, so let it break after each field.
    signature = r"\textbar\allowbreak{}".join(escape(part) for part in str(group.signature).split("|"))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(title)}: {escape(group.name)}.}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{rl{'r' * (len(table.header) - 2)}}}",
            r"\toprule",
            _line(escape(text) for text in table.header),
            r"\midrule",
            *(_line(map(_cell, row)) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}}",
            r"\par\medskip\footnotesize\raggedright",
            *(rf"{escape(note)}\par" for note in notes),
            rf"Signature: {{\ttfamily {signature}}}",
            r"\end{table}",
        ]
    )


def _published(title: str, lines: Sequence[PublishedLine]) -> str:
    """A separate table; the sources are long, so they are numbered and listed below it."""
    table = numbered_table(lines)
    return "\n".join(
        [
            r"{\footnotesize\setlength{\tabcolsep}{4pt}",
            r"\begin{longtable}{@{}llp{11em}rrl@{}}",
            rf"\caption{{{escape(title)}: as published.}}\\",
            r"\toprule",
            _line(map(escape, table.header)),
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *(_line(map(_cell, row)) for row in table.rows),
            r"\end{longtable}",
            r"\raggedright",
            rf"{escape(HOW_TO_READ)}\par",
            *(rf"{place}: {escape(source)}\par" for source, place in numbered_sources(lines).items()),
            "}",
        ]
    )


def _cell(cell: TextCell) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
    return text if cell.error is None else rf"{text} {{\scriptsize $\pm$ {escape(cell.error)}}}"


def _line(cells: Iterable[str]) -> str:
    # A row that begins with [ would be read as an optional argument of the \\ before it.
    return " & ".join(f"{{{cell}}}" if cell.startswith("[") else cell for cell in cells) + r" \\"
