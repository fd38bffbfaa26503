"""The least that a record holds."""

from __future__ import annotations

from vgbench.metrics.score import Score
from vgbench.records.record import Clips, ClipSet, Record


def small_record() -> Record:
    side = ClipSet(source="a", used=2, clips=2, found=3, manifest_hash="0" * 64)
    return Record(
        model="m",
        signature="quick|clips:2+2",
        signature_fields=(("protocol", "quick"), ("clips", "2+2")),
        protocol={"name": "quick"},
        scores={"fvd": Score(3.0, 0.5, (0.1, 2.2), 2, debiased=1.2, method="jackknife")},
        signatures={"fvd": "fvd|clips:2+2"},
        extractor=None,
        clips=Clips(generated=side, real=side),
        environment={},
        seconds={"total": 1.0},
        created="2026-01-02T03:04:05.678Z",
    )
