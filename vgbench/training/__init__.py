"""Training of reference models. Importing this imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vgbench.presets import describe, preset_names, preset_path
from vgbench.training.catalogue import PresetFacts, list_models
from vgbench.training.config import TrainConfig
from vgbench.training.reading import read_config

if TYPE_CHECKING:
    from vgbench.training.run import TrainingProgress
    from vgbench.training.soundness import Diverged
    from vgbench.training.trainer import Summary, train

__all__ = [
    "Diverged",
    "PresetFacts",
    "Summary",
    "TrainConfig",
    "TrainingProgress",
    "describe",
    "list_models",
    "preset_names",
    "preset_path",
    "read_config",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in {"Diverged", "Summary", "TrainingProgress", "train"}:
        from vgbench.training import trainer

        return getattr(trainer, name)
    raise AttributeError(f"module 'vgbench.training' has no attribute '{name}'")
