"""The embedded network on one frame at a time, so that frame-level metrics work offline.

The input is each frame repeated to the shortest length that the network accepts. All statistics of change are
constant for such a static clip, so that features depend on the appearance alone. The training data contained
static clips, but the network is made for motion: prefer DINOv2, CLIP or Inception-v3 where available.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from vgbench.extractors import embedded
from vgbench.extractors.extractor import Extracted, Extractor

FRAMES_AT_ONCE = 16
"""Limits the memory in use; does not change the features beyond rounding."""
GREY = 128


class EmbeddedFrames(Extractor):
    """Features of a frame are those of its static clip minus those of a uniformly grey one.

    The difference removes the constant part of static clips, which would make all cosines close to 1.
    """

    def __init__(self, clip_extractor: embedded.Embedded) -> None:
        super().__init__()
        self.clip_extractor = clip_extractor
        spec = clip_extractor.spec
        self.spec = replace(
            spec,
            id=f"{spec.id}-frames",
            least_frames=1,
            preprocessing=f"{spec.preprocessing}; each frame as a still clip of {spec.least_frames}, "
            f"less a grey one; mean over frames",
            classes=(),
            per_frame=True,
        )

    def forward(self, clips: torch.Tensor) -> Extracted:
        """Features of every frame, and their mean; see `Extractor.forward`."""
        origin = self._of_frames(torch.full_like(clips[:1, 0], GREY))
        parts = clips.flatten(0, 1).split(FRAMES_AT_ONCE)  # type: ignore[no-untyped-call]
        frames = torch.cat([self._of_frames(part) for part in parts]) - origin
        frames = frames.reshape(*clips.shape[:2], -1)
        return Extracted(frames.mean(dim=1), None, frames)

    def _of_frames(self, frames: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] -> [N, D]."""
        length = self.clip_extractor.spec.least_frames
        return self.clip_extractor(frames[:, None].expand(-1, length, -1, -1, -1)).features


def load(weights: str | Path | None = None) -> EmbeddedFrames:
    """Return the embedded extractor for single frames.

    Args:
        weights: as for `embedded.load`.

    Raises:
        VgbenchError: as `embedded.load`.
    """
    return EmbeddedFrames(embedded.load(weights))
