"""Decoders, which turn a content latent and one motion code per frame into pixels in [−1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from vgbench.errors import ConfigError
from vgbench.reference_models.config import GeneratorConfig
from vgbench.reference_models.layers import (
    AnyConvolution,
    begin_smooth,
    constrained,
    feature_norm,
    fold,
    halvings,
    initialise,
    per_frame,
    unfold,
    widths,
)
from vgbench.reference_models.parts import DECODERS, build_part


class Decoder(nn.Module):
    """Interface of all decoders.

    Attributes:
        horizon: the only number of frames that it can make; None if it can make any.
        frames_interact: a frame depends on the motion codes of others, so single frames cannot be rendered.
        maps_latents: the content passes a mapping network, which truncation acts behind.
        truncation: ψ, the distance of what is sampled from the mean style, as a share of that in training.
        terms: what the last forward pass left for regularisers ("mask" [B, 1, T, H, W], "flow" [B, 2, T, h,
            w]).
    """

    horizon: int | None = None
    frames_interact: bool = False
    maps_latents: bool = False
    truncation: float = 1.0
    terms: dict[str, torch.Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.terms = {}

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Make clips: content [B, D], codes [B, T, d] -> video float [B, 3, T, H, W] in [−1, 1]."""
        raise NotImplementedError


class FrameStack(nn.Module):
    """DCGAN decoder of single frames without final non-linearity: [N, D] -> 4×4 maps -> [N, out, size, size].

    Attributes:
        pictures: makes an image of the maps at each resolution, if the config asks for skips; empty
            otherwise.
    """

    def __init__(self, inputs: int, size: int, config: GeneratorConfig, out: int = 3) -> None:
        super().__init__()
        norm, upsample = config.decoder.norm, config.decoder.upsample
        width = list(reversed(widths(config.channels, halvings(size))))
        self.enter = nn.Linear(inputs, width[0] * 16)
        self.enter_norm = feature_norm(norm, width[0], 2)
        blocks: list[nn.Module] = []
        for now, after in zip(width, [*width[1:], None], strict=True):
            blocks.append(
                FrameBlock(now, after, norm, upsample)
                if after
                else upsampling(now, out, upsample, activated=False)
            )
        self.blocks = nn.ModuleList(blocks)
        self.pictures = nn.ModuleList(nn.Conv2d(now, out, 1) for now in width if config.decoder.skips)
        self.width = width[0]

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        return self.render(self.enter(latent).unflatten(1, (self.width, 4, 4)))

    def render(self, maps: torch.Tensor) -> torch.Tensor:
        """Make frames from the 4×4 maps [N, width, 4, 4] on."""
        return grown(F.relu(self.enter_norm(maps)), self.blocks, self.pictures)


def grown(
    x: torch.Tensor,
    blocks: Iterable[Callable[[torch.Tensor], torch.Tensor]],
    pictures: Sequence[nn.Module] | nn.ModuleList,
) -> torch.Tensor:
    """Apply blocks that enlarge maps.

    If there are `pictures`, one per block, add up the images that they make of each block's input, enlarged
    to the size of its output, and add the sum to the result.
    """
    picture: torch.Tensor | None = None
    for level, block in enumerate(blocks):
        made = block(x)
        if len(pictures):
            now = pictures[level](x) if picture is None else picture + pictures[level](x)
            mode = "bilinear" if x.dim() == 4 else "trilinear"
            picture = F.interpolate(now, size=made.shape[2:], mode=mode, align_corners=False)
        x = made
    return x if picture is None else x + picture


class FrameBlock(nn.Sequential):
    """Doubles the side length: upsampling convolution, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, norm: str, upsample: str) -> None:
        super().__init__(upsampling(inputs, outputs, upsample), feature_norm(norm, outputs, 2), nn.ReLU())


def upsampling(inputs: int, outputs: int, kind: str, activated: bool = True) -> nn.Module:
    """Make a layer that doubles the side length, with He initialisation if a ReLU follows."""
    if kind == "deconv":
        layer: nn.Module = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
        initialise(layer, fan_in=inputs * 4, activated=activated)
        return layer
    layer = nn.Conv2d(inputs, outputs, 3, 1, 1)
    initialise(layer, fan_in=inputs * 9, activated=activated)
    return nn.Sequential(nn.Upsample(scale_factor=2), layer)


class FrameDecoder(Decoder):
    """Each frame separately from [content; code] (MoCoGAN, TGAN)."""

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.stack = FrameStack(content_dim + code_dim, size, config)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        frames = self.stack(joined(content, codes))
        return unfold(frames, len(codes)).transpose(1, 2).tanh()


def joined(content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Join content and codes: [B, D], [B, T, d] -> [B*T, D + d], in the order of `fold`."""
    return torch.cat([per_frame(content, codes.shape[1]), fold(codes)], 1)


class Conv3dDecoder(Decoder):
    """Content -> 4×4 maps of few time steps -> 3-D transposed convolutions (VGAN, iVGAN).

    Layers double time together with space as often as the clip length allows; the others double space only.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,
        content_dim: int,
        code_dim: int,
        out: int = 3,
    ) -> None:
        super().__init__()
        if code_dim:
            raise ConfigError(
                "generator.decoder.name = 'conv3d' and 'two-stream' take no motion codes",
                "set generator.motion.name to conv3d or two-stream",
            )
        if config.decoder.upsample != "deconv":
            raise ConfigError(
                f"generator.decoder.upsample = '{config.decoder.upsample}': 3-D decoders only upsample by "
                "transposed convolutions",
                "use deconv",
            )
        self.horizon, self.frames_interact = frames, True
        levels = halvings(size)
        width = list(reversed(widths(config.channels, levels)))
        doublings = min(levels, max(0, math.ceil(math.log2(frames)) - 1))
        self.start = math.ceil(frames / 2**doublings)
        self.width = width[0]
        self.enter = nn.Linear(content_dim, width[0] * self.start * 16)
        norm = config.decoder.norm
        self.enter_norm = feature_norm(norm, width[0], 3)
        blocks: list[nn.Module] = []
        for level, (now, after) in enumerate(zip(width, [*width[1:], None], strict=True)):
            in_time = level < doublings
            layer = nn.ConvTranspose3d(
                now,
                after or out,
                (4 if in_time else 3, 4, 4),
                (2 if in_time else 1, 2, 2),
                (1, 1, 1),
            )
            initialise(layer, fan_in=now * 4, activated=after is not None)
            begin_smooth(layer)
            blocks.append(nn.Sequential(layer, feature_norm(norm, after, 3), nn.ReLU()) if after else layer)
        self.blocks = nn.ModuleList(blocks)
        self.pictures = nn.ModuleList(nn.Conv3d(now, out, 1) for now in width if config.decoder.skips)

    def maps(self, content: torch.Tensor) -> torch.Tensor:
        """Make clips without the final non-linearity: [B, D] -> [B, out, T, H, W]."""
        x = self.enter(content).unflatten(1, (self.width, self.start, 4, 4))
        return grown(F.relu(self.enter_norm(x)), self.blocks, self.pictures)[:, :, : self.horizon]

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        return self.maps(content).tanh()


class TwoStreamDecoder(Decoder):
    """x = m ⊙ f + (1 − m) ⊙ b: foreground f and mask m in 3-D, and a static background b (VGAN).

    Leaves "mask" in `terms`; the paper adds 0.1·mean |m| (regulariser "mask-sparsity"). The mask starts at
    0.88, because the background learns faster: when the mask started at 0.5, the background took over and
    nothing moved.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.horizon, self.frames_interact = frames, True
        self.foreground = Conv3dDecoder(config, size, frames, content_dim, code_dim, out=4)
        self.background = FrameStack(content_dim, size, config)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        maps = self.foreground.maps(content)
        foreground, mask = maps[:, :3].tanh(), open_mask(maps[:, 3:])
        background: torch.Tensor = self.background(content).tanh()[:, :, None]
        self.terms = {"mask": mask}
        return mask * foreground + (1 - mask) * background


def open_mask(x: torch.Tensor) -> torch.Tensor:
    """Make a mask in (0, 1) that starts at 0.88, so that what it multiplies is learned first."""
    return (x + 2).sigmoid()


class ConvGruDecoder(Decoder):
    """A convolutional GRU on 4×4 maps, then a frame decoder (DVD-GAN, Clark et al. 2019).

    The initial state h_0 comes from the content latent; the input of a step comes from the content and its
    code.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.frames_interact = True
        self.stack = FrameStack(1, size, config)
        width = self.width = self.stack.width
        del self.stack.enter
        self.start = nn.Linear(content_dim, width * 16)
        self.drive = nn.Linear(content_dim + code_dim, width * 16)
        self.gates = nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.candidate = nn.Conv2d(2 * width, width, 3, padding=1)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        clips, steps = codes.shape[:2]
        maps = self.start(content).unflatten(1, (self.width, 4, 4)).tanh()
        drive = unfold(self.drive(joined(content, codes)).unflatten(1, (self.width, 4, 4)), clips)
        states = []
        for step in range(steps):
            update, reset = self.gates(torch.cat([maps, drive[:, step]], 1)).sigmoid().chunk(2, 1)
            fresh = self.candidate(torch.cat([reset * maps, drive[:, step]], 1)).tanh()
            maps = torch.lerp(maps, fresh, update)
            states.append(maps)
        frames = self.stack.render(fold(torch.stack(states, 1)))
        return unfold(frames, clips).transpose(1, 2).tanh()


class TemporalShiftDecoder(Decoder):
    """Frame decoder that shifts a third of the channels one frame forward, and a third one back (TSB-GAN).

    It does so before its first two blocks. This is the shift of TSM (Lin et al. 2019), as in TSB-GAN (Munoz
    et al. 2021): it has no parameters, and zeros take the places that become free.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.frames_interact = True
        self.stack = FrameStack(content_dim + code_dim, size, config)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        clips, stack = len(codes), self.stack
        x = stack.enter(joined(content, codes)).unflatten(1, (stack.width, 4, 4))
        x = F.relu(stack.enter_norm(x))

        def after_shift(block: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
            return lambda x: block(shifted(x, clips))

        blocks = [*map(after_shift, stack.blocks[:2]), *stack.blocks[2:]]
        return unfold(grown(x, blocks, stack.pictures), clips).transpose(1, 2).tanh()


def shifted(x: torch.Tensor, clips: int) -> torch.Tensor:
    """Shift a third of the channels one frame forward, a third one back: [B*T, C, H, W] -> same shape."""
    video = unfold(x, clips)
    third = video.shape[2] // 3
    forward = F.pad(video[:, :-1, :third], (0, 0, 0, 0, 0, 0, 1, 0))
    backward = F.pad(video[:, 1:, third : 2 * third], (0, 0, 0, 0, 0, 0, 0, 1))
    return fold(torch.cat([forward, backward, video[:, :, 2 * third :]], 2))


class ImplicitDecoder(Decoder):
    """Pixels as functions of their coordinates, with motion as a phase (DIGAN-like, Yu et al. 2022).

    γ(p) = sin(π A(z) p + W m_t), p in [−1, 1]², with frequencies A from the content, followed by 1×1
    convolutions whose channels the content scales and shifts. This is computed on a grid of half the side
    length. The result is enlarged, a second wave of frequencies 2 A(z) with a phase of its own is added, and
    a last 1×1 convolution follows.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        width = self.width = 2 * config.channels
        self.size = size
        self.frequency = nn.Linear(content_dim, 2 * width)
        self.coarse_phase, self.fine_phase = nn.Linear(code_dim, width), nn.Linear(code_dim, width)
        self.styles = nn.ModuleList(nn.Linear(content_dim, 2 * width) for _ in range(3))
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(3))
        self.to_colour = nn.Conv2d(width, 3, 1)
        nn.init.normal_(self.frequency.weight, std=0.5 / math.sqrt(content_dim))
        nn.init.normal_(self.frequency.bias, std=1.0)
        for layer in self.layers:
            initialise(layer, fan_in=width)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        clips, frames = codes.shape[:2]
        frequency = self.frequency(content).unflatten(1, (self.width, 2))
        x = self.waves(frequency, self.coarse_phase(codes), self.size // 2)
        for layer, style in zip(self.layers[:2], self.styles[:2], strict=True):
            x = self.modulated(layer, style, content, x, frames)
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = x + self.waves(2 * frequency, self.fine_phase(codes), self.size)
        x = self.modulated(self.layers[2], self.styles[2], content, x, frames)
        return unfold(self.to_colour(x), clips).transpose(1, 2).tanh()

    def waves(self, frequency: torch.Tensor, phase: torch.Tensor, side: int) -> torch.Tensor:
        """Compute γ: frequencies [B, width, 2], phases [B, T, width] -> [B*T, width, side, side]."""
        axis = torch.linspace(-1, 1, side, device=phase.device)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"))
        angle = torch.einsum("bwc,chx->bwhx", frequency, grid)
        return fold((math.pi * angle[:, None] + phase[..., None, None]).sin())

    def modulated(
        self, layer: nn.Module, style: nn.Module, content: torch.Tensor, x: torch.Tensor, frames: int
    ) -> torch.Tensor:
        """Apply a layer, scale and shift its channels by the content's style, and apply LeakyReLU 0.2."""
        scale, shift = per_frame(style(content), frames)[..., None, None].chunk(2, 1)
        return F.leaky_relu(layer(x) * (1 + scale) + shift, 0.2)


class FlowWarpDecoder(Decoder):
    """x_t = m ⊙ warp(c, flow_t) + (1 − m) ⊙ fresh_t, with one canonical frame c (LIA-like, Wang et al. 2022).

    Flow, mask and fresh colour are computed at half the side length. Flow is in units of half the frame's
    side length and starts near zero: at 0.05 on average without skips, at 0.2 with them. Leaves "flow" and
    "mask" (1 − m) in `terms`. Unlike LIA, it has no encoder.
    """

    reach = 0.5

    def __init__(
        self,
        config: GeneratorConfig,
        size: int,
        frames: int,  # noqa: ARG002
        content_dim: int,
        code_dim: int,
    ) -> None:
        super().__init__()
        self.canonical = FrameStack(content_dim, size, config)
        self.change = FrameStack(content_dim + code_dim, size // 2, config, out=6)
        with torch.no_grad():
            last = [
                layer for layer in self.change.modules() if isinstance(layer, nn.ConvTranspose2d | nn.Conv2d)
            ][-1]
            last.weight.mul_(0.2)

    def forward(self, content: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        clips, frames = codes.shape[:2]
        canonical = per_frame(self.canonical(content).tanh(), frames)
        change = self.change(joined(content, codes))
        flow = self.reach * change[:, :2].tanh()
        fine = F.interpolate(
            torch.cat([flow, change[:, 2:]], 1), scale_factor=2, mode="bilinear", align_corners=False
        )
        grid = identity_grid(canonical) + fine[:, :2].permute(0, 2, 3, 1)
        warped = F.grid_sample(canonical, grid, padding_mode="border", align_corners=False)
        mask, fresh = open_mask(fine[:, 2:3]), fine[:, 3:].tanh()
        self.terms = {
            "flow": unfold(flow, clips).transpose(1, 2),
            "mask": unfold(1 - mask, clips).transpose(1, 2),
        }
        return unfold(mask * warped + (1 - mask) * fresh, clips).transpose(1, 2)


def identity_grid(frames: torch.Tensor) -> torch.Tensor:
    """Return the grid with which `grid_sample` changes nothing: [1, H, W, 2], (x, y) in [−1, 1]."""
    height, width = frames.shape[-2:]
    y = (torch.arange(height, device=frames.device) * 2 + 1) / height - 1
    x = (torch.arange(width, device=frames.device) * 2 + 1) / width - 1
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)[None]


def build_decoder(
    config: GeneratorConfig, size: int, frames: int, content_dim: int, code_dim: int
) -> Decoder:
    """Build the decoder that the config names.

    "auto" is the decoder that has the same name as the motion module, or "frame" if there is none.

    Raises:
        ConfigError: see `build_part`; or the decoder does not fit the motion module, or cannot have spectral
            norm.
    """
    name = config.decoder.name
    if name == "auto":
        name = config.motion.name if config.motion.name in DECODERS else "frame"
    arguments = (config, size, frames, content_dim, code_dim)
    decoder = build_part("decoder", name, DECODERS, Decoder, *arguments, options=config.decoder.options)
    if config.decoder.spectral:
        limit_weights(decoder, name)
    return decoder


def limit_weights(decoder: Decoder, name: str) -> None:
    """Give all convolutions and linear maps of a decoder spectral norm, in place.

    Raises:
        ConfigError: some of its weights are computed from others already.
    """
    layers = [one for one in decoder.modules() if isinstance(one, AnyConvolution | nn.Linear)]
    if any(is_parametrized(one) for one in layers):
        raise ConfigError(
            f"generator.decoder.spectral = true: the weights of '{name}' have an equalised learning rate",
            "set spectral to false",
        )
    for layer in layers:
        constrained(layer, "spectral")
