"""Leaderboard as a data frame, and its two files: CSV for spreadsheets, Parquet for programs."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgbench.errors import VgbenchError
from vgbench.leaderboard.published import PublishedLine
from vgbench.leaderboard.ranking import Cell, Group, Row

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("value", "debiased", "standard_error", "low", "high")
COUNTS = ("n", "rank")


def data_frame(groups: Sequence[Group]) -> pd.DataFrame:
    """Put all groups into one frame, one row a model and group, every number unrounded.

    Columns are group, signature, rank, model, role, created, and for each metric `<metric>.<part>` with the
    parts of `NUMBERS` (float64) and `COUNTS` (Int64); missing where not measured.
    """
    import pandas as pd

    frame = pd.DataFrame([_values(group, row) for group in groups for row in group.rows])
    kinds = dict.fromkeys(NUMBERS, "float64") | dict.fromkeys(COUNTS, "Int64")
    parts = {name: _part(str(name)) for name in frame.columns}
    return frame.astype({name: kinds[part] for name, part in parts.items() if part in kinds})


def render_csv(groups: Sequence[Group], title: str = "", published: Sequence[PublishedLine] = ()) -> str:
    """Write the data frame as CSV, its text safe to open in a spreadsheet: none of it runs as a formula.

    `title` and `published` have no place in a table of measured scores and are taken only so that every
    format is called alike.
    """
    del title, published
    frame = data_frame(groups).rename(columns=_no_formula)
    text = frame.select_dtypes(exclude="number")
    frame[text.columns] = text.map(_no_formula)
    return frame.to_csv(index=False, lineterminator="\n")


def has_parquet() -> bool:
    """Tell whether Parquet can be written here."""
    return importlib.util.find_spec("pyarrow") is not None


def render_parquet(
    groups: Sequence[Group], title: str = "", published: Sequence[PublishedLine] = ()
) -> bytes:
    """Write the data frame as Parquet; `title` and `published` as for `render_csv`.

    Raises:
        VgbenchError: pyarrow is not installed.
    """
    del title, published
    if not has_parquet():
        raise VgbenchError("format 'parquet' needs the package pyarrow", "pip install pyarrow")
    stream = io.BytesIO()
    data_frame(groups).to_parquet(stream, engine="pyarrow", index=False)
    return stream.getvalue()


def _values(group: Group, row: Row) -> dict[str, object]:
    values: dict[str, object] = {
        "group": group.signature.short_hash,
        "signature": str(group.signature),
        "rank": row.rank,
        "model": row.model,
        "role": row.role,
        "created": row.record.created,
    }
    for column in group.columns:
        cell = row.cells.get(column.name)
        values |= {f"{column.name}.{part}": value for part, value in _parts(cell).items()}
    return values


def _parts(cell: Cell | None) -> dict[str, object]:
    if cell is None:
        return dict.fromkeys((*NUMBERS, *COUNTS))
    score = cell.score
    low, high = score.interval or (None, None)
    return {
        "value": score.value,
        "debiased": score.debiased,
        "standard_error": score.standard_error,
        "low": low,
        "high": high,
        "n": score.n,
        "rank": cell.rank,
    }


def _part(column: str) -> str:
    """Last part of `<metric>.<part>`; of the frame's own columns only "rank" is a number."""
    return column.rpartition(".")[2] if "." in column or column == "rank" else ""


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
