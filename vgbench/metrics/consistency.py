"""Consistency of a clip's subject and background: VBench's definition on features of single frames.

Huang et al. 2024 (arXiv:2311.17982): subject consistency takes features of DINO, background consistency those
of CLIP. Both are this function; the extractor decides which of them it computes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import score_clips


def consistency(features: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Similarity of each frame to the first one and to the one before it.

    s_t = (max(0, cos(f_{t−1}, f_t)) + max(0, cos(f_1, f_t))) / 2 for t = 2 … T.

    Args:
        features: float [T, D] of the frames of a clip, T >= 2. A feature of length 0 has similarity 0 to all.

    Returns:
        float64 [T − 1] in [0, 1]. VBench's score of a clip is the mean. Its score of a set is the mean over
        all frames of all clips in one process, and the mean of the clips' means in several; the two are equal
        for clips of one length, which is the case here.

    Raises:
        VgbenchError: another shape, fewer than 2 frames, or values that are not finite.
    """
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise VgbenchError(
            f"consistency needs finite features [T, D] with T >= 2, got shape {list(array.shape)}",
            "one feature vector for each frame of the clip",
        )
    length = np.linalg.norm(array, axis=1, keepdims=True)
    unit = np.divide(array, length, out=np.zeros_like(array), where=length > 0)
    before = np.sum(unit[1:] * unit[:-1], axis=1)
    first = unit[1:] @ unit[0]
    return np.asarray((np.clip(before, 0, 1) + np.clip(first, 0, 1)) / 2, dtype=np.float64)


def score(generated: Samples, real: Samples) -> dict[str, Score]:
    """Mean over clips, with the mean of the real clips as `real`; both need features of single frames."""
    ours, theirs = (_means(side) for side in (generated, real))
    return {"frame_consistency": score_clips(ours, generated.groups, theirs)}


def _means(side: Samples) -> npt.NDArray[np.float64]:
    if side.frames is None:
        raise VgbenchError("frame_consistency needs features of single frames", "use another extractor")
    return np.array([consistency(clip).mean() for clip in side.frames])
