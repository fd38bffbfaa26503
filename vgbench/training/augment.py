"""Differentiable augmentation (Zhao et al. 2020) for clips: all frames of a clip are changed in the same way.

Changes that differ between frames would teach the generator to flicker; StyleGAN-V reports the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vgbench.named import load_target
from vgbench.training.config import AUGMENTATIONS

NUMBERS = 8
"""Uniform random numbers for the augmentation of one clip."""


def draw(clips: int, random: torch.Generator) -> torch.Tensor:
    """Draw random numbers for `augment`: float [clips, NUMBERS] in [0, 1)."""
    return torch.rand(clips, NUMBERS, generator=random)


def augment(video: torch.Tensor, kinds: Sequence[str], numbers: torch.Tensor) -> torch.Tensor:
    """Change clips, differentiably.

    Args:
        video: float [B, 3, T, H, W] in [−1, 1].
        kinds: names in `AUGMENTATIONS`; they are applied in the order of that table.
        numbers: from `draw`, one row per clip; equal numbers give equal changes.
    """
    for kind, target in AUGMENTATIONS.items():
        if kind in kinds:
            video = load_target(target)(video, numbers.to(video.device))
    return video


def colour(video: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Brightness ±0.5, saturation ×[0, 2), and contrast ×[0.5, 1.5) about the clip's mean."""
    brightness, saturation, contrast = (numbers[:, i].view(-1, 1, 1, 1, 1) for i in range(3))
    video = video + (brightness - 0.5)
    grey = video.mean(1, keepdim=True)
    video = grey + (video - grey) * (2 * saturation)
    middle = video.mean((1, 2, 3, 4), keepdim=True)
    return middle + (video - middle) * (contrast + 0.5)


def translation(video: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """Shift by whole pixels, at most an eighth of the side length; mid-grey fills the gap."""
    height, width = video.shape[-2:]
    reach_y, reach_x = height // 8, width // 8
    shift_y = (numbers[:, 3] * (2 * reach_y + 1)).long() - reach_y
    shift_x = (numbers[:, 4] * (2 * reach_x + 1)).long() - reach_x
    rows = torch.arange(height, device=video.device) - shift_y[:, None]
    columns = torch.arange(width, device=video.device) - shift_x[:, None]
    inside_y, inside_x = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    clips = torch.arange(len(video), device=video.device)[:, None, None]
    moved = video.permute(0, 3, 4, 1, 2)[
        clips, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None]
    ]
    inside = (inside_y[:, :, None] & inside_x[:, None])[..., None, None]
    return (moved * inside).permute(0, 3, 4, 1, 2)


def cutout(video: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    """A square of half the side length, at a random position, becomes mid-grey."""
    height, width = video.shape[-2:]
    centre_y, centre_x = numbers[:, 5] * height, numbers[:, 6] * width
    rows = (torch.arange(height, device=video.device) - centre_y[:, None]).abs() <= height / 4
    columns = (torch.arange(width, device=video.device) - centre_x[:, None]).abs() <= width / 4
    hidden = (rows[:, :, None] & columns[:, None])[:, None, None]
    return video.masked_fill(hidden, 0.0)
