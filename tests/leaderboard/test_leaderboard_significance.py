"""P-values and intervals of differences, against the t-tests of scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vgbench.leaderboard.significance import holm, score_difference
from vgbench.metrics import Score
from vgbench.metrics.uncertainty import score_pairs


def jackknifed(value, generated, real):
    error = float(np.linalg.norm([*generated, *real]))
    half = error * stats.t.ppf(0.975, min(len(generated), len(real)) - 1)
    return Score(value, error, (value - half, value + half), 50, deviations=(generated, real))


def two_sided(value, error, freedom):
    return 2 * stats.t.sf(abs(value) / error, freedom)


def of_mean(value, error, count):
    """Mean of as many clips, with Student's interval."""
    return Score(value, error, stats.t.interval(0.95, count - 1, value, error), 1000)


@pytest.mark.parametrize("gap", [0.3, -1.0, 2.5])
def test_the_p_value_of_few_clips_is_that_of_students_t(gap):
    found = score_difference(of_mean(7.0, 0.3, 5), of_mean(7.0 + gap, 0.8, 5))
    error = math.hypot(0.3, 0.8)
    assert found.value == pytest.approx(gap)
    assert found.p_value == pytest.approx(two_sided(gap, error, 4), rel=1e-6)
    assert found.interval == pytest.approx(stats.t.interval(0.95, 4, gap, error), rel=1e-9)
    assert found.significant == (found.p_value < 0.05)


@pytest.mark.parametrize("counts", [(4, 9), (9, 4), (40, 3)])
def test_each_arm_has_the_freedom_of_its_own_clips(counts):
    first, second = (of_mean(v, 0.5, n) for v, n in zip((1.0, 3.0), counts, strict=True))
    found = score_difference(first, second)
    half = math.hypot(*(0.5 * stats.t.ppf(0.975, n - 1) for n in counts))
    assert found.interval == pytest.approx((2 - half, 2 + half), rel=1e-6)
    least = min(counts) - 1
    error = half / stats.t.ppf(0.975, least)
    assert found.p_value == pytest.approx(two_sided(2.0, error, least), rel=1e-6)


@given(st.floats(-4, 4), st.lists(st.floats(0.1, 3), min_size=4, max_size=4))
def test_the_p_value_agrees_with_intervals_of_unequal_arms(value, arms):
    first = Score(0.0, 0.5, (-arms[0], arms[1]), 50)
    second = Score(value, 0.5, (value - arms[2], value + arms[3]), 50)
    found = score_difference(first, second)
    low, high = value - math.hypot(arms[2], arms[1]), value + math.hypot(arms[3], arms[0])
    assert found.interval == pytest.approx((low, high), rel=1e-9, abs=1e-9)
    if min(abs(low), abs(high)) > 1e-6:
        assert found.significant == (not low <= 0 <= high)
    mirrored = score_difference(second, first)
    assert mirrored.interval == pytest.approx((-high, -low), rel=1e-9, abs=1e-9)
    assert mirrored.p_value == pytest.approx(found.p_value, rel=1e-9)


@pytest.mark.parametrize("flipped", [False, True])
def test_the_p_value_of_pairs_is_that_of_the_paired_t_test(flipped):
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 5, 6)
    first, second = hard + rng.normal(0, 1, 6), hard + rng.normal(1, 1, 6)
    first, second = (second, first) if flipped else (first, second)
    found = score_difference(score_pairs(first), score_pairs(second))
    expected = stats.ttest_rel(second, first)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-6)


@pytest.mark.parametrize(
    ("blocks", "same_real", "freedom"),
    [
        (((6, 9), (6, 9)), True, 5),
        (((8, 4), (9, 4)), True, 3),
        (((4, 7), (9, 4)), True, 3),  # unlike real sets have nothing in common
        (((8, 5), (9, 5)), False, 4),
    ],
)
def test_a_difference_has_the_freedom_of_the_smaller_set_of_blocks(blocks, same_real, freedom):
    rng = np.random.default_rng(1)
    first, second = (
        jackknifed(value, *(tuple(rng.standard_normal(n).tolist()) for n in counts))
        for value, counts in zip((10.0, 13.0), blocks, strict=True)
    )
    found = score_difference(first, second, same_real=same_real)
    assert found.p_value == pytest.approx(two_sided(3.0, found.standard_error, freedom), rel=1e-6)
    low, high = stats.t.interval(0.95, freedom, 3.0, found.standard_error)
    assert found.interval == pytest.approx((low, high), rel=1e-9)
    parts = [*first.deviations, *second.deviations]
    if same_real and blocks[0][1] == blocks[1][1]:
        parts = [parts[0], parts[2], np.subtract(parts[1], parts[3])]
    assert found.standard_error == pytest.approx(np.linalg.norm(np.concatenate(parts)), rel=1e-12)


def test_the_error_of_the_real_value_widens_the_interval_and_keeps_its_freedom():
    rng = np.random.default_rng(2)
    first, second = (
        replace(of_mean(m, error, 4), real=0.0, real_error=0.2)
        for m, error in zip((-1.0, 3.0), rng.random(2), strict=True)
    )
    found = score_difference(first, second, "real")
    error = math.hypot(first.standard_error, second.standard_error, 2 * 0.2)
    assert found.value == pytest.approx(second.value + first.value)
    assert found.standard_error == pytest.approx(error)
    assert found.p_value == pytest.approx(two_sided(found.value, error, 3), rel=1e-6)


@pytest.mark.parametrize("known", [(None, None), (None, 0.0), (0.0, None)])
def test_without_the_real_value_its_error_does_not_count(known):
    first, second = (
        Score(v, 0.5, (v - 1, v + 1), 99, real=real) for v, real in zip((-1.0, 2.0), known, strict=True)
    )
    found = score_difference(first, second, "real")
    assert found.standard_error == pytest.approx(math.hypot(0.5, 0.5))


def test_a_difference_without_an_error_of_its_own_takes_the_normal_quantile():
    first, second = (Score(v, 0.0, (v, v), 9, real=0.0, real_error=0.5) for v in (-1.0, 2.0))
    found = score_difference(first, second, "real")
    assert found.value == 1
    assert found.standard_error == 1
    assert found.interval == pytest.approx(stats.norm.interval(0.95, 1))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(1), rel=1e-3)


@pytest.mark.parametrize(("value", "p"), [(1.0, 1.0), (1.5, 0.0)])
def test_scores_without_spread_are_equal_or_certainly_not(value, p):
    found = score_difference(Score(1.0, 0.0, (1.0, 1.0), 9), Score(value, 0.0, (value, value), 9))
    assert (found.p_value, found.significant) == (p, p == 0)


def test_scores_without_errors_cannot_be_told_apart():
    found = score_difference(Score(1.0, None, None, 9), Score(5.0, 1.0, (3.0, 7.0), 9))
    assert (found.value, found.standard_error, found.interval, found.p_value) == (4.0, None, None, None)
    assert not found.significant


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values):
    """Holm's own words: go up the sorted p-values while the i-th of m is below level / (m - i)."""
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for position, index in enumerate(np.argsort(p_values, kind="stable").tolist()):
            if p_values[index] * (len(p_values) - position) >= level:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(adjusted) if p < level} == rejected
