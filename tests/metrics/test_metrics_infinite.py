"""Extrapolation to infinitely many clips: lines, and Gaussians whose distance is known."""

import numpy as np
import pytest

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples, frechet, frechet_distance, inception_score
from vgbench.metrics.infinite import SEED, extrapolate, frechet_extrapolated, score_frechet, score_inception
from vgbench.metrics.uncertainty import error_and_interval


def test_a_line_in_one_over_n_is_extrapolated_exactly():
    fit = extrapolate(lambda share: 7.0 + 3.0 / share, 0.25)
    assert fit.value == pytest.approx(7, abs=1e-9)
    assert fit.standard_error == pytest.approx(0, abs=1e-9)
    assert [share for share, _ in fit.points] == pytest.approx(np.linspace(0.25, 1, 15))


def test_error_of_the_fit_is_that_of_least_squares():
    stats = pytest.importorskip("scipy.stats")
    noise = iter(np.random.default_rng(0).standard_normal(15))
    fit = extrapolate(lambda share: 1 / share + next(noise), 0.2)
    shares, values = np.array(fit.points).T
    line = stats.linregress(1 / shares, values)
    assert (fit.value, fit.standard_error) == pytest.approx((line.intercept, line.intercept_stderr))


def test_value_is_scipys_line_through_the_definition_on_the_same_parts():
    linalg, stats = pytest.importorskip("scipy.linalg"), pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((120, 8)), rng.standard_normal((100, 8)) * 1.2 + 0.1
    draw, values = np.random.default_rng(SEED), []
    shares = np.linspace(0.25, 1, 15)
    for share in shares:
        a, b = (z[draw.permutation(len(z))[: round(share * len(z))]] for z in (x, y))
        root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
        gap = np.sum((a.mean(0) - b.mean(0)) ** 2)
        values.append(gap + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root))
    expected = stats.linregress(1 / shares, values).intercept
    assert frechet_extrapolated(x, y).value == pytest.approx(expected, rel=1e-9)


def test_bias_of_few_clips_goes():
    rng = np.random.default_rng(0)
    shift, d = 0.3, 16
    truth = d * shift**2
    pairs = [(rng.standard_normal((200, d)), rng.standard_normal((300, d)) + shift) for _ in range(12)]
    plain = np.mean([frechet_distance(x, y) for x, y in pairs])
    infinite = np.mean([frechet_extrapolated(x, y).value for x, y in pairs])
    assert plain - truth > 0.5
    assert abs(infinite - truth) < (plain - truth) / 2


def test_intervals_hold_the_truth_and_say_how_they_were_made():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(20):
        x, y = rng.standard_normal((2, 120, 6))
        score = score_frechet(Samples(x, None, np.arange(120)), Samples(y + 0.5, None, np.arange(120)))
        held += score["fvd_infinite"].interval[0] <= 6 * 0.25 <= score["fvd_infinite"].interval[1]
    assert held >= 17
    found = score["fvd_infinite"]
    assert found.debiased is None
    assert found.standard_error > found.details["error_of_fit"] > 0
    assert np.sum(np.square(np.concatenate(found.deviations))) == pytest.approx(found.standard_error**2)


def test_inception_score_at_infinity_is_nearer_to_that_of_many_clips():
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((8000, 20))
    many, few = inception_score(logits).mean, Samples(logits[:200], logits[:200], np.arange(200))
    plain = inception_score(logits[:200]).mean
    assert abs(score_inception(few, few)["is_infinite"].value - many) < abs(plain - many)


def test_refuses_too_few():
    with pytest.raises(VgbenchError, match="at least 8"):
        frechet_extrapolated(np.zeros((7, 2)), np.zeros((9, 2)))


@pytest.mark.parametrize(
    ("n", "m", "dimension", "least"),
    [(200, 90, 8, 0.25), (200, 90, 35, 0.4), (90, 200, 35, 0.4), (200, 90, 60, 0.5), (20, 20, 50, 0.5)],
)
def test_sets_shrink_to_a_quarter_but_not_below_their_dimension(n, m, dimension, least):
    rng = np.random.default_rng(0)
    fit = frechet_extrapolated(rng.standard_normal((n, dimension)), rng.standard_normal((m, dimension)))
    assert [share for share, _ in fit.points] == pytest.approx(np.linspace(least, 1, 15))


def test_the_error_of_the_fit_adds_to_that_of_the_clips_and_keeps_their_freedom():
    rng = np.random.default_rng(2)
    sides = [Samples(rng.standard_normal((n, 2)), None, np.arange(n)) for n in (9, 20)]
    plain, found = frechet.score(*sides)["fvd"], score_frechet(*sides)["fvd_infinite"]
    error = found.details["error_of_fit"]
    assert found.standard_error == pytest.approx(np.hypot(plain.standard_error, error), rel=1e-9)
    bends = frechet.frechet_jackknife(*sides).bends
    assert found.interval == error_and_interval(found.value, found.deviations, 8, bends=bends)[1]
    assert found.deviations[0] == pytest.approx((*plain.deviations[0], error))
    assert found.deviations[1] == pytest.approx(plain.deviations[1])
    assert found.n == 9
    assert len(found.details["points"]) == 15


def test_too_few_source_clips_have_no_extrapolated_value():
    rows = np.random.default_rng(0).standard_normal((12, 2))
    side = Samples(rows, rows, np.arange(12) // 4)
    for score in (score_frechet, score_inception):
        with pytest.raises(VgbenchError, match="8 independent clips on each side, there are 3"):
            score(side, side)


def test_the_inception_score_shrinks_to_a_quarter():
    stats = pytest.importorskip("scipy.stats")
    logits = 3 * np.random.default_rng(0).standard_normal((50, 4))
    side = Samples(logits, logits, np.arange(50))
    found = score_inception(side, side)["is_infinite"]
    draw, shares = np.random.default_rng(SEED), np.linspace(0.25, 1, 15)
    values = [inception_score(logits[draw.permutation(50)[: round(share * 50)]]).mean for share in shares]
    assert found.value == pytest.approx(stats.linregress(1 / shares, values).intercept, rel=1e-9)
