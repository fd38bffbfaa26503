"""A decoder of two layers: a foreground that moves as one piece over a background that stands still."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.reference_models.config import GeneratorConfig
from vgbench.reference_models.decoders import Decoder, FrameStack, identity_grid, joined
from vgbench.reference_models.layers import per_frame, unfold


class LayeredDecoder(Decoder):
    """x_t = m_t ⊙ f_t + (1 − m_t) ⊙ b, where f_t and m_t are f and m after an affine map of frame t.

    The background b, the foreground f and its mask m are drawn once per clip from the content (VGAN's two
    layers, Vondrick et al. 2016). For each frame, a small network turns content and motion code into a shift,
    a size and an angle, and a spatial transformer (Jaderberg et al. 2015) moves foreground and mask
    accordingly. Whatever is in the foreground therefore keeps its shape and its colours.

    The background is drawn at half the side length and enlarged, so that it is smooth. The foreground starts
    in the middle, at 0.7 of the side length of the frame.

    Leaves "mask" in `terms`.

    Attributes:
        reach: largest shift, in half widths of the frame.
        turns: largest angle, in radians.
        stretch: the size changes by at most this factor.
    """

    reach = 1.2
    turns = math.pi
    stretch = 2.5
    start = 0.7

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
        hidden: int = 64,
    ) -> None:
        super().__init__()
        self.background = FrameStack(content_dim, size // 2, config)
        self.foreground = FrameStack(content_dim, size, config, out=4)
        self.place = nn.Sequential(
            nn.Linear(content_dim + code_dim, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 4)
        )

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        clips, frames = codes.shape[:2]
        background = F.interpolate(
            self.background(content).tanh(), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        drawn = self.foreground(content)
        layer = torch.cat([drawn[:, :3].tanh(), drawn[:, 3:].sigmoid()], 1)
        grid = self.grid(self.place(joined(content, codes)), layer)
        # The colours beyond the edge of the layer do not matter, because its mask is 0 there.
        moved = F.grid_sample(per_frame(layer, frames), grid, padding_mode="zeros", align_corners=False)
        colours, mask = moved[:, :3], moved[:, 3:]
        # The mask multiplied the colours at the edge already where samples mix inside and outside.
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
