"""The decoder of style-based generators: a mapping network, and convolutions that the style modulates."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.config import GeneratorConfig
from vgbench.reference_models.decoders import Decoder
from vgbench.reference_models.equalised import equalised
from vgbench.reference_models.layers import enlarged, fold, halvings, per_frame, unfold, widths

MEMORY = 0.998
"""Share of the running mean of styles that one training step keeps."""


class Mapping(nn.Module):
    """Latent [B, D] -> style [B, W]: normalised to unit mean square, then linear layers with LeakyReLU 0.2.

    The layers learn at a hundredth of the rate of the others (Karras et al. 2019, arXiv 1812.04948).

    Attributes:
        mean: running mean of the styles of training clips, float [W]; the centre of truncation.
    """

    mean: torch.Tensor

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        sizes = [inputs, *[width] * layers]
        self.layers = nn.ModuleList(
            equalised(nn.Linear(now, after), rate=0.01) for now, after in pairwise(sizes)
        )
        self.register_buffer("mean", torch.zeros(width))

    def forward(self, latent: torch.Tensor, truncation: float = 1.0) -> torch.Tensor:
        """Map latents to styles; `truncation` ψ moves them towards the mean, mean + ψ(w − mean)."""
        x = latent * (latent.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(x.float().mean(0), 1 - MEMORY)
        return x if truncation == 1 else self.mean + truncation * (x - self.mean)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights are scaled by the style, and normalised again (Karras et al. 2020).

    With weights v, w_oi = s_i v_oi and, if demodulated, w_oi / √(Σ w_oi² + 1e-8) (arXiv 1912.04958, equations
    1 and 3). Because convolution is linear, the maps are scaled before and after it instead of the weights,
    which gives the same result without weights of their own for each frame.
    """

    def __init__(
        self, inputs: int, outputs: int, style: int, kernel: int = 3, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.affine = equalised(nn.Linear(style, inputs), activated=False)
        nn.init.ones_(self.affine.bias)  # type: ignore[arg-type]
        self.convolution = equalised(
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), activated=False
        )
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.demodulate = demodulate

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W], [N, style] -> [N, outputs, H, W]."""
        scale = self.affine(style)
        x = self.convolved(x * scale[:, :, None, None])
        if self.demodulate:
            squares = self.convolution.weight.square().sum((2, 3))  # type: ignore[operator]
            x = x * (scale.square() @ squares.t() + 1e-8).rsqrt()[:, :, None, None]
        return x + self.bias[None, :, None, None]

    def convolved(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve maps with the weights as they are before modulation."""
        made: torch.Tensor = self.convolution(x)
        return made


class StyleDecoder(Decoder):
    """Each frame separately, with a style made of the mapped content and the motion code of the frame.

    StyleGAN2's synthesis network without noise inputs: a learned 4×4 constant, two modulated convolutions at
    each resolution, bilinear upsampling, and images added up over the resolutions. As in StyleGAN-V, motion
    enters through the style, so that content and motion act on every layer.

    """

    maps_latents = True

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
        style_dim: int = 128,
        mapping_layers: int = 2,
    ) -> None:
        super().__init__()
        width = list(reversed(widths(config.channels, halvings(size) + 1)))
        style = style_dim + code_dim
        self.mapping = Mapping(content_dim, style_dim, mapping_layers)
        self.start = nn.Parameter(torch.randn(1, width[0], 4, 4))
        inputs = [width[0], *width[:-1]]
        self.first = nn.ModuleList(
            ModulatedConv2d(now, after, style) for now, after in zip(inputs[1:], width[1:], strict=True)
        )
        self.second = nn.ModuleList(ModulatedConv2d(one, one, style) for one in width)
        self.pictures = nn.ModuleList(ModulatedConv2d(one, 3, style, 1, demodulate=False) for one in width)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        mapped = per_frame(self.mapping(content, self.truncation), codes.shape[1])
        style = torch.cat([mapped, fold(codes)], 1)
        x = F.leaky_relu(self.second[0](self.start.expand(len(style), -1, -1, -1), style), 0.2)
        picture = self.pictures[0](x, style)
        for first, second, draw in zip(self.first, self.second[1:], self.pictures[1:], strict=True):
            x = F.leaky_relu(first(enlarged(x, 2 * x.shape[-1]), style), 0.2)
            x = F.leaky_relu(second(x, style), 0.2)
            picture = enlarged(picture, x.shape[-1]) + draw(x, style)
        return unfold(picture, len(codes)).transpose(1, 2).tanh()
