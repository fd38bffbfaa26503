"""`EXTRACTORS`, the table of vgbench's own extractors and of the functions that load them.

Reading the table imports no torch; a target is imported when it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_ITSELF = "scores of the same weights"


@dataclass(frozen=True)
class Entry:
    """One extractor.

    Attributes:
        target: function that loads it, as "module:function". It takes `weights` (a path, "random",
            "random:SEED", or None for the usual ones) and the options of its network.
        features: D of its features [B, D].
        comparable_with: what its numbers are comparable with, in one phrase.
        fixed: arguments of the function that the name implies.
        weights: entry of the weights registry, where its name differs from the extractor's.
    """

    target: str
    features: int
    comparable_with: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    weights: str = ""


EXTRACTORS: dict[str, Entry] = {
    "embedded": Entry("vgbench.extractors.embedded:load", 256, "other scores of embedded only"),
    "embedded-frames": Entry(
        "vgbench.extractors.embedded_frames:load", 256, "other scores of embedded-frames only"
    ),
    "i3d-k400": Entry("vgbench.extractors.i3d:load", 400, "FVD of the original I3D"),
    "i3d-k400-eps1e-5": Entry(
        "vgbench.extractors.i3d:load_eps_1e_5",
        400,
        "FVD of VideoGPT, TATS, DIGAN, common_metrics and cd-fvd",
        weights="i3d-k400",
    ),
    "i3d-k400-tats": Entry("vgbench.extractors.i3d:load_tats", 400, "FVD of VideoGPT, TATS and DIGAN"),
    "i3d-k400-piergiaj": Entry("vgbench.extractors.i3d:load_piergiaj", 400, f"{_ITSELF}; not with FVD"),
    "i3d-k400-torchscript": Entry(
        "vgbench.extractors.exported:load_i3d_torchscript",
        400,
        "FVD of StyleGAN-V and of those who use its file",
    ),
    "c3d-ucf101": Entry("vgbench.extractors.c3d:load", 4096, "video Inception Scores of TGAN and TGANv2"),
    "c3d-ucf101-torchscript": Entry(
        "vgbench.extractors.c3d:load_torchscript", 101, "video Inception Scores of StyleGAN-V"
    ),
    "r2plus1d-18-k400": Entry("vgbench.extractors.resnet3d:load", 512, _ITSELF, {"name": "r2plus1d-18-k400"}),
    "r3d-18-k400": Entry("vgbench.extractors.resnet3d:load", 512, _ITSELF, {"name": "r3d-18-k400"}),
    "videomae-vitb16-k400": Entry("vgbench.extractors.transformers_video:load_videomae", 768, _ITSELF),
    "vjepa2-vitl": Entry("vgbench.extractors.transformers_video:load_v_jepa_2", 1024, _ITSELF),
    "inception-v3-fid": Entry("vgbench.extractors.inception_v3:load", 2048, f"{_ITSELF}, frame by frame"),
    "dinov2-vitb14": Entry(
        "vgbench.extractors.frame_networks:load",
        768,
        f"{_ITSELF}, frame by frame",
        {"name": "dinov2-vitb14"},
    ),
    "clip-vitb32": Entry(
        "vgbench.extractors.frame_networks:load",
        512,
        f"{_ITSELF}, frame by frame",
        {"name": "clip-vitb32"},
    ),
}
"""By the names on the command line, in the order of lists."""
