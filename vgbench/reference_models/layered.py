"""A decoder of two layers: a foreground that moves as one piece over a background that stands still."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import ConfigError
from vgbench.reference_models.config import GeneratorConfig
from vgbench.reference_models.decoders import Decoder, FrameStack, identity_grid, joined
from vgbench.reference_models.layers import enlarged, feature_norm, initialise, per_frame, unfold


class LayeredDecoder(Decoder):
    """x_t = m_t ⊙ f_t + (1 − m_t) ⊙ b, where f_t and m_t are f and m after an affine map of frame t.

    The background b, the foreground f and its mask m are drawn once per clip from the content (VGAN's two
    layers, Vondrick et al. 2016). For each frame, a small network turns content and motion code into a shift,
    a size and an angle, and a spatial transformer (Jaderberg et al. 2015) moves foreground and mask
    accordingly. Whatever is in the foreground therefore keeps its shape and its colours.

    The colours of both layers are drawn at a fraction of the side length and enlarged, so that they are
    smooth; only the mask has full resolution. The foreground starts in the middle, at 0.7 of the side length
    of the frame.

    With `sharp`, the mask is moved before its sigmoid, not after it. Moving interpolates linearly, which
    blurs a mask of zeros and ones by a pixel or more, but leaves the place where its logits change sign as
    sharp as it was.

    Leaves "mask" in `terms`.

    Attributes:
        reach: largest shift, in half widths of the frame.
        turns: largest angle, in radians.
        stretch: the size changes by at most this factor.
        start: size of the foreground's layer at first, as a share of the frame's side length.
        beyond: logit of a sharp mask outside its layer.
    """

    reach = 1.2
    turns = math.pi
    stretch = 2.5
    start = 0.7
    beyond = -8.0

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
        hidden: int = 64,
        grain: int = 2,
        sharp: bool = False,
    ) -> None:
        """Build the decoder.

        Args:
            config: of the generator.
            size: side length of the frames.
            frames: of the training clips; the decoder makes clips of any length.
            content_dim: dimension of the content.
            code_dim: dimension of the motion code of a frame.
            hidden: width of the network that places the foreground.
            grain: the colours are drawn at this fraction of the side length; a power of two.
            sharp: move the mask's logits, so that its edges stay sharp.

        Raises:
            ConfigError: `grain` is no power of two up to `size`.
        """
        super().__init__()
        if grain < 1 or grain & (grain - 1) or grain > size:
            raise ConfigError(
                f"generator.decoder.options.grain = {grain}", f"use a power of two up to {size}"
            )
        self.sharp = sharp
        self.background = picture(content_dim, size // grain, config)
        self.colours = picture(content_dim, size // grain, config)
        self.mask = FrameStack(content_dim, size, config, out=1)
        self.place = nn.Sequential(
            nn.Linear(content_dim + code_dim, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 4)
        )

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        clips, frames = codes.shape[:2]
        logits = self.mask(content)
        # Outside the layer, sampling gives 0, which must stand for a pixel without foreground.
        outline = logits - self.beyond if self.sharp else logits.sigmoid()
        background, colours = (
            enlarged(layer(content).tanh(), outline.shape[-1]) for layer in (self.background, self.colours)
        )
        layer = torch.cat([colours, outline], 1)
        grid = self.grid(self.place(joined(content, codes)), layer)
        # The colours beyond the edge of the layer do not matter, because its mask is 0 there.
        moved = F.grid_sample(per_frame(layer, frames), grid, padding_mode="zeros", align_corners=False)
        colours, mask = moved[:, :3], moved[:, 3:]
        if self.sharp:
            mask = (mask + self.beyond).sigmoid()
        video = mask * colours + (1 - mask) * per_frame(background, frames)
        self.terms = {"mask": unfold(mask, clips).transpose(1, 2)}
        return unfold(video, clips).transpose(1, 2)

    def grid(self, placed: torch.Tensor, layer: torch.Tensor) -> torch.Tensor:
        """Return where each pixel of a frame lies in the layer: [N, 4] -> [N, H, W, 2], (x, y) in [−1, 1].

        The four numbers are the shift to the right and down, the logarithm of the size, and the angle, each
        before a tanh that bounds it.
        """
        bounded = placed.float().tanh()
        shift = self.reach * bounded[:, :2]
        size = self.start * torch.exp(math.log(self.stretch) * bounded[:, 2])
        angle = self.turns * bounded[:, 3]
        cosine, sine = angle.cos() / size, angle.sin() / size
        inverse = torch.stack([torch.stack([cosine, sine], 1), torch.stack([-sine, cosine], 1)], 1)
        pixels = identity_grid(layer) - shift[:, None, None]
        return torch.einsum("nij,nhwj->nhwi", inverse, pixels.expand(len(placed), -1, -1, -1))


def picture(inputs: int, size: int, config: GeneratorConfig) -> nn.Module:
    """Make a network that draws pictures without final non-linearity: [N, inputs] -> [N, 3, size, size]."""
    if size > 4:
        return FrameStack(inputs, size, config)
    hidden = 8 * config.channels
    enter, leave = nn.Linear(inputs, hidden), nn.ConvTranspose2d(hidden, 3, size)
    initialise(leave, fan_in=hidden, activated=False)
    norm = feature_norm(config.decoder.norm, hidden, 2)
    return nn.Sequential(enter, nn.Unflatten(1, (hidden, 1, 1)), norm, nn.ReLU(), leave)
