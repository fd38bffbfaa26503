"""The embedded extractor: a small 3-D network that ships with vgbench, trained on procedural clips only.

It works offline, processes hundreds of clips per second on a laptop, and its licence is ours. Its numbers are
comparable only with each other. docs/extractors.md describes its training and what it can and cannot detect.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.weights import file
from vgbench.protocol.pixels import Resize, resize_float

WEIGHTS = Path(__file__).parent / "weights" / "embedded.safetensors"

RESIZE = Resize(size=64, fit="squash", kernel="bilinear", antialias=True)
LEAST_FRAMES = 8
FEATURES = 256
WIDTHS = (48, 64, 128, 192)
"""Channels of the stem and of the three stages."""
LAGS = ((1, 2, 4, 8), (1, 2, 4), (1, 2))
"""Per stage: distances in time, in that stage's own steps, over which change is measured."""
FLOOR = 0.02
"""Change below this counts as none (activations are of order 1), so that its logarithm is finite."""

Size = tuple[int, int, int]


class SpaceTimeConv(nn.Module):
    """3-D convolution, batch norm, ReLU on tensors laid out as clips are: [B, T, H, W, C].

    Channels stay last in memory from the pixels to the features, which avoids all copies between layouts.
    Time is padded by repeating the end frames, because a border of zeros would look like motion.
    """

    def __init__(
        self, channels: int, out: int, kernel: Size, stride: Size = (1, 1, 1), padding: int = 1
    ) -> None:
        super().__init__()
        self.reach = kernel[0] // 2
        space = padding if kernel[1] > 1 else 0
        self.conv = nn.Conv3d(channels, out, kernel, stride, (0, space, space), bias=False)
        self.norm = nn.BatchNorm3d(out)
        self.folded = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, H, W, C] -> [B, T', H', W', out]."""
        if self.reach:
            x = torch.cat([x[:, :1], x, x[:, -1:]], dim=1)
        x = self.conv(x.permute(0, 4, 1, 2, 3))
        return F.relu_(x if self.folded else self.norm(x)).permute(0, 2, 3, 4, 1)

    def fold(self) -> None:
        """Merge the batch norm into the convolution; for inference only."""
        self.conv = fuse_conv_bn_eval(self.conv.eval(), self.norm.eval())
        self.folded = True


class EmbeddedNetwork(nn.Module):
    """Clips to features and logits.

    The input has each frame's change from the frame before and to the frame after, so that even the first
    layer can detect motion. Fixed statistics (`summary`) reduce the three stages over space and time, and one
    linear map turns these into features of unit variance over the training clips.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        stem, first, second, third = WIDTHS
        self.stem = SpaceTimeConv(5, stem, (1, 6, 6), (1, 4, 4))
        self.stages = nn.ModuleList(
            [
                nn.Sequential(
                    SpaceTimeConv(stem, first, (1, 3, 3), (1, 2, 2)),
                    SpaceTimeConv(first, first, (3, 1, 1)),
                ),
                nn.Sequential(
                    SpaceTimeConv(first, second, (3, 3, 3), (2, 2, 2)),
                    SpaceTimeConv(second, second, (3, 3, 3)),
                ),
                nn.Sequential(SpaceTimeConv(second, third, (3, 3, 3), (2, 1, 1))),
            ]
        )
        statistics = sum(width * (5 + len(lags)) for width, lags in zip(WIDTHS[1:], LAGS, strict=True))
        self.standardise = nn.BatchNorm1d(statistics, affine=False)
        self.project = nn.Linear(statistics, FEATURES, bias=False)
        self.scale = nn.BatchNorm1d(FEATURES, affine=False)
        self.classify = nn.Sequential(nn.Linear(FEATURES, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Float [B, T, 64, 64, 3] in [−1, 1] -> features [B, 256], logits [B, classes]."""
        x = self.stem(_with_changes(frames))
        statistics = []
        for stage, lags in zip(self.stages, LAGS, strict=True):
            x = stage(x)
            statistics.append(summary(x.float(), lags))
        features = self.scale(self.project(self.standardise(torch.cat(statistics, dim=1))))
        return features, self.classify(features)

    def fold(self) -> None:
        """Merge every batch norm of a convolution into it; for inference only."""
        for module in self.modules():
            if isinstance(module, SpaceTimeConv):
                module.fold()


def _with_changes(frames: torch.Tensor) -> torch.Tensor:
    """[B, T, H, W, 3] -> [B, T, H, W, 5]: red, green, blue, twice the change of their mean (both ways)."""
    luma = frames.mean(dim=4, keepdim=True)
    change = 2 * (luma[:, 1:] - luma[:, :-1])
    x = frames.new_zeros(*frames.shape[:4], 5)
    x[..., :3] = frames
    x[:, 1:, ..., 3:4] = change
    x[:, :-1, ..., 4:] = change
    return x


def summary(x: torch.Tensor, lags: Sequence[int]) -> torch.Tensor:
    """Statistics over space and time of one stage, [B, T, H, W, C] -> [B, (5 + len(lags)) · C].

    Per channel: the mean; the mean over time of the maximum over space (small objects); the trend of the mean
    over time (signed, so it depends on the direction of time); the log of the root mean square change at each
    lag; the same at the position of most change and lag 1; and the trend of that change over time.
    """
    steps = x.shape[1]
    over_space = x.mean(dim=(2, 3))
    parts = [over_space.mean(dim=1), x.amax(dim=(2, 3)).mean(dim=1), _trend(over_space)]
    for lag in lags:
        lag = min(lag, steps - 1)
        parts.append(_log_rms((x[:, lag:] - x[:, :-lag]).square().mean(dim=(1, 2, 3))))
    change = (x[:, 1:] - x[:, :-1]).square()
    parts.append(_log_rms(change.mean(dim=1).amax(dim=(1, 2))))
    parts.append(_trend(_log_rms(change.mean(dim=(2, 3)))))
    return torch.cat(parts, dim=1)


def _log_rms(mean_square: torch.Tensor) -> torch.Tensor:
    return 0.5 * torch.log(mean_square + FLOOR**2)


def _trend(values: torch.Tensor) -> torch.Tensor:
    """[B, T, C] -> [B, C]: mean of values × time, time running from −1 to 1."""
    time = torch.linspace(-1, 1, values.shape[1], device=values.device, dtype=values.dtype)
    return (values * time[:, None]).mean(dim=1)


def to_frames(clips: torch.Tensor) -> torch.Tensor:
    """Preprocess: uint8 [B, T, H, W, 3] -> float [B, T, 64, 64, 3] in [−1, 1]."""
    frames = clips.float()
    if clips.shape[2:4] != (RESIZE.size, RESIZE.size):
        flat = resize_float(frames.flatten(0, 1).permute(0, 3, 1, 2), RESIZE)
        frames = flat.permute(0, 2, 3, 1).reshape(*clips.shape[:2], RESIZE.size, RESIZE.size, 3)
    return frames.div_(127.5).sub_(1)


class Embedded(Extractor):
    """`EmbeddedNetwork` with its preprocessing, ready for inference."""

    def __init__(self, network: EmbeddedNetwork, spec: ExtractorSpec) -> None:
        super().__init__()
        network.eval().fold()
        self.network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        features, logits = self.network(to_frames(clips))
        return Extracted(features, logits)


def load(weights: str | Path | None = None) -> Embedded:
    """Return the embedded extractor.

    Args:
        weights: None for those in the package; another file from the training script; "random[:SEED]".

    Raises:
        VgbenchError: the file is missing or belongs to another network.
    """
    seed = file.random_seed(weights)
    path = WEIGHTS if weights is None or seed is not None else Path(weights)
    stored = file.read(path)
    classes = tuple(json.loads(stored.metadata.get("classes", "[]")))
    if seed is None:
        network = EmbeddedNetwork(len(classes))
        file.load_into(network, stored.tensors, str(path))
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = EmbeddedNetwork(len(classes))
    return Embedded(
        network,
        ExtractorSpec(
            id=f"embedded-v{stored.metadata.get('version', '?')}",
            weights=stored.sha256 if seed is None else f"random:{seed}",
            least_frames=LEAST_FRAMES,
            preprocessing=f"resize {RESIZE.describe()}; x / 127.5 - 1",
            feature_dimension=FEATURES,
            classes=classes,
            licence="Apache-2.0 (vgbench's own, trained on procedural clips)",
            comparable_with="other scores of the embedded extractor only; not I3D-based FVD",
        ),
    )
