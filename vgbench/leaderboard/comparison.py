"""Which records may be compared, how far two differ, and what that means: for compare, gate and history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vgbench.errors import VgbenchError
from vgbench.leaderboard.identity import identity
from vgbench.leaderboard.significance import Difference, score_difference
from vgbench.metrics.direction import badness, direction
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.records.record import Record, content_hash
from vgbench.records.signature import Signature, differences


class NotComparable(VgbenchError):
    """Two records were not measured in the same way.

    Attributes:
        models: names of both.
        fields: (signature field, value in the first record, value in the second); "real" is the real clips.
    """

    def __init__(self, first: str, second: str, fields: list[tuple[str, str, str]]) -> None:
        listed = "; ".join(f"{key}: {a} against {b}" for key, a, b in fields)
        super().__init__(
            f"'{first}' and '{second}' were not measured in the same way: {listed}",
            "evaluate both under one protocol and against the same real clips",
        )
        self.models = (first, second)
        self.fields = fields

    def __reduce__(self) -> tuple[type[NotComparable], tuple[str, str, list[tuple[str, str, str]]]]:  # type: ignore[override]
        return type(self), (*self.models, self.fields)


@dataclass(frozen=True)
class MetricComparison:
    """Two records in one metric.

    Attributes:
        metric: name of the score.
        better: its direction.
        first, second: both scores.
        difference: second minus first.
    """

    metric: str
    better: Better
    first: Score
    second: Score
    difference: Difference

    @property
    def loss(self) -> float:
        """By how much the second score is worse, in the metric's unit; negative if it is better."""
        return badness(self.second, self.better) - badness(self.first, self.better)

    @property
    def improved(self) -> bool | None:
        """True if the second is significantly better, False if significantly worse, None if neither is shown.

        The 95 % interval of the difference decides. It is not corrected for the number of comparisons.
        """
        return self.loss < 0 if self.difference.significant else None


@dataclass(frozen=True)
class Comparison:
    """Two records in every metric that both contain.

    Attributes:
        first, second: labels of the records: the models' names, or more where these are equal.
        signature: how both were measured.
        metrics: one comparison for each metric.
    """

    first: str
    second: str
    signature: Signature
    metrics: tuple[MetricComparison, ...]

    def verdict(self, metric: MetricComparison) -> str:
        """Say in words what the difference in one metric means."""
        if metric.improved is None:
            return "no significant difference"
        return f"{self.second if metric.improved else self.first} is better"


def compare(first: Record, second: Record) -> Comparison:
    """Compare two records in every metric that both contain.

    Raises:
        NotComparable: the signatures differ.
    """
    require_comparable(first, second)
    shared = [name for name in first.scores if name in second.scores]
    return Comparison(
        *labels(first, second),
        Signature(first.signature_fields),
        tuple(compare_metric(first, second, name) for name in shared),
    )


def labels(first: Record, second: Record) -> tuple[str, str]:
    """Label two records so that a reader can tell them apart.

    The labels are the names of the models. If these are equal, the first of submitter, source, time and hash
    that differs is added.
    """
    if first.model != second.model:
        return first.model, second.model
    a, b = ((*_parts(record),) for record in (first, second))
    differing = next((pair for pair in zip(a, b, strict=True) if pair[0] != pair[1]), ("first", "second"))
    one, other = (f"{first.model} ({part})" if part else first.model for part in differing)
    return one, other


def _parts(record: Record) -> Iterator[str]:
    """What may tell apart two records of models with one name, the most telling first."""
    who = identity(record)
    yield who.submitter
    yield who.source
    yield record.created[:16].replace("T", " ")
    yield record.created
    yield content_hash(record.model_dump(mode="json"))[:8]


def require_comparable(first: Record, second: Record) -> None:
    """Refuse two records that were not measured in the same way.

    Raises:
        NotComparable: the signatures differ.
    """
    fields = differences(Signature(first.signature_fields), Signature(second.signature_fields))
    if fields:
        raise NotComparable(first.model, second.model, fields)


def compare_metric(first: Record, second: Record, name: str) -> MetricComparison:
    """Compare two records of equal signature in one metric that both contain."""
    a, b = first.scores[name], second.scores[name]
    better = direction(name, {**second.details, **first.details})
    return MetricComparison(name, better, a, b, score_difference(a, b, better))
