"""LPIPS (Zhang et al. 2018, CVPR): perceptual distance of two frames, from the inner layers of AlexNet.

The layout is that of torchvision's AlexNet (`features.N`) and of the linear layers in the authors' package
(`linK.model.1`), version 0.1. The weights are an entry of the registry: fetched from the package index, or
added by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.extractors.weights import file, registry

NAME = "lpips-alex"
"""In the weights registry."""
LEAST_SIDE = 31
"""AlexNet's pools leave nothing of smaller frames."""
FRAMES_AT_ONCE = 32
"""Limits the memory in use; does not change the distances beyond rounding."""

_CHANNELS = (64, 192, 384, 256, 256)
_TAPPED = (1, 4, 7, 9, 11)  # the layers after each convolution's ReLU
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of inputs in [-1, 1]


class _Linear(nn.Module):
    """One weight for each channel. The dropout of the authors' training is not needed here."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"1": nn.Conv2d(channels, 1, 1, bias=False)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weighted: torch.Tensor = self.model["1"](x)
        return weighted


class Lpips(nn.Module):
    """AlexNet up to its last convolution, with a weight for each of its channels.

    Attributes:
        weights: sha256 of the weights' source file, or "random:SEED".
        licence: of the weights, as far as known.
    """

    def __init__(self, weights: str, licence: str) -> None:
        super().__init__()
        self.weights, self.licence = weights, licence
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        for number, channels in enumerate(_CHANNELS):
            self.add_module(f"lin{number}", _Linear(channels))

    def describe(self) -> str:
        """Signature text, such as `lpips-alex@443c5bc3`."""
        weights = self.weights if self.weights.startswith("random") else self.weights[:8]
        return f"{NAME}@{weights}"

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Distance of frames in [-1, 1], float32 [N, 3, H, W] each, as float32 [N]."""
        total = torch.zeros(len(first), device=first.device)
        pairs = zip(self._activations(first), self._activations(second), strict=True)
        for number, (a, b) in enumerate(pairs):
            weighted: torch.Tensor = self.get_submodule(f"lin{number}")((a - b) ** 2)
            total = total + weighted.mean(dim=(1, 2, 3))
        return total

    def distance(
        self, first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float64]:
        """LPIPS of each frame of two clips.

        Args:
            first: uint8 [T, H, W, 3], sides of at least 31 pixels.
            second: the same shape.

        Returns:
            float64 [T], 0 for equal frames.

        Raises:
            VgbenchError: unequal shapes or frames that are too small.
        """
        if first.shape != second.shape or min(first.shape[1:3]) < LEAST_SIDE:
            raise VgbenchError(
                f"LPIPS of frames {list(first.shape)} and {list(second.shape)}: they must have the same "
                f"shape, and sides of at least {LEAST_SIDE} pixels",
                "resize the clips, or leave lpips and tlp out",
            )
        device = next(self.parameters()).device
        parts = []
        with torch.inference_mode():
            for start in range(0, len(first), FRAMES_AT_ONCE):
                few = slice(start, start + FRAMES_AT_ONCE)
                parts.append(self(_scaled(first[few], device), _scaled(second[few], device)))
        return np.asarray(torch.cat(parts).double().cpu().numpy())

    def _activations(self, frames: torch.Tensor) -> list[torch.Tensor]:
        """Activations of the five convolutions, each pixel's vector of length 1."""
        shift, scale = (torch.tensor(v, device=frames.device)[:, None, None] for v in (_SHIFT, _SCALE))
        x = (frames - shift) / scale
        found = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in _TAPPED:
                length = x.square().sum(dim=1, keepdim=True).sqrt()
                found.append(x / (length + 1e-10))
        return found


def _scaled(frames: npt.NDArray[np.uint8], device: torch.device) -> torch.Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 3, 1, 2)
    return pixels.float() / 127.5 - 1


def load(weights: str | Path | None = None) -> Lpips:
    """Return LPIPS in eval mode, on the CPU.

    Args:
        weights: a file that replaces the registry's; "random" or "random:SEED" for an untrained network,
            which is only useful for tests.

    Raises:
        VgbenchError: the weights are missing (the remedy says how to get them) or belong to another network.
    """
    seed = file.random_seed(weights)
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Lpips(f"random:{seed}", "none (untrained)")
        for name, parameter in network.named_parameters():
            if name.startswith("lin"):  # as in training, which keeps a distance from being negative
                parameter.data.abs_()
        return network.eval().requires_grad_(False)
    loaded = registry.stored(NAME) if weights is None else registry.convert(NAME, Path(weights))
    source = json.loads(loaded.metadata["vgbench"])
    network = Lpips(source["source_sha256"], source["licence"])
    file.load_into(network, own_keys(loaded.tensors), str(weights or f"weights {NAME}"))
    return network.eval().requires_grad_(False)


def own_keys(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Keep what LPIPS needs from a state dict of the authors, or of torchvision's AlexNet with heads."""
    renamed = {re.sub(r"^net\.slice\d\.", "features.", key): value for key, value in tensors.items()}
    return {
        key: value
        for key, value in renamed.items()
        if not key.startswith(("classifier.", "scaling_layer.", "lins."))
    }
