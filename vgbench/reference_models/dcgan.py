"""The generators of VGAN, TGAN and MoCoGAN, with the layers and the initial weights of the authors' code."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn

from vgbench.errors import ConfigError
from vgbench.reference_models.config import GeneratorConfig
from vgbench.reference_models.decoders import Decoder, joined
from vgbench.reference_models.layers import (
    batch_scale,
    fold,
    halvings,
    per_frame,
    set_initial_weights,
    unfold,
    widths,
)


def frame_layers(inputs: int, size: int, channels: int, bias: bool) -> nn.Sequential:
    """DCGAN's generator of images: [N, inputs, 1, 1] -> [N, 3, size, size] in [−1, 1].

    Transposed convolutions with batch norm and ReLU; the last one has `channels` inputs and a tanh after it.
    """
    width = list(reversed(widths(channels, halvings(size))))
    layers: list[nn.Module] = [nn.ConvTranspose2d(inputs, width[0], 4, 1, 0, bias=bias)]
    for now, after in zip(width, [*width[1:], 3], strict=True):
        layers += [nn.BatchNorm2d(now), nn.ReLU(), nn.ConvTranspose2d(now, after, 4, 2, 1, bias=bias)]
    return nn.Sequential(*layers, nn.Tanh())


class DcganDecoder(Decoder):
    """MoCoGAN's decoder of single frames from [content; code]: DCGAN without biases."""

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.layers = frame_layers(content_dim + code_dim, size, config.channels, bias=False)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        frames: torch.Tensor = self.layers(joined(content, codes)[:, :, None, None])
        return unfold(frames, len(codes)).transpose(1, 2)


class VganDecoder(Decoder):
    """VGAN's two streams, x = m ⊙ f + (1 − m) ⊙ b (Vondrick et al. 2016), with normal initial weights.

    Foreground f and mask m come from 3-D transposed convolutions, which begin with two time steps and double
    time together with space; the background b, which is the same in all frames, from 2-D ones. Leaves "mask"
    in `terms`.
    """

    def __init__(
        self, config: GeneratorConfig, size: int, frames: int, content_dim: int, code_dim: int
    ) -> None:
        super().__init__()
        require_no_codes("vgan", code_dim)
        if frames != size // 2:
            raise ConfigError(
                f"frames = {frames}: generator.decoder.name = 'vgan' makes {size // 2} frames of {size} "
                "pixels",
                f"set frames = {size // 2}",
            )
        self.horizon, self.frames_interact = frames, True
        width = list(reversed(widths(config.channels, halvings(size))))
        layers: list[nn.Module] = [nn.ConvTranspose3d(content_dim, width[0], (2, 4, 4))]
        for now, after in pairwise(width):
            layers += [nn.BatchNorm3d(now), nn.ReLU(), nn.ConvTranspose3d(now, after, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, nn.BatchNorm3d(width[-1]), nn.ReLU())
        self.foreground = nn.ConvTranspose3d(width[-1], 3, 4, 2, 1)
        self.mask = nn.ConvTranspose3d(width[-1], 1, 4, 2, 1)
        self.background = frame_layers(content_dim, size, config.channels, bias=True)
        set_initial_weights(self, "normal")

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        maps = self.layers(content[:, :, None, None, None])
        foreground, mask = self.foreground(maps).tanh(), self.mask(maps).sigmoid()
        background: torch.Tensor = self.background(content[:, :, None, None])[:, :, None]
        self.terms = {"mask": mask}
        video: torch.Tensor = mask * foreground + (1 - mask) * background
        return video


class TganDecoder(Decoder):
    """TGAN's two generators (Saito et al. 2017), with uniform initial weights.

    The temporal generator turns the content into one code per frame, by 1-D transposed convolutions with a
    tanh. The image generator makes each frame from half of its 4×4 maps, which come from the content, and the
    other half, which comes from the code. The content is uniform in [−1, 1]: the normal latent passes its
    distribution function.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,
        content_dim: int,
        code_dim: int,
        fast_dim: int = 100,
    ) -> None:
        """Build the decoder.

        Args:
            config: of the generator; the last transposed convolution of four has `channels` inputs.
            size: side length of the frames.
            frames: of the clips; a power of two.
            content_dim: dimension of the content, which the paper calls z_0.
            code_dim: 0, because the decoder makes the codes.
            fast_dim: dimension of the code of a frame, which the paper calls z_1^t.

        Raises:
            ConfigError: there is a motion module, or the number of frames is no power of two.
        """
        super().__init__()
        require_no_codes("tgan", code_dim)
        if frames & (frames - 1):
            raise ConfigError(
                f"frames = {frames}: generator.decoder.name = 'tgan' doubles time", "use a power of two"
            )
        self.horizon, self.frames_interact = frames, True
        width, doublings = 8 * config.channels, int(math.log2(frames))
        times = [width, width // 2, *[width // 4] * max(0, doublings - 2)][:doublings]
        layers: list[nn.Module] = [nn.ConvTranspose1d(content_dim, times[0], 1)]
        for now, after in zip(times, [*times[1:], fast_dim], strict=True):
            layers += [batch_scale(now, 1), nn.ReLU(), nn.ConvTranspose1d(now, after, 4, 2, 1)]
        self.temporal = nn.Sequential(*layers, nn.Tanh())
        half = width // 2 * 16
        self.slow = nn.Sequential(nn.Linear(content_dim, half, bias=False), nn.BatchNorm1d(half), nn.ReLU())
        self.fast = nn.Sequential(nn.Linear(fast_dim, half, bias=False), nn.BatchNorm1d(half), nn.ReLU())
        maps: list[nn.Module] = []
        now = width
        for _ in range(halvings(size)):
            maps += [
                nn.ConvTranspose2d(now, now // 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(now // 2),
                nn.ReLU(),
            ]
            now //= 2
        self.image = nn.Sequential(*maps, nn.Conv2d(now, 3, 3, padding=1), nn.Tanh())
        self.width = width
        set_initial_weights(self, "uniform")

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        uniform = torch.erf(content / math.sqrt(2))  # 2 Φ(z) − 1, with the distribution function Φ
        fast = self.temporal(uniform[:, :, None]).transpose(1, 2)  # [B, T, fast_dim]
        slow = per_frame(uniform, fast.shape[1])
        halves = [self.slow(slow), self.fast(fold(fast))]
        maps = torch.cat([one.reshape(-1, self.width // 2, 4, 4) for one in halves], 1)
        return unfold(self.image(maps), len(content)).transpose(1, 2)


def require_no_codes(name: str, code_dim: int) -> None:
    """Raise a `ConfigError` if a decoder that makes whole clips would get motion codes."""
    if code_dim:
        raise ConfigError(
            f"generator.decoder.name = '{name}' takes no motion codes", "set generator.motion.name to none"
        )
