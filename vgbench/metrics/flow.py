"""Optical flow between the frames of one clip: dense inverse search, warping, occlusion.

DIS (Kroeger et al. 2016, OpenCV's MEDIUM preset) needs no weights, runs on a CPU in under a millisecond at
64 × 64, and its result does not depend on the number of threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Flow = npt.NDArray[np.float32]
"""Displacement in pixels, float32 [H, W, 2]: x (right), y (down)."""

Image = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_SIDE = 16
"""Frames with a shorter side than this are enlarged for the flow, which works on patches of 8 × 8 pixels."""


def solve(clip: npt.NDArray[np.uint8]) -> Iterator[Flow]:
    """Flow from each frame of uint8 [T, H, W, 3] to the next: T − 1 fields.

    first(p) ≈ second(p + flow(p)). Frames with a side under `LEAST_SIDE` pixels are enlarged by a whole
    factor (cubic) and their flow is scaled back. The flow from each frame to the one before it is that of the
    reversed clip.
    """
    solver = _Solver(clip.shape[1], clip.shape[2])
    for first, second in itertools.pairwise(map(solver.gray, clip)):
        yield solver(first, second)


class _Solver:
    """DIS for frames of one size."""

    def __init__(self, height: int, width: int) -> None:
        import cv2

        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._size = (width, height)
        self._factor = -(-LEAST_SIDE // min(height, width))

    def gray(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        import cv2

        gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        if self._factor > 1:
            size = (self._size[0] * self._factor, self._size[1] * self._factor)
            gray = cv2.resize(gray, size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(gray, dtype=np.uint8)

    def __call__(self, first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> Flow:
        import cv2

        flow = self._dis.calc(first, second, None)
        if self._factor > 1:
            flow = cv2.resize(flow, self._size, interpolation=cv2.INTER_AREA) / self._factor
        return np.asarray(flow, dtype=np.float32)


def warp(image: Image, flow: Flow) -> tuple[Image, Mask]:
    """Sample `image` at p + flow(p), bilinear.

    Args:
        image: float64 [H, W, C].
        flow: [H, W, 2].

    Returns:
        float64 [H, W, C], with the border repeated outside the frame; and bool [H, W], whether p + flow(p)
        lies inside.
    """
    height, width = image.shape[:2]
    x = np.arange(width, dtype=np.float64) + flow[..., 0]
    y = np.arange(height, dtype=np.float64)[:, None] + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    np.clip(x, 0, width - 1, out=x)
    np.clip(y, 0, height - 1, out=y)
    left, top = x.astype(np.intp), y.astype(np.intp)
    across, down = (x - left)[..., None], (y - top)[..., None]
    corner = top * width + left
    to_right, to_bottom = left < width - 1, (top < height - 1) * width
    pixels = image.reshape(height * width, -1)  # one index per pixel is several times faster than two
    upper, upper_right = pixels.take(corner, axis=0), pixels.take(corner + to_right, axis=0)
    upper += (upper_right - upper) * across
    corner += to_bottom
    lower, lower_right = pixels.take(corner, axis=0), pixels.take(corner + to_right, axis=0)
    lower += (lower_right - lower) * across
    return upper + (lower - upper) * down, inside


def occluded(flow: Flow, back: Flow) -> Mask:
    """Pixels of the first frame that the second does not show, or where the flow breaks (bool [H, W]).

    Sundaram et al. 2010 with the constants of Lai et al. 2018, on squared magnitudes: the flow there and back
    misses its start by |f + b'|² > 0.01 (|f|² + |b'|²) + 0.5, b' the backward flow at the target; or f has a
    motion boundary, |∇f|² > 0.01 |f|² + 0.002; or the target lies outside the frame.
    """
    f = flow.astype(np.float64)
    returned, inside = warp(back.astype(np.float64), flow)
    length = squared_length(f)
    misses = squared_length(f + returned) > 0.01 * (length + squared_length(returned)) + 0.5
    gradient = np.zeros(length.shape)
    gradient[:, :-1] += squared_length(np.diff(f, axis=1))
    gradient[:-1] += squared_length(np.diff(f, axis=0))
    return np.asarray(misses | (gradient > 0.01 * length + 0.002) | ~inside, dtype=np.bool_)


def squared_length(flow: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """u² + v² of [..., 2]; several times faster than a sum over so short an axis."""
    return np.asarray(flow[..., 0] ** 2 + flow[..., 1] ** 2, dtype=np.float64)
