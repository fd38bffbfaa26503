"""A network without weights: tests of everything around an extractor take milliseconds with it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from multiprocessing.util import Finalize
from pathlib import Path

import torch

from vgbench.evaluation import feature_store
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec


class StubExtractor(Extractor):
    """Features: mean colour of four frames and of four quarters; logits: mean colour of the first frame."""

    def __init__(self, before: Callable[[StubExtractor], None] | None = None) -> None:
        super().__init__()
        self.before = before
        self.calls: list[int] = []
        self.spec = ExtractorSpec(
            id="stub",
            weights="random:0",
            least_frames=4,
            preprocessing="none",
            feature_dimension=24,
            classes=("r", "g", "b"),
            licence="Apache-2.0",
            comparable_with="nothing",
        )

    def forward(self, clips: torch.Tensor) -> Extracted:
        if self.before is not None:
            self.before(self)
        self.calls.append(len(clips))
        x = clips.float() / 255
        times = x[:, torch.linspace(0, x.shape[1] - 1, 4).long()].mean((2, 3)).flatten(1)
        middle = x.shape[2] // 2
        quarters = [x[:, :, a, b].mean((1, 2, 3)) for a in _halves(middle) for b in _halves(middle)]
        return Extracted(torch.cat([times, *quarters], 1), x[:, 0].mean((1, 2)))


def _halves(middle: int) -> tuple[slice, slice]:
    return slice(None, middle), slice(middle, None)


# What follows is the same class in other moods, so that stored features are the same network's.


def CountingExtractor() -> StubExtractor:
    """Appends the number of clips it saw to a file when the process ends."""
    network = StubExtractor()

    def report() -> None:
        with Path(os.environ["VGBENCH_RANK_FILE"]).open("a") as file:
            file.write(f"{sum(network.calls)}\n")

    Finalize(None, report, exitpriority=0)  # which forked processes call too, unlike `atexit`
    return network


def FailsOnRankOne() -> StubExtractor:
    """Rank 0 does its work; rank 1 dies at its first batch of generated clips."""
    return StubExtractor(_fail_on_rank_one)


def _fail_on_rank_one(network: StubExtractor) -> None:
    if os.environ.get("RANK") == "1" and sum(network.calls) >= 20:
        raise MemoryError("rank one is out of memory")


def HangsOnRankOne() -> StubExtractor:
    """Rank 0 does its work; rank 1 never comes back from its first batch."""
    return StubExtractor(_hang_on_rank_one)


def _hang_on_rank_one(network: StubExtractor) -> None:
    if os.environ.get("RANK") == "1":
        time.sleep(3600)


def SlowExtractor() -> StubExtractor:
    """Takes its time, and has every batch written to the store at once, so that a test can kill it midway."""
    feature_store._FLUSH_SECONDS = 0.0
    return StubExtractor(lambda network: time.sleep(0.2))
