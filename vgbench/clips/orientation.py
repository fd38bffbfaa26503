"""Turn and mirror pixels as a player shows them, from display matrices of videos and orientations of EXIF."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Axes(NamedTuple):
    """Where the axes of stored pixels point on the screen: x' = a·x + c·y and y' = b·x + d·y.

    Only signs and ratios matter. The order is that of display matrices (ISO/IEC 14496-12, section 8.3.2).
    """

    a: int
    b: int
    c: int
    d: int


EXIF = {
    1: Axes(1, 0, 0, 1),
    2: Axes(-1, 0, 0, 1),
    3: Axes(-1, 0, 0, -1),
    4: Axes(1, 0, 0, -1),
    5: Axes(0, 1, 1, 0),
    6: Axes(0, 1, -1, 0),
    7: Axes(0, -1, -1, 0),
    8: Axes(0, -1, 1, 0),
}
"""The values of the tag Orientation (Exif 3.0, section 4.6.5)."""

LARGEST_TILT = 0.017
"""Tangent of one degree, up to which an axis counts as upright; the ffmpeg program does the same."""


def axes_of_matrix(matrix: bytes) -> Axes:
    """Read the axes from FFmpeg's display matrix: nine int32 in the byte order of the machine."""
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
    return Axes(a, b, c, d)


def upright(pixels: npt.NDArray[np.uint8], axes: Axes) -> npt.NDArray[np.uint8]:
    """Return uint8 [H, W, 3], or [W, H, 3] where the sides change places, as it is shown.

    Pixels that the axes would tilt by other angles than quarter turns stay as they are stored.
    """
    straight, crossed = max(abs(axes.a), abs(axes.d)), max(abs(axes.b), abs(axes.c))
    if crossed <= LARGEST_TILT * straight:
        right, down = axes.a, axes.d
    elif straight <= LARGEST_TILT * crossed:
        pixels = pixels.swapaxes(0, 1)
        right, down = axes.c, axes.b
    else:
        return pixels
    return np.ascontiguousarray(pixels[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])
