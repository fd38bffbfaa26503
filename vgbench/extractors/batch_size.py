"""How many clips an extractor is given at once: a number, or the fastest of those tried."""

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
"""What a caller may ask for."""

LARGEST = 32
"""The most clips that "auto" tries at once, which bounds its memory."""

_TRIALS = 2  # the first batch of a size pays for memory, for compilation, and for whatever else was running


class Batches:
    """Runs an extractor batch by batch; under "auto" the first batches are trials.

    They have 1, 2, 4, … clips, each size twice, as long as clips get cheaper with it; then the fastest size
    stays. Trials are clips of the run itself, so nothing is computed twice.

    Args:
        wanted: clips at once, or "auto".

    Attributes:
        is_auto: whether it was left to this object.
        size: clips that the next batch should have.
        trying: whether the next batch is a trial.

    Raises:
        ConfigError: neither "auto" nor a number above 0.
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
        """Extract, and learn from the time it took."""
        begun = time.perf_counter()
        extracted = extractor(clips)
        if self.trying:
            extracted.features.cpu()  # waits for a GPU
            self.took(len(clips), time.perf_counter() - begun)
        return extracted

    def took(self, clips: int, seconds: float) -> None:
        """Note the time of one trial and settle on what comes next."""
        if clips != self.size:  # a short batch, at the end or of clips of another size, tells nothing
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
        ConfigError: neither.
    """
    wanted: BatchSize = "auto" if text == "auto" else int(text) if text.isdecimal() else 0
    if wanted == 0:
        raise ConfigError(f"batch size {text!r}", "give a number above 0, or auto")
    return wanted


def batches(wanted: BatchSize | Batches) -> Batches:
    """Return `wanted` as it is where an earlier run settled on it, else new `Batches`."""
    return wanted if isinstance(wanted, Batches) else Batches(wanted)
