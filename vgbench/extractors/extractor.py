"""The interface between clips and features."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vgbench.errors import VgbenchError


class _Extracted(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor | None


class Extracted(_Extracted):
    """Results of a network for a batch of clips; unpacks as (features, logits).

    Attributes:
        features: float32 [B, D].
        logits: float32 [B, K], or None where the network has no classes.
        frames: float32 [B, T, D], features of every frame, from networks that process single frames
            (`spec.per_frame`); else None.
    """

    frames: torch.Tensor | None

    def __new__(
        cls, features: torch.Tensor, logits: torch.Tensor | None, frames: torch.Tensor | None = None
    ) -> Self:
        extracted = super().__new__(cls, features, logits)
        extracted.frames = frames
        return extracted


@dataclass(frozen=True)
class ExtractorSpec:
    """Description of a network for the signatures of scores.

    Attributes:
        id: short name, such as "i3d-k400".
        weights: sha256 of the weights file, "random:SEED" for an untrained network.
        least_frames: shortest clip that the network accepts.
        preprocessing: text that names every step between uint8 and the first layer.
        feature_dimension: D; 0 where only a run shows it (a user's own file).
        classes: names of the K logits, in order; empty without a class head.
        licence: of the weights.
        comparable_with: what its numbers are comparable with, in one phrase.
        per_frame: whether it also returns features of every frame, which frame-level metrics need.
        published: whether published scores use this network and these weights; records of all others have a
            warning that quotes `comparable_with`.
    """

    id: str
    weights: str
    least_frames: int
    preprocessing: str
    feature_dimension: int
    classes: tuple[str, ...]
    licence: str
    comparable_with: str
    per_frame: bool = False
    published: bool = False

    def describe(self) -> str:
        """Signature text, such as `i3d-k400@2a5c91d0`."""
        weights = self.weights if self.weights.startswith("random") else self.weights[:8]
        return f"{self.id}@{weights}"


class Extractor(nn.Module):
    """Computes features of clips, including all preprocessing.

    Subclasses set `spec` and implement `forward`. Calling an extractor checks the clips first and keeps no
    gradients. Its features do not depend on its surroundings: it has no training mode, a cast of a module
    that contains it does not change its parameters, and the caller's autocast and default dtype have no
    effect.
    """

    spec: ExtractorSpec
    loaded_state: str = ""

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in eval mode, because the running statistics of an extractor are part of its weights."""
        return super().train(False)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """Move parameters to the device that `fn` moves them to, and ignore other effects such as casts."""

        def move(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(fn(tensor.new_empty(0)).device)

        return super()._apply(move, recurse)  # type: ignore[no-any-return,no-untyped-call]

    def forward(self, clips: torch.Tensor) -> Extracted:
        """Extract features.

        Args:
            clips: uint8 [B, T, H, W, 3], RGB, T >= spec.least_frames, any H and W; on the module's device.
        """
        raise NotImplementedError

    def __call__(self, clips: torch.Tensor | npt.NDArray[np.uint8]) -> Extracted:
        """Check the clips, move them to the module's device, and extract without gradients.

        Args:
            clips: uint8 [B, T, H, W, 3], tensor or array.

        Raises:
            VgbenchError: wrong dtype or layout, or too few frames for this network.
        """
        check_clips(clips, self.spec)
        if isinstance(clips, np.ndarray):
            clips = torch.from_numpy(np.ascontiguousarray(clips))
        weight = next(self.parameters(), None)
        device = clips.device if weight is None else weight.device
        with torch.inference_mode(), own_precision(device):
            extracted: Extracted = super().__call__(to_device(clips, device))
        return extracted


def state_hash(module: nn.Module) -> str:
    """Sha256 over all parameters and buffers of a module: names, dtypes, shapes and bytes."""
    digest = hashlib.sha256()
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def own_precision(device: torch.device) -> Iterator[None]:
    """Compute in float32 inside the `with` block, regardless of the caller's settings.

    The caller's autocast and default dtype have no effect inside. Convolutions on a GPU stay in float32; by
    default, torch rounds their input to TF32, which has a mantissa of ten bits.
    """
    tf32 = torch.backends.cudnn.allow_tf32
    try:
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False
        with default_float32(), ExitStack() as stack:
            for kind in filter(torch.amp.is_autocast_available, {"cpu", device.type}):
                stack.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def default_float32() -> Iterator[None]:
    """Make new tensors float32 inside, which is PyTorch's default unless the caller changed it."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)


def to_device(clips: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Move clips to a device; to a GPU through pinned memory, so that this process does not wait for it."""
    if device.type == "cuda" and clips.device.type == "cpu":
        clips = clips.pin_memory()
    return clips.to(device, non_blocking=device.type == "cuda")


def check_clips(clips: torch.Tensor | npt.NDArray[np.uint8], spec: ExtractorSpec) -> None:
    """Refuse clips that would silently give wrong features.

    Raises:
        VgbenchError: the clips are not uint8, not [B, T, H, W, 3], or shorter than `spec.least_frames`.
    """
    if str(clips.dtype).removeprefix("torch.") != "uint8":
        raise VgbenchError(
            f"extractor {spec.id}: clips are {clips.dtype}, not uint8",
            "give pixels 0..255: (x * 255).round() from [0, 1], ((x + 1) * 127.5).round() from [-1, 1]",
        )
    shape = tuple(clips.shape)
    if len(shape) != 5 or shape[-1] != 3:
        hint = "add a batch axis: clips[None]" if len(shape) == 4 and shape[-1] == 3 else "reorder the axes"
        raise VgbenchError(f"extractor {spec.id}: clips have shape {shape}, not [B, T, H, W, 3]", hint)
    if shape[1] < spec.least_frames:
        raise VgbenchError(
            f"extractor {spec.id}: clips have {shape[1]} frames, the network needs at least "
            f"{spec.least_frames}",
            f"use clips of {spec.least_frames} or more frames, or an extractor that accepts shorter ones",
        )
