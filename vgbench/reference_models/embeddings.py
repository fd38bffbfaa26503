"""Networks E that embed a clip for the discriminator D(x, e, m): clip -> embedding over time."""

from __future__ import annotations

import torch
from torch import nn

from vgbench.reference_models.layers import constrained


class Trunk(nn.Sequential):
    """Two 3-D convolutions that keep the time and quarter the side length.

    Attributes:
        width: dimension of the embedding.
    """

    def __init__(self, channels: int, frames: int, norm: str) -> None:  # noqa: ARG002
        super().__init__(
            constrained(nn.Conv3d(3, channels, (1, 4, 4), (1, 2, 2), (0, 1, 1)), norm),
            nn.LeakyReLU(0.2),
            constrained(nn.Conv3d(channels, 2 * channels, (3, 4, 4), (1, 2, 2), 1), norm),
            nn.LeakyReLU(0.2),
        )
        self.width = 2 * channels


class C3d(nn.Module):
    """The eight convolutions of C3D (Tran et al. 2015, arXiv 1412.0767) with any number of feature maps.

    All kernels are 3×3×3, with ReLU. Max pooling follows the 1st, 2nd, 4th and 6th of them; the first pooling
    leaves the time as it is, and the others halve it, but never below two steps, because motion is estimated
    from the differences over time. Space is halved down to a single position. C3D itself has 64 channels.

    Attributes:
        width: dimension of the embedding, 8 times the channels of the first layer.
    """

    MAPS = (1, 2, 4, 4, 8, 8, 8, 8)
    """Feature maps of each convolution, in multiples of those of the first."""
    POOLED = (True, True, False, True, False, True, False, False)
    """Whether pooling follows a convolution."""

    def __init__(self, channels: int, frames: int, norm: str) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList()
        self.steps: list[int | None] = []
        now, time, first = 3, frames, True
        for maps, pooled in zip(self.MAPS, self.POOLED, strict=True):
            self.convolutions.append(constrained(nn.Conv3d(now, maps * channels, 3, padding=1), norm))
            now = maps * channels
            step = 2 if pooled and not first and time >= 4 else 1
            self.steps.append(step if pooled else None)
            time //= step
            first = False
        self.width = now

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        x = video
        for convolution, step in zip(self.convolutions, self.steps, strict=True):
            x = convolution(x).relu()
            if step is not None:
                space = tuple(min(2, side) for side in x.shape[3:])
                x = nn.functional.max_pool3d(x, (step, *space))
        return x


EMBEDDINGS: dict[str, type[Trunk] | type[C3d]] = {"trunk": Trunk, "c3d": C3d}
"""Class of each `options.embedding` of the discriminator "embedding-motion"."""
