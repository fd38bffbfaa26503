"""A summary of each extractor without loading it: its features, weights and comparability."""

from __future__ import annotations

from vgbench.errors import VgbenchError
from vgbench.extractors import frame_networks, hugging_face, transformers_video
from vgbench.extractors.table import EXTRACTORS
from vgbench.extractors.weights.registry import REGISTRY, list_cached

REPOSITORIES: dict[str, str] = {
    "videomae-vitb16-k400": transformers_video.VIDEOMAE.repository,
    "vjepa2-vitl": transformers_video.V_JEPA_2.repository,
    **{name: recipe.published.repository for name, recipe in frame_networks.RECIPES.items()},
}
"""Extractor -> repository on the Hugging Face hub, for those whose weights come from there."""


def summarise(name: str) -> str:
    """Describe an extractor in one line: features, where its weights are, and comparability."""
    known = EXTRACTORS[name]
    where = "here" if has_weights(name) else "not here"
    return f"{known.features:,} features; weights {where}; compare with {known.comparable_with}"


def has_weights(name: str) -> bool:
    """Whether the weights are on this machine: in the wheel, in vgbench's cache or in Hugging Face's."""
    registered = EXTRACTORS[name].weights or name
    if registered in REGISTRY:
        return list_cached()[registered] is not None
    if name not in REPOSITORIES:
        return True
    try:
        hugging_face.find_folder(name, REPOSITORIES[name])
    except VgbenchError:
        return False
    return True
