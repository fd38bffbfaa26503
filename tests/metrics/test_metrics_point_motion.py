"""Tracks and FVMD histograms of motions that are known."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics.point_motion import GRID, SIDE, describe, histograms, track

POINTS = GRID**2


def steady(x, y, frames=16):
    """Every point moves by (x, y) in each step."""
    return np.arange(frames)[:, None, None] * np.array([x, y], dtype=float) + np.full((1, POINTS, 2), 100.0)


def picture(side=400, seed=0):
    rough = np.random.default_rng(seed).random((side, side))
    smooth = cv2.GaussianBlur(rough, (0, 0), 2.5)
    gray = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def test_a_frozen_set_of_points_is_all_nought():
    assert not histograms(steady(0, 0)).any()


@pytest.mark.parametrize(
    ("x", "y", "direction"),
    # Eighths of arctan2(x, y) + π: from straight up over left, down and right.
    [(1, -3, 7), (-1, -3, 0), (-3, -1, 1), (-3, 1, 2), (1, 3, 4), (3, 1, 5)],
)
def test_steady_motion_by_hand(x, y, direction):
    velocity, acceleration = np.split(histograms(steady(x, y)).reshape(-1, 8), 2)
    # |v| = √10: log2(1 + √10) = 2.06, rounded up to 3 eighths. A cell has 4 frames × 25 points; v_0 = 0.
    expected = np.full(64, 100 * 3 / 8)
    expected[:16] = 75 * 3 / 8
    np.testing.assert_allclose(velocity[:, direction], expected)
    assert np.delete(velocity, direction, axis=1).max() == 0
    # The only acceleration is the start, a_1 = v_1 − v_0.
    first = np.where(np.arange(64) < 16, 25 * 3 / 8, 0.0)
    np.testing.assert_allclose(acceleration[:, direction], first)
    assert np.delete(acceleration, direction, axis=1).max() == 0


def test_magnitudes_are_eighths_of_rounded_up_logarithms():
    for length, eighths in ((0.5, 1), (1, 1), (1.01, 2), (3, 2), (127, 7), (255, 8), (1000, 8)):
        whole = histograms(steady(length, 0))[:512].sum()
        assert whole == pytest.approx(15 * POINTS * eighths / 8), length


def test_a_cell_belongs_to_its_corner_of_the_frame_and_of_time():
    tracks = np.full((16, POINTS, 2), 100.0)
    tracks.reshape(16, GRID, GRID, 2)[9:, 5:10, 15:] += (2.0, 1.0)  # one step, in the third group of frames
    cells = histograms(tracks)[:512].reshape(4, 4, 4, 8)
    assert np.argwhere(cells.sum(axis=-1)).tolist() == [[2, 1, 3]]
    assert cells.sum() == pytest.approx(25 * 2 / 8)


@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_turning_all_motion_by_an_eighth_turns_the_bins(turns, seed):
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 4, (16, POINTS, 2))
    angle = turns * np.pi / 4
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    plain, turned = (histograms(np.cumsum(s, axis=0)).reshape(-1, 8) for s in (steps, steps @ rotation))
    # A vector may sit on a bin's edge within rounding; hardly any does.
    assert np.abs(np.roll(plain, turns, axis=1) - turned).sum() < 1e-3 * plain.sum()


def test_points_follow_a_moving_picture():
    still = picture()
    shift = np.array([2.5, -1.5])
    frames = [cv2.warpAffine(still, np.float32([[1, 0, s[0]], [0, 1, s[1]]]), (SIDE, SIDE)) for s in
              (np.arange(6)[:, None] * shift - 40)]  # fmt: skip
    steps = np.diff(track(np.stack(frames)), axis=0).reshape(5, GRID, GRID, 2)
    np.testing.assert_allclose(steps[:, 2:-2, 2:-2], np.broadcast_to(shift, (5, 16, 16, 2)), atol=0.07)


def test_points_follow_a_turning_picture():
    still, per_frame = picture(), 2.0
    frames = [
        cv2.warpAffine(still, cv2.getRotationMatrix2D((128, 128), per_frame * t, 1), (SIDE, SIDE))
        for t in range(5)
    ]
    tracks = track(np.stack(frames)) - 128
    radius = np.linalg.norm(tracks[0], axis=1)
    turned = np.unwrap(np.arctan2(tracks[..., 1], tracks[..., 0]), axis=0)
    degrees = np.degrees(turned[-1] - turned[0])[(radius > 30) & (radius < 100)]
    assert np.median(degrees) == pytest.approx(-4 * per_frame, abs=0.1)  # OpenCV turns against y
    assert np.mean(np.abs(degrees + 4 * per_frame) < 0.5) > 0.8


def test_a_still_clip_and_a_flat_one_do_not_move():
    frozen = np.repeat(picture(64)[None], 16, axis=0)
    assert not describe(frozen).any()
    assert not describe(np.zeros((16, 32, 48, 3), np.uint8)).any()


def test_longer_clips_give_the_mean_of_their_windows():
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(-3, 4, (18, 2)), axis=0) + 60
    still = picture(320)
    clip = np.stack([still[y : y + 128, x : x + 128] for y, x in steps])
    parts = [describe(clip[start : start + 16]) for start in range(3)]
    np.testing.assert_allclose(describe(clip), np.mean(parts, axis=0))
    with pytest.raises(VgbenchError, match="at least 16"):
        describe(clip[:15])
