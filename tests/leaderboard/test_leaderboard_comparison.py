"""Comparisons and gates say what the numbers allow to say, and no more."""

from __future__ import annotations

import io
import pickle

import pytest
from leaderboard_records import FIELDS, make_record, make_score

from vgbench.leaderboard.comparison import NotComparable, compare, labels
from vgbench.leaderboard.gate import gate
from vgbench.leaderboard.terminal import comparison_table


def test_difference_and_interval():
    found = compare(make_record("a", 100.0), make_record("b", 110.0))
    (fvd,) = found.metrics
    assert fvd.difference.value == pytest.approx(10.0)
    # Errors 1 and 1: 1.96 * sqrt(2) either way.
    assert fvd.difference.interval == pytest.approx((10 - 2.772, 10 + 2.772), abs=1e-3)
    assert fvd.improved is False
    assert found.verdict(fvd) == "a is better"


def test_what_chance_explains_is_called_no_significant_difference():
    found = compare(make_record("a", 100.0), make_record("b", 101.0))
    assert found.verdict(found.metrics[0]) == "no significant difference"


def test_direction_counts():
    scores = ({"is": make_score(3.0, 0.1)}, {"is": make_score(4.0, 0.1)})
    (metric,) = compare(make_record("a", scores[0]), make_record("b", scores[1])).metrics
    assert metric.improved is True


def test_only_metrics_of_both_are_compared():
    both = {"fvd": make_score(1.0), "kvd": make_score(1.0)}
    found = compare(make_record("a", both), make_record("b", {"kvd": make_score(1.0)}))
    assert [metric.metric for metric in found.metrics] == ["kvd"]


def test_different_signatures_are_refused_and_the_fields_named():
    other = tuple((key, "16/s2" if key == "frames" else value) for key, value in FIELDS)
    with pytest.raises(NotComparable, match="frames: 16/s1 against 16/s2") as caught:
        compare(make_record("a"), make_record("b", fields=other))
    assert caught.value.fields == [("frames", "16/s1", "16/s2")]
    assert pickle.loads(pickle.dumps(caught.value)).fields == caught.value.fields


@pytest.mark.parametrize("width", [80, 200])
def test_comparison_table_names_the_verdict(width):
    from rich.console import Console

    stream = io.StringIO()
    found = compare(make_record("long name " * 4, 100.0), make_record("b", 101.0))
    Console(file=stream, width=width).print(comparison_table(found))
    words = stream.getvalue().split()
    assert max(map(len, stream.getvalue().splitlines())) <= width
    assert {"no", "significant", "difference", "100.0", "101.0", "[−1.8,", "3.8]", "0.48"} <= set(words)


@pytest.mark.parametrize(
    ("candidate", "verdict", "code"),
    [
        (make_record("same", 100.0), "pass", 0),
        (make_record("better", 50.0), "pass", 0),
        # 10 % worse, errors 1: 7 standard errors.
        (make_record("worse", 110.0), "worse", 3),
        # 10 % worse, but the error of the difference is 20.
        (make_record("noisy", {"fvd": make_score(110.0, 20.0)}), "pass", 0),
        # Certainly worse (error 0.14), by less than the 2 % allowed.
        (make_record("hair", {"fvd": make_score(101.5, 0.1)}), "pass", 0),
        (make_record("other protocol", 100.0, fields=FIELDS[:-1]), "not comparable", 2),
        (make_record("no fvd", {"kvd": make_score(1.0)}), "not comparable", 2),
        (make_record("nan", {"fvd": make_score(float("nan"), None)}), "not comparable", 2),
        # Without an error nothing could ever fail: say so instead of passing.
        (make_record("one clip", {"fvd": make_score(500.0, None)}), "not comparable", 2),
    ],
    ids=lambda value: value.model if hasattr(value, "model") else str(value),
)
def test_gate(candidate, verdict, code):
    baseline = make_record("base", {"fvd": make_score(100.0, 0.1 if candidate.model == "hair" else 1.0)})
    outcome = gate(baseline, candidate)
    assert (outcome.verdict, outcome.exit_code) == (verdict, code)


def test_gate_reason_holds_the_numbers():
    outcome = gate(make_record("a", 100.0), make_record("b", 110.0), max_worse=0.05)
    assert outcome.change == pytest.approx(0.10)
    assert "10.0% worse, 5.0% worse allowed" in outcome.reason


def test_gate_knows_that_a_higher_inception_score_is_better():
    low, high = (make_record(n, {"is": make_score(v, 0.01)}) for n, v in (("low", 3.0), ("high", 4.0)))
    assert gate(low, high, metric="is").verdict == "pass"
    assert gate(high, low, metric="is").verdict == "worse"


def test_records_of_one_name_are_told_apart_and_the_sign_is_said():
    def of(lab=None, **others):
        details = {"meta": {"submitter": lab}} if lab else {}
        return make_record("gan", details=details, **others)

    later = {"created": "2026-11-21T12:00:00+00:00"}
    assert labels(of("lab A"), of("lab B")) == ("gan (lab A)", "gan (lab B)")
    assert labels(of(), of("lab B")) == ("gan", "gan (lab B)")
    assert labels(of(), of(**later)) == ("gan (2026-11-20 12:00)", "gan (2026-11-21 12:00)")
    first, second = labels(of(), of(seconds={"total": 1.0}))
    assert first != second
    assert labels(make_record("a"), make_record("b")) == ("a", "b")

    from rich.console import Console

    stream = io.StringIO()
    found = compare(of("lab A"), of("lab B", scores=90.0))
    assert found.verdict(found.metrics[0]) == "gan (lab B) is better"
    Console(file=stream, width=200).print(comparison_table(found))
    header, _, row = stream.getvalue().splitlines()[:3]
    for words in ("second − first", "first: gan (lab A)", "second: gan (lab B)"):
        assert words in header
    assert "−10.0" in row
