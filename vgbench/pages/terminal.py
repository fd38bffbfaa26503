"""Tables for the terminal, in which nothing is cut off at any width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vgbench.pages.text_table import TextTable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

WORDS_WIDTH = 25
"""Width at which a column of words, such as model names, may wrap, in characters."""
GAP = 2
"""Characters between two columns."""


@dataclass(frozen=True)
class TerminalTable:
    """A table that lays itself out when it is printed, because only then is the width known.

    If the columns do not fit, further tables follow that have the same rows and repeat the first columns.

    Attributes:
        content: what is printed. Control characters are replaced.
        front: number of columns that every part repeats.
        words: positions of columns that hold words: aligned to the left, and wrapped if they are long.
    """

    content: TextTable
    front: int
    words: tuple[int, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        for columns in self._parts(options.max_width):
            table = self._empty(columns)
            for row in self.content.rows:
                cells = (row[column] for column in columns)
                table.add_row(*(safe_text(str(cell), "bold" if cell.bold else "") for cell in cells))
            yield table
            yield Text("")

    def _parts(self, width: int) -> Iterator[list[int]]:
        """Split the columns greedily into tables of at most `width` characters."""
        front = list(range(self.front))
        widths = [self._width(column) for column in range(len(self.content.header))]
        taken: list[int] = []
        for column in range(self.front, len(widths)):
            if taken and sum(widths[c] for c in [*front, *taken, column]) > width:
                yield front + taken
                taken = []
            taken.append(column)
        yield front + taken

    def _width(self, column: int) -> int:
        """Least number of characters that a column needs, with the gap after it; long headers may wrap."""
        from rich.cells import cell_len

        cells = [cell_len(str(row[column])) for row in self.content.rows]
        widest = max([*cells, min(cell_len(self.content.header[column]), WORDS_WIDTH)])
        return (min(widest, WORDS_WIDTH) if column in self.words else widest) + GAP

    def _empty(self, columns: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        for column in columns:
            words = column in self.words
            table.add_column(
                safe_text(self.content.header[column]),
                justify="left" if words else "right",
                min_width=None if words else self._width(column) - GAP,
                overflow="fold",
            )
        return table


def safe_text(text: str, style: str = "") -> Text:
    """Text as it is, without markup; control characters are replaced, so no name can drive the terminal."""
    from rich.text import Text

    return Text("".join(char if char.isprintable() else "�" for char in text), style=style)
