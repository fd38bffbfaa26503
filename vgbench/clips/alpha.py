"""What transparent pixels look like."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def flatten_alpha(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Blend uint8 [..., 4] with black: round(colour × alpha / 255), uint8 [..., 3]."""
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min(initial=255) == 255:  # true of nearly every file with an alpha channel
        return np.ascontiguousarray(colour)
    product = colour.astype(np.uint16) * alpha.astype(np.uint16)
    return ((product + np.uint16(127)) // np.uint16(255)).astype(np.uint8)
