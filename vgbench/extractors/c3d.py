"""C3D (Tran et al. 2015), trained on Sports-1M and fine-tuned on UCF-101: the network behind the video IS.

Features are fc7 after its ReLU (4,096), logits are fc8 before the softmax (101), dropout off: the layers that
TGANv2 (Saito et al. 2020, arXiv 1811.09245) uses for its FID and its IS. The input is BGR from 0 to 255 minus
a mean clip of 16 frames, so the network always uses 16 frames.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.extractors import exported
from vgbench.extractors.exported import Exported
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.weights import registry
from vgbench.extractors.weights.resolve import resolve
from vgbench.named import lookup
from vgbench.protocol.pixels import Resize, resize_float

CLASSES = 101
FEATURES = 4096
FRAMES = 16
SIZE = 112
MEAN_SHAPE = (3, FRAMES, 128, 171)
"""Channels (blue, green, red), frames, rows and columns of the mean clip."""
CHANNEL_MEANS = (90.25164795, 97.65701294, 101.4083252)
"""Blue, green, red: replace the mean clip with untrained weights, or on request."""


class C3d(nn.Module):
    """Clips to (fc7 after ReLU, fc8). Layers and keys are those of the published Caffe and Chainer models."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv1a = _convolution(3, 64)
        self.conv2a = _convolution(64, 128)
        self.conv3a = _convolution(128, 256)
        self.conv3b = _convolution(256, 256)
        self.conv4a = _convolution(256, 512)
        self.conv4b = _convolution(512, 512)
        self.conv5a = _convolution(512, 512)
        self.conv5b = _convolution(512, 512)
        self.fc6 = nn.Linear(512 * 4 * 4, FEATURES)
        self.fc7 = nn.Linear(FEATURES, FEATURES)
        self.fc8 = nn.Linear(FEATURES, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Float [B, 3, 16, 112, 112], BGR minus the mean -> [B, 4096], [B, classes]."""
        x = F.max_pool3d(F.relu_(self.conv1a(x)), (1, 2, 2))
        x = F.max_pool3d(F.relu_(self.conv2a(x)), 2)
        x = F.max_pool3d(F.relu_(self.conv3b(F.relu_(self.conv3a(x)))), 2)
        x = F.max_pool3d(F.relu_(self.conv4b(F.relu_(self.conv4a(x)))), 2)
        # 7 × 7 becomes 4 × 4: the last column and row are pooled separately.
        x = F.max_pool3d(F.relu_(self.conv5b(F.relu_(self.conv5a(x)))), 2, ceil_mode=True)
        x = F.relu_(self.fc6(x.flatten(1)))
        features = F.relu_(self.fc7(x))
        return features, self.fc8(features)


def _convolution(channels: int, out: int) -> nn.Conv3d:
    return nn.Conv3d(channels, out, 3, padding=1)


@dataclass(frozen=True)
class Preprocessing:
    """One code base's preprocessing for C3D; code bases differ here, and so do their scores.

    Attributes:
        resize: applied to the frame, ignoring its aspect ratio.
        crop: first row and column of the 112 × 112 pixels that are kept.
        mean_crop: the same in the mean clip.
    """

    resize: Resize
    crop: tuple[int, int]
    mean_crop: tuple[int, int]

    def __call__(self, clips: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """uint8 [B, T, H, W, 3], mean [3, 16, 128, 171] -> float32 [B, 3, 16, 112, 112]; T >= 16.

        Both code bases map pixel u to (u − 128) / 128 and back, so u itself enters the resize.
        """
        clips = clips[:, :FRAMES]
        frames = resize_float(clips.flatten(0, 1).permute(0, 3, 1, 2).float(), self.resize)
        frames = _window(frames, self.crop)
        video = frames.reshape(*clips.shape[:2], *frames.shape[1:]).transpose(1, 2)
        return video.flip(1) - _window(mean, self.mean_crop)  # RGB to BGR

    def describe(self) -> str:
        """Signature text, such as `128,squash,bicubic; crop 8,8; mean 8,29`."""
        crop, mean = (",".join(map(str, corner)) for corner in (self.crop, self.mean_crop))
        return f"{self.resize.describe()}; crop {crop}; mean {mean}"


def _window(x: torch.Tensor, corner: tuple[int, int]) -> torch.Tensor:
    top, left = corner
    return x[..., top : top + SIZE, left : left + SIZE]


PREPROCESSING: dict[str, Preprocessing] = {
    # The central 128 of the mean's 171 columns begin at 21; the crop begins 8 columns later.
    "tgan": Preprocessing(
        Resize(size=128, fit="squash", kernel="bicubic", antialias=False), crop=(8, 8), mean_crop=(8, 29)
    ),
    "tganv2": Preprocessing(
        Resize(size=SIZE, fit="squash", kernel="bilinear-corners"), crop=(0, 0), mean_crop=(8, 8)
    ),
}
"""By code base: pfnet-research/tgan and pfnet-research/tgan2."""


class C3dUcf101(Extractor):
    """`C3d` with one code base's preprocessing. It uses the first 16 frames of longer clips."""

    mean: torch.Tensor

    def __init__(
        self, network: C3d, mean: torch.Tensor, preprocessing: Preprocessing, spec: ExtractorSpec
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocessing = preprocessing
        self.spec = spec
        self.register_buffer("mean", mean, persistent=False)

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        return Extracted(*self.network(self.preprocessing(clips, self.mean)))


def load(
    weights: str | Path | None = None, preprocessing: str = "tganv2", mean: str | Path | None = None
) -> C3dUcf101:
    """Return C3D fine-tuned on UCF-101.

    Args:
        weights: None for those in the cache; `conv3d_deepnetA_ucf.npz` or a state dict with its keys;
            "random[:SEED]".
        preprocessing: a key of `PREPROCESSING`.
        mean: None for the mean clip in the cache; a file such as `mean2.npz`; "channels" for one number per
            channel. With untrained weights, None means "channels".

    Raises:
        ConfigError: unknown preprocessing.
        VgbenchError: weights or mean are not in the cache (the remedy says where to get them), or are not
            those of C3D.
    """
    chosen = lookup("preprocessing", preprocessing, PREPROCESSING)
    comparable = "C3D-based scores of the same weights, preprocessing and protocol"
    loaded = resolve(C3d, "c3d-ucf101", weights, comparable)
    if not loaded.trained:
        mean = mean or "channels"
    values, which = load_mean(mean)
    return C3dUcf101(
        loaded.network,
        values,
        chosen,
        ExtractorSpec(
            id="c3d-ucf101",
            weights=loaded.identity,
            least_frames=FRAMES,
            preprocessing=f"{preprocessing} ({chosen.describe()}); BGR; mean {which}; first {FRAMES} frames",
            feature_dimension=FEATURES,
            classes=_classes(),
            licence=loaded.licence,
            comparable_with=loaded.comparable_with,
            published=loaded.registered and mean is None,
        ),
    )


def load_mean(mean: str | Path | None) -> tuple[torch.Tensor, str]:
    """Return the mean clip, float32 [3, 16, 128, 171] in BGR, and a name for it: "channels" or its hash.

    Raises:
        VgbenchError: the mean is not in the cache, or has another shape.
    """
    if mean == "channels":
        return torch.tensor(CHANNEL_MEANS).view(3, 1, 1, 1).expand(MEAN_SHAPE).clone(), "channels"
    name = "c3d-mean"
    stored = registry.stored(name) if mean is None else registry.convert(name, Path(mean))
    values = stored.tensors.get("mean")
    if values is None or values.numel() != torch.Size(MEAN_SHAPE).numel():
        raise VgbenchError(
            f"mean {mean or name} holds no array 'mean' of shape {MEAN_SHAPE}",
            'give TGAN\'s mean2.npz, or mean="channels" for one number per channel',
        )
    source = json.loads(stored.metadata["vgbench"])
    return values.reshape(MEAN_SHAPE), str(source["source_sha256"])[:8]


class C3dTorchScript(Exported):
    """StyleGAN-V's `c3d_ucf101.pt`, which includes the preprocessing and returns class probabilities."""

    def forward(self, clips: torch.Tensor) -> Extracted:
        """Return the logarithms of the probabilities both as logits and as features."""
        probabilities = self.program(clips[:, :FRAMES].permute(0, 4, 1, 2, 3).contiguous()).float()
        logits = probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()
        return Extracted(logits, logits)


def load_torchscript(weights: str | Path | None = None) -> C3dTorchScript:
    """Load `c3d_ucf101.pt` from the cache, or from `weights`. This runs code from the file.

    Raises:
        VgbenchError: the file is not in the cache (the remedy says where to get it), or is not a program.
    """
    name = "c3d-ucf101-torchscript"
    loaded = exported.load(registry.require(name) if weights is None else Path(weights))
    return C3dTorchScript(
        loaded.program,
        ExtractorSpec(
            id=name,
            weights=loaded.spec.weights,
            least_frames=FRAMES,
            preprocessing=f"inside the file; first {FRAMES} frames",
            feature_dimension=CLASSES,
            classes=_classes(),
            licence="none stated",
            comparable_with="IS of StyleGAN-V and of those who use its file",
            published=weights is None,
        ),
    )


def _classes() -> tuple[str, ...]:
    return tuple(f"ucf101-{index}" for index in range(CLASSES))
