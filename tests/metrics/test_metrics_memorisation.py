"""Copies and diversity: hand-made cases, and what fresh clips of the same distribution give."""

import numpy as np
import pytest

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples, prdc
from vgbench.metrics.memorisation import score_copies, score_diversity


def samples(rows, groups=None, names=()):
    rows = np.asarray(rows, dtype=np.float64)
    return Samples(rows, None, np.arange(len(rows)) if groups is None else np.asarray(groups), names=names)


def draws(n, seed):
    return np.random.default_rng(seed).standard_normal((n, 8))


def test_points_on_a_line():
    # Real clips at 0, 1, 3: nearest other real clip at 1, 1, 2. Quantile ½ is 1.
    real = samples([[0.0], [1.0], [3.0]], names=("a", "b", "c"))
    generated = samples([[0.4], [2.1], [6.0], [-1.8]], names=("p", "q", "r", "s"))
    found = score_copies(generated, real, quantile=0.5)
    assert found["copied"].value == 0.5  # p at 0.4 and q at 0.9 are below 1
    assert found["authenticity"].value == 0.5  # r at 3 from c (2), s at 1.8 from a (1)
    first = found["copied"].details["nearest"][0]
    assert (first["generated"], first["real"]) == ("p", "a")
    assert (first["distance"], first["real_to_real"]) == pytest.approx((0.4, 1.0))
    assert [pair["generated"] for pair in found["copied"].details["nearest"]] == ["p", "q", "r", "s"]


def test_fresh_clips_are_no_copies_and_copies_are():
    real, fresh = samples(draws(300, 1)), samples(draws(300, 2))
    honest = score_copies(fresh, real)
    assert honest["copied"].value < 0.03
    assert 0.3 < honest["authenticity"].value < 0.7
    half = samples(np.concatenate([real.features[:150], fresh.features[:150]]))
    assert 0.5 <= score_copies(half, real)["copied"].value < 0.53
    none = score_copies(samples(100 + fresh.features), real)["copied"]
    assert none.value == 0
    assert 0.01 < none.interval[1] < 0.02  # 300 clips without one copy do not rule out one in a hundred
    everything = score_copies(real, real)
    assert (everything["copied"].value, everything["authenticity"].value) == (1, 0)


def test_neighbours_are_scikit_learns():
    neighbours = pytest.importorskip("sklearn.neighbors")
    real, generated = draws(200, 1), draws(150, 2)
    generated[:30] = real[40:70] + 0.01 * generated[:30]
    tree = neighbours.NearestNeighbors(n_neighbors=2, algorithm="kd_tree").fit(real)
    own = tree.kneighbors(real)[0][:, 1]
    distance, nearest = (column[:, 0] for column in tree.kneighbors(generated))
    found = score_copies(samples(generated), samples(real), quantile=0.05)
    assert found["copied"].value == np.mean(distance < np.quantile(own, 0.05))
    assert found["authenticity"].value == np.mean(distance > own[nearest])


def test_windows_of_one_clip_are_no_neighbours_of_each_other():
    twice = np.repeat(draws(40, 0), 2, axis=0) + 1e-3 * draws(80, 1)
    apart = score_copies(samples(draws(40, 2)), samples(twice, np.repeat(np.arange(40), 2)))
    assert apart["authenticity"].value < 0.8
    assert score_copies(samples(draws(40, 2)), samples(twice))["authenticity"].value == 1


def test_diversity_is_the_mean_over_pairs():
    rows, groups = draws(20, 0), np.arange(20) // 2
    found = score_diversity(samples(rows, groups), samples(2 * rows, groups))["diversity"]
    pairs = [
        np.linalg.norm(rows[i] - rows[j]) for i in range(20) for j in range(20) if groups[i] != groups[j]
    ]
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.real == pytest.approx(2 * found.value)
    assert found.real_error == pytest.approx(2 * found.standard_error)
    assert np.sum(np.square(found.deviations[0])) == pytest.approx(found.standard_error**2)


def test_error_of_diversity_is_that_of_other_draws():
    found = [score_diversity(samples(draws(60, s)), samples(draws(4, 0)))["diversity"] for s in range(200)]
    spread = np.std([score.value for score in found])
    claimed = np.mean([score.standard_error for score in found])
    assert 0.85 < claimed / spread < 1.25


def test_repeating_one_clip_has_no_diversity():
    same = samples(np.ones((8, 3)))
    assert score_diversity(same, samples(draws(8, 0)[:, :3]))["diversity"].value == 0


def test_single_source_clips_are_refused():
    one = samples(draws(6, 0), np.zeros(6, dtype=int))
    with pytest.raises(VgbenchError, match="two real source clips"):
        score_copies(samples(draws(6, 1)), one)
    with pytest.raises(VgbenchError, match="two source clips"):
        score_diversity(one, samples(draws(6, 1)))


def test_the_ten_closest_pairs_are_shown_nearest_first():
    real = samples(10.0 * np.arange(30)[:, None])
    generated = samples(10.0 * np.arange(15)[:, None] + np.array([[0.1 * (k * 7 % 15)] for k in range(15)]))
    shown = score_copies(generated, real)["copied"].details["nearest"]
    assert len(shown) == 10
    distances = [pair["distance"] for pair in shown]
    assert distances == pytest.approx(0.1 * np.arange(10))
    assert [pair["generated"] for pair in shown] == [pair["real"] for pair in shown]  # by number, unnamed


def test_a_repeated_real_clip_is_as_far_from_the_next_as_if_it_were_there_once():
    """Two equal real clips are copies of each other, and their nearest clip is another one."""
    real = samples([[0.0], [0.0], [5.0], [9.0]])
    generated = samples([[0.5], [0.0], [5.9], [9.0]])
    shown = score_copies(generated, real)["copied"].details["nearest"]
    # d / ρ: copies are at 0 / 5 and 0 / 4, 0.5 at 0.5 / 5, 5.9 at 0.9 / 4.
    assert [pair["generated"] for pair in shown] == ["1", "3", "0", "2"]


def test_windows_of_one_clip_are_no_pair_whatever_the_chunks(monkeypatch):
    rows, groups = draws(60, 5), np.arange(60) // 3
    sides = samples(rows, groups), samples(rows[::-1] * 1.1, groups)
    whole = score_copies(*sides) | score_diversity(*sides)
    monkeypatch.setattr(prdc, "_CHUNK", 11)
    parts = score_copies(*sides) | score_diversity(*sides)
    assert {name: score.value for name, score in parts.items()} == pytest.approx(
        {name: score.value for name, score in whole.items()}, rel=1e-12
    )


def test_diversity_is_jackknifed_over_source_clips():
    rows, groups = draws(12, 0), np.arange(12) // 2
    found = score_diversity(samples(rows, groups), samples(rows, groups))["diversity"]

    def mean_without(left_out):
        kept = np.flatnonzero(groups != left_out)
        return np.mean(
            [np.linalg.norm(rows[i] - rows[j]) for i in kept for j in kept if groups[i] != groups[j]]
        )

    replicates = np.array([mean_without(clip) for clip in range(6)])
    error = np.sqrt(5 / 6 * np.sum((replicates - replicates.mean()) ** 2))
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.debiased is None


@pytest.mark.parametrize("doubled", [0, 3, 10, 250])
def test_copies_are_found_however_many_real_clips_are_there_twice(doubled):
    real = draws(500, 0)
    if doubled:
        real[-doubled:] = real[-2 * doubled : -doubled]
    found = score_copies(samples(real[:256]), samples(real))
    assert found["copied"].value == 1
    assert found["authenticity"].value == 0
    fresh = score_copies(samples(draws(256, 1)), samples(real))
    assert fresh["copied"].value < 0.05
    assert fresh["authenticity"].value > 0.3


def test_a_copy_up_to_rounding_is_a_copy():
    real = draws(40, 0)
    real[20:] = real[:20] * (1 + 1e-7)
    found = score_copies(samples(real[20:] * (1 - 1e-7)), samples(real), quantile=0)
    assert found["copied"].value == 1


def test_a_clip_at_the_threshold_is_a_copy():
    real = samples([[0.0], [1.0], [3.0], [6.0]])
    assert score_copies(samples([[-1.0], [4.5]]), real, quantile=0)["copied"].value == 0.5


def test_of_real_clips_that_are_all_copies_only_copies_are_copied():
    generated = samples(np.concatenate([draws(3, 1), np.ones((3, 8))]))
    found = score_copies(generated, samples(np.ones((6, 8))))
    assert (found["copied"].value, found["authenticity"].value) == (0.5, 0.5)


def test_intervals_hold_the_mean_over_draws_of_both_sets():
    """Many generated clips against few real ones: most of the variance comes from the real side."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        real, generated = rng.standard_normal((64, 6)), rng.standard_normal((600, 6))
        found.append(score_copies(samples(generated), samples(real)))
    for name, generated_alone in (("copied", 0.7), ("authenticity", 0.8)):
        scores = [scores[name] for scores in found]
        truth = np.mean([score.value for score in scores])
        held = np.mean([score.interval[0] <= truth <= score.interval[1] for score in scores])
        assert held >= 0.9
        spread = np.std([score.value for score in scores])
        assert np.sqrt(truth * (1 - truth) / 600) < generated_alone * spread
