"""A network without weights: tests of everything around an extractor take milliseconds with it."""

from __future__ import annotations

import os
import time
from multiprocessing.util import Finalize
from pathlib import Path

import torch

from vgbench import features
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec


class StubExtractor(Extractor):
    """Features: mean colour of four frames and of four quarters; logits: mean colour of the first frame."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.spec = ExtractorSpec(
            id="stub",
            weights="random:0",
            least_frames=4,
            input_size=64,
            preprocessing="none",
            feature_dimension=24,
            classes=("r", "g", "b"),
            licence="Apache-2.0",
            comparable_with="nothing",
        )

    def forward(self, clips: torch.Tensor) -> Extracted:
        self.calls.append(len(clips))
        x = clips.float() / 255
        times = x[:, torch.linspace(0, x.shape[1] - 1, 4).long()].mean((2, 3)).flatten(1)
        middle = x.shape[2] // 2
        quarters = [x[:, :, a, b].mean((1, 2, 3)) for a in _halves(middle) for b in _halves(middle)]
        return Extracted(torch.cat([times, *quarters], 1), x[:, 0].mean((1, 2)))


def _halves(middle: int) -> tuple[slice, slice]:
    return slice(None, middle), slice(middle, None)


class CountingExtractor(StubExtractor):
    """Appends the number of clips it saw to a file when the process ends."""

    def __init__(self) -> None:
        super().__init__()
        Finalize(None, self._report, exitpriority=0)  # which forked processes call too, unlike `atexit`

    def _report(self) -> None:
        with Path(os.environ["VGBENCH_RANK_FILE"]).open("a") as file:
            file.write(f"{sum(self.calls)}\n")


class FailsOnRankOne(StubExtractor):
    """Rank 0 does its work; rank 1 dies at its first batch of generated clips."""

    def forward(self, clips: torch.Tensor) -> Extracted:
        if os.environ.get("RANK") == "1" and sum(self.calls) >= 20:
            raise MemoryError("rank one is out of memory")
        return super().forward(clips)


class HangsOnRankOne(StubExtractor):
    """Rank 0 does its work; rank 1 never comes back from its first batch."""

    def forward(self, clips: torch.Tensor) -> Extracted:
        if os.environ.get("RANK") == "1":
            time.sleep(3600)
        return super().forward(clips)


class SlowExtractor(StubExtractor):
    """Takes its time, and has every batch written to the store at once, so that a test can kill it midway."""

    def __init__(self) -> None:
        super().__init__()
        features._FLUSH_SECONDS = 0.0

    def forward(self, clips: torch.Tensor) -> Extracted:
        time.sleep(0.2)
        return super().forward(clips)
