"""Image networks applied to single frames: DINOv2 and CLIP.

They see the appearance of frames and no motion. A clip's features are the mean over its frames; metrics that
follow features over time use `Extracted.frames`. Needs the optional extra `transformers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vgbench.extractors import hugging_face
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.hugging_face import IMAGENET_MEAN, IMAGENET_STD, Loaded, Published
from vgbench.named import lookup
from vgbench.protocol.pixels import Resize

FRAMES_AT_ONCE = 64
"""Limits the memory in use; does not change the features beyond rounding."""


def _class_token(network: torch.nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """Return DINOv2's class token after the last layer norm."""
    token: torch.Tensor = network(pixel_values=frames).pooler_output
    return token


def _projected(network: torch.nn.Module, frames: torch.Tensor) -> torch.Tensor:
    """Return CLIP's image embedding in the space it shares with text, not normalised."""
    embedding: torch.Tensor = network(pixel_values=frames).image_embeds
    return embedding


@dataclass(frozen=True)
class Recipe:
    """A published network, its output that serves as features, and their number.

    Attributes:
        published: network and preprocessing.
        features: (network, float32 [N, 3, H, W]) -> [N, D].
        size: name of the entry of the configuration that holds D.
    """

    published: Published
    features: Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]
    size: str


RECIPES: dict[str, Recipe] = {
    "dinov2-vitb14": Recipe(
        Published(
            repository="facebook/dinov2-base",
            architecture="Dinov2Model",
            resize=Resize(size=256, kernel="bicubic"),
            crop=224,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            licence="Apache-2.0",
            citation="Oquab et al. 2023, arXiv 2304.07193",
        ),
        _class_token,
        "hidden_size",
    ),
    "clip-vitb32": Recipe(
        Published(
            repository="openai/clip-vit-base-patch32",
            architecture="CLIPVisionModelWithProjection",
            resize=Resize(size=224, kernel="bicubic"),
            crop=224,
            mean=(0.48145466, 0.4578275, 0.40821073),
            std=(0.26862954, 0.26130258, 0.27577711),
            licence="MIT",
            citation="Radford et al. 2021, arXiv 2103.00020",
        ),
        _projected,
        "projection_dim",
    ),
}
"""By extractor name."""


class FrameNetwork(Extractor):
    """An image network applied to the frames of clips."""

    def __init__(self, recipe: Recipe, loaded: Loaded, spec: ExtractorSpec) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = loaded.network
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """Features of every frame, and their mean; see `Extractor.forward`."""
        frames = self._by_frame(clips)
        return Extracted(frames.mean(dim=1), None, frames)

    def _by_frame(self, clips: torch.Tensor) -> torch.Tensor:
        batch, count = clips.shape[:2]
        parts = []
        for few in clips.flatten(0, 1).split(FRAMES_AT_ONCE):  # type: ignore[no-untyped-call]
            frames = self.recipe.published.preprocess(few[None])[0]
            parts.append(self.recipe.features(self.network, frames))
        return torch.cat(parts).reshape(batch, count, -1)


def load(name: str, weights: str | Path | None = None) -> FrameNetwork:
    """Return DINOv2 or CLIP.

    Args:
        name: a key of `RECIPES`.
        weights: as for `hugging_face.load`.

    Raises:
        ConfigError: unknown name.
        VgbenchError: transformers is not installed, or the weights are not on disk.
    """
    recipe = lookup("frame network", name, RECIPES)
    loaded = hugging_face.load(name, recipe.published, weights)
    return FrameNetwork(
        recipe,
        loaded,
        ExtractorSpec(
            id=name,
            weights=loaded.weights,
            least_frames=1,
            preprocessing=f"{recipe.published.describe()}; mean over frames",
            feature_dimension=int(getattr(loaded.network.config, recipe.size)),
            classes=(),
            licence=loaded.licence,
            comparable_with="scores of the same weights and protocol; blind to motion",
            per_frame=True,
        ),
    )
