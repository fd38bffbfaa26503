"""An example of every kind of part, as a start for your own. `own.yaml` beside this file combines them.

Run from this folder, so that `own_parts` can be imported:

    vgbench train own.yaml --minutes 2 --run /tmp/own                    # data, motion, discriminator, loss
    vgbench train gru-hinge --generator own_parts:Net --data own_parts:clips --minutes 2 --run /tmp/net
    vgbench sample --from own_parts:sample --out /tmp/clips              # a model from elsewhere
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.config import DiscriminatorConfig, GeneratorConfig, MotionConfig
from vgbench.reference_models.decoders import Decoder
from vgbench.reference_models.discriminators import Discriminator
from vgbench.reference_models.losses import Loss
from vgbench.reference_models.motion import Motion


def clips(count: int = 256, frames: int = 16, side: int = 32) -> Iterator[tuple[npt.NDArray[np.uint8], str]]:
    """A data set: clips uint8 [T, H, W, 3] with their labels. Bright discs on grey that fall or rise."""
    rows, columns = np.mgrid[:side, :side]
    for index in range(count):
        random = np.random.default_rng(index)
        colour, column = random.integers(120, 256, 3), random.uniform(6, side - 6)
        clip = np.full((frames, side, side, 3), 60, np.uint8)
        for frame in range(frames):
            height = 4 + (side - 8) * frame / (frames - 1)
            row = height if index % 2 else side - height
            clip[frame, np.hypot(rows - row, columns - column) < 4] = colour
        yield clip, "fall" if index % 2 else "rise"


class Drift(Motion):
    """A motion module: every code moves on a straight line, at any frame rate and for any length."""

    continuous = True

    def __init__(self, config: MotionConfig, frames: int, speed: float = 1.0) -> None:
        super().__init__()
        self.code_dim, self.step = config.noise_dim, speed / frames

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (2, self.code_dim)  # where it starts, where it goes

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Make codes: [B, 2, code_dim], times [B, K] -> [B, K, code_dim]."""
        return noise[:, :1] + noise[:, 1:] * (self.step * times)[..., None]


class Net(Decoder):
    """A whole generator of your own: latent [B, D] in, video [B, 3, T, H, W] in [−1, 1] out."""

    def __init__(
        self, config: GeneratorConfig, size: int, frames: int, content_dim: int, code_dim: int
    ) -> None:
        super().__init__()
        self.horizon, self.frames_interact = frames, True  # fixed length; all frames are made together
        self.coarse = (frames // 4, size // 4, size // 4)
        self.enter = nn.Linear(content_dim + code_dim, 32 * int(np.prod(self.coarse)))
        self.layers = nn.Sequential(
            nn.BatchNorm3d(32),
            nn.ReLU(),
            nn.ConvTranspose3d(32, config.channels, 4, 2, 1),
            nn.BatchNorm3d(config.channels),
            nn.ReLU(),
            nn.ConvTranspose3d(config.channels, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Decode; `codes` has no columns, because a generator of your own uses no motion module."""
        video: torch.Tensor = self.layers(self.enter(content).unflatten(1, (32, *self.coarse)))
        return video


class Differences(Discriminator):
    """A discriminator that sees only the changes between frames. Scores are raw, one or more per clip."""

    def __init__(self, config: DiscriminatorConfig, size: int, frames: int) -> None:
        super().__init__(config, features=config.channels, labels=0, classifies=False)
        self.layers = nn.Sequential(
            nn.Conv3d(3, config.channels, (3, 4, 4), 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv3d(config.channels, config.channels, (3, 4, 4), 2, 1),
            nn.LeakyReLU(0.2),
        )
        self.head = nn.Linear(config.channels, 1)

    def trunk(self, video: torch.Tensor, times: torch.Tensor) -> list[torch.Tensor]:
        return [self.layers(video.diff(dim=2))]

    def score(self, features: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.pooled(features))
        return scores


smooth_hinge = Loss(
    discriminator=lambda real, fake: F.softplus(1 - real).mean() + F.softplus(1 + fake).mean(),
    generator=lambda real, fake: -fake.mean(),
)
"""A loss: what D and G minimise, computed from raw scores."""


def sample(n: int, seed: int, device: str = "cpu") -> npt.NDArray[np.uint8]:
    """All that a model from elsewhere needs: uint8 [n, T, H, W, 3], the same for the same seed."""
    made = list(clips(seed + n))[seed:]
    return np.stack([clip for clip, _ in made])
