"""A table as plain text, before any format's escaping: what Markdown, LaTeX, HTML and the terminal show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextCell:
    """One cell: its text, the standard error of a score, and whether it is printed in bold."""

    text: str
    error: str | None = None
    bold: bool = False

    def __str__(self) -> str:
        return self.text if self.error is None else f"{self.text} ± {self.error}"


@dataclass(frozen=True)
class TextTable:
    """Rows of cells under a header."""

    header: tuple[str, ...]
    rows: tuple[tuple[TextCell, ...], ...]


def text_table(header: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]]) -> TextTable:
    """Make a table of (texts, whether the row is bold)."""
    cells = (tuple(TextCell(text, bold=bold) for text in texts) for texts, bold in rows)
    return TextTable(tuple(header), tuple(cells))
