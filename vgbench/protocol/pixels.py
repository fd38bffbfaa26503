"""Resizing of decoded frames by the spatial policy of a protocol."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from vgbench.config import Config

Kernel = Literal["bilinear", "bilinear-tf1", "bilinear-corners", "bicubic", "area", "nearest"]
Fit = Literal["crop", "crop-float", "crop-first", "squash", "keep"]
Rounding = Literal["nearest", "truncate", "truncate-unit", "truncate-centred"]


class Scaling(Config):
    """How a frame of any size becomes a square of `size` pixels.

    Attributes:
        size: side in pixels.
        fit: "crop" scales the shorter side to `size` and keeps the centre; "crop-float" does the same as the
            code of VideoGPT, which computes the other side in floating point and so makes a few sizes, such
            as 25, 50, 100, 200 and 400 for 224, one pixel longer; "crop-first" keeps the square in the middle
            and scales it; "squash" ignores the aspect ratio; "keep" leaves the frame as it is (`size` is then
            not used).
        kernel: "bilinear" and "bicubic" with half-pixel centres (align_corners=False); "bilinear-tf1" is the
            legacy TensorFlow 1 grid (source = index × in / out, no half pixel), which the original FVD code
            used; "bilinear-corners" maps corner pixels onto each other (align_corners=True), as Chainer does;
            "area" averages whole pixels.
        antialias: low-pass before shrinking; only for bilinear and bicubic.
        rounding: how the result is converted back to uint8: "nearest", or "truncate" as `.byte()` does.
            Where code resizes x / 255 and truncates 255 times the result, float32 loses a grey level here and
            there: "truncate-unit" does the same. "truncate-centred" subtracts and adds 0.5 in between, which
            lowers 63 of the 256 grey levels by one, even of frames that need no resizing.
    """

    size: int = Field(default=64, ge=1, le=2**13)
    fit: Fit = "crop"
    kernel: Kernel = "bilinear"
    antialias: bool = True
    rounding: Rounding = "nearest"

    def describe(self) -> str:
        """Signature text, such as `64,crop,bilinear-aa`."""
        if self.fit == "keep":
            return "native"
        kernel = self.kernel + ("-aa" if self.antialias and self.kernel in ("bilinear", "bicubic") else "")
        rounding = "" if self.rounding == "nearest" else f",{self.rounding}"
        return f"{self.size},{self.fit},{kernel}{rounding}"


class Resize(Scaling):
    """Spatial policy of a protocol.

    Attributes:
        first: what is done to every clip before. With the size that a model was trained at, real clips lose
            the detail that the model never saw; the defaults are what training does.
        real_first: what is done to real clips in place of `first`, as by code that prepares real clips and
            takes generated ones as they are.
    """

    first: Scaling | None = None
    real_first: Scaling | None = None

    def for_side(self, side: Literal["generated", "real"]) -> Resize:
        """Return the policy of one side, whose `first` is all that is done before."""
        first = self.real_first if side == "real" and self.real_first is not None else self.first
        return self.model_copy(update={"first": first, "real_first": None})

    def describe(self) -> str:
        """Signature text, such as `64,crop,bilinear-aa`, or `32,crop,bilinear-aa>64,…` after `first`.

        If the sides differ, it is that of the generated side, a plus, and that of the real side.
        """
        if self.real_first is not None:
            sides = (self.for_side(side).describe() for side in ("generated", "real"))
            return "+".join(dict.fromkeys(sides))
        last = super().describe()
        if self.first is None or self.first.fit == "keep":
            return last
        if self.fit == "keep" or (self.first.size == self.size and self.rounding != "truncate-centred"):
            return self.first.describe()
        return f"{self.first.describe()}>{last}"


def resize(frames: npt.NDArray[np.uint8], policy: Scaling) -> npt.NDArray[np.uint8]:
    """Resize decoded frames to the protocol's size, and before to that of `first`, if the policy has one.

    Args:
        frames: uint8 [T, H, W, 3].
        policy: size, fit, kernel, rounding.

    Returns:
        uint8 [T, size, size, 3]; the input itself where nothing needs to change.
    """
    if isinstance(policy, Resize) and policy.first is not None:
        frames = resize(frames, policy.first)
    height, width = frames.shape[1:3]
    if policy.fit == "keep" or (height == width == policy.size and policy.rounding != "truncate-centred"):
        return frames
    x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    if policy.rounding == "nearest":
        y = resize_float(x, policy).round()
    elif policy.rounding == "truncate":
        y = resize_float(x, policy)
    else:
        y = resize_float(x / 255, policy)
        y = (y - 0.5 + 0.5 if policy.rounding == "truncate-centred" else y) * 255
    return y.clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def resize_float(x: torch.Tensor, policy: Scaling) -> torch.Tensor:
    """Resize without rounding: float [N, C, H, W] -> float [N, C, size, size]."""
    height, width = x.shape[-2:]
    if policy.fit == "keep" or (height == width == policy.size):
        return x
    if policy.fit == "squash":
        return interpolate(x, policy.size, policy.size, policy)
    shorter = min(height, width)
    if policy.fit == "crop-first":
        return interpolate(_middle(x, shorter), policy.size, policy.size, policy)
    return _middle(interpolate(x, *_scaled(height, width, policy), policy), policy.size)


def _scaled(height: int, width: int, policy: Scaling) -> tuple[int, int]:
    """Height and width after the shorter side is scaled to the policy's size.

    The longer side is rounded up, as in the VideoGPT family of code, so that the crop never lacks a pixel.
    """
    shorter = min(height, width)
    if policy.fit == "crop":
        return -(-height * policy.size // shorter), -(-width * policy.size // shorter)
    scale = policy.size / shorter
    if height < width:
        return policy.size, math.ceil(width * scale)
    return math.ceil(height * scale), policy.size


def _middle(x: torch.Tensor, size: int) -> torch.Tensor:
    """Cut the square in the middle out of [..., H, W]."""
    top, left = (x.shape[-2] - size) // 2, (x.shape[-1] - size) // 2
    return x[..., top : top + size, left : left + size]


def interpolate(x: torch.Tensor, height: int, width: int, policy: Scaling) -> torch.Tensor:
    """Resize float [N, C, H, W] to [N, C, height, width] with the policy's kernel; its `size` is not used."""
    if policy.kernel == "bilinear-tf1":
        return _bilinear_tf1(_bilinear_tf1(x, height, -2), width, -1)
    if policy.kernel == "bilinear-corners":
        return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)
    if policy.kernel in ("area", "nearest"):
        return F.interpolate(x, (height, width), mode=policy.kernel)
    return F.interpolate(
        x, (height, width), mode=policy.kernel, align_corners=False, antialias=policy.antialias
    )


def _bilinear_tf1(x: torch.Tensor, out: int, dim: int) -> torch.Tensor:
    """TensorFlow 1 `resize_bilinear(align_corners=False)` along one axis: two taps, no half-pixel shift."""
    size = x.shape[dim]
    source = torch.arange(out, dtype=torch.float32, device=x.device) * (size / out)
    low = source.floor().long().clamp_(max=size - 1)
    high = (low + 1).clamp_(max=size - 1)
    weight = (source - low).to(x.dtype)
    weight = weight.view([-1] + [1] * (-dim - 1))
    return x.index_select(dim, low) * (1 - weight) + x.index_select(dim, high) * weight
