"""Runs an extractor over clips in memory, batch by batch, as an evaluation does."""

from typing import NamedTuple

import numpy as np

from vgbench.extractors.batch_size import Batches


class Arrays(NamedTuple):
    """What the extractor gave, in numpy: [N, D], [N, K] and [N, T, D]."""

    features: np.ndarray
    logits: np.ndarray | None
    frames: np.ndarray | None


def extract(extractor, clips, batch_size=16):
    """Extract from uint8 [N, T, H, W, 3]."""
    batches = Batches(batch_size)
    parts = []
    start = 0
    while start < len(clips):
        batch = clips[start : start + batches.size]
        parts.append(batches.run(extractor, batch))
        start += len(batch)
    return Arrays(*(_joined([getattr(part, name) for part in parts]) for name in Arrays._fields))


def _joined(tensors):
    return None if tensors[0] is None else np.concatenate([tensor.float().numpy() for tensor in tensors])
