"""Layers of StyleGAN2 that the networks of StyleGAN-V and DIGAN share (Karras et al. 2020, arXiv 1912.04958).

Weights have an equalised learning rate. Maps are enlarged and reduced with the filter 1, 3, 3, 1. LeakyReLU
0.2 is followed by a factor of √2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.equalised import equalised
from vgbench.reference_models.residual import with_deviation
from vgbench.reference_models.style import ModulatedConv2d

GROUP = 4
"""Samples whose deviation the last block of a discriminator sees."""


def linear(inputs: int, outputs: int, rate: float = 1.0, bias: bool = True) -> nn.Module:
    """Make a linear layer with equalised weights of gain 1."""
    return equalised(nn.Linear(inputs, outputs, bias=bias), rate, activated=False)


def convolution(inputs: int, outputs: int, kernel: int, bias: bool = True, padding: int = 0) -> nn.Module:
    """Make a convolution with equalised weights of gain 1."""
    return equalised(nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=bias), activated=False)


def activated(x: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
    """Apply LeakyReLU 0.2, and multiply by √2 and by `gain`."""
    return F.leaky_relu(x, 0.2) * (math.sqrt(2) * gain)


def filtered(x: torch.Tensor, padding: int, gain: float = 1.0, stride: int = 1) -> torch.Tensor:
    """Convolve each map with the filter, in both directions, after padding it with zeros on all sides.

    The filter is three averages over 2×2 pixels, one after the other.
    """
    x = F.avg_pool2d(F.avg_pool2d(F.pad(x, (padding,) * 4), 2, 1), 2, 1)
    return F.avg_pool2d(x, 2, stride) * gain


def doubled(picture: torch.Tensor) -> torch.Tensor:
    """Double the side length with the filter: [N, C, H, W] -> [N, C, 2 H, 2 W]."""
    taps = picture.new_tensor((0.25, 0.75, 0.75, 0.25))
    single = picture.reshape(-1, 1, *picture.shape[2:])
    made = F.conv_transpose2d(single, torch.outer(taps, taps)[None, None], stride=2, padding=1)
    return made.reshape(*picture.shape[:2], *made.shape[2:])


class DoublingConv2d(ModulatedConv2d):
    """A modulated 3×3 convolution of maps of twice the side length.

    It is a transposed convolution of stride 2, which is filtered, as in StyleGAN2. Except at the edges of the
    frame, the result is that of enlarging the maps first, but takes a quarter of the operations.
    """

    def convolved(self, x: torch.Tensor) -> torch.Tensor:
        weight: torch.Tensor = self.convolution.weight  # type: ignore[assignment]
        return filtered(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), padding=1, gain=4)


class ReducingBlock(nn.Module):
    """The residual block of StyleGAN2's discriminator, which halves the side length."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = convolution(inputs, hidden, 3, padding=1)
        self.second = convolution(hidden, outputs, 3)
        self.skip = convolution(inputs, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / 2, W / 2]."""
        made = activated(self.first(x))
        weight, bias = self.second.weight, self.second.bias
        made = F.conv2d(filtered(made, padding=2), weight, bias, stride=2)  # type: ignore[arg-type]
        shortcut: torch.Tensor = self.skip(filtered(x, padding=1, stride=2))
        return activated(made, math.sqrt(0.5)) + math.sqrt(0.5) * shortcut


class LastBlock(nn.Module):
    """From 4×4 maps to the outputs of a discriminator.

    The deviation over groups of four samples is appended to the maps if `deviation`. A 3×3 convolution, a
    linear layer, and another one follow.
    """

    def __init__(self, width: int, outputs: int, deviation: bool) -> None:
        super().__init__()
        self.deviation = deviation
        self.convolution = convolution(width + deviation, width, 3, padding=1)
        self.hidden = linear(width * 16, width)
        self.out = linear(width, outputs)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[N, width, 4, 4] -> [N, outputs]."""
        x = with_deviation(maps, GROUP) if self.deviation else maps
        x = activated(self.convolution(x)).flatten(1)
        scores: torch.Tensor = self.out(activated(self.hidden(x)))
        return scores


def widths_by_side(size: int, channels: int, most: int) -> dict[int, int]:
    """Return the feature maps at each side length: `channels` at `size`, doubled at each halving down to 4.

    There are at most `most` of them.
    """
    sides = [size >> level for level in range(size.bit_length() - 2)]
    return {side: min(channels * size // side, most) for side in sides}
