"""The table of metrics and how users spell an entry."""

import contextlib
import inspect
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.errors import ConfigError, VgbenchError
from vgbench.metrics import (
    METRICS,
    Metric,
    Samples,
    Score,
    parse,
    parse_list,
)


def test_names_are_their_keys_and_scores_do_not_collide():
    assert all(name == metric.name for name, metric in METRICS.items())
    names = [score for metric in METRICS.values() for score in metric.directions]
    assert len(names) == len(set(names))
    assert {"fvd", "kvd", "is", "warping_error", "temporal_flicker", "motion_smoothness"} <= set(names)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.needs_extractor])
def test_set_metrics_give_the_scores_that_they_declare(name):
    rng = np.random.default_rng(0)
    sides = [
        Samples(
            rng.standard_normal((40, 5)).astype(np.float32),
            rng.standard_normal((40, 7)).astype(np.float32),
            np.arange(40) // 2,
            rng.standard_normal((40, 5, 4)).astype(np.float32),
            ("a", "b") * 20,
        )
        for _ in range(2)
    ]
    choice = parse(name)
    found = choice.metric.score(*sides, **choice.options)
    assert set(found) == set(choice.metric.directions)
    for score in found.values():
        assert isinstance(score, Score)
        assert score.n == 40
        assert score.interval[0] <= score.best_estimate <= score.interval[1]
        if score.method.startswith("jackknife"):
            variance = np.sum(np.square(np.concatenate(score.deviations)))
            assert variance == pytest.approx(score.standard_error**2)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.options])
def test_functions_have_the_defaults_of_the_table(name):
    metric = METRICS[name]
    parameters = inspect.signature(metric.score).parameters
    assert {key: parameters[key].default for key in metric.options} == parse(name).options


NO_JACKKNIFE = {"copies", "class_accuracy", "intra_fvd", "diversity"}  # tested in files of their own
DISTANCES = [
    name
    for name, m in METRICS.items()
    if m.needs_extractor and m.sees != "frames" and name not in NO_JACKKNIFE
]
NEED_MORE = {"prdc", "fvd_infinite", "is_infinite"}  # of three clips, they have no value either


@pytest.mark.parametrize("name", DISTANCES)
def test_set_metrics_say_when_there_are_too_few_clips_for_an_error(name):
    rows = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    few, many = Samples(rows, rows, np.arange(12) // 4), Samples(rows, rows, np.arange(12))
    if name in NEED_MORE:
        with pytest.raises(VgbenchError, match=r"k = 5 with 12 real and 3 generated|8 independent clips"):
            METRICS[name].score(few, many)
        return
    for score in METRICS[name].score(few, many).values():
        assert np.isfinite(score.value)
        assert (score.standard_error, score.interval, score.debiased) == (None, None, None)
        assert "4 source clips" in score.method


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.per_clip])
def test_clip_metrics_measure_their_shortest_clip(name):
    metric = METRICS[name]
    side = max(16, metric.least_size)
    clip = np.random.default_rng(0).integers(0, 256, (metric.least_frames, side, side, 3), dtype=np.uint8)
    assert isinstance(metric.measure(clip), float)
    side = Samples(np.array([[0.0], [1.0], [0.0], [1.0]]), None, np.arange(4))
    score = metric.score(side, side)[name]
    assert (score.value, score.real) == (0.5, 0.5)
    assert score.real_error == score.standard_error


DESCRIPTORS = [name for name, m in METRICS.items() if not (m.needs_extractor or m.per_clip)]


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_metrics_of_vectors_describe_their_shortest_clip(name):
    metric = METRICS[name]
    clips = np.random.default_rng(0).integers(0, 256, (5, metric.least_frames, 32, 32, 3), dtype=np.uint8)
    rows = np.stack([metric.measure(clip) for clip in clips])
    assert rows.dtype == np.float64
    assert rows.ndim == 2
    found = metric.score(Samples(rows, None, np.arange(5)), Samples(rows, None, np.arange(5)))
    assert set(found) == set(metric.directions)


@pytest.mark.parametrize(
    ("text", "spelled", "options"),
    [
        ("fvd", "fvd", {"covariance": "unbiased", "ridge": 0}),
        (" fvd( covariance = biased ) ", "fvd(covariance=biased)", {"covariance": "biased", "ridge": 0}),
        ("prdc(k=5)", "prdc", {"k": 5}),
        ("prdc(k=3)", "prdc(k=3)", {"k": 3}),
        ("is()", "is", {"splits": 1, "variant": "exact"}),
        ("kvd(biased=true,degree=2)", "kvd(degree=2,biased=true)", {"degree": 2, "coef0": 1, "biased": True}),
        ("kvd(coef0=0.5)", "kvd(coef0=0.5)", {"degree": 3, "coef0": 0.5, "biased": False}),
    ],
)
def test_parse(text, spelled, options):
    choice = parse(text)
    assert str(choice) == spelled
    assert choice.options == options
    assert parse(str(choice)) == choice
    assert hash(parse(str(choice))) == hash(choice)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fdv", "fvd"),
        ("prdc(K=3)", "known: k"),
        ("fvd(covariance=best)", "biased"),
        ("prdc(k=2.5)", "whole number"),
        ("prdc(k=0)", "at least 1"),
        ("kvd(coef0=nan)", "finite"),
        ("kvd(biased=1)", "true or false"),
        ("prdc(k)", "option=value"),
        ("prdc(k=3,k=4)", "twice"),
        ("prdc(k=3", "not closed"),
        ("", "known"),
        ("math:pi", "not a metric"),
        ("no.such.module:metric", "cannot load"),
    ],
)
def test_parse_names_what_is_wrong(text, words):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert words in f"{caught.value.message} {caught.value.remedy}"


@given(st.text(max_size=30))
def test_parse_never_fails_in_another_way(text):
    with contextlib.suppress(ConfigError):
        parse(text)


def test_a_metric_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "my_metrics.py").write_text(
        "from vgbench.metrics import per_clip_metric\n"
        "brightness = per_clip_metric('brightness', 'Brightness', lambda clip: float(clip.mean()),\n"
        "                             better='real', citation='own')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    choice = parse("my_metrics:brightness")
    assert str(choice) == "my_metrics:brightness"
    assert tuple(choice.metric.directions) == ("brightness",)
    assert choice.metric.measure(np.full((2, 4, 4, 3), 7, np.uint8)) == 7


def test_parse_list_splits_outside_of_brackets():
    choices = parse_list("fvd, kvd(degree=2,biased=true) ,is")
    assert [str(c) for c in choices] == ["fvd", "kvd(degree=2,biased=true)", "is"]
    assert parse_list(["fvd", "prdc(k=3)"]) == [parse("fvd"), parse("prdc(k=3)")]


def test_parse_list_refuses_two_scores_of_one_name():
    with pytest.raises(ConfigError, match=r"both give a score named 'fvd'"):
        parse_list("fvd,fvd(covariance=biased)")


def test_the_table_loads_neither_torch_nor_scipy_nor_opencv():
    code = (
        "import sys, vgbench.metrics;"
        "print([name for name in ('torch', 'scipy', 'cv2', 'torchmetrics') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_module_that_declares_a_metric_the_old_way_is_told_the_new_one(tmp_path, monkeypatch):
    (tmp_path / "old_metrics.py").write_text("from vgbench.metrics import ClipMetric\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="ClipMetric is gone") as caught:
        parse("old_metrics:brightness")
    assert "per_clip_metric" in caught.value.remedy


def test_a_metric_measures_windows_if_and_only_if_it_sees_them():
    for sees, measure in (("features", len), ("pixels", None), ("motion", None)):
        with pytest.raises(TypeError, match="sees"):
            Metric("m", "M", sees, dict, {"m": "lower"}, "", measure)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.per_clip])
def test_intervals_of_metrics_of_single_clips_stay_within_their_range(name):
    metric = METRICS[name]
    low, high = metric.bounds[name]
    ends = [end for end in (low, high) if np.isfinite(end)]
    for end in ends:  # one clip away from the end of the range makes a wide interval around it
        inside = 1.0 if end == low else -1.0
        values = np.full((5, 1), end)
        values[0] += inside * 0.9
        side = Samples(values, None, np.arange(5))
        score = metric.compare(side, side)[name]
        assert low <= score.interval[0] <= score.value <= score.interval[1] <= high
        if not score.method.startswith("Wilson"):
            assert end in score.interval
            plain = metric.score(side, side)[name].interval
            assert not low <= plain[0] <= plain[1] <= high
