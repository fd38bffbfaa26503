"""Gate: has a model become worse by more than is allowed, and more than chance explains?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vgbench.leaderboard.compare import (
    MetricDifference,
    NotComparable,
    compare_metric,
    require_comparable,
)
from vgbench.leaderboard.direction import badness
from vgbench.leaderboard.rounding import decimals_for, difference_text, with_error
from vgbench.records.record import Record, require_unchanged

EXIT_CODES = {"pass": 0, "worse": 3, "not comparable": 2}


@dataclass(frozen=True)
class Outcome:
    """Result of a gate.

    Attributes:
        verdict: "pass", "worse" (beyond the allowance and beyond chance), or "not comparable".
        reason: one sentence with the numbers.
        change: how much worse the candidate is, as a share of the baseline's value; negative where it is
            better; None where not comparable.
        metric: the difference behind the verdict; None where not comparable.
    """

    verdict: Literal["pass", "worse", "not comparable"]
    reason: str
    change: float | None = None
    metric: MetricDifference | None = None

    @property
    def exit_code(self) -> int:
        """0 pass, 3 worse, 2 not comparable."""
        return EXIT_CODES[self.verdict]


def gate(baseline: Record, candidate: Record, max_worse: float = 0.02, metric: str = "fvd") -> Outcome:
    """Decide whether `candidate` may replace `baseline`.

    It fails where it is worse by more than `max_worse` of the baseline's value and the 95 % interval of the
    difference leaves out zero. A small but certain loss passes, and so does a large one that chance explains:
    score more clips to settle it.

    Args:
        baseline: record to hold on to.
        candidate: record to judge.
        max_worse: allowance, as a share of the baseline's plain value (the corrected one may be near zero).
        metric: name of the score.

    Raises:
        VgbenchError: one of both was changed after it was written.
    """
    for record in (baseline, candidate):
        require_unchanged(record)
    try:
        require_comparable(baseline, candidate)
    except NotComparable as error:
        return Outcome("not comparable", error.message)
    for record in (baseline, candidate):
        score = record.scores.get(metric)
        if score is None or not math.isfinite(score.best_estimate):
            return Outcome("not comparable", f"'{record.model}' has no finite score named '{metric}'")
    found = compare_metric(baseline, candidate, metric)
    if found.difference.p_value is None:
        return Outcome("not comparable", f"a score named '{metric}' has no standard error to judge by")
    loss = badness(found.second, found.better) - badness(found.first, found.better)
    scale = abs(found.first.value)
    change = loss / scale if scale else math.copysign(math.inf, loss) if loss else 0.0
    worse = change > max_worse and found.improved is False
    return Outcome("worse" if worse else "pass", _reason(found, change, max_worse), change, found)


def _reason(found: MetricDifference, change: float, max_worse: float) -> str:
    places = decimals_for([found.first, found.second])
    scores = f"{found.metric} {with_error(found.first, places)} → {with_error(found.second, places)}"
    gap = difference_text(found.difference, places)
    size = f"{abs(change):.1%} {'worse' if change > 0 else 'better'}, {max_worse:.1%} worse allowed"
    certain = "significant" if found.improved is not None else "no significant difference"
    return f"{scores}, difference {gap}: {size}; {certain}"
