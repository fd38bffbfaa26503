"""Where a run's numbers and clips are shown while it trains: TensorBoard, Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.training.config import TrainConfig


class Board(Protocol):
    """What a run tells a board."""

    def scalars(self, facts: Mapping[str, float], step: int) -> None:
        """Show numbers by name."""

    def clips(self, clips: npt.NDArray[np.uint8], grid: Path, step: int) -> None:
        """Show samples: uint8 [n, T, H, W, 3], and the animated grid that was written of them."""

    def close(self) -> None:
        """The run ends."""


class TensorBoard:
    """Event files in the run folder.

    Raises:
        VgbenchError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise VgbenchError(
                "tensorboard = true, and TensorBoard is not installed", "pip install tensorboard"
            ) from error
        self._writer: Any = SummaryWriter(folder)

    def scalars(self, facts: Mapping[str, float], step: int) -> None:
        for name, value in facts.items():
            self._writer.add_scalar(name, value, step)

    def clips(self, clips: npt.NDArray[np.uint8], grid: Path, step: int) -> None:  # noqa: ARG002
        # Rows of frames in place of add_video, which needs moviepy.
        self._writer.add_image("samples", strips(clips), step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of the project `config.wandb`.

    Raises:
        VgbenchError: wandb is not installed.
    """

    def __init__(self, folder: Path, config: TrainConfig) -> None:
        try:
            import wandb
        except ImportError as error:
            raise VgbenchError(
                f"wandb = {config.wandb}, and wandb is not installed", "pip install wandb"
            ) from error
        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=config.wandb, dir=str(folder), name=folder.name, config=config.model_dump(mode="json")
        )

    def scalars(self, facts: Mapping[str, float], step: int) -> None:
        self._run.log(dict(facts), step=step)

    def clips(self, clips: npt.NDArray[np.uint8], grid: Path, step: int) -> None:  # noqa: ARG002
        # The file in place of the pixels, which need moviepy.
        self._run.log({"samples": self._wandb.Video(str(grid), format="gif")}, step=step)

    def close(self) -> None:
        self._run.finish()


def strips(clips: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """One clip a row, its frames side by side: uint8 [n, T, H, W, 3] -> [n*H, T*W, 3]."""
    n, frames, height, width, _ = clips.shape
    return clips.transpose(0, 2, 1, 3, 4).reshape(n * height, frames * width, 3)
