"""Building blocks that networks share: frames as a batch, frames by time, norms, convolutions, weights."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from vgbench.reference_models.equalised import equalised

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format with channels innermost, by the number of dimensions."""

# PyTorch has no public names for these base classes.
AnyBatchNorm = nn.modules.batchnorm._BatchNorm
"""Base class of all batch norms."""
BATCH_NORMS: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]] = {
    1: nn.BatchNorm1d,
    2: nn.BatchNorm2d,
    3: nn.BatchNorm3d,
}
"""Batch norm by the number of dimensions of the maps."""
AnyConvolution = nn.modules.conv._ConvNd
"""Base class of all convolutions, transposed ones included."""


def fold(x: torch.Tensor) -> torch.Tensor:
    """Turn time into a part of the batch: [B, T, ...] -> [B*T, ...]; row b*T+t is frame t of clip b."""
    return x.flatten(0, 1)


def unfold(x: torch.Tensor, clips: int) -> torch.Tensor:
    """Undo `fold`: [B*T, ...] -> [B, T, ...]."""
    return x.reshape(clips, -1, *x.shape[1:])


def per_frame(x: torch.Tensor, frames: int) -> torch.Tensor:
    """Repeat each clip's row once per frame, in the order of `fold`: [B, D] -> [B*T, D]."""
    return x.repeat_interleave(frames, dim=0)


def frames_first(video: torch.Tensor) -> torch.Tensor:
    """Turn the frames of clips into a batch of images: [B, C, T, H, W] -> [B*T, C, H, W]."""
    return fold(video.transpose(1, 2))


def enlarged(maps: torch.Tensor, size: int) -> torch.Tensor:
    """Enlarge square maps bilinearly to a side length: [N, C, h, h] -> [N, C, size, size]."""
    if maps.shape[-1] == size:
        return maps
    return F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)


def frame_times(frames: int, clips: int, device: torch.device | None = None) -> torch.Tensor:
    """Return the times 0, 1, … of all frames of each clip: float [clips, frames]."""
    return torch.arange(frames, dtype=torch.float32, device=device).expand(clips, -1)


def gather_frames(video: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Select frames of each clip by their whole times: [B, C, T, H, W], [B, K] -> [B, C, K, H, W]."""
    clips = torch.arange(len(video), device=video.device)[:, None]
    return video.transpose(1, 2)[clips, times.round().long()].transpose(1, 2)


class FirstConv2d(nn.Conv2d):
    """A k=4, s=2, p=1 convolution of images, whose gradient with respect to the pixels is fast on a CPU.

    That gradient has three channels, but vector units compute sixteen at a time. If 2×2 blocks of pixels are
    placed in twelve channels and convolved with k=2 and s=1, the same sum takes a quarter of the work. This
    is done only if the gradient is needed, because nothing else becomes faster.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not pays_in_blocks(x):
            return super().forward(x)
        return F.conv2d(in_blocks(F.pad(x, (1, 1, 1, 1))), in_blocks(self.weight), self.bias)


class FirstConv3d(nn.Conv3d):
    """The same for clips: k=4, s=2, p=1 in space, and any kernel, stride and padding in time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not pays_in_blocks(x):
            return super().forward(x)
        blocks, weight = in_blocks(F.pad(x, (1, 1, 1, 1))), in_blocks(self.weight)
        return F.conv3d(blocks, weight, self.bias, (self.stride[0], 1, 1), (int(self.padding[0]), 0, 0))


def pays_in_blocks(x: torch.Tensor) -> bool:
    """Whether the gradient with respect to these pixels is needed, and computed on a CPU."""
    return x.requires_grad and x.device.type == "cpu"


def in_blocks(x: torch.Tensor) -> torch.Tensor:
    """Place 2×2 blocks of pixels in channels: [B, C, ..., H, W] -> [B, 4 C, ..., H/2, W/2]."""
    *outer, height, width = x.shape
    blocks = x.reshape(*outer, height // 2, 2, width // 2, 2).movedim((-3, -1), (2, 3)).flatten(1, 3)
    return blocks.contiguous(memory_format=CHANNELS_LAST[x.dim()])


def groups_for(channels: int) -> int:
    """Return the number of groups of a group norm: the largest of 8, 4, 2 and 1 that divides the channels."""
    groups = 8
    while channels % groups:
        groups //= 2
    return groups


def feature_norm(kind: str, channels: int, dimensions: int) -> nn.Module:
    """Make the normalisation of feature maps; "none", "spectral" and "equalised" leave them as they are.

    "layer" normalises over the channels and positions of one sample (a group norm with one group), which
    Gulrajani et al. 2017 recommend instead of batch norm for discriminators with a gradient penalty.
    """
    if kind == "batch":
        return BATCH_NORMS[dimensions](channels)
    if kind == "batch-scale":
        return batch_scale(channels, dimensions)
    if kind == "group":
        return nn.GroupNorm(groups_for(channels), channels)
    if kind == "layer":
        return nn.GroupNorm(1, channels)
    return nn.Identity()


def batch_scale(channels: int, dimensions: int) -> nn.Module:
    """Make a batch norm that scales, but does not shift (TGAN's "no beta")."""
    norm = BATCH_NORMS[dimensions](channels)
    del norm.bias
    norm.register_buffer("bias", torch.zeros(channels), persistent=False)
    return norm


def constrained(layer: nn.Module, norm: str) -> nn.Module:
    """Apply spectral normalisation or an equalised learning rate to a layer if the config asks for it."""
    if norm == "equalised":
        return equalised(layer)
    return spectral_norm(layer) if norm == "spectral" else layer


def widths(channels: int, levels: int) -> list[int]:
    """Return the feature maps of each of `levels` layers: doubled at each, at most eightfold."""
    return [channels * min(2**level, 8) for level in range(levels)]


def halvings(size: int, smallest: int = 4) -> int:
    """Return how often `size` can be halved until it is `smallest`."""
    return max(0, (size // smallest).bit_length() - 1)


def initialise(layer: nn.Module, fan_in: int, activated: bool = True) -> None:
    """Set normal weights with variance 2 / fan_in (1 / fan_in if no ReLU follows) and zero bias.

    `fan_in` is the number of inputs that one output pixel sums over. In a k=4, s=2 transposed convolution
    these are 2×2 of its 4×4 taps per channel, which PyTorch's default does not take into account.
    """
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, torch.Tensor)
    nn.init.normal_(weight, std=math.sqrt((2.0 if activated else 1.0) / fan_in))
    if isinstance(bias, torch.Tensor):
        nn.init.zeros_(bias)


def set_initial_weights(network: nn.Module, kind: Literal["pytorch", "normal", "uniform"]) -> None:
    """Draw the initial weights of a network's layers anew, as the code of a paper does.

    "pytorch" leaves them as they are. "normal" are weights from N(0, 0.01²), and N(1, 0.02²) for the scales
    of batch norms (VGAN); "uniform" are weights in [−0.01, 0.01] (TGAN). Biases then are 0.
    """
    if kind == "pytorch":
        return
    for layer in network.modules():
        bias = getattr(layer, "bias", None)
        if isinstance(layer, AnyBatchNorm):
            if kind == "normal":
                nn.init.normal_(layer.weight, 1.0, 0.02)
        elif isinstance(layer, AnyConvolution | nn.Linear):
            if kind == "normal":
                nn.init.normal_(layer.weight, 0.0, 0.01)
            else:
                nn.init.uniform_(layer.weight, -0.01, 0.01)
            if isinstance(bias, torch.Tensor):
                nn.init.zeros_(bias)


def begin_smooth(layer: nn.ConvTranspose1d | nn.ConvTranspose3d) -> None:
    """Initialise a transposed convolution as linear interpolation in time: k=4, s=2 or k=3, s=1.

    With random weights along time, even and odd frames have separate maps. Clips then flicker with a period
    of 2, which a discriminator detects at once and minutes of training do not remove. Weights along space are
    kept.
    """
    weight = layer.weight
    taps = weight.new_tensor({4: (0.25, 0.75, 0.75, 0.25), 3: (0.25, 0.5, 0.25)}[weight.shape[2]])
    with torch.no_grad():
        weight.copy_(weight[:, :, :1] * taps.reshape(-1, *[1] * (weight.dim() - 3)))
