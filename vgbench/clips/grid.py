"""Grids of clips as animated GIFs, for people to watch while a model trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vgbench.storage.atomic import replacing


def tile(clips: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Arrange clips in a grid: uint8 [n, T, H, W, 3] -> [T, rows*H, columns*W, 3]; empty cells are black."""
    n, frames, height, width, _ = clips.shape
    rows = -(-n // columns)
    canvas = np.zeros((rows * columns, frames, height, width, 3), np.uint8)
    canvas[:n] = clips
    grid = canvas.reshape(rows, columns, frames, height, width, 3).transpose(2, 0, 3, 1, 4, 5)
    return np.ascontiguousarray(grid).reshape(frames, rows * height, columns * width, 3)


def write_gif(path: Path, clips: npt.NDArray[np.uint8], columns: int, fps: float = 8, scale: int = 2) -> None:
    """Write clips as one looping animation, enlarged by the whole factor `scale`."""
    grid = tile(clips, columns).repeat(scale, 1).repeat(scale, 2)
    images = [Image.fromarray(frame) for frame in grid]
    with replacing(path) as temporary:
        images[0].save(temporary, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
