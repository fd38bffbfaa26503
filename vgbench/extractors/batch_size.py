"""The batch size of an extractor: a given number, or the fastest one in trials."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal

from vgbench.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from vgbench.extractors.extractor import Extracted, Extractor

BatchSize = int | Literal["auto"]
"""A number above 0, or "auto"."""

LARGEST = 32
"""The largest batch size that "auto" tries, which limits its memory."""

_TRIALS = 2  # the first batch of a size includes the time for memory allocation and compilation


class Batches:
    """Runs an extractor batch by batch; under "auto" the first batches are trials.

    They have 1, 2, 4, … clips, with two batches of each size, as long as the time per clip decreases; then
    the fastest size is kept. Trials use clips of the run itself, so nothing is computed twice.

    Args:
        wanted: clips per batch, or "auto".

    Attributes:
        is_auto: whether this object chooses the size.
        size: number of clips for the next batch.
        trying: whether the next batch is a trial.

    Raises:
        ConfigError: `wanted` is neither "auto" nor a number above 0.
    """

    def __init__(self, wanted: BatchSize) -> None:
        parse_batch_size(str(wanted))
        self.is_auto = self.trying = wanted == "auto"
        self.size = 1 if wanted == "auto" else wanted
        self._seconds: list[float] = []
        self._least = math.inf
        self._fastest = 1

    def __str__(self) -> str:
        return f"auto: {self.size}" if self.is_auto else str(self.size)

    def run(self, extractor: Extractor, clips: torch.Tensor | npt.NDArray[np.uint8]) -> Extracted:
        """Extract features, and record the time of a trial."""
        begun = time.perf_counter()
        extracted = extractor(clips)
        if self.trying:
            extracted.features.cpu()  # waits for a GPU
            self.took(len(clips), time.perf_counter() - begun)
        return extracted

    def took(self, clips: int, seconds: float) -> None:
        """Record the time of one trial and decide on the next size."""
        if clips != self.size:  # a shorter batch, at the end or before clips of another size, is not a trial
            return
        self._seconds.append(seconds / clips)
        if len(self._seconds) < _TRIALS:
            return
        cost, self._seconds = min(self._seconds), []
        if cost < self._least:
            self._least, self._fastest = cost, self.size
            self.trying = self.size < LARGEST
        else:
            self.trying = False
        self.size = self.size * 2 if self.trying else self._fastest


def parse_batch_size(text: str) -> BatchSize:
    """Read "auto" or a number above 0.

    Raises:
        ConfigError: the text is neither.
    """
    wanted: BatchSize = "auto" if text == "auto" else int(text) if text.isdecimal() else 0
    if wanted == 0:
        raise ConfigError(f"batch size {text!r}", "give a number above 0, or auto")
    return wanted


def batches(wanted: BatchSize | Batches) -> Batches:
    """Return `wanted` itself if it is a `Batches` of an earlier run, else a new one."""
    return wanted if isinstance(wanted, Batches) else Batches(wanted)
