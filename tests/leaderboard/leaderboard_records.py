"""Records made by hand, so that every expected rank can be worked out on paper."""

from __future__ import annotations

from typing import Any

from vgbench.metrics.score import Score
from vgbench.results import Clips, ClipSet, ExtractorUse, Record
from vgbench.signature import Signature

FIELDS = (
    ("protocol", "quick"),
    ("clips", "256+256"),
    ("frames", "16/s1"),
    ("start", "uniform,seed0"),
    ("size", "64,crop,bilinear-aa"),
    ("feat", "embedded@0a1b2c3d"),
    ("real", "ffffffff"),
    ("v", "1.0"),
)
MANY = 100_000
"""Clips: so many that Student's t is the normal distribution in every digit that counts."""


def make_score(value: float, error: float | None = 1.0, **others: Any) -> Score:
    center = others.get("debiased", value)
    interval = None if error is None else (center - 1.96 * error, center + 1.96 * error)
    return Score(value, error, interval, others.pop("n", MANY), **others)


def make_record(
    model: str,
    scores: dict[str, Score] | float | None = None,
    *,
    fields: tuple[tuple[str, str], ...] = FIELDS,
    created: str = "2026-11-20T12:00:00+00:00",
    **others: Any,
) -> Record:
    if not isinstance(scores, dict):
        scores = {"fvd": make_score(100.0 if scores is None else scores)}
    side = {"used": 256, "clips": 256, "found": 256}
    values: dict[str, Any] = {
        "model": model,
        "signature": str(Signature(fields)),
        "signature_fields": fields,
        "protocol": {"name": "quick", "version": "1.0", "extractor": {"name": "embedded"}},
        "scores": scores,
        "signatures": {name: str(Signature(fields)) for name in scores},
        "extractor": ExtractorUse(
            id="embedded", weights="0" * 64, licence="Apache-2.0", comparable_with="itself only"
        ),
        "clips": Clips(
            generated=ClipSet(source=f"samples/{model}", manifest_hash="a" * 64, **side),
            real=ClipSet(source="data/real", manifest_hash="f" * 64, **side),
        ),
        "environment": {"python": "3.11.9", "torch": "2.13.0"},
        "seconds": {"total": 12.0},
        "created": created,
    }
    return Record(**(values | others))
