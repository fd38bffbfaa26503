"""Numbers that contradict each other are found, whatever hash the record carries; true scores never are."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math

import numpy as np
import pytest
from small_record import small_record

from vgbench.errors import VgbenchError
from vgbench.leaderboard.gate import gate
from vgbench.leaderboard.ranking import rank
from vgbench.leaderboard.verification import verify
from vgbench.metrics import METRICS, Samples
from vgbench.metrics.score import Score
from vgbench.records.consistency import contradictions
from vgbench.records.record import HASH, INCONSISTENT, content_hash, load_record, require_unchanged

NOW = "2026-01-02T03:04:05.678Z"
TRUE = Score(3.0, 0.5, (0.1, 2.2), 2, debiased=1.2, deviations=((0.3,), (0.4,)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"interval": (1.3, 2.2)}, "does not hold its estimate, 1.2"),
        ({"interval": (0.1, 1.1)}, "does not hold its estimate, 1.2"),
        ({"debiased": None}, "does not hold its estimate, 3"),
        ({"interval": (2.2, 0.1)}, "has no length"),
        ({"interval": (math.nan, 2.2)}, "has no length"),
        ({"standard_error": math.nan}, "standard error is nan"),
        ({"standard_error": math.inf}, "standard error is inf"),
        ({"standard_error": -0.5}, "standard error is -0.5"),
        ({"standard_error": 0.4}, "deviations amount to a standard error of 0.5"),
        ({"deviations": ((0.3,), (math.nan,))}, "deviations amount to a standard error of nan"),
    ],
)
def test_each_contradiction_is_named(change, words):
    assert not list(contradictions({"fvd": TRUE}, NOW))
    (found,) = contradictions({"fvd": dataclasses.replace(TRUE, **change)}, NOW)
    assert found.startswith("fvd: ")
    assert words in found


def test_an_estimate_outside_the_range_of_its_metric_belongs_to_an_interval_that_ends_there():
    score = Score(1.5, 0.2, (1.0, 1.2), 2, debiased=0.9)
    assert not list(contradictions({"is": score}, NOW)), "an inception score is at least 1"
    assert list(contradictions({"fvd": score}, NOW))


def test_a_date_to_come_is_named_and_clocks_may_differ():
    tomorrow, soon = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=h) for h in (25, 1))
    (found,) = contradictions({}, tomorrow.isoformat())
    assert "in the future" in found
    assert not list(contradictions({}, soon.isoformat()))
    assert not list(contradictions({}, "once upon a time"))


def test_a_record_that_cannot_be_true_passes_no_verdict_even_with_a_fresh_hash(tmp_path):
    values = json.loads(small_record().to_json())
    values["scores"]["fvd"]["interval"] = [1.3, 2.2]
    del values[HASH]
    path = tmp_path / "forged.json"
    path.write_text(json.dumps({**values, HASH: content_hash(values)}))
    forged = load_record(path)
    assert [code for code, _ in forged.warnings] == [INCONSISTENT]
    assert not verify(forged).holds
    for judged in (lambda: gate(forged, small_record()), lambda: require_unchanged(forged)):
        with pytest.raises(VgbenchError, match=r"forged\.json states what cannot be: fvd: its interval"):
            judged()
    (group,) = rank([forged, small_record().model_copy(update={"model": "honest"})])
    assert {row.model: row.rank for row in group.rows} == {"m": None, "honest": 1}


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0])
@pytest.mark.parametrize("n", [4, 24])
def test_true_scores_hold_whatever_the_sets_are(n, scale):
    rng = np.random.default_rng(0)
    tried = 0
    for metric in METRICS.values():
        if metric.sees not in ("features", "logits"):
            continue
        real, generated = rng.normal(size=(2, n, 6))
        sides = [
            Samples(x.astype(np.float32), rng.normal(size=(n, 5)).astype(np.float32), np.arange(n))
            for x in (generated * scale + scale / 3, real)
        ]
        try:
            scores = metric.compare(*sides)
        except (VgbenchError, ValueError):
            continue
        tried += 1
        assert not list(contradictions(scores, NOW)), metric.name
    assert tried > 3
