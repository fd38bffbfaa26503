"""Features of clips in memory, for the other benchmarks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vgbench.extractors.extractor import Extractor


def features_of(
    extractor: Extractor, clips: npt.NDArray[np.uint8], batch_size: int = 16
) -> npt.NDArray[np.float32]:
    """Return float32 [N, D] of uint8 [N, T, H, W, 3]."""
    parts = [extractor(clips[i : i + batch_size]).features for i in range(0, len(clips), batch_size)]
    return np.concatenate([part.float().cpu().numpy() for part in parts])
