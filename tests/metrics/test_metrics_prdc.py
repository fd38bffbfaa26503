"""Precision, recall, density, coverage: conventions, brute force, the jackknife's replicates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics import METRICS, Samples, prdc
from vgbench.metrics import precision_recall_density_coverage as measure
from vgbench.metrics.uncertainty import deal


def by_neighbours(real, generated, k):
    """The definitions, point by point, with scikit-learn's brute-force neighbours."""
    neighbors = pytest.importorskip("sklearn.neighbors")

    def radii(x):
        found = neighbors.NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(x).kneighbors(x)[0]
        return found[:, k]

    real_radii, generated_radii = radii(real), radii(generated)
    d = np.linalg.norm(real[:, None] - generated[None], axis=2)
    precision = np.mean([np.any(d[:, j] < real_radii) for j in range(len(generated))])
    recall = np.mean([np.any(d[i] < generated_radii) for i in range(len(real))])
    density = np.mean([np.sum(d[:, j] < real_radii) for j in range(len(generated))]) / k
    coverage = np.mean([np.min(d[i]) < real_radii[i] for i in range(len(real))])
    return precision, recall, density, coverage


def sets(n=150, m=120, d=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((m, d)) * 0.7 + 0.4


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equals_brute_force(k):
    real, generated = sets()
    assert measure(real, generated, k) == pytest.approx(by_neighbours(real, generated, k), abs=1e-12)


def test_same_set_has_it_all():
    x, _ = sets()
    found = measure(x, x)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_far_sets_have_nothing_in_common():
    x, y = sets()
    assert measure(x, y + 1000) == (0, 0, 0, 0)


def test_mode_collapse_keeps_precision_and_loses_recall():
    rng = np.random.default_rng(0)
    modes = rng.standard_normal((5, 8)) * 20
    real = modes[np.arange(200) % 5] + rng.standard_normal((200, 8))
    collapsed = modes[0] + rng.standard_normal((200, 8)) * 0.5
    found = measure(real, collapsed)
    assert found.precision > 0.95
    assert found.recall < 0.1
    assert found.coverage < 0.25


def test_sides_are_not_interchangeable():
    real, generated = sets()
    forward, backward = measure(real, generated), measure(generated, real)
    assert (forward.precision, forward.recall) == (backward.recall, backward.precision)


def test_comparison_is_strict_so_repeated_clips_cover_nothing():
    repeated = np.zeros((10, 3))
    assert measure(repeated, repeated) == (0, 0, 0, 0)


def test_point_on_the_surface_of_a_ball_is_outside():
    real = np.array([[0.0], [1.0], [2.0]])  # all radii are 1 with k = 1
    assert measure(real, np.array([[3.0], [10.0]]), k=1).precision == 0
    assert measure(real, np.array([[2.999], [10.0]]), k=1).precision == 0.5


def test_chunks_do_not_show(monkeypatch):
    real, generated = sets()
    whole = measure(real, generated)
    monkeypatch.setattr(prdc, "_CHUNK", 11)
    assert measure(real, generated) == whole


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([2.0**-20, 2.0**20]))
def test_properties(seed, scale):
    rng = np.random.default_rng(seed)
    real, generated = rng.standard_normal((20, 3)), rng.standard_normal((25, 3))
    value = measure(real, generated, k=3)
    assert measure(real[rng.permutation(20)], generated[rng.permutation(25)], k=3) == pytest.approx(value)
    assert measure(real * scale, generated * scale, k=3) == pytest.approx(value)  # a power of two is exact
    assert all(0 <= v <= 1 for v in (value.precision, value.recall, value.coverage))


@pytest.mark.parametrize("chunk", [1024, 7])
@pytest.mark.parametrize("windows", [2, 9, 15])
def test_replicates_are_the_measures_without_each_block(windows, chunk, monkeypatch):
    """Rows of one block are each other's neighbours: a block takes part of a list along, or all of it."""
    monkeypatch.setattr(prdc, "_CHUNK", chunk)
    real, generated = sets(n=90, m=80)
    groups_r, groups_g = np.arange(90) // windows, np.arange(80)
    if windows > 2:
        real = real[groups_r] * 5 + real * 0.1
    blocks_r, blocks_g = deal(groups_r), deal(groups_g)
    _, without_r, without_g = prdc._resampled(real, generated, blocks_r, blocks_g, 5)
    expected_r = [measure(np.delete(real, rows, axis=0), generated) for rows in blocks_r]
    expected_g = [measure(real, np.delete(generated, rows, axis=0)) for rows in blocks_g]
    np.testing.assert_allclose(without_r, expected_r, atol=1e-12)
    np.testing.assert_allclose(without_g, expected_g, atol=1e-12)


def test_standard_error_is_near_the_spread_over_fresh_sets():
    found = []
    for seed in range(40):
        real, generated = sets(n=200, m=200, seed=seed)
        score = METRICS["prdc"].score
        found.append(score(Samples(generated, None, np.arange(200)), Samples(real, None, np.arange(200))))
    for name in ("precision", "recall", "density", "coverage"):
        spread = np.std([f[name].value for f in found], ddof=1)
        claimed = np.mean([f[name].standard_error for f in found])
        assert 0.6 < claimed / spread < 1.5, name
        assert found[0][name].debiased is None


@pytest.mark.parametrize("k", [0, 4])
def test_k_must_leave_a_neighbour(k):
    with pytest.raises(VgbenchError, match="k ="):
        measure(np.zeros((4, 2)), np.zeros((9, 2)), k)


def test_intervals_end_where_the_measures_do():
    """Two sets of one distribution: precision and recall so near 1 that their errors reach past it."""
    rng = np.random.default_rng(5)
    samples = [Samples(rng.standard_normal((60, 2)), None, np.arange(60)) for _ in range(2)]
    scores = prdc.score(*samples, k=5)
    past = [name for name, one in scores.items() if one.value + 1.96 * one.standard_error > 1]
    assert {"precision", "recall"} & set(past)
    for name, one in scores.items():
        low, high = one.interval
        assert 0 <= low <= one.value <= high
        assert name == "density" or high <= 1


@pytest.mark.parametrize(
    ("real_clips", "generated_clips", "k", "known"),
    [  # two windows of each clip, which count once; without one clip, more than k must be left on either side
        (7, 9, 5, True),
        (6, 9, 5, False),
        (9, 7, 5, True),
        (9, 6, 5, False),
        (3, 9, 2, False),
    ],
)
def test_an_error_needs_neighbours_without_each_block(real_clips, generated_clips, k, known):
    rng = np.random.default_rng(0)
    sides = [
        Samples(rng.standard_normal((2 * clips, 3)), None, np.arange(2 * clips) // 2)
        for clips in (generated_clips, real_clips)
    ]
    groups = sides[1].groups, sides[0].groups
    for name, score in prdc.score(*sides, k=k).items():
        assert score.value == getattr(measure(sides[1].features, sides[0].features, k, groups=groups), name)
        assert (score.standard_error is not None) == known
        assert score.method.startswith("jackknife" if known else "none")
