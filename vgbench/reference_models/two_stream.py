"""A discriminator of two streams, one for appearance and one for motion."""

from __future__ import annotations

import torch
from torch import nn

from vgbench.errors import ConfigError
from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.discriminators import Discriminator, Layers
from vgbench.reference_models.layers import constrained, frames_first, unfold
from vgbench.reference_models.optical_flow import optical_flow


class TwoStreamDiscriminator(Discriminator):
    """One 2-D network on RGB frames and one on optical flow (Simonyan and Zisserman 2014, arXiv 1406.2199).

    The spatial stream sees `frames` (1 by default) frames at equal distances, each on its own. The temporal
    stream sees the flow between all neighbouring frames, stacked in 2(T − 1) channels. The score is the sum
    of the scores of both streams (late fusion), where that of the spatial stream is the mean over its frames.

    The flow is estimated by the method of Lucas and Kanade inside the graph, so gradients pass through it.
    """

    seen: torch.Tensor

    def __init__(
        self, config: DiscriminatorConfig, size: int, frames: int, labels: int = 0, classifies: bool = False
    ) -> None:
        if frames < 2:
            raise ConfigError("a two-stream discriminator needs at least two frames")
        spatial, temporal = Layers(config, size, None), Layers(config, size, None, inputs=2 * (frames - 1))
        super().__init__(config, spatial.width + temporal.width, labels, classifies)
        self.spatial, self.temporal = spatial, temporal
        self.head = constrained(nn.Conv2d(spatial.width + temporal.width, 1, 4), config.norm)
        seen = min(config.frames or 1, frames)
        places = (torch.arange(seen) + 0.5) * frames / seen
        self.register_buffer("seen", places.long(), persistent=False)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:  # noqa: ARG002
        """Compute the maps of both streams, followed by the last maps of both in one tensor [B, C, 4, 4]."""
        frames = frames_first(video[:, :, self.seen])
        rgb = [unfold(maps, len(video)) for maps in self.spatial(frames)]
        flow: list[torch.Tensor] = self.temporal(optical_flow(video).flatten(1, 2))
        return [*rgb, *flow, torch.cat([rgb[-1].mean(1), flow[-1]], 1)]

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        scores: torch.Tensor = self.head(features).flatten(1)
        return scores
