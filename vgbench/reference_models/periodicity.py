"""How periodic clips are: autocorrelation of frames and of motion codes, and the regularisers that use it."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from vgbench.errors import VgbenchError
from vgbench.reference_models.generator_terms import GeneratorView

Period = Annotated[int, Field(ge=1)]
Length = Annotated[int, Field(ge=4)]


def frame_features(video: torch.Tensor, side: int = 8) -> torch.Tensor:
    """Pool each frame to side×side: [B, 3, T, H, W] -> [B, T, 3·side²]."""
    pooled = F.adaptive_avg_pool3d(video.float(), (video.shape[2], side, side))
    return pooled.transpose(1, 2).flatten(2)


def autocorrelation(sequence: torch.Tensor) -> torch.Tensor:
    """Compute the temporal autocorrelation r(τ) of what changes in a sequence f, for τ = 1 … T//2.

    r(τ) = Σ_t ⟨u_t, u_{t+τ}⟩ / (√(Σ_{t≤T−τ} ‖u_t‖² · Σ_{t>τ} ‖u_t‖²) + ε), u_t = f_t − mean_t f. It is in
    [−1, 1]: 1 for an exact period τ, 0 for a sequence that does not change.

    Args:
        sequence: float [B, T, F], such as `frame_features` or motion codes.

    Returns:
        float [B, T // 2].
    """
    moving = sequence - sequence.mean(1, keepdim=True)
    steps = moving.shape[1]
    gram = moving @ moving.transpose(1, 2)
    energy = gram.diagonal(dim1=1, dim2=2)
    lags = []
    for lag in range(1, steps // 2 + 1):
        shared = gram.diagonal(offset=lag, dim1=1, dim2=2).sum(1)
        product = energy[:, :-lag].sum(1) * energy[:, lag:].sum(1)
        lags.append(shared / ((product + 1e-12).sqrt() + 1e-6))
    return torch.stack(lags, 1)


def first_useful_lag(real: torch.Tensor) -> int:
    """Return the index in `autocorrelation` (0 is lag 1) of the first lag that shows more than smooth motion.

    That is the first lag at which the mean r of real clips is below 0.5, or else T/4.
    """
    below = (real < 0.5).nonzero()
    return int(below[0].item()) if len(below) else max(1, len(real) // 2) - 1


def periodicity(
    view: GeneratorView,
    mode: Literal["match", "avoid", "target"] = "match",
    period: Period | None = None,
    margin: float = 0.1,
) -> torch.Tensor:
    """Periodicity of frames: matched to that of real clips, avoided, or a given one (own definition).

    With r the `autocorrelation` of `frame_features`, r̄ its running mean over real clips, and lags τ from
    `first_useful_lag` to T/2, the term is

    - "match":  mean_τ (mean_B r_fake(τ) − r̄(τ))², for clips as periodic as the data and no more;
    - "avoid":  mean_{τ,B} max(0, r_fake(τ) − r̄(τ) − margin)², against loops that the data do not have;
    - "target": mean_B (1 − r_fake(period)), for seamless loops.

    Periods longer than half the clip cannot be detected. See docs/models.md.

    Args:
        view: the generated clips, and r̄.
        mode: see above.
        period: for "target", in frames.
        margin: for "avoid", excess of correlation that is not penalised.

    Raises:
        VgbenchError: the mode is unknown, or "target" has no period that can be detected.
    """
    fake = autocorrelation(frame_features(view.fake))
    if mode == "target":
        return _distance_from_period(fake, period)
    real = view.real_autocorrelation
    if real is None:
        real = autocorrelation(frame_features(view.real)).mean(0)
    real = real.detach().to(fake)
    start = first_useful_lag(real)
    if mode == "match":
        return (fake.mean(0) - real)[start:].square().mean()
    if mode == "avoid":
        return F.relu(fake - real - margin)[:, start:].square().mean()
    raise VgbenchError(f"periodicity mode '{mode}' is unknown", "use match, avoid or target")


def code_periodicity(
    view: GeneratorView,
    mode: Literal["avoid", "target"] = "avoid",
    period: Period | None = None,
    margin: float = 0.1,
    length: Length | None = None,
) -> torch.Tensor:
    """Periodicity of motion codes: avoided, or a given one (own definition).

    No frame is rendered, so the clips can be much longer than those of training, where loops become visible.
    With r the `autocorrelation` of the codes, the term is

    - "avoid":  mean_{τ,B} max(0, r(τ) − margin)² for lags τ from T/4 to T/2, against loops;
    - "target": mean_B (1 − r(period)), for seamless loops.

    Real clips have no motion codes, so there is no "match". See docs/models.md.

    Args:
        view: the motion module, and its noise.
        mode: see above.
        period: for "target", in frames.
        margin: for "avoid", correlation that is not penalised.
        length: T, the number of frames whose codes are made; by default the length of the training clips.

    Raises:
        VgbenchError: the mode is unknown, "target" has no period that can be detected, the motion module does
            not learn its codes, or it does not make so many.
    """
    codes = _codes(view, view.real.shape[2] if length is None else length)
    made = autocorrelation(codes)
    if mode == "target":
        return _distance_from_period(made, period)
    if mode == "avoid":
        return F.relu(made - margin)[:, codes.shape[1] // 4 - 1 :].square().mean()
    raise VgbenchError(f"code-periodicity mode '{mode}' is unknown", "use avoid or target")


def _codes(view: GeneratorView, length: int) -> torch.Tensor:
    """Make the codes of the frames 0 … length − 1: float [B, length, code_dim]."""
    if length < 4 or (view.motion.horizon or length) < length:
        raise VgbenchError(
            f"code-periodicity cannot look at {length} frames",
            f"set length to at least 4 and at most {view.motion.horizon or 'any number'}",
        )
    noise = view.latents.motion
    times = torch.arange(length, dtype=torch.float32, device=noise.device)
    codes: torch.Tensor = view.motion(noise, times.expand(len(noise), -1))
    if not codes.requires_grad:
        raise VgbenchError(
            "code-periodicity: this motion module does not learn its codes",
            "use gru, lstm, temporal-deconv, transformer, fourier, implicit, flow-warp or temporal-shift",
        )
    return codes


def _distance_from_period(made: torch.Tensor, period: int | None) -> torch.Tensor:
    """Compute mean_B (1 − r(period)) from r [B, lags]."""
    if period is None or not 1 <= period <= made.shape[1]:
        raise VgbenchError(
            f"periodicity mode 'target' needs a period from 1 to {made.shape[1]} (half the frames)",
            "set it in the regulariser's options: {mode: target, period: 6}",
        )
    return (1 - made[:, period - 1]).mean()
