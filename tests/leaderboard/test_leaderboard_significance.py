"""P-values and intervals of differences, against the t-tests of scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vgbench.leaderboard.significance import NORMAL, holm, score_difference
from vgbench.metrics import Score, score_clips
from vgbench.metrics.uncertainty import score_pairs


def jackknifed(value, generated, real):
    error = float(np.linalg.norm([*generated, *real]))
    return Score(value, error, (value - 3 * error, value + 3 * error), 50, deviations=(generated, real))


def two_sided(value, error, freedom):
    return 2 * stats.t.sf(abs(value) / error, freedom)


@pytest.mark.parametrize("counts", [(5, 5), (4, 9), (9, 4), (40, 3)])
@pytest.mark.parametrize("gap", [0.3, -1.0, 2.5])
def test_the_p_value_of_few_clips_is_that_of_students_t(counts, gap):
    rng = np.random.default_rng(0)
    first, second = (score_clips(rng.standard_normal(n) + m) for n, m in zip(counts, (0, gap), strict=True))
    found = score_difference(first, second)
    error = math.hypot(first.standard_error, second.standard_error)
    freedom = min(counts) - 1
    assert found.value == pytest.approx(second.value - first.value)
    assert found.p_value == pytest.approx(two_sided(found.value, error, freedom), rel=1e-6)
    assert found.interval == pytest.approx(stats.t.interval(0.95, freedom, found.value, error), rel=1e-9)
    assert found.significant == (found.p_value < 0.05)


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
        (((6, 9), (8, 9)), True, 5),
        (((8, 9), (6, 9)), True, 5),
        (((8, 4), (9, 4)), True, 3),
        (((8, 4), (9, 5)), True, 3),  # unlike real sets have nothing in common
        (((8, 7), (9, 5)), False, 4),
    ],
)
def test_a_difference_has_the_freedom_of_its_smallest_set_of_blocks(blocks, same_real, freedom):
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
        Score(**{**vars(score_clips(rng.standard_normal(4) * 0.1 + m)), "real": 0.0, "real_error": 0.2})
        for m in (-1.0, 3.0)
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
    assert found.interval == pytest.approx((1 - NORMAL, 1 + NORMAL))
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
