"""How an evaluation runs: settings that may differ between machines and never change a score."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypedDict

from vgbench.evaluation.feature_store import FeatureStore
from vgbench.extractors.batch_size import Batches, BatchSize, batches
from vgbench.progress import Progress, no_progress


class ExecutionOptions(TypedDict, total=False):
    """Keyword arguments of `evaluate` and similar functions; see `Execution` for their meaning."""

    batch_size: BatchSize | Batches
    workers: int
    device: str
    compiled: bool
    store: FeatureStore | None
    progress: Progress | None


@dataclass(frozen=True)
class Execution:
    """The settings of one run; none of them changes a score.

    Attributes:
        batch_size: number of windows passed to the extractor at a time; "auto" finds the fastest number.
        workers: number of decoding processes; 0 decodes in the main process.
        device: where the extractor runs: "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.
        compiled: whether the extractor runs through `torch.compile`.
        store: the feature store; by default the one in the cache folder.
        progress: called as (stage, done, total).
    """

    batch_size: Batches = field(default_factory=lambda: Batches(16))
    workers: int = 0
    device: str = "cpu"
    compiled: bool = False
    store: FeatureStore = field(default_factory=FeatureStore)
    progress: Progress = no_progress

    @classmethod
    def of(cls, options: ExecutionOptions) -> Execution:
        """Return the given options, completed with the defaults.

        Raises:
            ConfigError: the batch size is neither "auto" nor a number above 0.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if "batch_size" in given:
            given["batch_size"] = batches(options["batch_size"])
        return cls(**given)  # type: ignore[arg-type]

    def options(self) -> ExecutionOptions:
        """Return the same settings as keyword arguments."""
        return {
            "batch_size": self.batch_size,
            "workers": self.workers,
            "device": self.device,
            "compiled": self.compiled,
            "store": self.store,
            "progress": self.progress,
        }
