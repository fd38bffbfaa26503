"""Grey frames for metrics on luma."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def luma(clip: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Luma of uint8 [T, H, W, 3] with the weights of BT.601, rounded to uint8 [T, H, W]."""
    import cv2

    grays = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in clip]
    return np.asarray(np.stack(grays), dtype=np.uint8)
