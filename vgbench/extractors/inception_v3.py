"""Inception-v3 of 2015 (Szegedy et al., arXiv 1512.00567) as FID uses it, applied to single frames.

Features are the 2,048 channels after the last average pool, logits the 1,008 outputs of the class layer. It
is not the usual ImageNet network: its average pools do not count the padding, and its last block has a max
pool where the paper has an average pool. Keys are those of pytorch-fid and torch-fidelity.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.weights.resolve import resolve
from vgbench.protocol.pixels import Resize, resize_float

NAME = "inception-v3-fid"
CLASSES = 1008
FEATURES = 2048
RESIZE = Resize(size=299, fit="squash", kernel="bilinear-tf1")
FRAMES_AT_ONCE = 16
"""Limits the memory in use; does not change the features beyond rounding."""


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, channels: int, out: int, kernel: tuple[int, int] = (1, 1), stride: int = 1, padded: bool = True
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, H, W] -> [N, out, H', W']."""
        return F.relu_(self.bn(self.conv(x)))


class Block(nn.Module):
    """Parallel branches, each a chain of named units."""

    def through(self, x: torch.Tensor, *names: str) -> torch.Tensor:
        """Pass x through the units of these names, one after the other."""
        for name in names:
            x = getattr(self, name)(x)
        return x


def _average(x: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(Block):
    """35 × 35."""

    def __init__(self, channels: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(channels, 64)
        self.branch5x5_1 = Unit(channels, 48)
        self.branch5x5_2 = Unit(48, 64, (5, 5))
        self.branch3x3dbl_1 = Unit(channels, 64)
        self.branch3x3dbl_2 = Unit(64, 96, (3, 3))
        self.branch3x3dbl_3 = Unit(96, 96, (3, 3))
        self.branch_pool = Unit(channels, pooled)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, 35, 35] -> [N, 224 + pooled, 35, 35]."""
        return torch.cat(
            [
                self.branch1x1(x),
                self.through(x, "branch5x5_1", "branch5x5_2"),
                self.through(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"),
                self.branch_pool(_average(x)),
            ],
            1,
        )


class BlockB(Block):
    """35 × 35 to 17 × 17."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch3x3 = Unit(channels, 384, (3, 3), 2, padded=False)
        self.branch3x3dbl_1 = Unit(channels, 64)
        self.branch3x3dbl_2 = Unit(64, 96, (3, 3))
        self.branch3x3dbl_3 = Unit(96, 96, (3, 3), 2, padded=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, 35, 35] -> [N, 480 + channels, 17, 17]."""
        double = self.through(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class BlockC(Block):
    """17 × 17, with 7 × 7 convolutions in two factors."""

    def __init__(self, middle: int) -> None:
        super().__init__()
        self.branch1x1 = Unit(768, 192)
        self.branch7x7_1 = Unit(768, middle)
        self.branch7x7_2 = Unit(middle, middle, (1, 7))
        self.branch7x7_3 = Unit(middle, 192, (7, 1))
        self.branch7x7dbl_1 = Unit(768, middle)
        self.branch7x7dbl_2 = Unit(middle, middle, (7, 1))
        self.branch7x7dbl_3 = Unit(middle, middle, (1, 7))
        self.branch7x7dbl_4 = Unit(middle, middle, (7, 1))
        self.branch7x7dbl_5 = Unit(middle, 192, (1, 7))
        self.branch_pool = Unit(768, 192)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 768, 17, 17] -> [N, 768, 17, 17]."""
        return torch.cat(
            [
                self.branch1x1(x),
                self.through(x, *(f"branch7x7_{i}" for i in (1, 2, 3))),
                self.through(x, *(f"branch7x7dbl_{i}" for i in (1, 2, 3, 4, 5))),
                self.branch_pool(_average(x)),
            ],
            1,
        )


class BlockD(Block):
    """17 × 17 to 8 × 8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Unit(768, 192)
        self.branch3x3_2 = Unit(192, 320, (3, 3), 2, padded=False)
        self.branch7x7x3_1 = Unit(768, 192)
        self.branch7x7x3_2 = Unit(192, 192, (1, 7))
        self.branch7x7x3_3 = Unit(192, 192, (7, 1))
        self.branch7x7x3_4 = Unit(192, 192, (3, 3), 2, padded=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, 768, 17, 17] -> [N, 1280, 8, 8]."""
        seven = self.through(x, *(f"branch7x7x3_{i}" for i in (1, 2, 3, 4)))
        return torch.cat([self.through(x, "branch3x3_1", "branch3x3_2"), seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(Block):
    """8 × 8; the network's two blocks use different pools."""

    def __init__(self, channels: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        self.branch1x1 = Unit(channels, 320)
        self.branch3x3_1 = Unit(channels, 384)
        self.branch3x3_2a = Unit(384, 384, (1, 3))
        self.branch3x3_2b = Unit(384, 384, (3, 1))
        self.branch3x3dbl_1 = Unit(channels, 448)
        self.branch3x3dbl_2 = Unit(448, 384, (3, 3))
        self.branch3x3dbl_3a = Unit(384, 384, (1, 3))
        self.branch3x3dbl_3b = Unit(384, 384, (3, 1))
        self.branch_pool = Unit(channels, 192)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[N, channels, 8, 8] -> [N, 2048, 8, 8]."""
        three = self.branch3x3_1(x)
        double = self.through(x, "branch3x3dbl_1", "branch3x3dbl_2")
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else _average(x)
        branches: Sequence[torch.Tensor] = [
            self.branch1x1(x),
            self.branch3x3_2a(three),
            self.branch3x3_2b(three),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        ]
        return torch.cat(list(branches), 1)


class InceptionV3(nn.Module):
    """Frames to (features, logits)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit(3, 32, (3, 3), 2, padded=False)
        self.Conv2d_2a_3x3 = Unit(32, 32, (3, 3), padded=False)
        self.Conv2d_2b_3x3 = Unit(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Unit(64, 80)
        self.Conv2d_4a_3x3 = Unit(80, 192, (3, 3), padded=False)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(128)
        self.Mixed_6c = BlockC(160)
        self.Mixed_6d = BlockC(160)
        self.Mixed_6e = BlockC(192)
        self.Mixed_7a = BlockD()
        self.Mixed_7b = BlockE(1280, maximum=False)
        self.Mixed_7c = BlockE(FEATURES, maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Float [N, 3, 299, 299] in [−1, 1) -> [N, 2048], [N, 1008]."""
        *layers, fc = self.children()
        for index, layer in enumerate(layers):
            x = layer(x)
            if index in (2, 4):  # after Conv2d_2b and Conv2d_4a
                x = F.max_pool2d(x, 3, 2)
        features = x.mean(dim=(2, 3))
        return features, fc(features)


class InceptionFrames(Extractor):
    """`InceptionV3` applied to the frames of clips, with the preprocessing of the TensorFlow original."""

    def __init__(self, network: InceptionV3, spec: ExtractorSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """Features of every frame; features and logits of the clip are means over frames."""
        parts = []
        for few in clips.flatten(0, 1).split(FRAMES_AT_ONCE):  # type: ignore[no-untyped-call]
            x = resize_float(few.permute(0, 3, 1, 2).float(), RESIZE)
            parts.append(self.network((x - 128) / 128))
        features, logits = (torch.cat(x).reshape(*clips.shape[:2], -1) for x in zip(*parts, strict=True))
        return Extracted(features.mean(dim=1), logits.mean(dim=1), features)


def load(weights: str | Path | None = None) -> InceptionFrames:
    """Return Inception-v3.

    Args:
        weights: None for those in the cache; the published .pth or another state dict; "random[:SEED]".

    Raises:
        VgbenchError: the weights are not in the cache (the remedy says where to get them) or belong to
            another network.
    """
    comparable = "FID-like scores of the same weights and protocol; blind to motion"
    loaded = resolve(InceptionV3, NAME, weights, comparable)
    return InceptionFrames(
        loaded.network,
        ExtractorSpec(
            id=NAME,
            weights=loaded.identity,
            least_frames=1,
            preprocessing=f"{RESIZE.describe()}; (x - 128) / 128; mean over frames",
            feature_dimension=FEATURES,
            classes=tuple(f"inception-{index}" for index in range(CLASSES)),
            licence=loaded.licence,
            comparable_with=loaded.comparable_with,
            per_frame=True,
        ),
    )
