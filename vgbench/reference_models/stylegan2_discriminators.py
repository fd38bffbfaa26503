"""The discriminators of StyleGAN-V and DIGAN: StyleGAN2's residual network, on one frame or on several."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from vgbench.errors import ConfigError
from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.discriminators import Discriminator, random_times
from vgbench.reference_models.layers import fold, frames_first, unfold
from vgbench.reference_models.style import Mapping
from vgbench.reference_models.stylegan2 import (
    LastBlock,
    ReducingBlock,
    activated,
    convolution,
    linear,
    widths_by_side,
)


def require_style(config: DiscriminatorConfig) -> None:
    """Raise a `ConfigError` unless the config describes what these discriminators always are."""
    if (config.norm, config.blocks) != ("equalised", "residual"):
        raise ConfigError(
            f"discriminator '{config.name}' has equalised residual blocks, but the config says norm = "
            f"{config.norm}, blocks = {config.blocks}",
            "set norm = equalised and blocks = residual",
        )


class Reduction(nn.Module):
    """From pixels to 4×4 maps: a 1×1 convolution, and one residual block for each halving.

    Attributes:
        width: feature maps at each side length.
    """

    def __init__(self, config: DiscriminatorConfig, size: int, inputs: int, most: int) -> None:
        super().__init__()
        self.width = widths_by_side(size, config.channels, most)
        self.enter = convolution(inputs, self.width[size], 1)
        self.blocks = nn.ModuleList(
            ReducingBlock(self.width[side], self.width[side], self.width[side // 2])
            for side in self.width
            if side > 4
        )

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """[N, inputs, size, size] -> the maps after each block, of which the last are [N, width[4], 4, 4]."""
        x = activated(self.enter(pixels))
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


class StyleImageDiscriminator(Discriminator):
    """StyleGAN2's discriminator on `frames` (1 by default) frames of each clip, which are scored separately.

    Attributes:
        seen: number of frames of each clip that it looks at.
    """

    frames_apart = True

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        most: int = 512,
        times: Literal["uniform", "pair"] = "uniform",
    ) -> None:
        """Build the discriminator.

        Args:
            config: see `DiscriminatorConfig`.
            size: side length of the clips.
            frames: length of the clips.
            labels: number of classes.
            classifies: see `Discriminator`.
            most: largest number of feature maps.
            times: how frames are drawn: "uniform", all different, or "pair", two as DIGAN draws them.
        """
        require_style(config)
        self.seen = min(config.frames or 1, frames)
        if times not in ("uniform", "pair") or (times == "pair" and self.seen != 2):
            raise ConfigError(
                f"discriminators.options.times = {times} with {self.seen} frames",
                "use uniform, or pair with frames = 2",
            )
        reduction = Reduction(config, size, 3, most)
        super().__init__(config, reduction.width[4], labels, classifies)
        self.times = times
        self.reduction = reduction
        self.last = LastBlock(reduction.width[4], 1, config.deviation)

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
        if self.times == "pair":
            return pair_times(clips, frames, random)
        return random_times(self.seen, clips, frames, random)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        return [unfold(maps, len(video)) for maps in self.reduction(frames_first(video))]

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return unfold(self.last(fold(features)), len(features)).flatten(1)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean((1, 3, 4))


class PairDiscriminator(Discriminator):
    """DIGAN's motion discriminator: two frames of each clip and their distance in time, as seven channels.

    The distance is 1 from the first to the last frame of a training clip.

    Attributes:
        span: number of frames from the first to the last.
    """

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        most: int = 512,
    ) -> None:
        require_style(config)
        reduction = Reduction(config, size, 7, most)
        super().__init__(config, reduction.width[4], labels, classifies)
        self.reduction = reduction
        self.last = LastBlock(reduction.width[4], 1, config.deviation)
        self.span = float(frames - 1)

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
        return pair_times(clips, frames, random)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:
        frames = video.transpose(1, 2).flatten(1, 2)
        distance = times.to(video).diff(dim=1) / self.span
        plane = distance[:, :, None, None].expand_as(frames[:, :1])
        maps: list[torch.Tensor] = self.reduction(torch.cat([frames, plane], 1))
        return maps

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        scores: torch.Tensor = self.last(features)
        return scores


def pair_times(clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
    """Draw two frames of each clip as DIGAN does: int64 [clips, 2], ascending in each row.

    One is at a time from the distribution Beta(1, 2), the other from Beta(2, 1), as shares of the clip; they
    may be the same frame.
    """
    uniform = torch.rand(clips, 2, generator=random)
    early, late = 1 - (1 - uniform[:, 0]).sqrt(), uniform[:, 1].sqrt()  # the inverse distribution functions
    return (torch.stack([early, late], 1) * frames).long().clamp(max=frames - 1).sort(1).values


class StyleGanVDiscriminator(Discriminator):
    """StyleGAN-V's discriminator: `frames` (3 by default) frames of each clip together (arXiv 2112.14683).

    StyleGAN2's blocks reduce each frame to 16×16 maps, of half the usual number. There, the maps of all
    frames are joined, and reduced further. The score is a product of the features with an embedding of the
    distances in time, which a mapping network makes.

    Attributes:
        seen: number of frames of each clip that it looks at.
        reach: largest distance in frames.
    """

    embedded = 256
    longest = 1024

    def __init__(
        self,
        config: DiscriminatorConfig,
        size: int,
        frames: int,
        labels: int = 0,
        classifies: bool = False,
        most: int = 512,
        reach: int = 32,
        joined: int = 16,
    ) -> None:
        """Build the discriminator.

        Args:
            config: see `DiscriminatorConfig`.
            size: side length of the clips.
            frames: length of the clips.
            labels: number of classes.
            classifies: see `Discriminator`.
            most: largest number of feature maps.
            reach: largest distance between the first and the last of the frames.
            joined: side length at which the maps of the frames are joined.
        """
        require_style(config)
        self.seen, self.reach = config.frames or 3, min(reach, frames - 1)
        if joined not in (8, 16, 32, 64) or size <= joined:
            raise ConfigError(
                f"discriminator '{config.name}' joins frames at {joined} pixels, but size = {size}",
                "use a larger size, or options.joined = 8, 16, 32 or 64",
            )
        if self.seen < 2 or not self.distances():
            raise ConfigError(
                f"discriminators.frames = {self.seen}: '{config.name}' needs at least two frames, and clips "
                f"with room for them; these have {frames} frames",
                "use 3 of at least 5 frames",
            )
        width = widths_by_side(size, config.channels, most)
        super().__init__(config, width[4], labels, classifies)
        self.enter = convolution(3, width[size], 1)
        self.early, self.late = nn.ModuleList(), nn.ModuleList()
        for side in (one for one in width if one > 4):
            if side > joined:
                after = width[side // 2] // (2 if side // 2 == joined else 1)
                self.early.append(ReducingBlock(width[side], width[side], after))
            else:
                now = self.seen * (width[side] // 2) if side == joined else width[side]
                self.late.append(ReducingBlock(now, width[side], width[side // 2]))
        self.last = LastBlock(width[4], width[4], config.deviation)
        self.embedding_of_distance = nn.Embedding(self.longest, self.embedded)
        octaves = int(math.log2(self.longest))
        self.octaves = octaves
        conditions = (self.seen - 1) * (self.embedded + 2 * octaves)
        self.condition = linear(conditions, width[4])
        self.mapping = Mapping(width[4], width[4], 2)

    def distances(self) -> list[int]:
        """Return the distances that are drawn: powers of two that leave room for the frames between."""
        powers = (2**power for power in range(self.longest.bit_length()))
        return [one for one in powers if self.seen - 1 <= one <= self.reach]

    def choose_times(self, clips: int, frames: int, random: torch.Generator) -> torch.Tensor:
        """Draw the distance of the outer frames, where they lie, and the frames between them."""
        distances = torch.tensor(self.distances())
        distance = distances[torch.randint(len(distances), (clips,), generator=random)]
        first = (torch.rand(clips, generator=random) * (frames - distance)).long()
        order = torch.rand(clips, self.reach, generator=random)
        order[torch.arange(1, self.reach + 1) >= distance[:, None]] = 2.0  # not between the outer frames
        between = 1 + order.argsort(1)[:, : self.seen - 2].sort(1).values
        steps = torch.cat([torch.zeros(clips, 1, dtype=torch.long), between, distance[:, None]], 1)
        return first[:, None] + steps

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        x = activated(self.enter(frames_first(video)))
        maps = []
        for block in self.early:
            x = block(x)
            maps.append(unfold(x, len(video)))
        x = maps[-1].flatten(1, 2)
        for block in self.late:
            x = block(x)
            maps.append(x)
        return maps

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        made = self.last(features)
        scores: torch.Tensor = (made * self.conditions(times)).sum(1, keepdim=True)
        return scores / math.sqrt(made.shape[1])

    def conditions(self, times: torch.Tensor) -> torch.Tensor:
        """Map the distances between neighbouring frames [B, K] -> [B, D]."""
        distance = times.float().diff(dim=1)
        index = distance.round().long().clamp(max=self.longest - 1)
        frequency = 2.0 ** torch.arange(self.octaves, device=times.device) * (math.pi / self.longest)
        angle = distance[..., None] * frequency
        parts = torch.cat([self.embedding_of_distance(index), angle.sin(), angle.cos()], 2)
        mapped: torch.Tensor = self.mapping(self.condition(parts.flatten(1)))
        return mapped
