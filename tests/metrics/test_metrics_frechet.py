"""Fréchet distance: closed forms, two independent implementations, hard inputs, replicates."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics import FrechetMoments, Samples, frechet_distance
from vgbench.metrics.frechet import frechet_jackknife, score
from vgbench.metrics.uncertainty import deal


def with_moments(mean, covariance, n=400, seed=0):
    """Rows whose sample mean and unbiased sample covariance are exactly these."""
    d = len(mean)
    x = np.random.default_rng(seed).standard_normal((n, d))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T).reshape(d, d))).T
    return x @ scipy.linalg.sqrtm(np.asarray(covariance, dtype=float)).real.T + mean


def random_sets(n=600, m=500, d=40, seed=1):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((d, d))
    return rng.standard_normal((n, d)) @ mix, rng.standard_normal((m, d)) * 1.3 + 0.2


def by_sqrtm(x, y):
    """The definition, with scipy's Schur-based matrix root."""
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root.real)


def samples(features, groups=None):
    groups = np.arange(len(features)) if groups is None else groups
    return Samples(features, None, groups)


def test_one_dimension_is_the_difference_of_means_and_of_deviations():
    x, y = with_moments([1.0], [[4.0]]), with_moments([-0.5], [[9.0]], n=123, seed=5)
    assert frechet_distance(x, y) == pytest.approx(1.5**2 + (2 - 3) ** 2, rel=1e-12)


def test_commuting_covariances_compare_by_their_roots():
    rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((5, 5)))[0]
    a, b = np.array([1.0, 2, 3, 4, 5]), np.array([5.0, 0.1, 2, 4, 9])
    x = with_moments(np.zeros(5), rotation @ np.diag(a) @ rotation.T)
    y = with_moments(np.full(5, 0.3), rotation @ np.diag(b) @ rotation.T, n=77, seed=9)
    expected = 5 * 0.3**2 + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_equals_the_definition_with_a_matrix_root():
    x, y = random_sets()
    assert frechet_distance(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-9)


def test_equals_torchmetrics():
    torch = pytest.importorskip("torch")
    fid = pytest.importorskip("torchmetrics.image.fid")
    x, y = random_sets()
    moments = [torch.from_numpy(v) for z in (x, y) for v in (z.mean(0), np.cov(z.T))]
    assert frechet_distance(x, y) == pytest.approx(float(fid._compute_fid(*moments)), rel=1e-9)


def test_biased_divides_by_n():
    x, y = random_sets(n=60, m=50, d=5)
    grown = [(z - z.mean(0)) * np.sqrt(len(z) / (len(z) - 1)) + z.mean(0) for z in (x, y)]
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(*grown, covariance="biased"), rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(1000, 400), (50, 400), (2, 400), (300, 1)])
def test_identical_sets_are_at_zero(n, d):
    x = np.random.default_rng(0).standard_normal((n, d)) * 7 + 100
    spread = np.sum(np.var(x, axis=0))
    assert 0 <= frechet_distance(x, x[::-1]) <= 1e-6 * spread


def test_zeros_against_ones_leaves_the_mean_term():
    assert frechet_distance(np.zeros((8, 400)), np.ones((8, 400))) == 400.0


def test_fewer_clips_than_dimensions_equals_the_same_clips_in_their_own_subspace():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((9, 4)), rng.standard_normal((7, 4)) + 1
    basis = np.linalg.qr(rng.standard_normal((300, 4)))[0]
    assert frechet_distance(x @ basis.T, y @ basis.T) == pytest.approx(frechet_distance(x, y), rel=1e-10)


def test_two_clips_a_side_are_enough():
    x, y = np.array([[0.0, 0], [2, 0]]), np.array([[1.0, -1], [1, 1]])
    # Equal means, covariances diag(2, 0) and diag(0, 2): nothing in common, so both traces remain.
    assert frechet_distance(x, y) == pytest.approx(4.0, rel=1e-12)


def test_constant_features_add_only_their_mean():
    x, y = random_sets(d=6)
    wide_x = np.hstack([x, np.full((len(x), 3), 2.0)])
    wide_y = np.hstack([y, np.full((len(y), 3), 5.0)])
    assert frechet_distance(wide_x, wide_y) == pytest.approx(frechet_distance(x, y) + 27, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_tiny_and_huge_float32_features(scale):
    x, y = (z.astype(np.float32) for z in random_sets(d=10))
    scaled = frechet_distance(x * np.float32(scale), y * np.float32(scale))
    assert scaled == pytest.approx(frechet_distance(x, y) * float(np.float32(scale)) ** 2, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(2, 30),
    m=st.integers(2, 30),
    d=st.integers(1, 12),
    scale=st.floats(0.01, 100),
)
def test_properties(seed, n, m, d, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)) + 0.5, rng.standard_normal((m, d)) * 2
    value = frechet_distance(x, y)
    size = np.sum(np.var(x, axis=0)) + np.sum(np.var(y, axis=0)) + 1
    close = pytest.approx(value, abs=1e-9 * size)
    assert value >= 0
    assert frechet_distance(y, x) == close
    assert frechet_distance(x[rng.permutation(n)], y[rng.permutation(m)]) == close
    assert frechet_distance(x + 3, y + 3) == close
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    assert frechet_distance(x @ rotation, y @ rotation) == close
    assert frechet_distance(x * scale, y * scale) / scale**2 == close


def test_does_not_depend_on_the_number_of_blas_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    x, y = random_sets(d=50)
    values = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            values.append(frechet_distance(x, y))
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize(
    ("x", "word"),
    [
        (np.full((3, 2), np.nan), "NaN"),
        (np.zeros((1, 2)), "at least 2"),
        (np.zeros(4), "shape"),
        (np.zeros((4, 3)), "columns"),
    ],
)
def test_refuses_what_has_no_distance(x, word):
    with pytest.raises(VgbenchError, match=word):
        frechet_distance(x, np.zeros((4, 2)))


@pytest.mark.parametrize("shape", [(300, 40), (45, 60), (70, 60), (300, 5)])
@pytest.mark.parametrize("covariance", ["unbiased", "biased"])
def test_replicates_are_the_distances_without_each_block(shape, covariance):
    n, d = shape
    x, y = random_sets(n=n, m=n + 7, d=d)
    a, b = samples(x, np.arange(n) // 3), samples(y, np.arange(n + 7) // 2)
    jackknife = frechet_jackknife(a, b, covariance=covariance)
    for side, blocks, brute in (
        (jackknife.generated, deal(a.groups), lambda rows: (np.delete(x, rows, axis=0), y)),
        (jackknife.real, deal(b.groups), lambda rows: (x, np.delete(y, rows, axis=0))),
    ):
        expected = [frechet_distance(*brute(rows), covariance=covariance) for rows in blocks]
        np.testing.assert_allclose(side.replicates, expected, rtol=1e-9)


def test_score_corrects_the_bias_of_few_clips():
    rng = np.random.default_rng(0)
    found = score(samples(rng.standard_normal((300, 30))), samples(rng.standard_normal((300, 30)) + 0.1))[
        "fvd"
    ]
    truth = 30 * 0.1**2
    assert found.value > 3 * truth
    assert found.interval[0] < truth < found.interval[1]
    assert found.n == 300
    assert found.best_estimate == found.debiased
    assert found.method == "jackknife(32+32 blocks), curvature-corrected interval"


def test_merged_moments_equal_the_features_in_one_piece():
    x, y = random_sets(d=20)
    streamed = FrechetMoments.from_features(x[:1])
    for start in range(1, len(x), 101):
        streamed = streamed.add(x[start : start + 101])
    merged = FrechetMoments.from_features(y[:200]).merge(FrechetMoments.from_features(y[200:]))
    assert (streamed.n, merged.n) == (len(x), len(y))
    for covariance in ("unbiased", "biased"):
        expected = frechet_distance(x, y, covariance=covariance)
        assert streamed.distance(merged, covariance=covariance) == pytest.approx(expected, rel=1e-9)


def test_moments_keep_a_small_spread_around_a_large_mean():
    x, y = (z + 1e6 for z in random_sets(d=8))
    first, second = (FrechetMoments.from_features(z[:50]).add(z[50:]) for z in (x, y))
    assert first.distance(second) == pytest.approx(frechet_distance(x, y), rel=1e-6)


def test_moments_refuse_what_does_not_fit():
    one = FrechetMoments.from_features(np.zeros((1, 3)))
    with pytest.raises(VgbenchError, match="covariance"):
        one.distance(one)
    with pytest.raises(VgbenchError, match="3 and 2"):
        one.merge(FrechetMoments.from_features(np.zeros((4, 2))))


def test_a_ridge_is_added_to_both_diagonals():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal((40, 4)) * 2
    cov_x, cov_y = (np.cov(z.T) + 0.3 * np.eye(4) for z in (x, y))
    root = np.sqrt(np.linalg.eigvals(cov_x @ cov_y).real).sum()
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cov_x) + np.trace(cov_y) - 2 * root
    assert frechet_distance(x, y, ridge=0.3) == pytest.approx(expected, rel=1e-9)
    sides = [Samples(z, None, np.arange(len(z))) for z in (x, y)]
    plain, ridged = (score(*sides, ridge=ridge)["fvd"] for ridge in (0.0, 0.3))
    assert ridged.value == pytest.approx(expected, rel=1e-9)
    assert ridged.standard_error == pytest.approx(plain.standard_error)
    assert ridged.value - ridged.debiased == pytest.approx(plain.value - plain.debiased)
