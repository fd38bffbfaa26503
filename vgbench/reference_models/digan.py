"""The generator of DIGAN (Yu et al. 2022, arXiv 2202.10571): pixels as functions of place and time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.config import GeneratorConfig, MotionConfig
from vgbench.reference_models.decoders import Decoder
from vgbench.reference_models.layers import fold, per_frame, unfold
from vgbench.reference_models.motion import Motion
from vgbench.reference_models.style import Mapping, ModulatedConv2d
from vgbench.reference_models.stylegan2 import activated, linear, widths_by_side


class NoiseAndTime(Motion):
    """m(t) = [ε; t]: one noise vector for the clip, and the time, for decoders that make motion of them.

    t runs from 0 to 1 over the training length, and beyond 1 in longer clips.
    """

    def __init__(self, config: MotionConfig, frames: int) -> None:
        super().__init__()
        self.continuous = True
        self.code_dim, self.span = config.noise_dim + 1, max(1, frames - 1)

    def noise_shape(self, frames: int) -> tuple[int, ...]:  # noqa: ARG002
        return (1, self.code_dim - 1)

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        return torch.cat([noise.expand(-1, times.shape[1], -1), (times / self.span)[..., None].to(noise)], 2)


class FactorisedConv2d(nn.Module):
    """A 1×1 convolution whose weights the style changes by factors of low rank (INR-GAN, arXiv 2011.12026).

    With weights v, W = v ⊙ (1 + L R / √rank), where the style gives L [outputs, rank] and R [rank, inputs];
    each row of W is divided by its norm.
    """

    def __init__(self, inputs: int, outputs: int, style: int, rank: int) -> None:
        super().__init__()
        self.inputs, self.outputs, self.rank = inputs, outputs, rank
        self.affine = linear(style, (inputs + outputs) * rank)
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W], [N, style] -> [N, outputs, H, W], with the activation."""
        left, right = self.affine(style).split([self.outputs * self.rank, self.inputs * self.rank], 1)
        change = left.unflatten(1, (self.outputs, self.rank)) @ right.unflatten(1, (self.rank, self.inputs))
        weight = self.weight * (1 + change / math.sqrt(self.rank))
        weight = weight / (weight.norm(dim=2, keepdim=True) + 1e-8)
        made = (weight.to(x.dtype) @ x.flatten(2)).unflatten(2, x.shape[2:])
        return activated(made + self.bias[None, :, None, None])


class MovingWaves(nn.Module):
    """Fourier features of the pixels, whose frequencies the style gives, and which move in time.

    [sin, cos](√10 A(w) p + b(w) + M(leaky_relu(speed · B[w; ε] t))), p in [−1, 1]², with a network M of two
    layers.
    """

    speed = 0.25

    def __init__(self, style: int, noise: int, waves: int) -> None:
        super().__init__()
        self.count = waves
        self.place = linear(style, 3 * waves)
        self.velocity = linear(style + noise, waves)
        self.hidden, self.out = linear(waves, waves), linear(waves, waves)

    def forward(self, style: torch.Tensor, code: torch.Tensor, side: int) -> torch.Tensor:
        """Styles [N, style] and codes [ε; t] [N, noise + 1] -> [N, 2 · waves, side, side]."""
        noise, time = code[:, :-1], code[:, -1:]
        frequency, phase = self.place(style).split([2 * self.count, self.count], 1)
        moved = F.leaky_relu(self.velocity(torch.cat([style, noise], 1)) * time * self.speed)
        phase = phase + self.out(activated(self.hidden(moved)))
        waves = math.sqrt(10) * frequency.unflatten(1, (self.count, 2)) @ coordinates(side, style)
        angle = (waves + phase[:, :, None]).unflatten(2, (side, side))
        return torch.cat([angle.sin(), angle.cos()], 1)


def coordinates(side: int, like: torch.Tensor) -> torch.Tensor:
    """Return the coordinates (x, y) of all pixels, from −1 to 1 − 2 / side: [2, side · side]; y points up."""
    row = torch.arange(side, device=like.device, dtype=like.dtype) / side * 2 - 1
    return torch.stack([row.expand(side, side), row.flip(0)[:, None].expand(side, side)]).flatten(1)


class DiganDecoder(Decoder):
    """DIGAN's generator, after the motion module "digan", for each frame separately.

    The pixels' waves on a grid of `coarse` × `coarse` pass modulated 1×1 convolutions. At each doubling of
    the side length, pixels are repeated, and waves of that resolution are joined to the maps. Images are
    added up. As in the original, they are not limited to [−1, 1]; pixels outside of it are clipped when
    samples are rounded.
    """

    maps_latents = True

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
        style_dim: int = 512,
        mapping_layers: int = 2,
        most: int = 512,
        rank: int = 10,
        waves: int = 128,
        coarse: int = 32,
    ) -> None:
        """Build the decoder.

        Args:
            config: `channels` is the number of feature maps at full resolution, which is doubled at each
                halving of the side length.
            size: side length of the frames.
            frames: of the training clips; the decoder makes clips of any length.
            content_dim: dimension of the content.
            code_dim: dimension of the noise of a clip, and one more for the time.
            style_dim: dimension of the style.
            mapping_layers: of the mapping network.
            most: largest number of feature maps.
            rank: of the modulation.
            waves: number of waves.
            coarse: side length of the first grid.
        """
        super().__init__()
        width = dict(reversed(widths_by_side(size, config.channels, most).items()))
        self.coarse = min(coarse, size)
        self.mapping = Mapping(content_dim, style_dim, mapping_layers)
        self.waves, self.layers, self.pictures = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.sides: list[int] = []
        for side, after in width.items():
            now = 0 if side == 4 else width[side // 2]
            if side == 4 or side > self.coarse:
                self.waves.append(MovingWaves(style_dim, code_dim - 1, waves))
                now += 2 * waves
            # The first block has one convolution; those of 128 and 256 pixels have three, as in the original.
            depth = 1 if side == 4 else 3 if side in (128, 256) else 2
            inputs = [now, *[after] * (depth - 1)]
            self.layers.append(nn.ModuleList(FactorisedConv2d(one, after, style_dim, rank) for one in inputs))
            self.pictures.append(ModulatedConv2d(after, 3, style_dim, 1, demodulate=False))
            self.sides.append(side)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        style = per_frame(self.mapping(content, self.truncation), codes.shape[1])
        code = fold(codes)
        waves = iter(self.waves)
        x = next(waves)(style, code, self.coarse)
        picture: torch.Tensor | None = None
        for side, layers, draw in zip(self.sides, self.layers, self.pictures, strict=True):
            if side > self.coarse:
                x = torch.cat([repeated(x), next(waves)(style, code, side)], 1)
            for layer in layers:  # type: ignore[attr-defined]
                x = layer(x, style)
            drawn = draw(x, style)
            picture = (
                drawn if picture is None else drawn + (repeated(picture) if side > self.coarse else picture)
            )
        assert picture is not None
        return unfold(picture, len(codes)).transpose(1, 2)


def repeated(maps: torch.Tensor) -> torch.Tensor:
    """Double the side length by repeating pixels."""
    return F.interpolate(maps, scale_factor=2, mode="nearest")
