"""Experiment trackers, which show numbers and clips during training: TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.training.config import TrainConfig


class Tracker(Protocol):
    """Interface of all experiment trackers."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Show numbers by name."""

    def clips(self, clips: npt.NDArray[np.uint8], grid: Path, step: int) -> None:
        """Show samples: clips uint8 [n, T, H, W, 3], and the file with their animated grid."""

    def close(self) -> None:
        """Finish at the end of the run."""


class TensorBoard:
    """Writes event files into a folder.

    Raises:
        VgbenchError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise VgbenchError(
                "tensorboard = true, but TensorBoard is not installed", "pip install tensorboard"
            ) from error
        self._writer: Any = SummaryWriter(folder)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def clips(self, clips: npt.NDArray[np.uint8], grid: Path, step: int) -> None:  # noqa: ARG002
        # Strips of frames, because add_video needs moviepy.
        self._writer.add_image("samples", strips(clips), step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Sends a run to the project `config.wandb`.

    Raises:
        VgbenchError: wandb is not installed.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        try:
            import wandb
        except ImportError as error:
            raise VgbenchError(
                f"wandb = {config.wandb}, but wandb is not installed", "pip install wandb"
            ) from error
        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=config.wandb, dir=str(folder), name=folder.name, config=config.model_dump(mode="json")
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def clips(self, clips: npt.NDArray[np.uint8], grid: Path, step: int) -> None:  # noqa: ARG002
        # The file, because wandb needs moviepy to encode pixels.
        self._run.log({"samples": self._wandb.Video(str(grid), format="gif")}, step=step)

    def close(self) -> None:
        self._run.finish()


def strips(clips: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Put each clip into one row, with its frames side by side: uint8 [n, T, H, W, 3] -> [n*H, T*W, 3]."""
    n, frames, height, width, _ = clips.shape
    return clips.transpose(0, 2, 1, 3, 4).reshape(n * height, frames * width, 3)
