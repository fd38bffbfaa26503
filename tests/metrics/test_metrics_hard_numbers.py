"""Feature sets that break naive arithmetic: equal, constant, few, huge, tiny, singular, float32."""

from __future__ import annotations

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics import (
    METRICS,
    Samples,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall_density_coverage,
)

SHAPES = [(2, 1), (2, 50), (7, 50), (50, 50), (200, 20)]


def normal(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def samples(features):
    frames = np.stack([features, features, 2 * features, features, features], axis=1)
    labels = tuple("ab"[i % 2] for i in range(len(features)))
    return Samples(features, np.abs(features[:, :3]) + 1, np.arange(len(features)), frames, labels)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_sets_are_at_zero_and_never_below(n, d, scale, dtype):
    x = (normal(n, d) * scale).astype(dtype)
    spread = float(np.sum(np.var(x.astype(np.float64), axis=0)))
    for y in (x, x[::-1], x[np.random.default_rng(1).permutation(n)]):
        assert 0 <= frechet_distance(x, y) <= 1e-6 * spread
    if n >= 8:
        score = METRICS["fvd"].score(samples(x), samples(x.copy()))["fvd"]
        assert 0 <= score.value <= 1e-6 * spread
        assert np.isfinite([score.debiased, score.standard_error, *score.interval]).all()


@given(
    n=st.integers(2, 12),
    m=st.integers(2, 12),
    d=st.integers(1, 12),
    rank=st.integers(1, 12),
    exponent=st.integers(-12, 12),
    offset=st.sampled_from([0.0, 1.0, 1e3]),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=80, deadline=None)
def test_any_finite_features_give_finite_distances_that_scale(n, m, d, rank, exponent, offset, seed):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((min(rank, d), d))  # singular wherever rank < d
    x, y = (rng.standard_normal((k, len(mix))) @ mix + offset for k in (n, m))
    distance = frechet_distance(x, y)
    assert distance >= 0
    assert frechet_distance(y, x) == pytest.approx(distance, rel=1e-9, abs=1e-9)
    scale = 10.0**exponent
    assert frechet_distance(x * scale, y * scale) == pytest.approx(
        distance * scale**2, rel=1e-6, abs=1e-9 * scale**2 * (1 + offset) ** 2
    )
    assert np.isfinite(kernel_distance(x, y))
    assert kernel_distance(x, y, biased=True) >= -1e-9 * (1 + offset) ** 6


@pytest.mark.parametrize("value", [0.0, 1e-30, 3.0, 1e9])
@pytest.mark.parametrize("n", [2, 40])
def test_constant_features(value, n):
    x = np.full((n, 30), value)
    assert frechet_distance(x, x) == 0
    assert kernel_distance(x, x) == pytest.approx(0, abs=1e-9 * (1 + value**6))
    assert frechet_distance(x, x + 1) == pytest.approx(30.0, rel=1e-6)
    assert inception_score(np.full((n, 5), value))[0] == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.needs_extractor])
@pytest.mark.parametrize("kind", ["constant", "duplicates", "fewer than dimensions"])
def test_every_set_metric_survives_degenerate_sets(name, kind):
    x = {
        "constant": np.ones((12, 9)),
        "duplicates": np.repeat(normal(3, 9), 4, axis=0),
        "fewer than dimensions": normal(12, 60),
    }[kind].astype(np.float32)
    for score in METRICS[name].score(samples(x), samples(x[::-1].copy())).values():
        assert np.isfinite(score.value)


@pytest.mark.parametrize("exponent", [-100, -30, 60, 120])
@pytest.mark.parametrize("name", ["fvd", "jedi_mmd", "kvd"])
def test_huge_and_tiny_features_have_the_errors_of_others(name, exponent):
    """Distances are powers of the features' scale; a power of two changes no digit of a float."""
    score = METRICS[name].score
    options = {"coef0": 0.0} if name == "kvd" else {}
    x, y = normal(40, 6), normal(40, 6, seed=1) + 0.3
    degree = {"fvd": 2, "jedi_mmd": 4, "kvd": 6}[name]
    ((_, plain),) = score(samples(x), samples(y), **options).items()
    ((_, found),) = score(samples(x * 2.0**exponent), samples(y * 2.0**exponent), **options).items()
    unit = 2.0 ** (degree * exponent)
    numbers = [(s.value, s.best_estimate, s.standard_error, *s.interval) for s in (found, plain)]
    assert [number / unit for number in numbers[0]] == pytest.approx(numbers[1], rel=1e-9)


@pytest.mark.parametrize("name", ["kvd", "jedi_mmd"])
def test_features_too_large_for_a_kernel_are_refused(name):
    with pytest.raises(VgbenchError, match="too large for a kernel"):
        METRICS[name].score(samples(normal(20, 6) * 1e100), samples(normal(20, 6, seed=1) * 1e100))


def test_float32_features_are_summed_in_float64():
    """A mean far from zero: in float32, 1e4 + noise of 1e-2 would leave nothing of the variance."""
    x = (1e4 + 0.01 * normal(4000, 4)).astype(np.float32)
    y = (1e4 + 0.01 * normal(4000, 4, seed=1)).astype(np.float32)
    exact = frechet_distance(x.astype(np.float64) - 1e4, y.astype(np.float64) - 1e4)
    assert frechet_distance(x, y) == pytest.approx(exact, rel=1e-5)


def test_two_clips_a_side_have_a_value_and_no_error():
    score = METRICS["fvd"].score(samples(normal(2, 30)), samples(normal(2, 30, seed=1)))["fvd"]
    assert score.value > 0
    assert score.standard_error is None
    with pytest.raises(Exception, match="at least 2"):
        frechet_distance(normal(1, 3), normal(5, 3))


def test_the_number_of_blas_threads_changes_nothing():
    sides = [samples(normal(150, 80, seed)) for seed in (0, 1)]
    scores = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            found = [METRICS[name].score(*sides) for name in ("fvd", "kvd", "prdc", "is")]
        scores.append({name: score.value for part in found for name, score in part.items()})
    assert scores[0] == pytest.approx(scores[1], rel=1e-9)


def test_far_neighbours_and_equal_ones():
    x = normal(20, 5)
    for scale in (1e-12, 1e12):
        found = precision_recall_density_coverage(x * scale, x * scale, k=3)
        assert found == precision_recall_density_coverage(x, x, k=3)
