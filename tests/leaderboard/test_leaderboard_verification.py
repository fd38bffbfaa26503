"""A true record holds; every kind of untruth is found and named."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from leaderboard_records import make_score
from stub_extractor import StubExtractor

import vgbench
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.leaderboard.submission import read_submitted, write_submission
from vgbench.leaderboard.verification import compare_scores, verify, what_it_says
from vgbench.metrics import Samples, Score, prdc
from vgbench.records.record import load_record

SETTINGS = ["clips.generated=16", "clips.real=16", "clips.least=4", "resize.size=32"]
REAL = "builtin:moving-shapes/test?size=32&clips=16"
GENERATED = "builtin:moving-shapes/train?size=32&clips=16"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def record(results):
    return vgbench.evaluate(
        GENERATED,
        REAL,
        metrics=["fvd", "temporal_flicker"],
        settings=SETTINGS,
        extractor=StubExtractor(),
        results=results,
        store=FeatureStore(results / "store"),
    )


@pytest.fixture
def check(results):
    """Verify against features that earlier checks computed; scores are always computed again."""

    def verify_again(record, generated=GENERATED, real=REAL):
        store = FeatureStore(results / "store")
        return verify(record, generated, real, extractor=StubExtractor(), store=store)

    return verify_again


def test_a_true_record_holds(record, results, tmp_path):
    sent = write_submission(results / f"{record.stem}.json", tmp_path)
    found = verify(read_submitted(sent), GENERATED, REAL, extractor=StubExtractor())
    assert [(metric.name, metric.equal) for metric in found.metrics] == [
        ("fvd", True),
        ("temporal_flicker", True),
        ("dynamic_degree", True),
    ]
    assert (found.problems, found.holds, found.exit_code) == ((), True, 0)


@pytest.mark.parametrize(
    "forged",
    [
        {"value": 0.9},
        {"debiased": 0.9},
        {"interval": (0.0, 1.0)},
        {"standard_error": 1e-3},
        {"deviations": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_score_that_the_clips_do_not_give_is_found(check, record, forged):
    scores = {**record.scores, "fvd": dataclasses.replace(record.scores["fvd"], **forged)}
    found = check(record.model_copy(update={"scores": scores}))
    assert [(metric.name, metric.equal) for metric in found.metrics] == [
        ("fvd", False),
        ("temporal_flicker", True),
        ("dynamic_degree", True),
    ]
    assert found.exit_code == 3


def test_words_about_the_scores_are_compared_too(check, record):
    """Warnings left out, another network's name, other signatures or directions: each is named."""
    named = record.extractor.model_copy(update={"id": "i3d-k400", "comparable_with": "published FVD"})
    forgeries = {
        f"missing warning: {' '.join(record.warnings[0])}": {"warnings": ()},
        "extractor, id: i3d-k400 in the record, but ": {"extractor": named},
        "signatures of single metrics are not those of the scores: fvd": {
            "signatures": {**record.signatures, "fvd": "x"}
        },
        "direction of own metrics: {'fvd': 'higher'} in the record, but None now": {
            "details": {"better": {"fvd": "higher"}}
        },
        "extractor, weights: None in the record": {"extractor": None},
    }
    assert check(record).holds
    record = record.model_copy(update={"warnings": (("note", "x"), *record.warnings)})
    assert check(record).holds  # a record may say more than it must
    for words, change in forgeries.items():
        found = check(record.model_copy(update=change))
        assert any(words in problem for problem in found.problems), (words, found.problems)
        assert found.exit_code == 3


def test_scores_within_a_warning_are_not_compared_as_words():
    said = [what_it_says("below-real", f"copies 0.12, real {value}: x") for value in ("0.5", "-1.2e-05")]
    assert said[0] == said[1]
    assert what_it_says("few-clips", "3 of 4") != what_it_says("few-clips", "2 of 4")


def test_a_deviation_moved_to_the_other_side_is_found(check, record):
    generated, real = record.scores["fvd"].deviations
    moved = dataclasses.replace(record.scores["fvd"], deviations=((*generated, real[0]), real[1:]))
    found = check(record.model_copy(update={"scores": {**record.scores, "fvd": moved}}))
    assert [metric.name for metric in found.metrics if not metric.equal] == ["fvd"]


def test_the_error_of_the_real_value_is_checked_where_the_record_says_it(check, record):
    score = record.scores["temporal_flicker"]
    assert score.real_error > 0
    for error, holds in ((None, True), (2 * score.real_error, False)):  # None: an older record
        scores = {**record.scores, "temporal_flicker": dataclasses.replace(score, real_error=error)}
        assert check(record.model_copy(update={"scores": scores})).holds is holds


def test_a_metric_that_was_never_scored_is_found(check, record):
    forged = record.model_copy(update={"scores": {**record.scores, "kvd": make_score(1.0)}})
    assert [metric.name for metric in check(forged).metrics if not metric.equal] == ["kvd"]


def test_other_clips_are_found_and_counted(check, record):
    found = check(record, generated="builtin:moving-shapes/train?size=32&clips=16&seed=4")
    assert any(problem.startswith("generated: ") for problem in found.problems)
    assert "generated: and 11 more clips" in found.problems
    assert not any(problem.startswith("real: ") for problem in found.problems)
    # The signature holds the real clips, which are the same.
    assert not any("signature" in problem for problem in found.problems)


def test_one_changed_clip_is_named(tmp_path):
    clips = np.random.default_rng(0).integers(0, 256, (16, 16, 32, 32, 3), dtype=np.uint8)
    options = {"metrics": ["temporal_flicker"], "settings": SETTINGS, "extractor": StubExtractor()}
    record = vgbench.evaluate(clips, REAL, **options)
    assert verify(record, clips, REAL).holds
    changed = clips.copy()
    changed[3, 0, 0, 0, 0] ^= 1
    found = verify(record, changed, REAL)
    (problem,) = found.problems
    assert "differs from the clip that was scored" in problem


def test_other_real_clips_change_the_signature(check, record):
    found = check(record, real="builtin:moving-shapes/test?size=32&clips=16&seed=4")
    assert any(problem.startswith("signature: real is ") for problem in found.problems)


def test_without_clips_a_record_is_held_against_itself(record):
    assert verify(record).holds
    assert verify(record).metrics == ()
    windows = record.clips.generated.windows
    forged = record.clips.model_copy(
        update={"generated": record.clips.generated.model_copy(update={"windows": windows[::-1]})}
    )
    (problem,) = verify(record.model_copy(update={"clips": forged})).problems
    assert problem == "generated: the manifest hash is not that of the listed windows"
    other = record.model_copy(update={"signature": record.signature + "x"})
    assert verify(other).problems == ("the signature line does not agree with its fields",)


def test_code_named_by_a_stranger_is_not_imported(record, tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nmetric = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for change in (
        {"metrics": ["stranger:metric"]},
        {"extractor": {"name": "stranger:metric", "preprocessing": None, "weights": None}},
    ):
        forged = record.model_copy(update={"protocol": {**record.protocol, **change}})
        with pytest.raises(ConfigError, match="names code outside vgbench: stranger:metric"):
            verify(forged, GENERATED, REAL)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(ConfigError, match="not a metric"):
        verify(
            record.model_copy(update={"protocol": {**record.protocol, "metrics": ["stranger:metric"]}}),
            GENERATED,
            REAL,
            allow_code=True,
        )


def test_a_protocol_that_this_version_cannot_read_is_said(record):
    forged = record.model_copy(update={"protocol": {**record.protocol, "sede": 3}})
    with pytest.raises(ConfigError, match=r"protocol of the record.*sede"):
        verify(forged, GENERATED, REAL)


def test_one_side_alone_is_refused(record):
    with pytest.raises(ConfigError, match="clips of both sides"):
        verify(record, GENERATED)


def test_equality_is_relative_to_the_value_or_its_error():
    score = make_score(200.0)
    for factor, equal in ((1 + 0.9e-6, True), (1 + 1.1e-6, False)):
        other = dataclasses.replace(score, value=200.0 * factor)
        assert compare_scores("fvd", score, other).equal is equal
    # An estimate at zero with an error of 1: rounding at 1e-12 is no difference.
    zero = make_score(0.0)
    assert compare_scores("fvd", zero, dataclasses.replace(zero, value=1e-12)).equal
    assert compare_scores("fvd", zero, None).deviation == math.inf
    nan = make_score(math.nan, None)
    assert compare_scores("fvd", nan, nan).equal
    assert not compare_scores("fvd", make_score(1.0, None), nan).equal


def test_reading_a_submission(results, record, tmp_path):
    path = results / f"{record.stem}.json"
    assert read_submitted(path) == load_record(path)
    with pytest.raises(VgbenchError, match="no such file"):
        read_submitted(tmp_path / "none.zip")


def test_a_warning_in_other_words_is_the_same_warning_and_other_numbers_or_sides_are_not():
    before = what_it_says("small-sample", "generated: 256 windows for 256 feature dimensions; read the value")
    assert before == what_it_says("small-sample", "generated: 256 windows for 256 dimensions: use the value")
    for other in ("real: 256 windows for 256 dimensions", "generated: 250 windows for 256 dimensions"):
        assert what_it_says("small-sample", other) != before
    assert what_it_says("few-clips", "generated: 256 windows for 256 feature dimensions") != before


def older(score: Score, factor: float = 1.0) -> Score:
    """As versions wrote it whose intervals were symmetric, with an error of so many times the present one."""
    error = factor * score.standard_error
    half = 2.1 * error
    generated, real = (tuple(factor * value for value in part) for part in score.deviations)
    return dataclasses.replace(
        score,
        standard_error=error,
        interval=(score.best_estimate - half, score.best_estimate + half),
        deviations=(generated, real),
        method=score.method.partition(", ")[0],
    )


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (1.3, True), (1.5, False), (0.9, False)])
def test_records_with_symmetric_intervals_hold(factor, holds):
    rng = np.random.default_rng(0)
    sides = [Samples(side, None, np.arange(40)) for side in rng.standard_normal((2, 40, 3))]
    now = prdc.score(*sides)["density"]
    assert now.method == "jackknife(32+32 blocks), log interval"
    assert compare_scores("density", older(now, factor), now).equal is holds
    assert not compare_scores("density", dataclasses.replace(older(now), value=now.value * 1.01), now).equal
    too_short = (now.value - now.standard_error, now.value + now.standard_error)
    assert not compare_scores("density", dataclasses.replace(older(now), interval=too_short), now).equal
    moved = dataclasses.replace(older(now), interval=(now.value + 1, now.value + 2))
    assert not compare_scores("density", moved, now).equal
    assert not compare_scores("density", dataclasses.replace(now, interval=older(now).interval), now).equal
