from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.audit.reaction import rank_correlation, react, summarise
from vgbench.metrics import difference
from vgbench.metrics.direction import badness
from vgbench.metrics.score import Score


def _score(value, error=1.0, real=None):
    """Error all from the generated half, in four equal blocks."""
    part = (error / 2,) * 4
    interval = None if error is None else (value - 2 * error, value + 2 * error)
    return Score(value, error, interval, 16, real=real, deviations=(part, ()))


def _react(values, better="lower", **options):
    return react("blur", "spatial", better, {s: _score(v, **options) for s, v in values.items()})


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=12))
def test_rank_correlation_is_pearsons_of_the_mean_ranks(ys):
    xs = list(range(len(ys)))
    ours = rank_correlation(xs, ys)
    if len(set(ys)) < 2:
        assert ours is None
        return
    ranks = [sum(other < y for other in ys) + (sum(other == y for other in ys) + 1) / 2 for y in ys]
    assert ours == pytest.approx(np.corrcoef(xs, ranks)[0, 1], abs=1e-12)


@pytest.mark.parametrize("ys", [[1.0, math.nan, 2.0], [1.0, math.inf, 2.0], [1.0, 1.0, 1.0], [1.0]])
def test_rank_correlation_of_constant_or_not_finite_values_does_not_exist(ys):
    xs = [float(x) for x in range(len(ys))]
    assert rank_correlation(xs, ys) is None
    assert rank_correlation(ys, xs) is None


def test_smallest_strength_that_is_detected():
    # Two scores of error 1: their difference has error √2. 2 / √2 is below any 95 % quantile of Student's t,
    # 10 / √2 above that of three or more degrees of freedom.
    reaction = _react({0.0: 10, 0.2: 11, 0.4: 12, 0.6: 20, 0.8: 30})
    assert reaction.detects_from == 0.6
    assert reaction.rewards_from is None
    assert [point.verdict for point in reaction.points] == ["same", "same", "same", "worse", "worse"]
    assert reaction.monotone
    assert reaction.rank_correlation == pytest.approx(1)
    assert reaction.sensitivity == pytest.approx((1 + 2 + 10 + 20) / 4 / math.sqrt(2))


def test_a_part_of_the_error_that_the_reference_half_makes_cancels():
    shared = (3.0, -3.0, 3.0, -3.0)
    scores = {
        s: Score(v, 6.0, (v - 15, v + 15), 16, deviations=((0.1,) * 4, shared))
        for s, v in ((0.0, 10.0), (1.0, 11.0))
    }
    reaction = react("blur", "spatial", "lower", scores)
    assert reaction.detects_from == 1.0
    gap = reaction.points[1].difference
    assert gap.standard_error == difference(scores[1.0], scores[0.0], same_real=True).standard_error
    assert gap.standard_error == pytest.approx(math.sqrt(8 * 0.01))


def test_higher_is_better_turns_the_sign():
    reaction = _react({0.0: 10, 0.5: 0, 1.0: -10}, better="higher")
    assert reaction.detects_from == 0.5
    assert reaction.rank_correlation == pytest.approx(1)
    assert _react({0.0: 10, 0.5: 20, 1.0: 30}, better="higher").rewards_from == 0.5


def test_near_real_counts_distance_to_the_reference_half():
    assert badness(_score(3, real=10), "real") == badness(_score(17, real=10), "real") == 7
    up = _react({0.0: 10, 0.5: 20, 1.0: 30}, better="real", real=10)
    down = _react({0.0: 10, 0.5: 0, 1.0: -10}, better="real", real=10)
    assert up.detects_from == down.detects_from == 0.5
    assert up.sensitivity == down.sensitivity > 0


def test_a_metric_that_prefers_damage_is_said_to_reward_it():
    reaction = _react({0.0: 10, 0.5: 9, 1.0: 0})
    assert (reaction.detects_from, reaction.rewards_from) == (None, 1.0)
    assert reaction.rank_correlation == pytest.approx(-1)
    assert not reaction.monotone
    assert reaction.sensitivity < 0


def test_rounding_is_no_reaction():
    reaction = _react({0.0: 1.0, 0.5: 1.0 - 1e-12, 1.0: 1.0 + 1e-13})
    assert reaction.monotone
    assert reaction.rank_correlation is None


def test_without_an_interval_nothing_is_claimed():
    scores = {0.0: _score(1), 1.0: Score(100, None, None, 1)}
    reaction = react("mode-drop", "set", "lower", scores)
    assert reaction.points[1].verdict == "unknown"
    assert (reaction.detects_from, reaction.sensitivity) == (None, None)


def test_no_error_and_no_change_is_no_reaction():
    reaction = _react({0.0: 1, 1.0: 1}, error=0.0)
    assert reaction.points[1].verdict == "same"
    assert reaction.sensitivity == 0


def _summary(**sensitivities):
    kinds = {"blur": "spatial", "noise": "spatial", "freeze": "temporal", "duplicate": "set"}
    reactions = [
        react(name, kinds[name], "lower", {0.0: _score(0), 1.0: _score(z * math.sqrt(2))})
        for name, z in sensitivities.items()
    ]
    return summarise("m", "M", "lower", _score(0), reactions)


def test_sensitivity_is_the_mean_over_distortions_of_a_kind():
    summary = _summary(blur=2, noise=4, freeze=9, duplicate=100)
    assert summary.content_sensitivity == pytest.approx(3)
    assert summary.motion_sensitivity == pytest.approx(9)
    assert summary.motion_share == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("content", "motion", "share"), [(5, -2, 0), (-2, 5, 1), (0.4, 0.9, None), (-3, -1, None), (1, 1, 0.5)]
)
def test_motion_share(content, motion, share):
    assert _summary(blur=content, freeze=motion).motion_share == (
        share if share is None else pytest.approx(share, abs=1e-9)
    )


def test_one_kind_alone_has_no_share():
    summary = _summary(blur=3)
    assert summary.motion_sensitivity is None
    assert summary.motion_share is None


def test_blind_and_rewarded_are_named():
    summary = _summary(blur=20, noise=0.1, freeze=-20)
    assert summary.blind_to == ("noise",)
    assert summary.rewards == ("freeze",)
    assert np.all([point.score.deviations is None for r in summary.reactions for point in r.points])
