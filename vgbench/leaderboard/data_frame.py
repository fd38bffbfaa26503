"""The leaderboard as data frames, and its two files: CSV for spreadsheets and Parquet for programs."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vgbench.errors import VgbenchError
from vgbench.leaderboard.published import PublishedLine
from vgbench.leaderboard.ranking import Group

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("value", "debiased", "standard_error", "low", "high", "n", "rank")
"""What the wide table has of each score."""


def score_frame(groups: Sequence[Group]) -> pd.DataFrame:
    """Put all scores of all groups into one frame, one row per score.

    The columns are `row` (int64, position in the wide table), `group` (short hash of the signature), `role`,
    those of `Record.to_frame`, and `rank` (Int64, in this metric; missing for reference rows).
    """
    import pandas as pd

    frames = []
    rows = [(group, row) for group in groups for row in group.rows]
    for number, (group, row) in enumerate(rows):
        frame = row.record.to_frame()
        frame.insert(0, "row", number)
        frame.insert(1, "group", group.signature.short_hash)
        frame.insert(2, "role", row.role)
        ranks = [row.cells[metric].rank for metric in frame["metric"]]
        frames.append(frame.assign(rank=pd.array(ranks, dtype="Int64")))
    return pd.concat(frames, ignore_index=True)


def data_frame(groups: Sequence[Group]) -> pd.DataFrame:
    """Put all groups into one frame, one row per model and group, with every number unrounded.

    The columns are group, signature, rank, model, role, created, and for each metric `<metric>.<part>` with
    the `PARTS` of its score: float64, or Int64 for `n` and `rank`; missing if the metric was not measured.
    """
    import pandas as pd

    rows = [(group, row) for group in groups for row in group.rows]
    about = pd.DataFrame(
        {
            "group": [group.signature.short_hash for group, _ in rows],
            "signature": [str(group.signature) for group, _ in rows],
            "rank": pd.array([row.rank for _, row in rows], dtype="Int64"),
            "model": [row.model for _, row in rows],
            "role": [row.role for _, row in rows],
            "created": [row.record.created for _, row in rows],
        }
    )
    scores = score_frame(groups).set_index(["row", "metric"])[list(PARTS)]
    metrics = dict.fromkeys(column.name for group in groups for column in group.columns)
    columns = {
        f"{metric}.{part}": scores[part].xs(metric, level="metric") for metric in metrics for part in PARTS
    }
    return pd.concat([about, pd.DataFrame(columns)], axis="columns")


def render_csv(groups: Sequence[Group], title: str = "", published: Sequence[PublishedLine] = ()) -> str:
    """Write the wide frame as CSV that is safe to open in a spreadsheet: no text in it runs as a formula.

    `title` and `published` have no place in a table of measured scores. They are accepted so that all formats
    can be called in the same way.
    """
    del title, published
    frame = data_frame(groups).rename(columns=_no_formula)
    text = frame.select_dtypes(exclude="number")
    frame[text.columns] = text.map(_no_formula)
    return frame.to_csv(index=False, lineterminator="\n")


def has_parquet() -> bool:
    """Whether Parquet can be written on this machine."""
    return importlib.util.find_spec("pyarrow") is not None


def render_parquet(
    groups: Sequence[Group], title: str = "", published: Sequence[PublishedLine] = ()
) -> bytes:
    """Write the wide frame as Parquet; `title` and `published` as for `render_csv`.

    Raises:
        VgbenchError: pyarrow is not installed.
    """
    del title, published
    if not has_parquet():
        raise VgbenchError("format 'parquet' needs the package pyarrow", "pip install pyarrow")
    stream = io.BytesIO()
    data_frame(groups).to_parquet(stream, engine="pyarrow", index=False)
    return stream.getvalue()


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
