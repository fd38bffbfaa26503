"""Tables of docs/audit.md from the output of `vgbench audit --output`; audits of the same clips are merged.

python benchmarks/audit_table.py embedded/audit.json frames/audit.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from vgbench.audit import words
from vgbench.audit.result import AuditResult, Reaction
from vgbench.metrics.direction import ARROWS
from vgbench.pages.numbers import significant


def main() -> None:
    results = [AuditResult.from_json(Path(name).read_text(encoding="utf-8"), name) for name in sys.argv[1:]]
    metrics = [metric for result in results for metric in result.metrics]
    distortions = list(dict.fromkeys(name for result in results for name in words.distortions(result)))
    print("| metric | undamaged | content | motion | motion share |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for metric in metrics:
        baseline = metric.baseline
        undamaged = f"{significant(baseline.best_estimate, 3)} {words.interval(baseline.interval, 3)}"
        numbers = (metric.content_sensitivity, metric.motion_sensitivity)
        cells = [*(significant(value, 3) for value in numbers), significant(metric.motion_share, 2)]
        print(f"| {metric.metric} {ARROWS[metric.better]} | {undamaged} | {' | '.join(cells)} |")
    print(f"\n| metric | {' | '.join(distortions)} |\n| --- |{' --- |' * len(distortions)}")
    for metric in metrics:
        reactions = {reaction.distortion: reaction for reaction in metric.reactions}
        print(f"| {metric.metric} | {' | '.join(cell(reactions.get(name)) for name in distortions)} |")
    print()
    for result in results:
        for entry in result.not_audited:
            print(f"- not audited by {result.extractor}: {entry.metric}, {entry.reason}")
        for left_out in result.omitted:
            print(f"- left out: {left_out}")


def cell(reaction: Reaction | None) -> str:
    """Smallest strength that is detected and Spearman's ρ; "~" if badness is not monotone."""
    if reaction is None:
        return ""
    found = {"never": "–", "rewards": "**!**"}.get(words.detection(reaction), words.detection(reaction))
    return f"{found} ({words.order(reaction)})"


if __name__ == "__main__":
    main()
