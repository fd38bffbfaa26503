"""R(2+1)D-18 and R3D-18 (Tran et al. 2018, arXiv 1711.11248), trained on Kinetics-400 by torchvision.

An alternative to I3D with another architecture, other training and a permissive licence. Features are the 512
channels after the last average pool, logits the 400 classes. State-dict keys are torchvision's; torchvision
itself is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.weights.resolve import resolve
from vgbench.named import lookup
from vgbench.protocol.pixels import Resize, interpolate

CLASSES = 400
FEATURES = 512
SIZE = 112
RESIZED = (128, 171)
"""Rows and columns that every frame is squashed to before the crop."""
LEAST_FRAMES = 8
"""One step in time of the last stage; shorter clips would be mostly padding."""
MEAN = (0.43216, 0.394666, 0.37645)
STD = (0.22803, 0.22145, 0.216989)

_RESIZE = Resize(kernel="bilinear", antialias=False)

Convolution = Callable[[int, int, int, int], nn.Module]
"""(channels, out, middle, stride) -> layer."""


def joint(channels: int, out: int, middle: int, stride: int) -> nn.Module:  # noqa: ARG001, one signature
    """3 × 3 × 3 convolution."""
    return nn.Conv3d(channels, out, 3, stride, 1, bias=False)


def factorised(channels: int, out: int, middle: int, stride: int) -> nn.Module:
    """1 × 3 × 3 convolution in space, then 3 × 1 × 1 in time."""
    return nn.Sequential(
        nn.Conv3d(channels, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, convolution: Convolution, channels: int, out: int, stride: int) -> None:
        super().__init__()
        # This number of channels between space and time keeps the number of parameters of one 3 × 3 × 3
        # convolution (§3.5 of the paper). The second convolution uses the same number, as in the trained
        # networks.
        middle = channels * out * 27 // (channels * 9 + 3 * out)
        self.conv1 = nn.Sequential(
            convolution(channels, out, middle, stride), nn.BatchNorm3d(out), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(convolution(out, out, middle, 1), nn.BatchNorm3d(out))
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, channels, T, H, W] -> [B, out, T / stride, H / stride, W / stride], rounded up."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu_(self.conv2(self.conv1(x)) + shortcut)


class VideoResNet(nn.Module):
    """Clips to (features, logits): a stem, four stages of two blocks, average pool, one linear layer."""

    def __init__(self, stem: nn.Module, convolution: Convolution, classes: int = CLASSES) -> None:
        super().__init__()
        self.stem = stem
        self.layer1 = _stage(convolution, 64, 64, 1)
        self.layer2 = _stage(convolution, 64, 128, 2)
        self.layer3 = _stage(convolution, 128, 256, 2)
        self.layer4 = _stage(convolution, 256, FEATURES, 2)
        self.fc = nn.Linear(FEATURES, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Float [B, 3, T, 112, 112], normalised -> [B, 512], [B, classes]."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        features = x.mean(dim=(2, 3, 4))
        return features, self.fc(features)


def _stage(convolution: Convolution, channels: int, out: int, stride: int) -> nn.Module:
    return nn.Sequential(Block(convolution, channels, out, stride), Block(convolution, out, out, 1))


def r3d_18() -> VideoResNet:
    """3-D convolutions throughout."""
    stem = nn.Sequential(
        nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(inplace=True),
    )
    return VideoResNet(stem, joint)


def r2plus1d_18() -> VideoResNet:
    """Convolutions in space, then in time, with a non-linearity between."""
    stem = nn.Sequential(
        nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
        nn.BatchNorm3d(45),
        nn.ReLU(inplace=True),
        nn.Conv3d(45, 64, (3, 1, 1), (1, 1, 1), (1, 0, 0), bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(inplace=True),
    )
    return VideoResNet(stem, factorised)


NETWORKS: dict[str, Callable[[], VideoResNet]] = {
    "r2plus1d-18-k400": r2plus1d_18,
    "r3d-18-k400": r3d_18,
}
"""By the name of their weights."""


def preprocess(clips: torch.Tensor) -> torch.Tensor:
    """Preprocess as torchvision's weights require: uint8 [B, T, H, W, 3] -> float32 [B, 3, T, 112, 112].

    Squashed to 128 × 171 without antialias, rounded to whole pixels, cropped at the centre (the left edge of
    the crop, 29.5, rounds to 30), scaled to [0, 1] and normalised by Kinetics' mean and deviation.
    """
    frames = clips.flatten(0, 1).permute(0, 3, 1, 2).float()
    frames = interpolate(frames, *RESIZED, _RESIZE).round_()[..., 8 : 8 + SIZE, 30 : 30 + SIZE]
    mean, std = (torch.tensor(x, device=clips.device).view(1, 3, 1, 1) for x in (MEAN, STD))
    return ((frames / 255 - mean) / std).reshape(*clips.shape[:2], 3, SIZE, SIZE).transpose(1, 2)


class ResNet3d(Extractor):
    """A `VideoResNet` with torchvision's preprocessing."""

    def __init__(self, network: VideoResNet, spec: ExtractorSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        return Extracted(*self.network(preprocess(clips)))


def load(name: str, weights: str | Path | None = None) -> ResNet3d:
    """Return R(2+1)D-18 or R3D-18.

    Args:
        name: a key of `NETWORKS`.
        weights: None for those in the cache; torchvision's .pth or another state dict; "random[:SEED]".

    Raises:
        ConfigError: unknown name.
        VgbenchError: the weights are not in the cache (the remedy says where to get them) or belong to
            another network.
    """
    build = lookup("network", name, NETWORKS)
    loaded = resolve(build, name, weights, "scores of the same weights and protocol; not I3D-based FVD")
    return ResNet3d(
        loaded.network,
        ExtractorSpec(
            id=name,
            weights=loaded.identity,
            least_frames=LEAST_FRAMES,
            preprocessing=f"{RESIZED[0]}x{RESIZED[1]},squash,bilinear; crop {SIZE}; Kinetics mean and std",
            feature_dimension=FEATURES,
            classes=tuple(f"kinetics-{index}" for index in range(CLASSES)),
            licence=loaded.licence,
            comparable_with=loaded.comparable_with,
        ),
    )
