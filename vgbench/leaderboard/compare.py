"""Two records side by side: is the second better than the first?"""

from __future__ import annotations

from dataclasses import dataclass

from vgbench.errors import VgbenchError
from vgbench.leaderboard.direction import badness, direction
from vgbench.leaderboard.significance import Difference, score_difference
from vgbench.metrics.metric import Better
from vgbench.metrics.score import Score
from vgbench.records.record import Record
from vgbench.records.signature import Signature, differences


class NotComparable(VgbenchError):
    """Two records were not measured alike.

    Attributes:
        fields: (signature field, value in the first, value in the second); "real" is the real clips.
    """

    def __init__(self, first: str, second: str, fields: list[tuple[str, str, str]]) -> None:
        listed = "; ".join(f"{key}: {a} against {b}" for key, a, b in fields)
        super().__init__(
            f"'{first}' and '{second}' were not measured alike: {listed}",
            "evaluate both under one protocol and against the same real clips",
        )
        self.models = (first, second)
        self.fields = fields

    def __reduce__(self) -> tuple[type[NotComparable], tuple[str, str, list[tuple[str, str, str]]]]:  # type: ignore[override]
        return type(self), (*self.models, self.fields)


@dataclass(frozen=True)
class MetricDifference:
    """One metric of both records.

    Attributes:
        metric: name of the score.
        better: its direction.
        first, second: the scores.
        difference: second minus first.
        improved: True where the second is significantly better, False where significantly worse, None where
            the two cannot be told apart (95 % interval of the difference, not corrected for the number of
            metrics).
    """

    metric: str
    better: Better
    first: Score
    second: Score
    difference: Difference
    improved: bool | None


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: names, the shared signature, every metric that both records hold."""

    first: str
    second: str
    signature: Signature
    metrics: tuple[MetricDifference, ...]

    def verdict(self, metric: MetricDifference) -> str:
        """Say in words what the difference of one metric means."""
        if metric.improved is None:
            return "no significant difference"
        return f"{self.second if metric.improved else self.first} is better"


def compare(first: Record, second: Record) -> Comparison:
    """Take the difference of every metric that both records hold.

    Raises:
        NotComparable: the signatures differ.
    """
    require_comparable(first, second)
    shared = [name for name in first.scores if name in second.scores]
    return Comparison(
        first.model,
        second.model,
        Signature(first.signature_fields),
        tuple(compare_metric(first, second, name) for name in shared),
    )


def require_comparable(first: Record, second: Record) -> None:
    """Refuse two records that were not measured alike.

    Raises:
        NotComparable: the signatures differ.
    """
    fields = differences(Signature(first.signature_fields), Signature(second.signature_fields))
    if fields:
        raise NotComparable(first.model, second.model, fields)


def compare_metric(first: Record, second: Record, name: str) -> MetricDifference:
    """Take the difference of one metric of two comparable records that both hold it."""
    a, b = first.scores[name], second.scores[name]
    better = direction(name, {**second.details, **first.details})
    difference = score_difference(a, b, better)
    improved = badness(b, better) < badness(a, better) if difference.significant else None
    return MetricDifference(name, better, a, b, difference, improved)
