"""NIQE (Mittal, Soundararajan and Bovik 2013, IEEE SPL 20(3)) by scikit-video, from its version 1.2 on.

Not in `METRICS`, because the scikit-video of the package index (1.1.11) computes it wrong. Whoever has a
newer one names it as `vgbench.metrics.niqe:NIQE`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vgbench.compat import skvideo
from vgbench.errors import VgbenchError
from vgbench.metrics.checks import frames
from vgbench.metrics.luma import luma
from vgbench.metrics.metric import ClipMetric

_LEAST_SIDE = 194  # two blocks of 96 pixels each way, and one pixel more


def niqe(clip: npt.NDArray[np.uint8]) -> float:
    """Mean distance of the frames' luma statistics from those of natural pictures; lower is better.

    Args:
        clip: uint8 [T, H, W, 3], sides of at least 194 pixels.

    Raises:
        VgbenchError: not a clip, frames too small, or a scikit-video older than 1.2.
    """
    values = frames(clip, least_frames=1)
    if min(values.shape[1:3]) < _LEAST_SIDE:
        raise VgbenchError(
            f"NIQE needs frames of at least {_LEAST_SIDE} pixels each way, got {list(values.shape[1:3])}",
            "keep the clips' own size: --set resize.fit=keep",
        )
    return float(skvideo.niqe(luma(values)).mean())


NIQE = ClipMetric(
    "niqe",
    "NIQE",
    niqe,
    version="1",
    better="lower",
    citation="Mittal et al. 2013, IEEE SPL 20(3)",
    least_frames=1,
)
