"""Tracks and FVMD histograms of motions that are known."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics.point_motion import GRID, SIDE, describe, histograms

POINTS = GRID**2


def steady(x, y, frames=16):
    """Every point moves by (x, y) in each step."""
    return np.arange(frames)[:, None, None] * np.array([x, y], dtype=float) + np.full((1, POINTS, 2), 100.0)


def textured_image(side=400, seed=0):
    rough = np.random.default_rng(seed).random((side, side))
    smooth = cv2.GaussianBlur(rough, (0, 0), 2.5)
    gray = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def test_points_that_stand_still_give_zeros():
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


def velocities(clip):
    """Velocity histograms in the four cells in the middle of the frame, float64 [cells in time, 2, 2, 8]."""
    return describe(np.stack(clip))[:512].reshape(4, 4, 4, 8)[:, 1:3, 1:3]


# Lengths of 1.17 and 2.82 pixels: near both ends of (1, 3], in which the histograms do not tell them apart.
@pytest.mark.parametrize("shift", [(1.0, -0.6), (2.5, -1.3)])
def test_points_follow_a_moving_image(shift):
    image = textured_image()
    clip = [
        cv2.warpAffine(image, np.float32([[1, 0, x], [0, 1, y]]), (SIDE, SIDE))
        for x, y in np.arange(16)[:, None] * np.array(shift) - (50, 30)
    ]
    expected = histograms(steady(*shift))[:512].reshape(4, 4, 4, 8)[:, 1:3, 1:3]
    np.testing.assert_allclose(velocities(clip), expected)


def test_points_follow_a_turning_image():
    image, per_frame = textured_image(), 2.0
    clip = [
        cv2.warpAffine(image, cv2.getRotationMatrix2D((128, 128), per_frame * t, 1), (SIDE, SIDE))
        for t in range(16)
    ]
    line = np.linspace(8, SIDE - 8, GRID) - 128
    start = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    angles = -np.radians(per_frame) * np.arange(16)  # OpenCV turns against y
    turns = np.array([[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]]).T
    turned = turns @ start.T
    expected = histograms(turned.swapaxes(1, 2) + 128)[:512].reshape(4, 4, 4, 8)[:, 1:3, 1:3]
    assert np.abs(velocities(clip) - expected).sum() < 0.1 * expected.sum()


def test_a_still_clip_and_a_flat_one_do_not_move():
    frozen = np.repeat(textured_image(64)[None], 16, axis=0)
    assert not describe(frozen).any()
    assert not describe(np.zeros((16, 32, 48, 3), np.uint8)).any()


def test_longer_clips_give_the_mean_of_their_windows():
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.integers(-3, 4, (18, 2)), axis=0) + 60
    image = textured_image(320)
    clip = np.stack([image[y : y + 128, x : x + 128] for y, x in steps])
    parts = [describe(clip[start : start + 16]) for start in range(3)]
    np.testing.assert_allclose(describe(clip), np.mean(parts, axis=0))
    with pytest.raises(VgbenchError, match="at least 16"):
        describe(clip[:15])
