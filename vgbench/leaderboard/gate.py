"""Gate: has a model become worse by more than is allowed, and by more than chance explains?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vgbench.leaderboard.comparison import (
    MetricComparison,
    NotComparable,
    compare_metric,
    require_comparable,
)
from vgbench.leaderboard.rounding import decimals_for, difference_text, with_error
from vgbench.records.record import Record, require_unchanged

EXIT_CODES = {"pass": 0, "worse": 3, "not comparable": 2}


@dataclass(frozen=True)
class GateResult:
    """Result of a gate.

    Attributes:
        verdict: "pass", "worse" (by more than is allowed and than chance explains), or "not comparable".
        reason: one sentence with the numbers.
        change: by how much the candidate is worse, as a share of the baseline's value; negative if it is
            better; None if the records are not comparable.
    """

    verdict: Literal["pass", "worse", "not comparable"]
    reason: str
    change: float | None = None

    @property
    def exit_code(self) -> int:
        """0 pass, 3 worse, 2 not comparable."""
        return EXIT_CODES[self.verdict]


def gate(baseline: Record, candidate: Record, max_worse: float = 0.02, metric: str = "fvd") -> GateResult:
    """Decide whether `candidate` may replace `baseline`.

    The gate fails if the candidate is worse by more than `max_worse` of the baseline's value and the 95 %
    interval of the difference excludes zero. A loss that is significant but small passes, and so does a large
    one that chance may explain. To detect smaller losses, score more clips.

    Args:
        baseline: record of the current model.
        candidate: record of the model that may replace it.
        max_worse: allowed loss, as a share of the baseline's plain value (the corrected value may be near
            zero).
        metric: name of the score.

    Raises:
        VgbenchError: one of the records was changed after it was written.
    """
    for record in (baseline, candidate):
        require_unchanged(record)
    try:
        require_comparable(baseline, candidate)
    except NotComparable as error:
        return GateResult("not comparable", error.message)
    for record in (baseline, candidate):
        score = record.scores.get(metric)
        if score is None or not math.isfinite(score.best_estimate):
            return GateResult("not comparable", f"'{record.model}' has no finite score named '{metric}'")
    found = compare_metric(baseline, candidate, metric)
    if found.difference.p_value is None:
        return GateResult("not comparable", f"a score named '{metric}' has no standard error to judge by")
    scale = abs(found.first.value)
    change = found.loss / scale if scale else math.copysign(math.inf, found.loss) if found.loss else 0.0
    worse = change > max_worse and found.improved is False
    return GateResult("worse" if worse else "pass", _reason(found, change, max_worse), change)


def _reason(found: MetricComparison, change: float, max_worse: float) -> str:
    places = decimals_for([found.first, found.second])
    corrected = " (corrected)" if found.first.debiased is not None else ""
    scores = (
        f"{found.metric}{corrected} {with_error(found.first, places)} → {with_error(found.second, places)}"
    )
    difference = difference_text(found.difference, places)
    size = f"{abs(change):.1%} {'worse' if change > 0 else 'better'}, {max_worse:.1%} worse allowed"
    certain = "significant" if found.improved is not None else "no significant difference"
    return f"{scores}, difference {difference}: {size}; {certain}"
