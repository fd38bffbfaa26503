"""Runs of one model over time: all its records of one signature, and how each differs from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vgbench.leaderboard.comparison import MetricComparison, compare_metric
from vgbench.leaderboard.ranking import Group, Row
from vgbench.leaderboard.significance import Difference
from vgbench.metrics.direction import direction
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.named import unknown_name
from vgbench.records.record import Record
from vgbench.records.signature import Signature

VERDICTS = {None: "no significant change", True: "better", False: "worse"}


@dataclass(frozen=True)
class HistoryRun:
    """One record of a model.

    Attributes:
        record: the record.
        score: in the history's metric; None if it was not measured.
        comparison: the run before compared with this one. None for the first run, and if either of the two
            has no score. Not corrected for the number of runs.
    """

    record: Record
    score: Score | None
    comparison: MetricComparison | None = None

    @property
    def change(self) -> Difference | None:
        """Difference from the score of the run before; None if there is no comparison."""
        return self.comparison.difference if self.comparison else None

    @property
    def improved(self) -> bool | None:
        """As `MetricComparison.improved`; None if there is no comparison."""
        return self.comparison.improved if self.comparison else None

    @property
    def verdict(self) -> str:
        """Say in a few words what the change means; empty without a comparison."""
        return VERDICTS[self.improved] if self.comparison else ""


@dataclass(frozen=True)
class History:
    """Runs of one model under one signature, oldest first."""

    model: str
    signature: Signature
    metric: str
    better: Better
    runs: tuple[HistoryRun, ...]


def history(groups: Sequence[Group], model: str | None = None) -> list[History]:
    """Collect the runs of models: one history for each model and signature under which it was scored.

    Args:
        groups: from `ranking.rank`. The metric of each history is the primary one of its group.
        model: name in the tables; every model if None.

    Raises:
        ConfigError: no record is of that model.
    """
    rows = [(group, row) for group in groups for row in group.rows]
    found = [row_history(group, row) for group, row in rows if model is None or row.model == model]
    if not found and model is not None:
        raise unknown_name("model", model, {row.model for _, row in rows})
    return found


def row_history(group: Group, row: Row) -> History:
    """Put the latest record of a row and its older ones in order of time."""
    records = [*reversed(row.history), row.record]
    runs = [HistoryRun(record, record.scores.get(group.primary)) for record in records]
    for number, (before, after) in enumerate(pairwise(records), start=1):
        if group.primary in before.scores and group.primary in after.scores:
            found = compare_metric(before, after, group.primary)
            runs[number] = HistoryRun(after, found.second, found)
    better = direction(group.primary, row.record.details)
    return History(row.model, group.signature, group.primary, better, tuple(runs))
