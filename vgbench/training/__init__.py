"""Training of reference models. Importing this package imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vgbench.named import load_target
from vgbench.training.config import TrainConfig
from vgbench.training.config_files import read_config
from vgbench.training.model_costs import ModelCosts, list_models

if TYPE_CHECKING:
    from vgbench.training.divergence import Diverged
    from vgbench.training.run import TrainingProgress
    from vgbench.training.trainer import TrainingSummary, train

__all__ = [
    "Diverged",
    "ModelCosts",
    "TrainConfig",
    "TrainingProgress",
    "TrainingSummary",
    "list_models",
    "read_config",
    "train",
]

IMPORTED_ON_USE = {
    "Diverged": "vgbench.training.divergence:Diverged",
    "TrainingProgress": "vgbench.training.run:TrainingProgress",
    "TrainingSummary": "vgbench.training.trainer:TrainingSummary",
    "train": "vgbench.training.trainer:train",
}
"""Names whose modules import torch."""


def __getattr__(name: str) -> Any:
    if name in IMPORTED_ON_USE:
        return load_target(IMPORTED_ON_USE[name])
    raise AttributeError(f"module 'vgbench.training' has no attribute '{name}'")
