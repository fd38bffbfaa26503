"""Leaderboard as CSV: one line a model and group, every number unrounded."""

from __future__ import annotations

from collections.abc import Sequence

from vgbench.leaderboard.ranking import Cell, Group, Row


def render_csv(groups: Sequence[Group], title: str = "") -> str:
    """Write all groups into one table; columns `<metric>.<part>`, empty where not measured.

    Text that a spreadsheet would run as a formula is led by an apostrophe. `title` has no place in a CSV and
    is taken only so that every format is called alike.
    """
    import pandas as pd

    del title
    rows = [_values(group, row) for group in groups for row in group.rows]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def _values(group: Group, row: Row) -> dict[str, object]:
    values: dict[str, object] = {
        "group": group.signature.short_hash,
        "signature": _no_formula(str(group.signature)),
        "rank": "" if row.rank is None else str(row.rank),
        "model": _no_formula(row.model),
        "role": row.role,
        "created": _no_formula(row.record.created),
    }
    for column in group.columns:
        if column.name in row.cells:
            cell = row.cells[column.name]
            values |= {f"{column.name}.{part}": value for part, value in _parts(cell).items()}
    return values


def _parts(cell: Cell) -> dict[str, object]:
    low, high = cell.score.interval or (None, None)
    return {
        "value": cell.score.value,
        "debiased": cell.score.debiased,
        "standard_error": cell.score.standard_error,
        "low": low,
        "high": high,
        "n": str(cell.score.n),
        "rank": "" if cell.rank is None else str(cell.rank),
    }


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
