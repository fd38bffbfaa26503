"""Polynomial MMD: the written-out sums, scikit-learn's kernel, replicates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics import METRICS, Samples, jedi_mmd, kernel, kernel_distance
from vgbench.metrics.kernel import kernel_jackknife
from vgbench.metrics.uncertainty import deal


def sets(n=90, m=70, d=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + 0.3, rng.standard_normal((m, d)) * 1.2


def samples(features, groups=None):
    return Samples(features, None, np.arange(len(features)) if groups is None else groups)


def test_by_hand_with_two_clips_a_side():
    x, y = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    # k(a, b) = (ab + 1)³: off-diagonals 27 and 1, cross terms 1, 8, 1, 27.
    assert kernel_distance(x, y) == pytest.approx(27 + 1 - 2 * (1 + 8 + 1 + 27) / 4, rel=1e-14)


def test_equals_scikit_learns_kernel():
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    x, y = sets()
    xx, yy, xy = (pairwise.polynomial_kernel(a, b) for a, b in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    expected = (
        (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.mean()
    )
    assert kernel_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_jedi_is_the_biased_square_of_mean_products_times_100():
    x, y = sets()
    means = [np.mean((a @ b.T / x.shape[1]) ** 2) for a, b in ((x, x), (y, y), (x, y))]
    assert jedi_mmd(x, y) == pytest.approx(100 * (means[0] + means[1] - 2 * means[2]), rel=1e-10)
    assert jedi_mmd(x, x) == pytest.approx(0, abs=1e-12)


def test_chunks_do_not_show(monkeypatch):
    x, y = sets()
    whole = kernel_distance(x, y)
    monkeypatch.setattr(kernel, "_CHUNK", 7)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_unbiased_estimate_averages_to_zero_for_equal_distributions():
    values = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        values.append(kernel_distance(rng.standard_normal((12, 4)), rng.standard_normal((15, 4))))
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 20), m=st.integers(2, 20), d=st.integers(1, 9))
def test_properties(seed, n, m, d):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 1
    close = pytest.approx(kernel_distance(x, y), rel=1e-9, abs=1e-9)
    assert kernel_distance(y, x) == close
    assert kernel_distance(x[rng.permutation(n)], y[rng.permutation(m)]) == close
    assert kernel_distance(x, y, biased=True) >= -1e-12
    # Without its constant the cubic kernel is homogeneous: a³ b³ for features scaled by a = b.
    plain = kernel_distance(x, y, coef0=0.0)
    assert kernel_distance(3 * x, 3 * y, coef0=0.0) == pytest.approx(3**6 * plain, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("biased", "degree", "coef0"), [(False, 3, 1.0), (True, 2, 0.0)])
def test_replicates_are_the_distances_without_each_block(biased, degree, coef0):
    x, y = sets()
    options = {"biased": biased, "degree": degree, "coef0": coef0}
    a, b = samples(x, np.arange(len(x)) // 2), samples(y)
    jackknife = kernel_jackknife(a, b, **options)
    without_x = [
        kernel_distance(np.delete(x, rows, 0), y, groups=(np.delete(a.groups, rows), None), **options)
        for rows in deal(a.groups)
    ]
    without_y = [
        kernel_distance(x, np.delete(y, rows, 0), groups=(a.groups, None), **options)
        for rows in deal(b.groups)
    ]
    np.testing.assert_allclose(jackknife.generated.replicates, without_x, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jackknife.real.replicates, without_y, rtol=1e-10, atol=1e-12)


def test_only_the_biased_estimate_is_corrected():
    x, y = sets()
    assert METRICS["kvd"].score(samples(x), samples(y))["kvd"].debiased is None
    found = METRICS["jedi_mmd"].score(samples(x), samples(y))["jedi_mmd"]
    unbiased = 100 * kernel_distance(x, y, degree=2, coef0=0.0)
    assert found.value == pytest.approx(jedi_mmd(x, y), rel=1e-12)
    assert abs(found.debiased - unbiased) < 0.05 * abs(found.value - unbiased)


def test_refuses_different_dimensions():
    with pytest.raises(VgbenchError, match="columns"):
        kernel_distance(np.zeros((4, 3)), np.zeros((4, 2)))
