"""Layers of discriminators: residual blocks, and the deviation over the batch as a feature map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.layers import constrained, feature_norm


class ResidualBlock(nn.Module):
    """Two convolutions with LeakyReLU 0.2 that halve the side length, beside a 1×1 convolution (StyleGAN2).

    Average pooling halves space, and time too if `halves_time`. The sum of both paths is divided by √2.
    """

    def __init__(self, inputs: int, outputs: int, norm: str, dimensions: int, halves_time: bool) -> None:
        super().__init__()
        kind: type[nn.Conv2d | nn.Conv3d] = nn.Conv2d if dimensions == 2 else nn.Conv3d

        def layer(now: int, after: int, kernel: int) -> nn.Module:
            return constrained(kind(now, after, kernel, padding=kernel // 2), norm)

        self.first, self.second, self.skip = (
            layer(inputs, inputs, 3),
            layer(inputs, outputs, 3),
            layer(inputs, outputs, 1),
        )
        self.norms = nn.ModuleList(
            [feature_norm(norm, inputs, dimensions), feature_norm(norm, outputs, dimensions)]
        )
        self.pool = (2, 2) if dimensions == 2 else (2 if halves_time else 1, 2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = F.leaky_relu(self.norms[0](self.first(x)), 0.2)
        made = F.leaky_relu(self.norms[1](self.second(made)), 0.2)
        shortcut: torch.Tensor = self.skip(pooled(x, self.pool))
        return (pooled(made, self.pool) + shortcut) / math.sqrt(2)


def pooled(x: torch.Tensor, kernel: tuple[int, ...]) -> torch.Tensor:
    """Average over blocks of maps in two or three dimensions."""
    pool = F.avg_pool2d if len(kernel) == 2 else F.avg_pool3d
    averaged: torch.Tensor = pool(x, kernel)
    return averaged


def with_deviation(x: torch.Tensor, group: int | None = None) -> torch.Tensor:
    """Append a map with the standard deviation over the batch, averaged over channels and positions.

    A discriminator that sees it notices when generated clips are all alike (Karras et al. 2018, arXiv
    1710.10196, section 3). [N, C, ...] -> [N, C + 1, ...].

    Args:
        x: feature maps.
        group: number of samples that are compared, as in StyleGAN2; if N is not a multiple of it, the largest
            smaller number that divides N. By default, all samples are one group.
    """
    samples = len(x)
    size = samples if group is None else next(n for n in range(group, 0, -1) if samples % n == 0)
    groups = x.reshape(size, -1, *x.shape[1:])
    deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().flatten(1).mean(1).repeat(size)
    return torch.cat([x, deviation.view(-1, *[1] * (x.dim() - 1)).expand_as(x[:, :1])], 1)
