"""Blocks, jackknife, clusters and differences, against textbook formulas and simulation."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples, Score, difference, score_clips
from vgbench.metrics.frechet import score as score_fvd
from vgbench.metrics.kernel import score as score_kvd
from vgbench.metrics.uncertainty import (
    Jackknife,
    Side,
    deal,
    error_and_interval,
    freedom,
    resample,
    score_pairs,
    score_share,
    sloped_interval,
    without_error,
)


def jackknife_of(statistic, x, blocks):
    return Side.of([statistic(np.delete(x, rows)) for rows in blocks], blocks)


@settings(max_examples=50, deadline=None)
@given(groups=st.lists(st.integers(-5, 40), min_size=1, max_size=150), most=st.integers(4, 40))
def test_dealing(groups, most):
    blocks = deal(groups, most)
    numbers = np.asarray(groups)
    clips = np.unique(numbers)
    if len(clips) < 4:
        assert blocks == []
        return
    assert len(blocks) == min(most, len(clips))
    assert sorted(np.concatenate(blocks)) == list(range(len(groups)))  # every window once
    assert sum(len(np.unique(numbers[rows])) for rows in blocks) == len(clips)  # no clip is torn
    largest = max(np.count_nonzero(numbers == clip) for clip in clips)
    sizes = [len(rows) for rows in blocks]
    assert max(sizes) - min(sizes) <= largest
    assert all((a == b).all() for a, b in zip(blocks, deal(groups, most), strict=True))


def test_dealing_does_not_follow_the_order_of_the_clips():
    blocks = deal(np.arange(3200))
    starts = np.array([rows.mean() for rows in blocks])
    # Dealt in turn, the means would lie within 1 of each other; by chance they spread like means of 100.
    assert starts.std() == pytest.approx(3200 / np.sqrt(12 * 100), rel=0.5)


def test_jackknife_of_a_mean_is_the_textbook_error():
    x = np.random.default_rng(0).standard_normal(30)
    blocks = [np.array([i]) for i in range(30)]
    found = Jackknife(x.mean(), jackknife_of(np.mean, x, blocks)).score(30)
    assert found.standard_error == pytest.approx(stats.sem(x), rel=1e-10)
    assert found.debiased == pytest.approx(x.mean(), rel=1e-10)
    low, high = stats.t.interval(0.95, 29, x.mean(), stats.sem(x))
    assert found.interval == pytest.approx((low, high), rel=1e-10)


def test_jackknife_makes_the_variance_unbiased():
    x = np.random.default_rng(1).standard_normal(25)
    blocks = [np.array([i]) for i in range(25)]
    corrected = Jackknife(np.var(x), jackknife_of(np.var, x, blocks)).corrected
    assert corrected == pytest.approx(np.var(x, ddof=1), rel=1e-12)


def test_blocks_of_unequal_sizes_give_a_mean_the_clustered_error():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(400), rng.integers(1, 6, 400))
    x = rng.standard_normal(400)[groups] + 0.1 * rng.standard_normal(len(groups))
    blocks = deal(groups, 400)
    jackknifed = Jackknife(x.mean(), jackknife_of(np.mean, x, blocks))
    assert jackknifed.corrected == pytest.approx(x.mean(), rel=1e-9)
    clustered = score_clips(x, groups)
    assert jackknifed.score(1).standard_error == pytest.approx(clustered.standard_error, rel=0.02)


def test_windows_of_one_clip_do_not_make_the_error_smaller():
    clips = np.random.default_rng(3).standard_normal(50)
    once = score_clips(clips, np.arange(50))
    thrice = score_clips(np.repeat(clips, 3), np.repeat(np.arange(50), 3))
    assert thrice.standard_error == pytest.approx(once.standard_error, rel=1e-12)
    assert once.standard_error == pytest.approx(stats.sem(clips), rel=1e-12)
    assert thrice.interval == pytest.approx(once.interval, rel=1e-12)


def symmetric(count):
    half = np.random.default_rng(3).exponential(size=count // 2)
    return 5 + np.concatenate([half, -half])


@pytest.mark.parametrize("count", [2, 6, 50])
def test_symmetric_values_have_students_interval(count):
    values = symmetric(count)
    expected = stats.t.interval(0.95, count - 1, 5, stats.sem(values))
    assert score_clips(values).interval == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_a_skewed_mean_solves_halls_equation():
    """g(r) = r + γ r² / (3 √n) + γ² r³ / (27 n) + γ / (6 √n) of r = (mean − μ) / error is ± t at the ends."""
    values = np.random.default_rng(1).exponential(size=12)
    skewness, quantile = stats.skew(values), stats.t.ppf(0.975, 11)
    ends = []
    for t in (quantile, -quantile):
        a = skewness / np.sqrt(12)
        roots = np.roots([a**2 / 27, a / 3, 1, a / 6 - t])
        ratio = roots[np.abs(roots.imag) < 1e-9].real.item()
        ends.append(values.mean() - ratio * stats.sem(values))
    assert score_clips(values).interval == pytest.approx(ends, rel=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_intervals_of_skewed_means_cover_the_truth(sign):
    """Exponential values: Student's interval holds the mean of 16 in 90.5 % of all draws."""
    draws = sign * np.random.default_rng(0).exponential(size=(1500, 16))
    intervals = np.array([score_clips(values).interval for values in draws])
    assert 0.925 < np.mean((intervals[:, 0] <= sign) & (sign <= intervals[:, 1])) < 0.985


def test_equal_values_have_an_interval_of_length_zero():
    assert score_clips([0.25] * 5).interval == (0.25, 0.25)


def test_clip_scores_of_a_single_clip_have_no_error():
    found = score_clips([1.0, 2.0], [7, 7], real=[3.0, 5.0])
    assert (found.value, found.standard_error, found.interval, found.n, found.real) == (1.5, None, None, 2, 4)


@pytest.mark.parametrize(("hits", "n"), [(0, 30), (1, 30), (15, 30), (40, 40), (3, 1000)])
def test_a_share_of_independent_clips_has_wilsons_interval(hits, n):
    found = score_share(np.arange(n) < hits)
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert found.value == hits / n
    assert found.interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.standard_error > 0


def test_no_hit_at_all_leaves_room_for_some():
    z = stats.norm.ppf(0.975)
    assert score_share(np.zeros(100, dtype=bool)).interval == pytest.approx((0, z**2 / (100 + z**2)))
    clustered = score_share(np.zeros(100, dtype=bool), np.repeat(np.arange(20), 5))
    assert clustered.interval == pytest.approx((0, z**2 / (20 + z**2)))  # 20 clips, not 100
    uneven = score_share(np.zeros(8, dtype=bool), [0, 0, 0, 0, 0, 1, 2, 3])
    assert uneven.interval[1] == pytest.approx(z**2 / (64 / 28 + z**2))


@pytest.mark.parametrize("alike", [True, False])
def test_the_effective_number_of_clips_lies_between_clips_and_windows(alike):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 4)
    hits = (rng.random(200) < 0.3)[groups] if alike else rng.random(800) < 0.3
    n = 200 if alike else 800
    ours, textbook = score_share(hits, groups).interval, score_share(np.arange(n) < hits.mean() * n).interval
    assert np.diff(ours) == pytest.approx(np.diff(textbook), rel=0.1)


def wilson(hits, n, freedom=np.inf):
    """Interval of the textbook, for a number of clips that need not be whole."""
    z, p = stats.t.ppf(0.975, freedom), hits / n
    roots = np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2])
    return tuple(sorted(roots.real))


def test_clips_whose_windows_differ_count_no_more_than_their_windows():
    """A hit and a miss in every clip but two: clips are more alike than independent windows could be."""
    hits = np.array([1, 1, 0, 0, *[1, 0] * 18], dtype=bool)
    found = score_share(hits, np.arange(40) // 2)
    assert 0.25 / score_clips(hits, np.arange(40) // 2).standard_error ** 2 > 40
    assert found.interval == pytest.approx(wilson(20, 40), abs=1e-9)
    assert found.method == "Wilson(40 effective clips)"


def test_clips_whose_windows_agree_count_no_less_than_the_clips():
    hits = np.repeat([True, False, False, True], 5)
    groups = np.repeat(np.arange(4), 5)
    assert 0.25 / score_clips(hits, groups).standard_error ** 2 == pytest.approx(3)
    assert score_share(hits, groups).interval == pytest.approx(wilson(2, 4), abs=1e-9)


def test_in_between_the_effective_number_follows_from_the_error():
    hits = np.array([1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1], dtype=bool)
    groups = np.arange(14) // 2
    error, p = score_clips(hits, groups).standard_error, hits.mean()
    n = p * (1 - p) / error**2
    assert 7 < n < 14
    found = score_share(hits, groups)
    low, high = wilson(p * n, n)
    assert found.interval == pytest.approx((low, high), abs=1e-9)
    assert found.standard_error == pytest.approx((high - low) / 2 / stats.norm.ppf(0.975), rel=1e-9)


@pytest.mark.parametrize("p", [0.01, 0.05, 0.5])
def test_a_share_s_interval_covers_the_truth(p):
    counts = np.random.default_rng(5).binomial(150, p, 600)
    covers = {k: score_share(np.arange(150) < k).interval for k in set(counts.tolist())}
    assert np.mean([covers[k][0] <= p <= covers[k][1] for k in counts.tolist()]) > 0.92


def test_the_difference_of_two_shares_of_none_is_not_certain():
    none = score_share(np.zeros(50, dtype=bool))
    apart = difference(none, none).interval
    assert apart[0] < 0 < apart[1]


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [[1.0]]])
def test_clip_scores_refuse_what_has_no_mean(values):
    with pytest.raises(VgbenchError):
        score_clips(values)


@pytest.mark.parametrize("unequal", [False, True])
def test_pairs_are_counted_once(unequal):
    """x̄ · ȳ of centred rows is all pairs: its variance is D / (n m), the plain jackknife says twice that."""
    n, d = 64, 30
    groups = np.repeat(np.arange(16), [1, 7, 2, 6, 3, 5, 4, 4] * 2 if unequal else 4)
    blocks = deal(groups)
    claimed, plain, values = [], [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((2, n, d))

        def product(out_x, out_y, x=x, y=y):
            a = np.delete(x, [row for j in out_x for row in blocks[j]], axis=0)
            b = np.delete(y, [row for j in out_y for row in blocks[j]], axis=0)
            return a.mean(axis=0) @ b.mean(axis=0) + 5 / len(a) + 5 / len(b)

        found = resample(product, blocks, blocks)
        values.append(found.value)
        claimed.append(found.score(n).standard_error ** 2)
        plain.append(sum(np.sum(side.deviations(found.value) ** 2) for side in found.sides))
    truth = d / n**2
    assert np.mean([found.corrected - found.value]) == pytest.approx(-10 / n, rel=0.5)
    assert np.var(values) == pytest.approx(truth, rel=0.4)
    assert np.mean(plain) > 1.8 * truth
    assert np.mean(claimed) == pytest.approx(truth, rel=0.35)


def blocks_of(*sizes):
    edges = np.cumsum((0, *sizes))
    return [np.arange(a, b) for a, b in itertools.pairwise(edges)]


def from_pairs(sizes, within, between):
    """What `resample` finds of Σ 3 / n + (1 / n) Σ l_i + (2 / n²) Σ_{i<j} q_ij + (1 / (n m)) Σ r_ij."""
    rng = np.random.default_rng(0)
    sizes = [np.array(side) for side in sizes]
    single = [rng.standard_normal(len(side)) for side in sizes]

    def measure(*out):
        kept = [np.setdiff1d(np.arange(len(side)), blocks) for side, blocks in zip(sizes, out, strict=True)]
        counts = [int(side[blocks].sum()) for side, blocks in zip(sizes, kept, strict=True)]
        value = 5 + between[np.ix_(*kept)].sum() / math.prod(counts)
        for alone, pairs, blocks, n in zip(single, within, kept, counts, strict=True):
            q = np.triu(pairs[np.ix_(blocks, blocks)], 1).sum()
            value += 3 / n + alone[blocks].sum() / n + 2 * q / n**2
        return value

    blocks = [blocks_of(*side) for side in sizes]
    assert resample(measure, *blocks, pairs=False).from_pairs == 0
    return resample(measure, *blocks).from_pairs


@pytest.mark.parametrize(
    "sizes", [((1,) * 5, (1,) * 13), ((1,) * 17, (1,) * 9), ((3, 1, 2, 5, 4), (2, 2, 7, 1, 1, 1, 3, 2, 6))]
)
def test_the_part_from_pairs_of_one_side_is_exact_where_all_weigh_alike(sizes):
    (g, h), (n, m) = map(len, sizes), map(sum, sizes)
    steps = [np.abs(np.subtract.outer(np.arange(count), np.arange(count))) for count in (g, h)]
    around = [np.minimum(step, count - step) for step, count in zip(steps, (g, h), strict=True)]
    signs = [np.where(step % 2 == 1, 1.0, -1.0) for step in around]
    assert all(np.all(side.sum(axis=0) == side.diagonal()) for side in signs)  # each block: pairs sum to 0
    expected = np.hypot(np.sqrt(2 * g * (g - 1)) / n**2, np.sqrt(2 * h * (h - 1)) / m**2)
    assert from_pairs(sizes, signs, np.zeros((g, h))) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "sizes", [((1,) * 8, (1,) * 20), ((1,) * 14, (1,) * 4), ((3, 1, 2, 5, 4, 1), (2, 2, 7, 1, 1, 1, 3, 2))]
)
def test_the_part_from_pairs_between_sides_is_exact_where_all_weigh_alike(sizes):
    (g, h), (n, m) = map(len, sizes), map(sum, sizes)
    signs = np.outer(np.resize([1.0, -1.0], g), np.resize([1.0, 1.0, -1.0, -1.0], h))
    assert not np.any([*signs.sum(axis=0), *signs.sum(axis=1)])
    expected = np.sqrt(g * h) / (n * m)
    assert from_pairs(sizes, [np.zeros((g, g)), np.zeros((h, h))], signs) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sizes", [(1,) * 6, (5, 1, 3, 2)])
def test_a_bias_of_one_over_n_is_corrected_exactly(sizes):
    blocks, n = blocks_of(*sizes), sum(sizes)
    side = Side.of([7 + 3 / (n - size) for size in sizes], blocks)
    assert side.bias(7 + 3 / n) == pytest.approx(3 / n, rel=1e-9)
    other = Side.of([7 + 3 / n] * 4, blocks_of(1, 1, 1, 1))
    assert Jackknife(7 + 3 / n, side, other).corrected == pytest.approx(7, rel=1e-12)


def test_what_a_block_adds_to_the_error_of_a_mean():
    """Leaving block j out moves the mean by θ − θ_(−j); the jackknife's sum is (g − 1) / g of the squares."""
    x = np.random.default_rng(4).standard_normal(17)
    blocks = blocks_of(5, 1, 3, 2, 6)
    found = jackknife_of(np.mean, x, blocks).deviations(x.mean())
    moved = [np.delete(x, rows).mean() - x.mean() for rows in blocks]
    assert found == pytest.approx(-np.sqrt(4 / 5) * np.array(moved), rel=1e-9)


def means(x, y, from_pairs=0.0):
    sides = [jackknife_of(np.mean, side, blocks_of(*[1] * len(side))) for side in (x, y)]
    shifted = [
        Side(side.replicates + sign * other.mean(), side.sizes)
        for side, sign, other in ((sides[0], -1, y), (Side(-sides[1].replicates, sides[1].sizes), 1, x))
    ]
    return Jackknife(x.mean() - y.mean(), *shifted, from_pairs=from_pairs)


def test_a_difference_of_means_has_welchs_interval():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal(6), 3 * rng.standard_normal(11)
    found = means(x, y).score(6)
    expected = stats.ttest_ind(x, y, equal_var=False)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    assert found.standard_error == pytest.approx(np.hypot(stats.sem(x), stats.sem(y)), rel=1e-9)


@pytest.mark.parametrize(("part", "share"), [(0.0, 1.0), (0.5, 0.75), (0.6, 0.64), (0.9, 0.5), (3.0, 0.5)])
def test_what_pairs_add_is_taken_off_once_and_freedom_shrinks_by_its_square(part, share):
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal(9), rng.standard_normal(14)
    plain, freedom = means(x, y).score(9), stats.ttest_ind(x, y, equal_var=False).df
    found = means(x, y, from_pairs=part * plain.standard_error)
    assert found.share_counted_once == pytest.approx(share)
    score = found.score(9)
    assert score.standard_error == pytest.approx(np.sqrt(share) * plain.standard_error, rel=1e-9)
    half = stats.t.ppf(0.975, share**2 * freedom) * score.standard_error
    assert score.interval == pytest.approx((score.debiased - half, score.debiased + half), rel=1e-9)
    assert np.linalg.norm(np.concatenate(score.deviations)) == pytest.approx(score.standard_error, rel=1e-9)


def test_without_any_spread_there_is_nothing_to_take_off():
    still = Side(np.zeros(5), np.ones(5, dtype=np.int64))
    found = Jackknife(0.0, still, still, from_pairs=1.0)
    assert found.share_counted_once == 1
    assert found.score(5).interval == (0, 0)


def test_a_share_has_wilsons_interval_with_as_many_clips_as_its_error_says():
    x = np.array([0.1, 0.9, 0.8, 1.0, 0.2])
    side = jackknife_of(np.mean, x, blocks_of(1, 1, 1, 1, 1))
    found = Jackknife(x.mean(), side, biased=False, share_of=200).score(5)
    n = x.mean() * (1 - x.mean()) / stats.sem(x) ** 2
    assert 1 < n < 200
    assert found.standard_error == pytest.approx(stats.sem(x))
    assert found.interval == pytest.approx(wilson(x.mean() * n, n, freedom=4), rel=1e-9)
    assert found.debiased is None


def test_a_share_of_all_has_an_interval():
    side = Side(np.ones(6), np.ones(6, dtype=np.int64))
    found = Jackknife(1.0, side, biased=False, share_of=30).score(6)
    assert found.interval == pytest.approx(wilson(30, 30), rel=1e-9)


def test_with_a_positive_estimate_the_interval_is_symmetric_in_its_logarithm():
    rng = np.random.default_rng(5)
    plain = means(rng.standard_normal(9), rng.standard_normal(14))
    linear, found = plain.score(9), dataclasses.replace(plain, positive=2.5).score(9)
    assert found.standard_error == linear.standard_error
    assert found.debiased == linear.debiased
    half = (linear.interval[1] - linear.interval[0]) / 2
    low, high = (np.log(end - found.debiased + 2.5) for end in found.interval)
    assert [low, high] == pytest.approx(np.log(2.5) + np.array([-half, half]) / 2.5, rel=1e-9)


@given(middle=st.floats(-9, 9), error=st.floats(0.1, 9), slope=st.floats(0.01, 3), t=st.floats(1, 3))
def test_on_its_own_scale_a_sloped_interval_is_symmetric(middle, error, slope, t):
    low, high = sloped_interval(middle, error, t, slope)
    on_scale = [np.log1p(slope * (end - middle) / error) / slope for end in (low, high)]
    assert on_scale == pytest.approx([-t, t], rel=1e-6)
    assert high - middle > t * error > middle - low


@pytest.mark.parametrize("slope", [0.0, -0.4, 1e-12])
def test_without_a_slope_an_interval_is_symmetric(slope):
    assert sloped_interval(1.0, 0.5, 2.0, slope) == (0.0, 2.0)


def test_the_slope_of_an_error_follows_from_curvature_and_skewness():
    """Both sides: 0.6 and 0.8 of the error. The generated blocks lean, the real ones do not."""
    x, y = np.array([0.5, -0.1, -0.2, -0.2]), np.array([0.4, -0.4])
    x, y = x * 3 / np.linalg.norm(x), y * 4 / np.linalg.norm(y)
    curved = 2 * 5 * (0.02 * 0.36**2 + 0.03 * 0.64**2 + 0.01 * 0.36 * 0.64)
    leaning = 2 / 3 * np.sum(x**3) / 5**3
    error, (low, high) = error_and_interval(7.0, [x, y], math.inf, bends=(0.02, 0.03, 0.01))
    assert error == pytest.approx(5)
    middle = 7 + 5 * (curved / 2 + leaning / 4)
    assert (low, high) == pytest.approx(sloped_interval(middle, 5, stats.norm.ppf(0.975), curved + leaning))
    assert curved > 0.05 < leaning


@given(
    bends=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    x=st.lists(st.floats(-5, 5), min_size=4, max_size=9),
    y=st.lists(st.floats(-5, 5), min_size=4, max_size=9),
)
def test_an_interval_holds_its_estimate_whatever_the_bends(bends, x, y):
    error, (low, high) = error_and_interval(3.0, [x, y], math.inf, bends=bends)
    assert low <= 3 <= high
    assert high - low <= 7 * error


def squared_gap(x, y):
    """(mean of x − mean of y)² without blocks of one row each."""

    def measure(without_x, without_y):
        return (np.delete(x, without_x).mean() - np.delete(y, without_y).mean()) ** 2

    return resample(measure, blocks_of(*[1] * len(x)), blocks_of(*[1] * len(y)))


def test_bends_of_a_squared_difference_of_means():
    """(δ + p − q)² = θ + u + v + u² / 4θ + v² / 4θ + u v / 2θ, with u = 2 δ p and v = −2 δ q."""
    rng = np.random.default_rng(0)
    found = squared_gap(rng.standard_normal(32) + 5, rng.standard_normal(24))
    a, b, c = (bend * found.value for bend in found.bends)
    assert a == pytest.approx(1 / 4, rel=0.08)  # less than 1 / 4 by the bias that is taken off
    assert b == pytest.approx(1 / 4, rel=0.08)
    assert c == pytest.approx(1 / 2, rel=1e-9)


def test_a_linear_distance_does_not_bend():
    x, y = np.random.default_rng(1).standard_normal((2, 20))

    def measure(without_x, without_y):
        return float(np.delete(x, without_x).mean() - np.delete(y, without_y).mean())

    blocks = blocks_of(*[1] * 20)
    assert resample(measure, blocks, blocks).bends == pytest.approx((0, 0, 0), abs=1e-9)
    still = resample(lambda i, j: 3.0, blocks, blocks)
    assert still.bends == (0, 0, 0)
    assert still.score(20).interval == (3, 3)


def test_intervals_of_squared_differences_miss_the_truth_on_both_sides():
    """A symmetric interval misses it only where the estimate is small."""
    rng = np.random.default_rng(2)
    found = [
        squared_gap(rng.standard_normal(16) + 0.8, rng.standard_normal(16)).score(16) for _ in range(400)
    ]
    below = np.mean([score.interval[0] > 0.64 for score in found])
    above = np.mean([score.interval[1] < 0.64 for score in found])
    assert 0.005 < below < 0.05
    assert 0.005 < above < 0.05


@pytest.mark.parametrize("positive", [0.0, 1e-300])
def test_no_interval_is_endless(positive):
    rng = np.random.default_rng(5)
    found = dataclasses.replace(means(rng.standard_normal(9), rng.standard_normal(14)), positive=positive)
    low, high = found.score(9).interval
    assert low <= found.corrected <= high
    assert np.isfinite([low, high]).all()


def sums_of_squares(seed, draws):
    """Distances of equal sets: sums of 12 squares, minus their mean, with the error that goes with each."""
    for total in np.random.default_rng(seed).chisquare(12, draws).tolist():
        part = total * np.sqrt(2 / 12)
        error, interval = error_and_interval(total - 12, [(part,)], math.inf, positive=total)
        yield Score(total, error, interval, 50, total - 12, deviations=((part,), (0.0,) * 4))


def test_intervals_of_distances_cover_the_truth_on_both_sides():
    """Symmetric intervals would miss it in 12 %, always on one side."""
    scores = list(sums_of_squares(0, 4000))
    above = np.mean([score.interval[1] < 0 for score in scores])
    below = np.mean([score.interval[0] > 0 for score in scores])
    assert 0.005 < above < 0.06
    assert 0.005 < below < 0.06
    assert np.mean([s.debiased + 1.96 * s.standard_error < 0 for s in scores]) > 0.1


def test_two_equal_models_are_told_apart_in_five_of_a_hundred_draws():
    """With the root of the summed squares of the errors it would be 1 of 1,000."""
    draws = list(zip(sums_of_squares(1, 3000), sums_of_squares(2, 3000), strict=True))
    found = [difference(*pair) for pair in draws]
    assert 0.03 < np.mean([not low <= 0 <= high for low, high in (d.interval for d in found)]) < 0.07
    assert np.mean([abs(d.value) > 1.96 * d.standard_error for d in found]) < 0.02


def test_features_give_intervals_of_unequal_arms():
    rng = np.random.default_rng(0)
    sides = [Samples(side, None, np.arange(40)) for side in rng.standard_normal((2, 40, 3))]
    for found in (score_fvd(*sides)["fvd"], score_kvd(*sides)["kvd"], score_kvd(*sides, biased=True)["kvd"]):
        low, high = found.interval
        assert high - found.best_estimate > 1.2 * (found.best_estimate - low)
        assert found.method == "jackknife(32+32 blocks), curvature-corrected interval"


def fvd(mean, seed, real, n=400):
    x = np.random.default_rng(seed).standard_normal((n, 10)) + mean
    return score_fvd(Samples(x, None, np.arange(n)), real)["fvd"]


def test_difference_of_two_models_uses_that_they_met_the_same_real_clips():
    real = Samples(np.random.default_rng(9).standard_normal((150, 10)), None, np.arange(150))
    a, b = fvd(0.5, 1, real), fvd(0.55, 2, real)
    shared, independent = difference(a, b, same_real=True), difference(a, b)
    assert shared.value == independent.value == a.debiased - b.debiased
    assert shared.standard_error < 0.8 * independent.standard_error
    assert independent.standard_error == pytest.approx(np.hypot(a.standard_error, b.standard_error), rel=1e-9)
    truth = 10 * (0.5**2 - 0.55**2)
    assert shared.interval[0] < truth < shared.interval[1]


def test_difference_of_a_score_from_itself_leaves_only_the_generated_part():
    real = Samples(np.random.default_rng(9).standard_normal((150, 10)), None, np.arange(150))
    a = fvd(0.5, 1, real)
    generated_part = np.sqrt(2 * np.sum(np.square(a.deviations[0])))
    assert difference(a, a, same_real=True).standard_error == pytest.approx(generated_part, rel=1e-9)


def test_difference_of_clip_metrics_adds_the_variances():
    rng = np.random.default_rng(0)
    a, b = score_clips(rng.standard_normal(100)), score_clips(rng.standard_normal(100) + 1)
    found = difference(b, a)
    assert found.standard_error == pytest.approx(np.hypot(a.standard_error, b.standard_error))
    assert found.interval[0] < 1 < found.interval[1]


def test_difference_of_clip_metrics_counts_source_clips_and_not_windows():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 8)

    def few(shift):
        return score_clips(np.repeat(rng.standard_normal(2), 8) + shift, groups)

    many = score_clips(rng.standard_normal(500))
    for a, b in ((few(0), few(1)), (few(0), many), (many, few(0))):
        found = difference(a, b)
        half = stats.t.ppf(0.975, 1) * min(a.standard_error, b.standard_error)
        assert found.interval[1] - found.value > half
        assert found.value - found.interval[0] > half
    false = sum(
        not low <= 0 <= high for low, high in (difference(few(0), few(0)).interval for _ in range(400))
    )
    assert false <= 20  # of 400: at most 5 %; it was 70


def test_difference_of_means_over_pairs_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    hard = rng.normal(28, 4, 50)
    values = hard + rng.normal(0, 0.3, 50), hard + rng.normal(0.1, 0.3, 50)
    a, b = map(score_pairs, values)
    assert np.sum(np.square(a.deviations[1])) == pytest.approx(a.standard_error**2)
    expected = stats.ttest_rel(values[1], values[0]).confidence_interval()
    assert difference(b, a, same_real=True).interval == pytest.approx(expected, rel=1e-9)
    # Other references, or an older record: nothing is shared.
    for other in (score_pairs(values[0][1:]), score_clips(values[0])):
        apart = difference(b, other, same_real=True)
        assert apart.standard_error == pytest.approx(np.hypot(b.standard_error, other.standard_error))
        assert np.diff(apart.interval) > 4 * np.diff(expected)
    assert score_pairs([1.0]).deviations is None


def test_the_difference_of_two_shares_is_newcombes():
    """Method 10 of Newcombe, Stat. Med. 17 (1998) 873-890, whose table II has 56/70 against 48/80."""
    a, b = score_share(np.arange(70) < 56), score_share(np.arange(80) < 48)
    assert difference(a, b).interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_difference_of_scores_with_unequal_arms():
    """Zou and Donner's limits, and what is left of them where a part of the error is common to both."""
    a = Score(5.0, 5.0, (1.0, 9.5), 50, deviations=((3.0,), (0.0, 4.0)))
    b = Score(3.0, 13.0, (2.5, 13.0), 50, deviations=((5.0,), (0.0, 12.0)))
    independent, shared = difference(a, b), difference(a, b, same_real=True)
    low, high = np.hypot(4, 10), np.hypot(4.5, 0.5)
    assert independent.interval == pytest.approx((2 - low, 2 + high), rel=1e-9)
    assert shared.standard_error == pytest.approx(np.sqrt(3**2 + 5**2 + 8**2))
    left = shared.standard_error / np.hypot(5, 13)
    assert shared.interval == pytest.approx((2 - left * low, 2 + left * high), rel=1e-9)


@pytest.mark.parametrize("count", [3, 8, 40])
def test_freedom_is_that_of_the_blocks_or_of_the_interval(count):
    interval = stats.t.interval(0.95, count - 1, 2.0, 0.3)
    assert freedom(Score(2.0, 0.3, interval, 999)) == pytest.approx(count - 1, rel=1e-6)
    assert freedom(Score(2.0, 0.3, (0, 9), 999, deviations=((0.1,) * 99, (0.1,) * count))) == count - 1
    assert freedom(Score(2.0, 0.0, (2.0, 2.0), 9)) == np.inf


def test_difference_without_errors_says_so():
    bare = Score(1.0, None, None, 5)
    found = difference(bare, Score(0.5, 0.1, (0.3, 0.7), 5))
    assert (found.value, found.interval) == (0.5, None)
    assert found.method.startswith("none")


def test_a_distance_to_itself_keeps_its_value_alone():
    rng = np.random.default_rng(0)
    both = fvd(0.5, 1, Samples(rng.standard_normal((50, 10)), None, np.arange(50)))
    left = without_error(both)
    assert (left.value, left.n) == (both.value, both.n)
    assert (left.debiased, left.standard_error, left.interval, left.deviations) == (None, None, None, None)
    assert left.method.startswith("none")
    one_side = Jackknife(1.0, Side.of([1.0, 1.1, 0.9, 1.0], blocks_of(1, 1, 1, 1))).score(4)
    for score in (one_side, score_clips([1.0, 2.0, 4.0])):
        assert score.standard_error > 0
        assert without_error(score) is score


def test_methods_are_named():
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((n, 3)) for n in (40, 5)]
    sides = [Samples(side, None, np.arange(len(side))) for side in rows]
    jackknifed, other = score_fvd(*sides)["fvd"], score_fvd(sides[1], sides[1])["fvd"]
    clips, pairs = score_clips(rows[0][:, 0]), score_pairs(rows[0][:, 0])
    assert jackknifed.method == "jackknife(32+5 blocks), curvature-corrected interval"
    assert clips.method == pairs.method == "mean of clips(40 source clips), skewness-corrected interval"
    assert score_clips([1.0]).method == "none: a single source clip"
    assert difference(clips, clips).method == "independent errors"
    assert difference(jackknifed, jackknifed, same_real=True).method == "jackknife, real set shared"
    assert difference(jackknifed, other).method == "jackknife, independent sets"
    assert difference(pairs, pairs, same_real=True).method == "pairs, real set shared"
    assert difference(pairs, pairs).method == "pairs, independent sets"
    few = Samples(rows[1][:3], None, np.arange(3))
    assert score_fvd(few, sides[0])["fvd"].method == "none: a jackknife needs 4 source clips on each side"


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_values_at_one_end_of_a_range_leave_room_for_others(end):
    """As for a share of which no clip was found; values inside the range are another matter."""
    found = score_clips(np.full(16, end), bounds=(0.0, 1.0))
    assert found.value == end
    assert found.interval == pytest.approx(wilson(16 * end, 16), abs=1e-12)
    assert found.standard_error == pytest.approx(
        (found.interval[1] - found.interval[0]) / 2 / 1.959964, rel=1e-6
    )
    twice = score_clips(np.full(32, end), np.repeat(np.arange(16), 2), bounds=(0.0, 1.0))
    assert twice.interval == found.interval
    doubled = score_clips(np.full(16, 4 * end - 2), bounds=(-2.0, 2.0))
    assert doubled.interval == pytest.approx([4 * x - 2 for x in found.interval])
    for values, bounds in ((np.full(16, 0.5), (0.0, 1.0)), (np.zeros(16), (0.0, math.inf))):
        assert score_clips(values, bounds=bounds).interval == (values[0], values[0])
