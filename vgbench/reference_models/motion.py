"""Motion modules, which turn noise into one motion code per frame.

A module states its `horizon` (the only clip length that it can make, or None for any) and whether it is
`continuous` (accepts fractional times). The noise is drawn elsewhere, step by step along its first axis, so a
longer clip begins with the noise of a shorter one.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import ConfigError, VgbenchError
from vgbench.reference_models.config import MotionConfig
from vgbench.reference_models.layers import begin_smooth, initialise
from vgbench.reference_models.parts import MOTIONS, build_part


class Motion(nn.Module):
    """Interface of all motion modules.

    Attributes:
        code_dim: dimension of the motion codes.
        horizon: the only number of frames that it can make; None if it can make any.
        continuous: whether it accepts times between frames.
    """

    code_dim: int
    horizon: int | None = None
    continuous: bool = False

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """Return the shape of one clip's noise, which is standard normal, with the steps first."""
        raise NotImplementedError

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Make the motion codes of some frames.

        Args:
            noise: float [B, *noise_shape(frames)].
            times: of the frames, in training frames, float [B, K]; whole numbers unless `continuous`.

        Returns:
            float [B, K, code_dim].
        """
        codes = self.sequence(noise)
        index = times.round().long().clamp(max=codes.shape[1] - 1)
        return take(codes, index)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        """Make the codes at times 0, 1, 2, …: [B, T, code_dim]. Continuous modules do not need it."""
        raise NotImplementedError


class NoMotion(Motion):
    """No motion codes, for decoders that make whole clips from the content latent (VGAN)."""

    def __init__(self, config: MotionConfig, frames: int) -> None:  # noqa: ARG002
        super().__init__()
        self.code_dim = 0
        self.horizon = frames

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, 0)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        return noise


class Static(Motion):
    """m_t = ε: one motion code for the whole clip, so nothing moves (control)."""

    def __init__(self, config: MotionConfig, frames: int) -> None:  # noqa: ARG002
        super().__init__()
        self.code_dim = config.noise_dim

    def noise_shape(self, frames: int) -> tuple[int, ...]:  # noqa: ARG002
        return (1, self.code_dim)

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        return noise.expand(-1, times.shape[1], -1)


class Independent(Motion):
    """m_t = ε_t, independent for every frame, so motion has no coherence (control)."""

    def __init__(self, config: MotionConfig, frames: int) -> None:  # noqa: ARG002
        super().__init__()
        self.code_dim = config.noise_dim

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, self.code_dim)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        return noise


class Gru(Motion):
    """h_t = GRU(ε_t, h_{t−1}), m_t = h_t (MoCoGAN, Tulyakov et al. 2018).

    The first state h_0 is a linear map of ε_0 ("linear"), or, as in MoCoGAN, ε_0 itself ("noise").
    """

    def __init__(
        self,
        config: MotionConfig,
        frames: int,  # noqa: ARG002
        start: Literal["linear", "noise"] = "linear",
    ) -> None:
        super().__init__()
        self.noise_dim, self.code_dim = config.noise_dim, config.code_dim
        if start not in ("linear", "noise") or (start == "noise" and self.noise_dim != self.code_dim):
            raise ConfigError(
                f"generator.motion.options.start = {start!r} with noise_dim = {self.noise_dim}, code_dim = "
                f"{self.code_dim}",
                "use 'linear', or 'noise' with noise_dim equal to code_dim",
            )
        self.start = nn.Linear(self.noise_dim, self.code_dim) if start == "linear" else nn.Identity()
        self.cell = nn.GRU(self.noise_dim, self.code_dim, batch_first=True)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames + 1, self.noise_dim)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        codes: torch.Tensor = self.cell(noise[:, 1:], self.start(noise[:, 0])[None].contiguous())[0]
        return codes


class Lstm(Motion):
    """m_t = m_{t−1} + 0.2·tanh(W h_t + b), h_t from an LSTM over ε_t, m_0 from noise (MoCoGAN-HD)."""

    def __init__(self, config: MotionConfig, frames: int) -> None:  # noqa: ARG002
        super().__init__()
        self.noise_dim, self.code_dim = config.noise_dim, config.code_dim
        self.start = nn.Linear(self.noise_dim, self.code_dim)
        self.cell = nn.LSTM(self.noise_dim, self.code_dim, batch_first=True)
        self.step = nn.Linear(self.code_dim, self.code_dim)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, self.noise_dim)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        first: torch.Tensor = self.start(noise[:, :1])
        if noise.shape[1] == 1:
            return first
        hidden, _ = self.cell(noise[:, 1:])
        steps = 0.2 * torch.tanh(self.step(hidden))
        return torch.cat([first, first + steps.cumsum(1)], 1)


class TemporalDeconv(Motion):
    """T codes from one noise vector by 1-D transposed convolutions and a tanh (TGAN, Saito et al. 2017).

    It makes clips of the training length only. It has batch norm like TGAN: without it the tanh saturates
    during training, and all clips get the same codes.
    """

    def __init__(self, config: MotionConfig, frames: int) -> None:
        super().__init__()
        self.noise_dim, self.code_dim, self.horizon = config.noise_dim, config.code_dim, frames
        doublings = max(1, math.ceil(math.log2(frames)))
        width = 4 * self.code_dim
        first = nn.Conv1d(self.noise_dim, width, 1)
        # With PyTorch's default weights, the codes of the frames would hardly differ.
        initialise(first, fan_in=self.noise_dim)
        layers: list[nn.Module] = [first, nn.ReLU()]
        for level in range(doublings):
            last = level == doublings - 1
            out = self.code_dim if last else max(self.code_dim, width // 2)
            layer = nn.ConvTranspose1d(width, out, 4, 2, 1)
            if level < 2:  # from one step to four, where the codes start to differ
                initialise(layer, fan_in=2 * width, activated=not last)
            else:
                initialise(layer, fan_in=width, activated=not last)
                begin_smooth(layer)
            layers += [layer, nn.Tanh()] if last else [layer, nn.BatchNorm1d(out), nn.ReLU()]
            width = out
        self.layers = nn.Sequential(*layers)

    def noise_shape(self, frames: int) -> tuple[int, ...]:  # noqa: ARG002
        return (1, self.noise_dim)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        codes: torch.Tensor = self.layers(noise.transpose(1, 2))
        return codes[:, :, : self.horizon].transpose(1, 2)


class Transformer(Motion):
    """Causal transformer over autoregressive noise with sinusoidal positions; pre-norm, four heads.

    The noise is u_t = ρ u_{t−1} + √(1 − ρ²) ε_t with ρ = `memory`. Residual blocks pass their input on, so
    with independent noise the codes of neighbouring frames would at first differ as much as those of any two
    frames.

    We know of no video GAN with such a motion module whose code is public; this is a minimal one.
    """

    memory = 0.9

    def __init__(self, config: MotionConfig, frames: int) -> None:  # noqa: ARG002
        super().__init__()
        self.noise_dim = config.noise_dim
        self.code_dim = config.code_dim
        if self.code_dim % 8:
            raise VgbenchError(
                f"generator.motion.code_dim = {self.code_dim}: the transformer has four heads of even width",
                "use a multiple of 8",
            )
        self.enter = nn.Linear(self.noise_dim, self.code_dim)
        self.blocks = nn.ModuleList(CausalBlock(self.code_dim) for _ in range(config.layers))
        self.leave = nn.Sequential(nn.LayerNorm(self.code_dim), nn.Linear(self.code_dim, self.code_dim))

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, self.noise_dim)

    def sequence(self, noise: torch.Tensor) -> torch.Tensor:
        noise = with_memory(noise, self.memory)
        x = self.enter(noise) + sinusoids(noise.shape[1], self.code_dim).to(noise)
        for block in self.blocks:
            x = block(x)
        codes: torch.Tensor = self.leave(x)
        return codes


class CausalBlock(nn.Module):
    """x + attention(norm x), then x + mlp(norm x); a position attends only to itself and to earlier ones."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.query_key_value(self.before_attention(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.merge(seen.transpose(1, 2).flatten(2))
        result: torch.Tensor = x + self.mlp(self.before_mlp(x))
        return result


def with_memory(noise: torch.Tensor, memory: float) -> torch.Tensor:
    """Turn white noise into a first-order autoregression of unit variance: [B, T, d] -> [B, T, d]."""
    step = torch.arange(noise.shape[1], device=noise.device)
    lag = step[:, None] - step
    shares = torch.where(lag >= 0, memory ** lag.clamp(min=0).to(noise), 0.0)
    shares[:, 1:] = shares[:, 1:] * math.sqrt(1 - memory**2)  # the first step has unit variance by itself
    return shares @ noise


def sinusoids(length: int, width: int) -> torch.Tensor:
    """Return the positional encoding of Vaswani et al. 2017: [length, width], for an even width."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10_000.0) / width))
    return torch.stack([(position * rate).sin(), (position * rate).cos()], -1).flatten(1)


class Fourier(Motion):
    """Continuous, acyclic motion codes after StyleGAN-V (Skorokhodov et al. 2022).

    Anchors u come from noise, one every `anchor_distance` frames, through two convolutions without padding,
    so any length can be made piece by piece. At a time t between the anchors at t_l ≤ t < t_r,

        m(t) = P(t) − lerp(P(t_l), P(t_r)) + lerp(A u_l, A u_r),   P(t) = amplitude(u_l)·sin(2π f t + φ(u_l)),

    with one learned rate f per dimension. The middle term makes m continuous, and pieces do not repeat. The
    affine maps have no bias; StyleGAN-V's code gives this as its guard against motion collapse.
    """

    kernel = 3

    def __init__(self, config: MotionConfig, frames: int) -> None:
        super().__init__()
        self.continuous = True
        self.noise_dim, self.code_dim, self.distance = (
            config.noise_dim,
            config.code_dim,
            config.anchor_distance,
        )
        self.first = nn.Conv1d(self.noise_dim, self.code_dim, self.kernel)
        self.second = nn.Conv1d(self.code_dim, self.code_dim, self.kernel)
        self.anchor = nn.Linear(self.code_dim, self.code_dim, bias=False)
        self.amplitude = nn.Linear(self.code_dim, self.code_dim, bias=False)
        self.phase = nn.Linear(self.code_dim, self.code_dim, bias=False)
        periods = torch.logspace(math.log10(4), math.log10(4 * frames), self.code_dim)
        self.rate = nn.Parameter(1 / periods)

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        anchors = (frames - 1) // self.distance + 2
        return (anchors + 2 * (self.kernel - 1), self.noise_dim)

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        hidden = F.leaky_relu(self.first(noise.transpose(1, 2)), 0.2)
        anchors = self.second(hidden).transpose(1, 2)  # [B, anchors, d]
        left = (times / self.distance).floor().long().clamp(0, anchors.shape[1] - 2)
        share = (times / self.distance - left)[..., None]
        before, after = take(anchors, left), take(anchors, left + 1)
        start = left * self.distance
        wave_start, wave_end = self.wave(before, start), self.wave(before, start + self.distance)
        # torch.lerp does not accept the mixed precision that autocast leaves here.
        wave = self.wave(before, times) - (wave_start + share * (wave_end - wave_start))
        from_left, from_right = self.anchor(before), self.anchor(after)
        codes: torch.Tensor = wave + from_left + share * (from_right - from_left)
        return codes

    def wave(self, anchor: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        angle = 2 * math.pi * times[..., None] * self.rate + self.phase(anchor)
        result: torch.Tensor = self.amplitude(anchor) * angle.sin()
        return result


def take(sequence: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Select rows of each sequence by their indices: [B, N, D], [B, K] -> [B, K, D]."""
    return sequence.gather(1, index[..., None].expand(-1, -1, sequence.shape[-1]))


class Phase(Motion):
    """m(t) = MLP(leaky_relu(A ε · t)), a curve from one noise vector (DIGAN, Yu et al. 2022).

    t runs from 0 to 1 over the training length, and beyond 1 in longer clips.
    """

    def __init__(self, config: MotionConfig, frames: int) -> None:
        super().__init__()
        self.continuous = True
        self.noise_dim, self.code_dim, self.span = config.noise_dim, config.code_dim, max(1, frames - 1)
        self.velocity = nn.Linear(self.noise_dim, self.code_dim)
        self.mlp = nn.Sequential(
            nn.Linear(self.code_dim, self.code_dim),
            nn.LeakyReLU(0.2),
            nn.Linear(self.code_dim, self.code_dim),
        )

    def noise_shape(self, frames: int) -> tuple[int, ...]:  # noqa: ARG002
        return (1, self.noise_dim)

    def forward(self, noise: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        moved = self.velocity(noise) * (times / self.span)[..., None]
        codes: torch.Tensor = self.mlp(F.leaky_relu(moved, 0.2))
        return codes


def build_motion(config: MotionConfig, frames: int) -> Motion:
    """Build the motion module that the config names, for training clips of `frames`.

    Raises:
        ConfigError: see `build_part`.
        VgbenchError: a size in the config that the module does not accept.
    """
    return build_part("motion module", config.name, MOTIONS, Motion, config, frames, options=config.options)
