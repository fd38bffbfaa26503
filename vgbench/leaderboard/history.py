"""Runs of one model over time: every record of one signature, and what changed from each to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vgbench.leaderboard.compare import compare_metric
from vgbench.leaderboard.direction import direction
from vgbench.leaderboard.ranking import Group, Row
from vgbench.leaderboard.significance import Difference
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.named import unknown_name
from vgbench.records.record import Record
from vgbench.records.signature import Signature


@dataclass(frozen=True)
class Run:
    """One record of a model.

    Attributes:
        record: the record.
        score: of the history's metric; None where it was not measured.
        change: this score minus that of the run before; None for the first, or where one of both is missing.
        improved: True where the change is significantly for the better, False where for the worse, None where
            the two runs cannot be told apart (95 % interval of the change, not corrected for the number of
            runs).
    """

    record: Record
    score: Score | None
    change: Difference | None = None
    improved: bool | None = None

    @property
    def verdict(self) -> str:
        """Say in a word what the change means; empty without one."""
        words = {None: "no significant change", True: "better", False: "worse"}
        return words[self.improved] if self.change else ""


@dataclass(frozen=True)
class History:
    """Runs of one model under one signature, the oldest first."""

    model: str
    signature: Signature
    metric: str
    better: Better
    runs: tuple[Run, ...]


def history(groups: Sequence[Group], model: str | None = None) -> list[History]:
    """Collect the runs of models, one history for each model and signature that it was scored under.

    Args:
        groups: of `ranking.rank`; the metric of each history is its group's primary one.
        model: its name in the tables; every model without it.

    Raises:
        ConfigError: no record is of that model.
    """
    rows = [(group, row) for group in groups for row in group.rows]
    found = [row_history(group, row) for group, row in rows if model is None or row.model == model]
    if not found and model is not None:
        raise unknown_name("model", model, {row.model for _, row in rows})
    return found


def row_history(group: Group, row: Row) -> History:
    """Put a row's latest record and its older ones in the order of their making."""
    records = [*reversed(row.history), row.record]
    runs = [Run(record, record.scores.get(group.primary)) for record in records]
    for number, (before, after) in enumerate(pairwise(records), start=1):
        if group.primary in before.scores and group.primary in after.scores:
            found = compare_metric(before, after, group.primary)
            runs[number] = Run(after, found.second, found.difference, found.improved)
    better = direction(group.primary, row.record.details)
    return History(row.model, group.signature, group.primary, better, tuple(runs))
