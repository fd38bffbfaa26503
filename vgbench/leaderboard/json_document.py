"""The leaderboard as one JSON document, for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vgbench.leaderboard.published import PublishedLine
from vgbench.leaderboard.ranking import Column, Group, PairwiseTest, Row, explain
from vgbench.metrics.differs import differs
from vgbench.metrics.score import Score

SCHEMA = 1
"""Not under the key "schema", by which records are distinguished from other files of a results folder."""


def render_json(
    groups: Sequence[Group], title: str = "Leaderboard", published: Sequence[PublishedLine] = ()
) -> str:
    """Write groups, rows, scores and pairwise tests; numbers that are not finite become null."""
    document: dict[str, Any] = {
        "leaderboard_schema": SCHEMA,
        "title": title,
        "groups": [_group(group) for group in groups],
        "differing_fields": explain(groups),
    }
    if published:
        document["as_published"] = [asdict(line) for line in published]
    return json.dumps(finite(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def finite(node: Any) -> Any:
    """Copy plain values with None in place of infinities and NaN, which JSON cannot express."""
    if isinstance(node, dict):
        return {str(key): finite(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [finite(value) for value in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def _group(group: Group) -> dict[str, Any]:
    return {
        "id": group.signature.short_hash,
        "signature": str(group.signature),
        "signature_fields": dict(group.signature.fields),
        "primary": group.primary,
        "metrics": {column.name: _column(column) for column in group.columns},
        "rows": [_row(row) for row in group.rows],
        "pairs": [_pair(pair) for pair in group.pairs],
    }


def _column(column: Column) -> dict[str, str]:
    """The direction of a metric, and how it differs from the published number of its name, if it does."""
    text = differs(column.name)
    return {"better": column.better, **({"differs": text} if text else {})}


def _row(row: Row) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "model": row.model,
        "role": row.role,
        "tied_with": row.tied_with,
        "created": row.record.created,
        "older_records": len(row.history),
        "warnings": row.record.warnings,
        "scores": {
            name: {**_score(cell.score), "rank": cell.rank, "tied_with": cell.tied_with}
            for name, cell in row.cells.items()
        },
    }


def _score(score: Score) -> dict[str, Any]:
    """Everything except the jackknife's deviations, which only further tests need; the records keep them."""
    return {key: value for key, value in asdict(score).items() if key != "deviations"}


def _pair(pair: PairwiseTest) -> dict[str, Any]:
    return {
        "metric": pair.metric,
        "first": pair.first,
        "second": pair.second,
        **asdict(pair.difference),
        "p_adjusted": pair.p_adjusted,
        "significant": pair.significant,
    }
