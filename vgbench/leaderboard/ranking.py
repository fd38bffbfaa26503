"""From records to groups of comparable records, and to rows with ranks and ties."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

from vgbench.leaderboard.identity import identity, row_names
from vgbench.leaderboard.significance import LEVEL, Difference, holm, score_difference
from vgbench.metrics.direction import badness, direction
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.records.record import UNRANKED, UNRANKED_SCORES, Record
from vgbench.records.signature import Signature

Role = Literal["model", "real", "control"]
"""What a row is: a ranked model, or a reference row without a rank (real clips, or a deliberate control)."""


@dataclass(frozen=True)
class Column:
    """One metric of a group and its direction."""

    name: str
    better: Better


@dataclass(frozen=True)
class RankedScore:
    """One score of a row.

    Attributes:
        score: as recorded.
        rank: 1 + the number of models that are significantly better; None for reference rows and for scores
            that are not finite.
        tied_with: other models whose difference from this one may be zero, best first.
    """

    score: Score
    rank: int | None = None
    tied_with: tuple[str, ...] = ()

    @property
    def best(self) -> bool:
        """Whether no model is significantly better, which tables print in bold."""
        return self.rank == 1


@dataclass(frozen=True)
class Row:
    """One model of a group.

    Attributes:
        model: its name in the table; see `identity.row_names`.
        record: its latest record.
        role: see `Role`.
        cells: metric name -> score with its rank; a metric that was not measured is missing.
        primary: the metric that orders the table.
        history: older records of the same model and signature, newest first; they are never ranked.
        path: file of `record`; None for records in memory.
        paths: files of the record and its history; empty for records in memory.
    """

    model: str
    record: Record
    role: Role
    cells: dict[str, RankedScore]
    primary: str
    history: tuple[Record, ...] = ()
    path: Path | None = None
    paths: tuple[Path, ...] = ()

    @property
    def rank(self) -> int | None:
        """Rank in the primary metric."""
        cell = self.cells.get(self.primary)
        return cell.rank if cell else None

    @property
    def tied_with(self) -> tuple[str, ...]:
        """Models that are not distinguishable from this one in the primary metric, best first."""
        cell = self.cells.get(self.primary)
        return cell.tied_with if cell else ()


@dataclass(frozen=True)
class PairwiseTest:
    """Test of two models in one metric.

    Attributes:
        metric: name of the score.
        first, second: the models; the one with the better estimate is the first.
        difference: second minus first.
        p_adjusted: after Holm's correction over all pairs of the group in this metric; None if a standard
            error is missing.
    """

    metric: str
    first: str
    second: str
    difference: Difference
    p_adjusted: float | None

    @property
    def significant(self) -> bool:
        """Whether the first model is significantly better."""
        return self.p_adjusted is not None and self.p_adjusted < LEVEL


@dataclass(frozen=True)
class Group:
    """Models that were measured in the same way, best first.

    Attributes:
        signature: what they share, including the real clips.
        primary: name of the metric that orders the rows.
        columns: metrics of the group, the primary one first.
        rows: ordered by the best estimate of the primary metric; models without it come last.
        pairs: every test that the ranks are based on.
    """

    signature: Signature
    primary: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    pairs: tuple[PairwiseTest, ...]

    @property
    def records(self) -> list[Record]:
        """Every record, including older ones."""
        return [record for row in self.rows for record in (row.record, *row.history)]

    @property
    def name(self) -> str:
        """Protocol name, the first field of the signature."""
        return self.signature.fields[0][1]

    @property
    def models(self) -> tuple[Row, ...]:
        """Rows that are ranked."""
        return tuple(row for row in self.rows if row.role == "model")


def rank(records: Iterable[Record], primary: str = "fvd", paths: Sequence[Path] = ()) -> list[Group]:
    """Rank each model among those that were measured in the same way.

    Within a group the latest record of a model (see `identity`) counts and older ones become its history. Two
    models differ in a metric if the test of their difference is significant (5 %) after Holm's correction
    over all pairs. The rank of a model is 1 + the number of models that are significantly better, so models
    share a rank unless there is evidence against it.

    Args:
        records: in any order; the result does not depend on it.
        primary: metric that orders rows. A group without it uses its first metric.
        paths: file of each record, in the same order; empty for records in memory.

    Returns:
        The groups, those with the most models first.
    """
    members: dict[Signature, list[tuple[Record, Path | None]]] = defaultdict(list)
    located = zip(records, paths, strict=True) if paths else ((record, None) for record in records)
    for record, path in located:
        members[Signature(record.signature_fields)].append((record, path))
    groups = [_group(signature, found, primary) for signature, found in members.items()]
    return sorted(groups, key=lambda group: (-len(group.models), str(group.signature)))


def explain(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """Say why groups are separate tables: signature field that differs -> its value in each group."""
    fields = [dict(group.signature.fields) for group in groups]
    keys = dict.fromkeys(key for values in fields for key in values)
    table = {key: tuple(values.get(key, "-") for values in fields) for key in keys}
    return {key: values for key, values in table.items() if len(set(values)) > 1}


def role(record: Record) -> Role:
    """Read `details["role"]`; without it, a model named "real" or "real (…)" is a reference row."""
    stated = record.details.get("role")
    if stated in ("real", "reference"):
        return "real"
    if stated == "control":
        return "control"
    named_real = re.fullmatch(r"real(\s*\(.*\))?", record.model.strip(), re.IGNORECASE | re.DOTALL)
    return "real" if stated is None and named_real else "model"


def _group(signature: Signature, found: list[tuple[Record, Path | None]], primary: str) -> Group:
    names = row_names(identity(record) for record, _ in found)
    by_model: dict[str, list[tuple[Record, Path | None]]] = defaultdict(list)
    for record, path in sorted(found, key=_age, reverse=True):
        by_model[names[identity(record)]].append((record, path))
    newest = {model: versions[0][0] for model, versions in by_model.items()}
    columns = _columns(newest, primary)
    main = columns[0] if columns else Column(primary, direction(primary))

    cells: dict[str, dict[str, RankedScore]] = {model: {} for model in newest}
    pairs: list[PairwiseTest] = []
    for column in columns:
        scores = {
            m: record.scores[column.name] for m, record in newest.items() if column.name in record.scores
        }
        ranked = {
            model: score
            for model, score in scores.items()
            if role(newest[model]) == "model"
            and _can_be_ranked(newest[model], column.name)
            and _has_value(score)
        }
        tests = _tests(column, ranked)
        pairs += tests
        for model, score in scores.items():
            cell = _ranked(model, score, tests) if model in ranked else RankedScore(score)
            cells[model][column.name] = cell

    rows = [
        Row(
            model=model,
            record=versions[0][0],
            role=role(versions[0][0]),
            cells=cells[model],
            primary=main.name,
            history=tuple(record for record, _ in versions[1:]),
            path=versions[0][1],
            paths=tuple(path for _, path in versions if path is not None),
        )
        for model, versions in by_model.items()
    ]
    rows.sort(key=lambda row: (_order(row.record.scores.get(main.name), main.better), row.model))
    return Group(signature, main.name, columns, tuple(rows), tuple(pairs))


def _can_be_ranked(record: Record, score_name: str) -> bool:
    """Whether a score says something about the model, and not about copies or about foreign classes."""
    codes = {code for code, _ in record.warnings}
    meaningless = (names for code, names in UNRANKED_SCORES.items() if code in codes)
    return UNRANKED.isdisjoint(codes) and not any(score_name in names for names in meaningless)


def _age(entry: tuple[Record, Path | None]) -> tuple[str, ...]:
    record, path = entry
    # All but the first only break ties, so that the order of the records never matters.
    return record.created, record.clips.generated.manifest_hash, repr(record.scores), str(path)


def _columns(newest: dict[str, Record], primary: str) -> tuple[Column, ...]:
    """Metrics of the group: the primary one first, then in the order of the records, sorted by model."""
    records = [newest[model] for model in sorted(newest)]
    names = dict.fromkeys(name for record in records for name in record.scores)
    ordered = [primary] * (primary in names) + [name for name in names if name != primary]
    details = {
        name: record.details for record in records for name in record.scores if "better" in record.details
    }
    return tuple(Column(name, direction(name, details.get(name))) for name in ordered)


def _tests(column: Column, ranked: dict[str, Score]) -> list[PairwiseTest]:
    """Test every pair of models in one metric, and correct for the number of pairs."""
    ordered = sorted(ranked, key=lambda model: (_order(ranked[model], column.better), model))
    names = list(combinations(ordered, 2))
    differences = [score_difference(ranked[a], ranked[b], column.better) for a, b in names]
    known = [i for i, difference in enumerate(differences) if difference.p_value is not None]
    adjusted = dict(zip(known, holm([differences[i].p_value or 0.0 for i in known]), strict=True))
    return [
        PairwiseTest(column.name, a, b, difference, adjusted.get(i))
        for i, ((a, b), difference) in enumerate(zip(names, differences, strict=True))
    ]


def _ranked(model: str, score: Score, tests: list[PairwiseTest]) -> RankedScore:
    better = sum(test.second == model and test.significant for test in tests)
    tied = [
        test.first if test.second == model else test.second
        for test in tests
        if model in (test.first, test.second) and not test.significant
    ]
    return RankedScore(score, 1 + better, tuple(tied))


def _has_value(score: Score | None) -> bool:
    return score is not None and math.isfinite(score.best_estimate)


def _order(score: Score | None, better: Better) -> float:
    """Sort key: best first, scores without a finite value last."""
    return badness(score, better) if score is not None and _has_value(score) else math.inf
