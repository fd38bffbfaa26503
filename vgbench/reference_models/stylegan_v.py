"""The generator of StyleGAN-V (Skorokhodov et al. 2022, arXiv 2112.14683): motion codes and decoder."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.config import GeneratorConfig, MotionConfig
from vgbench.reference_models.decoders import Decoder
from vgbench.reference_models.equalised import equalised
from vgbench.reference_models.layers import fold, per_frame, unfold
from vgbench.reference_models.motion import Motion, take
from vgbench.reference_models.style import Mapping, ModulatedConv2d
from vgbench.reference_models.stylegan2 import (
    DoublingConv2d,
    activated,
    doubled,
    linear,
    widths_by_side,
)


class AcyclicWaves(Motion):
    """StyleGAN-V's motion codes: waves without jumps and without a common period.

    Anchors u come from noise, one every `anchor_distance` frames, through two convolutions over 11 anchors
    without padding. At a time t between the anchors at t_l ≤ t < t_r,

        m(t) = w(t) − lerp(w(t_l), w(t_r)) + lerp(A u_l, A u_r),
        w(t) = [sin, cos](f (1 + tanh B u_l) t + s ⊙ C u_l),

    with fixed frequencies f of periods from `anchor_distance` to `longest_period` frames, and s = longest
    period / period. The maps A, B and C have no bias.
    """

    kernel = 11
    rate = 0.01

    def __init__(
        self,
        config: MotionConfig,
        frames: int,
        waves: int = 256,
        longest_period: int = 1024,
        longest: int | None = None,
    ) -> None:
        """Build the module.

        Args:
            config: `noise_dim` and `code_dim` are the dimensions of noise and anchors; that of a code is
                2 · `waves`.
            frames: length of the training clips.
            waves: number of frequencies.
            longest_period: in frames.
            longest: in training, a clip begins at a random time, such that it lies in a video of so many
                frames. By default, clips begin at time 0.
        """
        super().__init__()
        self.continuous = True
        self.noise_dim, self.distance = config.noise_dim, config.anchor_distance
        self.code_dim = 2 * waves
        self.spare = max(0, (longest or frames) - frames)
        width = config.code_dim

        def over_anchors(inputs: int) -> nn.Module:
            return equalised(nn.Conv1d(inputs, width, self.kernel), self.rate, activated=False)

        self.first, self.second = over_anchors(self.noise_dim), over_anchors(width)
        self.stretch = linear(width, waves, bias=False)
        self.phase = linear(width, waves, bias=False)
        self.anchor = linear(width, self.code_dim, bias=False)
        periods = torch.logspace(
            math.log2(longest_period), math.log2(config.anchor_distance), waves, base=2.0
        )
        self.register_buffer("frequency", 2 * math.pi / periods, persistent=False)
        self.register_buffer("scale", longest_period / periods, persistent=False)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        anchors = math.ceil((frames + self.spare - 1) / self.distance) + 2
        return (anchors + 2 * (self.kernel - 1), self.noise_dim)

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        if self.training and self.spare:
            times = times + self.spare * torch.rand(len(times), 1, device=times.device)
        hidden = F.leaky_relu(self.first(noise.transpose(1, 2)), 0.2)
        anchors = F.leaky_relu(self.second(hidden), 0.2).transpose(1, 2)
        left = (times / self.distance).floor().long()
        share = (times / self.distance - left)[..., None]
        before, after = take(anchors, left), take(anchors, left + 1)
        start = left * self.distance
        from_left, from_right = self.waves(before, start), self.waves(before, start + self.distance)
        wave = self.waves(before, times) - (from_left + share * (from_right - from_left))
        from_left, from_right = self.anchor(before), self.anchor(after)
        codes: torch.Tensor = wave + from_left + share * (from_right - from_left)
        return codes

    def waves(self, anchor: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Anchors [B, K, width] and times [B, K] -> [B, K, code_dim]."""
        frequency = self.frequency * (1 + self.stretch(anchor).tanh())
        angle = frequency * times[..., None] + self.phase(anchor) * self.scale
        return torch.cat([angle.sin(), angle.cos()], 2)


class StyleGanVDecoder(Decoder):
    """StyleGAN-V's synthesis network: StyleGAN2 without noise inputs, for each frame separately.

    The motion code of a frame is joined to the learned 4×4 constant, and only there; all modulated
    convolutions get the same style. Images are added up over the resolutions. As in the original, they are
    not limited to [−1, 1]; pixels outside of it are clipped when samples are rounded.
    """

    maps_latents = True

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
        style_dim: int = 512,
        mapping_layers: int = 2,
        most: int = 512,
    ) -> None:
        """Build the decoder.

        Args:
            config: `channels` is the number of feature maps at full resolution, which is doubled at each
                halving of the side length.
            size: side length of the frames.
            frames: of the training clips; the decoder makes clips of any length.
            content_dim: dimension of the content.
            code_dim: dimension of the motion code of a frame.
            style_dim: dimension of the style.
            mapping_layers: of the mapping network.
            most: largest number of feature maps.
        """
        super().__init__()
        width = list(reversed(widths_by_side(size, config.channels, most).values()))
        self.mapping = Mapping(content_dim, style_dim, mapping_layers)
        self.start = nn.Parameter(torch.randn(1, width[0], 4, 4))
        self.first = nn.ModuleList(DoublingConv2d(now, after, style_dim) for now, after in pairwise(width))
        inputs = [width[0] + code_dim, *width[1:]]
        self.second = nn.ModuleList(
            ModulatedConv2d(now, after, style_dim) for now, after in zip(inputs, width, strict=True)
        )
        self.pictures = nn.ModuleList(
            ModulatedConv2d(one, 3, style_dim, 1, demodulate=False) for one in width
        )

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        style = per_frame(self.mapping(content, self.truncation), codes.shape[1])
        motion = fold(codes)[:, :, None, None].expand(-1, -1, 4, 4)
        x = torch.cat([self.start.expand(len(style), -1, -1, -1), motion], 1)
        x = activated(self.second[0](x, style))
        picture = self.pictures[0](x, style)
        for first, second, draw in zip(self.first, self.second[1:], self.pictures[1:], strict=True):
            x = activated(first(x, style))
            x = activated(second(x, style))
            picture = doubled(picture) + draw(x, style)
        return unfold(picture, len(codes)).transpose(1, 2)
