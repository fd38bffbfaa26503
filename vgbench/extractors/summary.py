"""What each extractor is, told without loading it: features, whether its weights are here, what compares."""

from __future__ import annotations

from dataclasses import dataclass

from vgbench.errors import VgbenchError
from vgbench.extractors import frame_networks, hugging_face, transformers_video
from vgbench.extractors.weights.registry import REGISTRY, list_cached


@dataclass(frozen=True)
class Summary:
    """One extractor.

    Attributes:
        features: D of its features [B, D].
        comparable_with: what numbers made with it may be compared with, in one phrase.
    """

    features: int
    comparable_with: str


_ITSELF = "scores of the same weights"

SUMMARIES: dict[str, Summary] = {
    "embedded": Summary(256, "other scores of embedded only"),
    "embedded-frames": Summary(256, "other scores of embedded-frames only"),
    "i3d-k400": Summary(400, "FVD of the original I3D"),
    "i3d-k400-tats": Summary(400, "FVD of VideoGPT, TATS and DIGAN"),
    "i3d-k400-piergiaj": Summary(400, f"{_ITSELF}; not with FVD"),
    "i3d-k400-torchscript": Summary(400, "FVD of StyleGAN-V and of those who use its file"),
    "c3d-ucf101": Summary(4096, "video Inception Scores of TGAN and TGANv2"),
    "c3d-ucf101-torchscript": Summary(101, "video Inception Scores of StyleGAN-V"),
    "r2plus1d-18-k400": Summary(512, _ITSELF),
    "r3d-18-k400": Summary(512, _ITSELF),
    "videomae-vitb16-k400": Summary(768, _ITSELF),
    "vjepa2-vitl": Summary(1024, _ITSELF),
    "inception-v3-fid": Summary(2048, f"{_ITSELF}, frame by frame"),
    "dinov2-vitb14": Summary(768, f"{_ITSELF}, frame by frame"),
    "clip-vitb32": Summary(512, f"{_ITSELF}, frame by frame"),
}
"""By the names of `vgbench.extractors.EXTRACTORS`."""

REPOSITORIES: dict[str, str] = {
    "videomae-vitb16-k400": transformers_video.VIDEOMAE.repository,
    "vjepa2-vitl": transformers_video.V_JEPA_2.repository,
    **{name: recipe.published.repository for name, recipe in frame_networks.RECIPES.items()},
}
"""Extractor -> repository on the Hugging Face hub, where its weights come from there."""


def summarise(name: str) -> str:
    """One line: features, whether the weights are on this machine, what numbers compare with."""
    known = SUMMARIES[name]
    where = "here" if has_weights(name) else "not here"
    return f"{known.features:,} features; weights {where}; compare with {known.comparable_with}"


def has_weights(name: str) -> bool:
    """Whether the weights are on this machine: in the wheel, in vgbench's cache or in Hugging Face's."""
    if name in REGISTRY:
        return list_cached()[name] is not None
    if name not in REPOSITORIES:
        return True
    try:
        hugging_face.find_folder(name, REPOSITORIES[name])
    except VgbenchError:
        return False
    return True
