"""Building blocks that several networks share: folding time into the batch, normalisation, convolutions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format with channels innermost, by the number of dimensions."""


def fold(x: torch.Tensor) -> torch.Tensor:
    """[B, T, ...] -> [B*T, ...], clip-major: row b*T+t is frame t of clip b."""
    return x.flatten(0, 1)


def unfold(x: torch.Tensor, clips: int) -> torch.Tensor:
    """[B*T, ...] -> [B, T, ...], the inverse of `fold`."""
    return x.reshape(clips, -1, *x.shape[1:])


def per_frame(x: torch.Tensor, frames: int) -> torch.Tensor:
    """[B, D] -> [B*T, D]: each clip's row once per frame, in the order of `fold`."""
    return x.repeat_interleave(frames, dim=0)


def frames_first(video: torch.Tensor) -> torch.Tensor:
    """[B, C, T, H, W] -> [B*T, C, H, W]."""
    return fold(video.transpose(1, 2))


def gather_frames(video: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Take the frames at whole `times` of each clip: [B, C, T, H, W], [B, K] -> [B, C, K, H, W]."""
    clips = torch.arange(len(video), device=video.device)[:, None]
    return video.transpose(1, 2)[clips, times.round().long()].transpose(1, 2)


class FirstConv2d(nn.Conv2d):
    """A k=4, s=2, p=1 convolution of pictures, whose gradient for the pixels is fast on a CPU.

    That gradient has three channels, and vector units compute sixteen at a time. As 2×2 blocks of pixels in
    twelve channels, convolved with k=2 and s=1, it is the same sum with a quarter of the work. Only where the
    gradient is wanted, since the other passes have nothing to gain.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not pays_in_blocks(x):
            return super().forward(x)
        return F.conv2d(in_blocks(F.pad(x, (1, 1, 1, 1))), in_blocks(self.weight), self.bias)


class FirstConv3d(nn.Conv3d):
    """The same for clips: k=4, s=2, p=1 in space, anything in time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not pays_in_blocks(x):
            return super().forward(x)
        blocks, weight = in_blocks(F.pad(x, (1, 1, 1, 1))), in_blocks(self.weight)
        return F.conv3d(blocks, weight, self.bias, (self.stride[0], 1, 1), (int(self.padding[0]), 0, 0))


def pays_in_blocks(x: torch.Tensor) -> bool:
    """The gradient for these pixels is wanted, and computed on a CPU."""
    return x.requires_grad and x.device.type == "cpu"


def in_blocks(x: torch.Tensor) -> torch.Tensor:
    """Put blocks of 2×2 pixels into channels: [B, C, ..., H, W] -> [B, 4 C, ..., H/2, W/2]."""
    *outer, height, width = x.shape
    blocks = x.reshape(*outer, height // 2, 2, width // 2, 2).movedim((-3, -1), (2, 3)).flatten(1, 3)
    return blocks.contiguous(memory_format=CHANNELS_LAST[x.dim()])


def groups_for(channels: int) -> int:
    """Groups of a group norm: eight where that divides the channels, else the largest power of two below."""
    groups = 8
    while channels % groups:
        groups //= 2
    return groups


def feature_norm(kind: str, channels: int, dimensions: int) -> nn.Module:
    """Normalisation of feature maps; "none" and "spectral" leave them as they are.

    "layer" normalises over channels and positions of one sample (a group norm with one group), the drop-in
    that Gulrajani et al. 2017 recommend for critics with a gradient penalty.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels) if dimensions == 2 else nn.BatchNorm3d(channels)
    if kind == "group":
        return nn.GroupNorm(groups_for(channels), channels)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    return nn.Identity()


def constrained(layer: nn.Module, norm: str) -> nn.Module:
    """Put spectral normalisation on a discriminator's layer where the config asks for it."""
    return spectral_norm(layer) if norm == "spectral" else layer


def widths(channels: int, levels: int) -> list[int]:
    """Feature maps of `levels` layers: doubled at each, at most eightfold."""
    return [channels * min(2**level, 8) for level in range(levels)]


def halvings(size: int, smallest: int = 4) -> int:
    """How often `size` halves before it reaches `smallest`."""
    return max(0, (size // smallest).bit_length() - 1)


def initialise(layer: nn.Module, fan_in: int, activated: bool = True) -> None:
    """Normal weights with variance 2 / fan_in (1 / fan_in without a ReLU behind), zero bias.

    `fan_in` counts what one output pixel sums over: a k=4, s=2 transposed convolution reaches it with 2×2 of
    its 4×4 taps, which PyTorch's default does not know.
    """
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, torch.Tensor)
    nn.init.normal_(weight, std=math.sqrt((2.0 if activated else 1.0) / fan_in))
    if isinstance(bias, torch.Tensor):
        nn.init.zeros_(bias)


def begin_smooth(layer: nn.ConvTranspose1d | nn.ConvTranspose3d) -> None:
    """Let a transposed convolution begin as linear interpolation in time: k=4, s=2 or k=3, s=1.

    Random taps give even and odd frames maps of their own. Clips then begin with a flicker of period 2, which
    a discriminator sees at once and minutes of training do not remove. What the layer does in space stays.
    """
    weight = layer.weight
    taps = weight.new_tensor({4: (0.25, 0.75, 0.75, 0.25), 3: (0.25, 0.5, 0.25)}[weight.shape[2]])
    with torch.no_grad():
        weight.copy_(weight[:, :, :1] * taps.reshape(-1, *[1] * (weight.dim() - 3)))
