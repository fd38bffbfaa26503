"""Video transformers: VideoMAE (with Kinetics-400 classes) and V-JEPA 2; optional extra `transformers`.

Neither is the network of a published metric: content-debiased FVD uses VideoMAE-v2-g trained
on Something-Something v2, and JEDi the first V-JEPA with an attentive probe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vgbench.extractors import hugging_face
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.hugging_face import IMAGENET_MEAN, IMAGENET_STD, Loaded, Published
from vgbench.protocol.pixels import Resize

VIDEOMAE = Published(
    repository="MCG-NJU/videomae-base-finetuned-kinetics",
    architecture="VideoMAEForVideoClassification",
    resize=Resize(size=224, kernel="bilinear"),
    crop=224,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    licence="CC-BY-NC-4.0",
    citation="Tong et al. 2022, arXiv 2203.12602",
)

V_JEPA_2 = Published(
    repository="facebook/vjepa2-vitl-fpc64-256",
    architecture="VJEPA2Model",
    resize=Resize(size=292, kernel="bilinear"),
    crop=256,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    licence="MIT",
    citation="Assran et al. 2025, arXiv 2506.09985",
)


class VideoMae(Extractor):
    """VideoMAE: features are the input of its class layer, the normalised mean of all tokens.

    It uses exactly the number of frames that it was trained on. A longer clip is divided into successive
    windows of that length; features and logits are means over windows, and an incomplete last window is left
    out.
    """

    def __init__(self, network: Any, spec: ExtractorSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        length = self.spec.least_frames
        windows = clips.shape[1] // length
        frames = VIDEOMAE.preprocess(clips[:, : windows * length])
        tokens = self.network.videomae(frames.reshape(-1, length, *frames.shape[2:])).last_hidden_state
        features = self.network.fc_norm(tokens.mean(dim=1))
        logits = self.network.classifier(features)
        return Extracted(*(x.reshape(len(clips), windows, -1).mean(dim=1) for x in (features, logits)))


class VJepa2(Extractor):
    """V-JEPA 2's encoder: features are the mean of all tokens. An odd last frame is left out."""

    def __init__(self, network: Any, spec: ExtractorSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        tokens = self.network.get_vision_features(V_JEPA_2.preprocess(clips))
        return Extracted(tokens.mean(dim=1), None)


def load_videomae(weights: str | Path | None = None) -> VideoMae:
    """Return VideoMAE fine-tuned on Kinetics-400.

    Args:
        weights: as for `hugging_face.load`.

    Raises:
        VgbenchError: transformers is not installed, or the weights are not on disk.
    """
    loaded = hugging_face.load("videomae-vitb16-k400", VIDEOMAE, weights)
    config = loaded.network.config
    classes = tuple(str(config.id2label[index]) for index in range(config.num_labels))
    spec = _spec("videomae-vitb16-k400", VIDEOMAE, loaded, config.num_frames, classes)
    return VideoMae(loaded.network, spec)


def load_v_jepa_2(weights: str | Path | None = None) -> VJepa2:
    """Return V-JEPA 2's encoder.

    Args:
        weights: as for `hugging_face.load`.

    Raises:
        VgbenchError: transformers is not installed, or the weights are not on disk.
    """
    loaded = hugging_face.load("vjepa2-vitl", V_JEPA_2, weights)
    spec = _spec("vjepa2-vitl", V_JEPA_2, loaded, loaded.network.config.tubelet_size, ())
    return VJepa2(loaded.network, spec)


def _spec(
    name: str, published: Published, loaded: Loaded, least_frames: int, classes: tuple[str, ...]
) -> ExtractorSpec:
    return ExtractorSpec(
        id=name,
        weights=loaded.weights,
        least_frames=least_frames,
        preprocessing=published.describe(),
        feature_dimension=int(loaded.network.config.hidden_size),
        classes=classes,
        licence=loaded.licence,
        comparable_with="scores of the same weights and protocol",
    )
