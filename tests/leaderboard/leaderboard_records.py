"""Records made by hand, so that every expected rank can be worked out on paper."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vgbench.metrics.score import Score
from vgbench.records.record import Clips, ClipSet, ExtractorUse, Record
from vgbench.records.signature import Signature

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


def motion(generated: list[float], real: list[float], histogram: list[float] | None = None) -> dict[str, Any]:
    return {
        "schema": 1,
        "windows": {"generated": 8, "real": 8},
        "curves": {"flow": {"generated": {"mean": generated, "error": None}, "real": {"mean": real}}},
        "flow_histogram": {"generated": histogram or [1.0] + [0.0] * 40, "real": [1.0] + [0.0] * 40},
    }


def webp(seed: int = 0, side: int = 32, frames: int = 4) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)
    first, *rest = map(Image.fromarray, pixels)
    stream = io.BytesIO()
    first.save(stream, "WEBP", save_all=True, append_images=rest, duration=80, loop=0)
    return stream.getvalue()


def save_with_thumbnails(
    record: Record, folder: Path, pictures: list[bytes] | dict[str, bytes], side: str = "generated"
) -> Path:
    """Save a record with thumbnails of its own: numbered from 0, or under the names given."""
    named = pictures if isinstance(pictures, dict) else dict(enumerate(pictures))
    thumbnails = dict(record.thumbnails)
    for suffix, data in named.items():
        name = f"{record.stem}.clips/{side}-{suffix}.webp"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        thumbnails[name] = hashlib.sha256(data).hexdigest()
    return record.model_copy(update={"thumbnails": thumbnails}).save(folder)
