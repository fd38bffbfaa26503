from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.protocol import Windows
from vgbench.protocol.sampler import choose_among_all, choose_windows, clip_order, window_starts


@given(st.integers(0, 200), st.integers(2, 20), st.integers(1, 4), st.integers(1, 6), st.integers(0, 5))
def test_windows_stay_inside_the_clip_and_never_overlap(n_frames, frames, stride, per_clip, seed):
    windows = Windows(frames=frames, stride=stride, per_clip=per_clip)
    starts = window_starts(n_frames, windows, "uniform", seed, "a.mp4")
    covered = [set(range(s, s + windows.span)) for s in starts]
    assert all(min(c) >= 0 and max(c) < n_frames for c in covered)
    assert sum(map(len, covered)) == len(set().union(*covered)) if covered else True
    assert len(starts) <= per_clip
    assert bool(starts) == (n_frames >= windows.span)


@given(st.integers(16, 300), st.integers(1, 8), st.integers(0, 9))
def test_asking_for_more_windows_keeps_the_first_ones(n_frames, per_clip, seed):
    few = window_starts(n_frames, Windows(frames=16, per_clip=per_clip), "uniform", seed, "x")
    more = window_starts(n_frames, Windows(frames=16, per_clip=per_clip + 3), "uniform", seed, "x")
    assert more[: len(few)] == few


def test_first_start_is_uniform_over_all_positions():
    windows = Windows(frames=16)
    counts = np.zeros(10)
    for k in range(4000):
        counts[window_starts(25, windows, "uniform", 0, f"clip{k}")[0]] += 1
    # chi-square with 9 degrees of freedom: 27.9 is the 0.1 % point
    assert ((counts - 400) ** 2 / 400).sum() < 27.9


def test_centre_and_first_are_where_their_names_say():
    windows = Windows(frames=4, stride=2, per_clip=2)  # spans 7 frames
    assert window_starts(21, windows, "first", 0, "x") == [0, 7]
    assert window_starts(21, windows, "centre", 0, "x")[0] == 7


@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=30), st.integers(0, 3))
def test_order_depends_on_ids_and_seed_only(ids, seed):
    shuffled = random.Random(1).sample(ids, len(ids))
    in_order = [ids[i] for i in clip_order(ids, seed)]
    assert in_order == [shuffled[i] for i in clip_order(shuffled, seed)]


def test_seeds_draw_different_clips():
    ids = [f"{k}.mp4" for k in range(100)]
    assert set(clip_order(ids, 0)[:20]) != set(clip_order(ids, 1)[:20])


def test_every_clip_gives_one_window_before_any_gives_two():
    windows = Windows(frames=16, per_clip=3)
    starts = {0: [0, 20, 40], 1: [5], 2: [7, 30]}
    chosen = choose_windows([2, 0, 1], starts, 5, windows)
    assert [(w.clip, w.frames[0]) for w in chosen] == [(2, 7), (0, 0), (1, 5), (2, 30), (0, 20)]
    assert chosen[0].frames == tuple(range(7, 23))


@pytest.mark.parametrize("wanted", [1, 3, 6, 99])
def test_no_window_is_used_twice(wanted):
    windows = Windows(frames=2, per_clip=3)
    chosen = choose_windows([0, 1], {0: [0, 2, 4], 1: [1, 3, 5]}, wanted, windows)
    assert len(chosen) == min(wanted, 6) == len(set(chosen))


def test_seeds_and_ids_draw_different_starts():
    windows = Windows(frames=4, per_clip=2)
    starts = [
        [window_starts(1000, windows, "uniform", seed, clip) for clip in ("a.mp4", "b.mp4", "c.mp4")]
        for seed in (0, 1, 2)
    ]
    assert len({tuple(one) for of_seed in starts for one in of_seed}) == 9
    again = [window_starts(1000, windows, "uniform", 1, clip) for clip in ("a.mp4", "b.mp4", "c.mp4")]
    assert again == starts[1]


@given(st.lists(st.text(min_size=1), unique=True, max_size=30), st.integers(0, 3))
def test_sorted_is_by_id_whatever_the_seed(ids, seed):
    assert [ids[i] for i in clip_order(ids, seed, "sorted")] == sorted(ids)


def test_every_clip_is_as_likely_to_be_drawn_as_any_other():
    ids = [f"{k}.mp4" for k in range(10)]
    first = np.bincount([clip_order(ids, seed)[0] for seed in range(4000)], minlength=10)
    last = np.bincount([clip_order(ids, seed, "drawn")[-1] for seed in range(4000)], minlength=10)
    for counts in (first, last):  # chi-square with 9 degrees of freedom: 27.9 is the 0.1 % point
        assert ((counts - 400) ** 2 / 400).sum() < 27.9


@pytest.mark.parametrize(
    ("n_frames", "rule", "changes", "expected"),
    [
        (12, "first", {"per_clip": 9}, [0, 4, 8]),
        (11, "first", {"per_clip": 9}, [0, 4]),
        (12, "first", {"per_clip": 9, "offset": 3}, [3, 7]),
        (7, "first", {"offset": 3}, [3]),
        (6, "first", {"offset": 3}, []),
        (9, "centre", {}, [2]),
        (10, "centre", {}, [3]),
        (4, "centre", {}, [0]),
        (3, "centre", {}, []),
        (14, "centre", {"per_clip": 9}, [5, 0, 1 + 8]),  # one fits before it, one after
        (9, "first", {"stride": 2, "per_clip": 2}, [0]),
        (14, "first", {"stride": 2, "per_clip": 2}, [0, 7]),
    ],
)
def test_starts_worked_out_by_hand(n_frames, rule, changes, expected):
    start = {"start": "first"} if "offset" in changes else {}
    windows = Windows.model_validate({"frames": 4, **start, **changes})
    assert window_starts(n_frames, windows, rule, 0, "x") == expected


def test_windows_take_every_stride_th_frame():
    windows = Windows(frames=3, stride=4)
    assert windows.span == 9
    (window,) = choose_windows([5], {5: [10]}, 1, windows)
    assert (window.clip, window.frames) == (5, (10, 14, 18))


def test_draws_are_those_of_every_release_before():
    """Scores of other days were made on these; the order is that of sha256("SEED\\nID")."""
    ids = ["a.mp4", "b/c.mp4", "d.npy#000001", "e", "ü.webm"]
    for seed in (0, 1, 12):
        hashed = [hashlib.sha256(f"{seed}\n{clip_id}".encode()).hexdigest() for clip_id in ids]
        assert clip_order(ids, seed) == sorted(range(5), key=hashed.__getitem__)
    windows = Windows(frames=4, stride=2, per_clip=3)
    assert [window_starts(100, windows, "uniform", 0, clip_id) for clip_id in ids[:3]] == [
        [27, 38, 5],
        [93, 2, 58],
        [66, 15, 50],
    ]
    assert window_starts(100, windows, "uniform", 7, "a.mp4") == [88, 59, 36]


def test_ids_that_are_no_text_can_be_drawn():
    odd = "clip\udcff.mp4"  # a file name of bytes that are not UTF-8
    assert clip_order([odd], 0) == [0]
    assert len(window_starts(20, Windows(frames=4), "uniform", 0, odd)) == 1


def test_a_draw_from_all_windows_is_uniform_over_windows_and_not_over_clips():
    windows, texts = Windows(frames=4, stride=2, order="windows"), {0: "a", 1: "b", 2: "c"}  # spans 7 frames
    lengths = {0: 16, 1: 7, 2: 6}  # 10 windows, 1 window, none
    every = choose_among_all(lengths, texts, 99, windows, seed=0)
    assert {(w.clip, w.frames) for w in every} == {
        *((0, (k, k + 2, k + 4, k + 6)) for k in range(10)),
        (1, (0, 2, 4, 6)),
    }
    counts = np.zeros(11)
    for seed in range(3300):
        (one,) = choose_among_all(lengths, texts, 1, windows, seed)
        counts[one.frames[0] if one.clip == 0 else 10] += 1
    # chi-square with 10 degrees of freedom: 29.6 is the 0.1 % point
    assert ((counts - 300) ** 2 / 300).sum() < 29.6


def test_a_clip_that_is_left_out_changes_no_window_of_the_others():
    windows, texts = Windows(frames=4, order="windows"), {k: f"clip{k}" for k in range(20)}
    drawn = choose_among_all(dict.fromkeys(range(20), 30), texts, 40, windows, seed=1)
    fewer = choose_among_all(dict.fromkeys(range(19), 30), texts, 40, windows, seed=1)
    kept = [window for window in drawn if window.clip != 19]
    assert fewer[: len(kept)] == kept
