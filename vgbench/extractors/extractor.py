"""The interface between clips and features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn


class Extracted(NamedTuple):
    """float32 [B, D] features, and float32 [B, K] class logits where the network has classes."""

    features: torch.Tensor
    logits: torch.Tensor | None


@dataclass(frozen=True)
class ExtractorSpec:
    """What a score's signature must know of the network.

    Attributes:
        id: short name, such as "i3d-k400".
        weights: sha256 of the weights file, "random:SEED" for an untrained network.
        least_frames: shortest clip that the network accepts.
        input_size: side in pixels that the network works at; it resizes by itself.
        preprocessing: text that names every step between uint8 and the first layer.
        feature_dimension: D.
        classes: names of the K logits, in order; empty without a class head.
        licence: of the weights.
        comparable_with: what numbers made with it may be compared with, in one phrase.
    """

    id: str
    weights: str
    least_frames: int
    input_size: int
    preprocessing: str
    feature_dimension: int
    classes: tuple[str, ...]
    licence: str
    comparable_with: str

    def describe(self) -> str:
        """Signature text, such as `i3d-k400@2a5c91d0`."""
        weights = self.weights if self.weights.startswith("random") else self.weights[:8]
        return f"{self.id}@{weights}"


class Extractor(nn.Module):
    """Turns clips into features; does all of its own preprocessing.

    Subclasses set `spec` and implement `forward`. Always in eval mode and without gradients when called
    through `extract`.
    """

    spec: ExtractorSpec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """Extract features.

        Args:
            clips: uint8 [B, T, H, W, 3], RGB, T >= spec.least_frames, any H and W.
        """
        raise NotImplementedError
