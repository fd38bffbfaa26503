"""Several windows of one recording.

Every metric that compares the windows of a set with each other has the expectation of one window per
recording. Where every row is a recording of its own, the functions on arrays give what they always gave.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics import (
    METRICS,
    Samples,
    kernel_distance,
    precision_recall_density_coverage,
)
from vgbench.metrics.frame_level import score_stream
from vgbench.metrics.infinite import frechet_extrapolated, score_inception
from vgbench.metrics.memorisation import score_diversity
from vgbench.metrics.recordings import numbered, one_of_each, rows_of_each
from vgbench.metrics.uncertainty import deal, score_pairs

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((24, 6)), RNG.standard_normal((30, 6)) * 0.8 + 0.3
"""One window of each recording."""
GROUPS = np.repeat(np.arange(24), 3), np.repeat(np.arange(30), 3)
THRICE = np.repeat(X, 3, axis=0), np.repeat(Y, 3, axis=0)
"""The same with three equal windows of each."""


def samples(rows, groups=None, **more):
    return Samples(rows, None, np.arange(len(rows)) if groups is None else groups, **more)


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=20), min_size=1, max_size=3))
def test_each_choice_has_one_row_of_each_recording_and_all_use_the_rows_evenly(drawn):
    recordings = [np.array(numbers) for numbers in drawn]
    choices = one_of_each(recordings)
    counts = {len(rows) for rows in choices}
    assert counts == {max(-(-len(numbers) // len(set(numbers.tolist()))) for numbers in recordings)}
    for numbers, rows in zip(recordings, choices, strict=True):
        order = list(dict.fromkeys(numbers.tolist()))
        assert (numbers[rows] == order).all()
        for column, number in enumerate(order):
            used = np.bincount(rows[:, column], minlength=len(numbers))[numbers == number]
            assert used.max() - used.min() <= 1


def test_a_set_of_single_windows_has_one_choice_in_its_own_order():
    (rows,) = one_of_each([np.array([5, 2, 9])])
    assert rows.tolist() == [[0, 1, 2]]
    assert [list(rows) for rows in rows_of_each(np.array([7, 3, 7, 1]))] == [[0, 2], [1], [3]]


def test_groups_must_be_a_pair_of_labels_for_each_row():
    first, second = numbered((["a", "b", "a"], None), 3, 2)
    assert first.tolist() == [0, 1, 0]
    assert second.tolist() == [0, 1]
    with pytest.raises(VgbenchError, match=r"groups of shape \[2\] for 3 rows"):
        numbered((["a", "b"], None), 3, 2)
    with pytest.raises(VgbenchError, match="must be a pair"):
        numbered(np.arange(3), 3, 2)


def test_repeated_windows_are_worth_one_window():
    assert precision_recall_density_coverage(*THRICE, groups=GROUPS) == pytest.approx(
        precision_recall_density_coverage(X, Y), abs=1e-12
    )
    assert kernel_distance(*THRICE, groups=GROUPS) == pytest.approx(kernel_distance(X, Y), rel=1e-10)
    # Without their groups, no ball reaches beyond its own recording, and copies count as pairs.
    assert precision_recall_density_coverage(*THRICE, k=2) == (0, 0, 0, 0)
    assert kernel_distance(*THRICE) > kernel_distance(X, Y) + 0.1


@pytest.mark.parametrize("name", ["kvd", "prdc"])
def test_scores_of_repeated_windows_and_their_errors_are_those_of_one_window(name):
    score = METRICS[name].score
    one = score(samples(X), samples(Y))
    three = score(*(samples(rows, groups) for rows, groups in zip(THRICE, GROUPS, strict=True)))
    for key, found in three.items():
        assert found.value == pytest.approx(one[key].value, abs=1e-9)
        assert found.standard_error == pytest.approx(one[key].standard_error, rel=0.25)
        assert found.n == 72


def test_all_labels_different_change_nothing():
    labels = np.arange(24)[::-1], [f"clip {i}" for i in range(30)]
    assert precision_recall_density_coverage(X, Y, groups=labels) == precision_recall_density_coverage(X, Y)
    assert kernel_distance(X, Y, groups=labels) == kernel_distance(X, Y)
    assert kernel_distance(X, Y, groups=(None, None)) == kernel_distance(X, Y)
    assert frechet_extrapolated(X, Y, groups=labels) == frechet_extrapolated(X, Y)


def test_kernel_distance_is_the_mean_over_pairs_of_different_recordings():
    polynomial = pytest.importorskip("sklearn.metrics.pairwise").polynomial_kernel
    groups = np.arange(24) // 5, np.arange(30) % 7
    xx, yy, xy = (polynomial(a, b, degree=3, coef0=1) for a, b in ((X, X), (Y, Y), (X, Y)))
    within = [k[g[:, None] != g].mean() for k, g in zip((xx, yy), groups, strict=True)]
    expected = sum(within) - 2 * xy.mean()
    assert kernel_distance(X, Y, groups=groups) == pytest.approx(expected, rel=1e-10)
    found = METRICS["kvd"].score(samples(X, groups[0]), samples(Y, groups[1]))["kvd"]
    assert found.value == pytest.approx(expected, rel=1e-10)
    biased = kernel_distance(X, Y, groups=groups, biased=True)
    assert biased == kernel_distance(X, Y, biased=True)  # the mean over all pairs is its definition


def test_kernel_values_of_one_recording_may_be_more_than_fit_into_memory_at_once(monkeypatch):
    groups = np.zeros(24, dtype=int), np.arange(30)
    groups[0][20:] = 1
    whole = kernel_distance(X, Y, groups=groups)
    monkeypatch.setattr("vgbench.metrics.kernel._CHUNK", 7)
    assert kernel_distance(X, Y, groups=groups) == pytest.approx(whole, rel=1e-12)


def test_precision_and_recall_are_means_over_the_choices():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((24, 4)), rng.standard_normal((20, 4))
    groups = np.arange(24) // 2, np.arange(20)
    found = precision_recall_density_coverage(x, y, 3, groups=groups)
    expected = [precision_recall_density_coverage(x[turn::2], y, 3) for turn in (0, 1)]
    assert found == pytest.approx(np.mean(expected, axis=0), abs=1e-12)


@pytest.mark.parametrize("shared", [0.5, 0.95])
def test_alike_windows_have_the_expectation_of_one_window(shared):
    """Equal distributions: means over draws agree within their errors, and without groups they do not."""
    rng = np.random.default_rng(2)
    found = {"one": [], "groups": [], "as clips": []}
    groups = np.repeat(np.arange(30), 8)
    for _ in range(30):
        sides = [
            np.sqrt(shared) * np.repeat(rng.standard_normal((30, 8)), 8, axis=0)
            + np.sqrt(1 - shared) * rng.standard_normal((240, 8))
            for _ in range(2)
        ]
        found["one"].append(precision_recall_density_coverage(sides[0][::8], sides[1][::8]))
        found["groups"].append(precision_recall_density_coverage(*sides, groups=(groups, groups)))
        found["as clips"].append(precision_recall_density_coverage(*sides))
    means = {kind: np.mean(values, axis=0) for kind, values in found.items()}
    errors = {kind: np.std(values, axis=0) / np.sqrt(30) for kind, values in found.items()}
    limit = 4 * np.hypot(errors["one"], errors["groups"])
    assert (np.abs(means["one"] - means["groups"]) < limit).all()
    assert (np.abs(means["one"] - means["as clips"]) > limit).all()


def test_infinite_scores_draw_whole_groups():
    logits = RNG.standard_normal((24, 5)) * 2
    one, three = (
        score_inception(Samples(rows, rows, groups), Samples(rows, rows, groups))["is_infinite"]
        for rows, groups in ((logits, np.arange(24)), (np.repeat(logits, 3, axis=0), GROUPS[0]))
    )
    assert three.value == pytest.approx(one.value, rel=1e-9)
    assert three.details["points"] == pytest.approx(np.array(one.details["points"]))
    # The same for the Fréchet distance, whose divisor N - 1 alone tells repeated rows from single ones.
    pulled = [
        frechet_extrapolated(*sides, groups=groups).value
        for sides, groups in (((X, Y), None), (THRICE, GROUPS), (THRICE, None))
    ]
    assert abs(pulled[1] - pulled[0]) < 0.5 * abs(pulled[2] - pulled[0])


def test_an_extrapolation_needs_eight_independent_clips():
    with pytest.raises(VgbenchError, match="8 independent clips on each side, there are 6"):
        frechet_extrapolated(X, Y, groups=(np.arange(24) // 4, None))


def test_stream_measures_one_window_of_each_recording():
    frames = [RNG.standard_normal((count, 8, 4)) for count in (24, 30)]
    one = score_stream(*(samples(f[:, 0], frames=f) for f in frames))
    three = score_stream(
        *(
            samples(np.repeat(f[:, 0], 3, axis=0), groups, frames=np.repeat(f, 3, axis=0))
            for f, groups in zip(frames, GROUPS, strict=True)
        )
    )
    for name in ("stream_t", "stream_f", "stream_d"):
        assert three[name].value == pytest.approx(one[name].value, abs=1e-12)


def test_copies_in_different_recordings_count_against_a_set_and_as_one_in_its_error():
    """Half of the generated recordings repeat the other half."""
    repeated, own = np.tile(X[:12], (2, 1)), np.arange(24)
    copies = np.tile(np.arange(12), 2)
    side = dataclasses.replace(samples(repeated, copies), recordings=own)
    kvd = METRICS["kvd"].score(side, samples(Y))["kvd"]
    assert kvd.value == pytest.approx(kernel_distance(repeated, Y), rel=1e-10)
    assert "12+30 blocks" in kvd.method
    recall = METRICS["prdc"].score(side, samples(Y))["recall"]
    assert recall.value == precision_recall_density_coverage(Y, repeated).recall
    assert "12+30 blocks" in recall.method
    diversity = score_diversity(side, samples(Y))["diversity"].value
    pairs = np.linalg.norm(repeated[:, None] - repeated, axis=2)
    assert diversity == pytest.approx(pairs.sum() / (24 * 23), rel=1e-9)


@pytest.mark.parametrize("name", ["kvd", "prdc"])
def test_a_set_of_one_recording_is_refused(name):
    one = samples(X, np.zeros(24, dtype=int))
    with pytest.raises(VgbenchError, match=r"at least two clips|with 30 real and 1 generated clips"):
        METRICS[name].score(one, samples(Y))


def test_blocks_of_choices_hold_whole_recordings():
    groups = np.repeat(np.arange(40), np.arange(40) % 3 + 1)
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((len(groups), 4))
    scores = METRICS["prdc"].score(samples(rows, groups), samples(rng.standard_normal((40, 4))))
    assert all(score.method.startswith("jackknife(32+32 blocks), ") for score in scores.values())
    assert len(deal(groups)) == 32


def test_pairs_of_one_recording_count_as_one_in_the_error():
    values = RNG.standard_normal(10)
    single, thrice = score_pairs(values), score_pairs(np.repeat(values, 3), np.repeat(np.arange(10), 3))
    assert thrice.standard_error == pytest.approx(single.standard_error)
    assert thrice.deviations[1] == pytest.approx(single.deviations[1])
    assert np.sum(np.square(thrice.deviations[1])) == pytest.approx(thrice.standard_error**2)
    assert score_pairs(np.repeat(values, 3)).standard_error < 0.7 * single.standard_error


def test_splits_of_the_inception_score_depend_on_each_other_if_their_windows_do():
    rng = np.random.default_rng(4)
    claimed, values = {"groups": [], "as clips": []}, []
    for _ in range(40):
        logits = np.repeat(3 * rng.standard_normal((40, 5)), 5, axis=0)
        order = rng.permutation(200)
        sides = {"groups": np.repeat(np.arange(40), 5)[order], "as clips": np.arange(200)}
        for kind, groups in sides.items():
            score = METRICS["is"].score(Samples(logits, logits[order], groups), splits=5)["is"]
            claimed[kind].append(score.standard_error)
        values.append(score.value)
    spread = np.std(values, ddof=1)
    assert 0.75 < np.mean(claimed["groups"]) / spread < 1.4
    assert np.mean(claimed["as clips"]) < 0.75 * spread
