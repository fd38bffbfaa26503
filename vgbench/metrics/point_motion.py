"""FVMD's histograms of the motion of points on a grid (Liu et al. 2024, arXiv:2407.16124).

Fréchet Video Motion Distance compares sets of clips only by the velocity and acceleration of tracked points.
Its authors track with the network PIPs++; vgbench uses the pyramidal Lucas–Kanade method (Bouguet 2000,
OpenCV), which needs no weights, so its numbers are not comparable with theirs.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.metrics.checks import frames
from vgbench.metrics.luma import luma

Array = npt.NDArray[np.float64]

WINDOW = 16
"""Frames that one histogram covers."""
SIDE = 256
"""Frames are resized to 256 × 256 pixels, regardless of their aspect ratio."""
GRID = 20
"""Points in each direction; the outer ones lie 8 pixels inside the frame."""

_MARGIN = 8
_STEPS_PER_PIXEL = 16
_CELL_FRAMES, _CELL_POINTS = 4, 5  # a cell of the histogram: 4 frames × 5 × 5 points
_ANGLES = 8
_LARGEST = 255.0  # pixels per frame; longer vectors count as this


def describe(clip: npt.NDArray[np.uint8]) -> Array:
    """Velocity and acceleration histograms of the points on a grid, float64 [1024].

    Windows of 16 frames start at every frame of uint8 [T, H, W, 3], T >= 16, each with its own grid; the
    result is their mean. (The authors use each window as a sample of its own; clips of 16 frames have only
    one window, so that both agree.)

    Raises:
        VgbenchError: not a clip, or fewer than 16 frames.
    """
    grays = _grays(frames(clip, least_frames=WINDOW))
    starts = range(len(grays) - WINDOW + 1)
    windows = [histograms(_track(grays[start : start + WINDOW])) for start in starts]
    return np.asarray(np.mean(windows, axis=0), dtype=np.float64)


def histograms(tracks: Array) -> Array:
    """Histogram of velocities, then of accelerations, each of 4 × 4 × 4 cells × 8 directions.

    v_t = p_t − p_{t−1} and v_0 = 0; a_t = v_t − v_{t−1} and a_0 = 0, as in the paper. (The authors' code,
    fvmd 1.0.0, computes accelerations from differences of positions, which gives the velocities again,
    without the first.) A cell holds 4 frames × 5 × 5 points. Each vector adds ⌈min(log₂(1 + |v|), 8)⌉ / 8 to
    its direction, |v| at most 255 pixels; a point that stands still adds nothing.

    Args:
        tracks: float64 [16, 400, 2].

    Returns:
        float64 [1024].
    """
    velocity = np.diff(tracks, axis=0, prepend=tracks[:1])
    acceleration = np.diff(velocity, axis=0, prepend=velocity[:1])
    return np.concatenate([_histogram(velocity), _histogram(acceleration)])


def _histogram(vectors: Array) -> Array:
    """Sum of magnitudes by cell and direction, [T, N, 2] -> [cells × 8], without excess frames and points."""
    steps, side = len(vectors) // _CELL_FRAMES, round(vectors.shape[1] ** 0.5) // _CELL_POINTS
    length = np.minimum(np.linalg.norm(vectors, axis=-1), _LARGEST)
    magnitude = np.ceil(np.log2(1 + length)) / _ANGLES  # log2(256) = 8 happens to be the number of angles
    angle = np.arctan2(vectors[..., 0], vectors[..., 1]) + np.pi
    direction = np.clip(angle // (2 * np.pi / _ANGLES), 0, _ANGLES - 1).astype(np.intp)
    one_hot = magnitude[..., None] * (direction[..., None] == np.arange(_ANGLES))
    cells = one_hot[: steps * _CELL_FRAMES].reshape(
        steps, _CELL_FRAMES, side, _CELL_POINTS, side, _CELL_POINTS, _ANGLES
    )
    return np.asarray(cells.sum(axis=(1, 3, 5)).ravel(), dtype=np.float64)


def _grays(clip: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    import cv2

    found = []
    for gray in luma(clip):
        larger = gray.shape[0] > SIDE or gray.shape[1] > SIDE
        kernel = cv2.INTER_AREA if larger else cv2.INTER_CUBIC
        resized = gray if gray.shape == (SIDE, SIDE) else cv2.resize(gray, (SIDE, SIDE), interpolation=kernel)
        found.append(np.asarray(resized, dtype=np.uint8))
    return found


def _track(grays: list[npt.NDArray[np.uint8]]) -> Array:
    """Follow a grid of 20 × 20 points through all frames.

    Each step starts from the point's position in the frame before. A point that cannot be followed (no
    texture, or outside the frame) keeps its position for that step, and so counts as still. Steps are rounded
    to sixteenths of a pixel, about the precision of the tracker, because the histograms round magnitudes up
    and would otherwise count its noise as motion.

    Args:
        grays: frames, uint8 [256, 256].

    Returns:
        float64 [T, 400, 2], (x, y) in pixels of the frame at 256 × 256, points row by row.
    """
    import cv2

    line = np.linspace(_MARGIN, SIDE - _MARGIN, GRID, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 1, 2)
    follow: Any = cv2.calcOpticalFlowPyrLK
    tracks = [points]
    for before, after in itertools.pairwise(grays):
        moved, found, _ = follow(before, after, points, None, winSize=(21, 21), maxLevel=3)
        inside = ((moved >= 0) & (moved <= SIDE - 1)).all(axis=-1, keepdims=True)
        steps = np.round((moved - points) * _STEPS_PER_PIXEL) / _STEPS_PER_PIXEL
        points = np.where((found[..., None] == 1) & inside, points + steps, points)
        tracks.append(points)
    return np.asarray(np.stack(tracks)[:, :, 0], dtype=np.float64)
