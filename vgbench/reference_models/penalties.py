"""Regularisers that add a term to a loss.

The discriminator's take (discriminator, real, fake, mixing), the generator's a `GeneratorView`; each returns
a scalar without its weight. Constraints on weights are in `constraints`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from vgbench.errors import VgbenchError
from vgbench.reference_models.discriminators import Discriminator
from vgbench.reference_models.generator import Latents
from vgbench.reference_models.motion import Motion

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class View:
    """What one discriminator sees of a batch.

    Attributes:
        video: float [B, 3, K, H, W].
        times: float [B, K].
        label: int64 [B], or None.
    """

    video: torch.Tensor
    times: torch.Tensor
    label: torch.Tensor | None = None

    def scores(self, discriminator: Discriminator) -> torch.Tensor:
        scores: torch.Tensor = discriminator(self.video, self.times, self.label)
        return scores


def gradient_norms(
    discriminator: Discriminator, view: View, space: Literal["video", "frames"] = "video"
) -> torch.Tensor:
    """‖∇_x D(x_i)‖₂ of every clip: over (C, T, H, W) -> [B], or over (C, H, W) per frame -> [B, T].

    The score of a clip with several outputs (patches, frames) is their mean. Differentiable, float32.
    """
    video = view.video.detach().float().requires_grad_(True)
    scores = discriminator(video, view.times, view.label)
    # One sum over the batch gives per-clip gradients, since no clip's score depends on another clip.
    total = scores.float().flatten(1).mean(1).sum()
    (gradient,) = torch.autograd.grad(total, video, create_graph=True)
    squares = gradient.square().sum((1, 3, 4) if space == "frames" else (1, 2, 3, 4))
    return (squares + 1e-12).sqrt()


def gradient_penalty(
    discriminator: Discriminator,
    real: View,
    fake: View,
    mixing: torch.Tensor,
    center: float = 1.0,
    space: Literal["video", "frames"] = "video",
) -> torch.Tensor:
    """mean_i (‖∇D(x̂_i)‖ − center)², x̂_i = α_i x_i + (1 − α_i) G(z_i) (WGAN-GP, Gulrajani et al. 2017).

    On video the norm runs over all of a clip's (C, T, H, W) and each clip has one α, as in iVGAN; "frames"
    takes a norm per frame and the mean over frames.

    Args:
        discriminator: the critic.
        real: x.
        fake: G(z), with the same times.
        mixing: α in [0, 1], float [B].
        center: the norm to keep; 0 gives a zero-centred penalty.
        space: what one norm runs over.
    """
    alpha = mixing.view(-1, 1, 1, 1, 1)
    mixed = View(alpha * real.video + (1 - alpha) * fake.video, real.times, real.label)
    return (gradient_norms(discriminator, mixed, space) - center).square().mean()


def r1(discriminator: Discriminator, real: View, fake: View, mixing: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """½ mean_i ‖∇D(x_i)‖² on real clips, summed over (C, T, H, W) (Mescheder et al. 2018)."""
    return 0.5 * gradient_norms(discriminator, real).square().mean()


def r2(discriminator: Discriminator, real: View, fake: View, mixing: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """½ mean_i ‖∇D(G(z_i))‖² on generated clips (Mescheder et al. 2018)."""
    return 0.5 * gradient_norms(discriminator, fake).square().mean()


DiscriminatorPenalty = Callable[..., torch.Tensor]

DISCRIMINATOR_PENALTIES: dict[str, DiscriminatorPenalty] = {
    "gradient-penalty": gradient_penalty,
    "r1": r1,
    "r2": r2,
}


@dataclass(frozen=True)
class GeneratorView:
    """What a regulariser of the generator may look at.

    Attributes:
        real: float [B, 3, T, H, W], the last real batch.
        fake: float [B, 3, T, H, W], with gradients; the frames that discriminators look at where no term that
            is due needs more.
        latents: that the fakes came from; their noise may reach beyond the frames of `fake`.
        motion: the generator's motion module.
        terms: what the decoder left ("mask", "flow").
        discriminators: all of them, frozen, with the real and the fake view of each.
        real_autocorrelation: running mean over real batches of the frames' `autocorrelation`, [T // 2]; None
            before any.
    """

    real: torch.Tensor
    fake: torch.Tensor
    latents: Latents
    motion: Motion
    terms: dict[str, torch.Tensor]
    discriminators: tuple[tuple[Discriminator, View, View], ...]
    real_autocorrelation: torch.Tensor | None = None


def temporal_smoothness(view: GeneratorView, order: Literal[1, 2] = 2) -> torch.Tensor:
    """Mean square of the first (x_{t+1} − x_t) or second (x_{t+1} − 2x_t + x_{t−1}) temporal difference.

    The first punishes motion itself, the second only changes of it.
    """
    return view.fake.diff(n=order, dim=2).square().mean()


def frame_features(video: torch.Tensor, side: int = 8) -> torch.Tensor:
    """Frames pooled to side×side: [B, 3, T, H, W] -> [B, T, 3·side²]."""
    pooled = F.adaptive_avg_pool3d(video.float(), (video.shape[2], side, side))
    return pooled.transpose(1, 2).flatten(2)


def autocorrelation(sequence: torch.Tensor) -> torch.Tensor:
    """Temporal autocorrelation r(τ) of what changes in a sequence f, τ = 1 … T//2.

    r(τ) = Σ_t ⟨u_t, u_{t+τ}⟩ / (√(Σ_{t≤T−τ} ‖u_t‖² · Σ_{t>τ} ‖u_t‖²) + ε), u_t = f_t − mean_t f. In [−1, 1]:
    1 for an exact period τ, 0 for a sequence that stands still.

    Args:
        sequence: float [B, T, F], such as `frame_features` or a motion module's codes.

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
    """Index in `autocorrelation`, which begins with lag 1, of the first lag that shows more than smoothness.

    That is the first lag below 0.5 on real clips, else T/4.
    """
    below = (real < 0.5).nonzero()
    return int(below[0].item()) if len(below) else max(1, len(real) // 2) - 1


def periodicity(
    view: GeneratorView,
    mode: Literal["match", "avoid", "target"] = "match",
    period: Count | None = None,
    margin: float = 0.1,
) -> torch.Tensor:
    """Video periodicity penalty: our own definition, no paper gives one (docs/models.md).

    With r the `autocorrelation` of `frame_features`, r̄ its running mean over real clips, and lags from
    `first_useful_lag` to T/2:

    - "match":  mean_τ (mean_B r_fake(τ) − r̄(τ))², as periodic as the data and no more;
    - "avoid":  mean_{τ,B} max(0, r_fake(τ) − r̄(τ) − margin)², against loops that the data do not have;
    - "target": mean_B (1 − r_fake(period)), for seamless loops.

    Periods beyond half the clip cannot be seen.
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
    period: Count | None = None,
    margin: float = 0.1,
    length: Annotated[int, Field(ge=4)] | None = None,
) -> torch.Tensor:
    """`periodicity` of the motion codes in place of the frames: our own definition (docs/models.md).

    No frame is rendered, so that it may look at clips much longer than those of training, where loops show:

    - "avoid":  mean_{τ,B} max(0, r(τ) − margin)² for lags τ from T/4 to T/2, against loops;
    - "target": mean_B (1 − r(period)), for seamless loops.

    Real clips have no codes, so nothing can be matched.

    Args:
        view: what the regulariser may look at.
        mode: see above.
        period: in frames, for "target".
        margin: correlation that "avoid" leaves alone.
        length: T, number of frames whose codes are made; the training length unless given.

    Raises:
        VgbenchError: the motion module has no codes of its own making, or none so late.
    """
    codes = _codes(view, view.real.shape[2] if length is None else length)
    made = autocorrelation(codes)
    if mode == "target":
        return _distance_from_period(made, period)
    if mode == "avoid":
        return F.relu(made - margin)[:, codes.shape[1] // 4 - 1 :].square().mean()
    raise VgbenchError(f"code-periodicity mode '{mode}' is unknown", "use avoid or target")


def _codes(view: GeneratorView, length: int) -> torch.Tensor:
    """Codes of the frames 0 … length − 1: float [B, length, code_dim]."""
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
            "code-periodicity: this motion module learns no codes",
            "take gru, lstm, temporal-deconv, transformer, fourier, implicit, flow-warp or temporal-shift",
        )
    return codes


def _distance_from_period(made: torch.Tensor, period: int | None) -> torch.Tensor:
    """mean_B (1 − r(period)) from r [B, lags]."""
    if period is None or not 1 <= period <= made.shape[1]:
        raise VgbenchError(
            f"periodicity mode 'target' needs a period from 1 to {made.shape[1]} (half the frames)",
            "set it in the regulariser's options: {mode: target, period: 6}",
        )
    return (1 - made[:, period - 1]).mean()


def feature_matching(view: GeneratorView) -> torch.Tensor:
    """Mean over all layers of mean |E_B f_l(x) − E_B f_l(G(z))| (feature matching, Salimans et al. 2016)."""
    terms = []
    for discriminator, real, fake in view.discriminators:
        with torch.no_grad():
            wanted = discriminator.trunk(real.video, real.times)
        made = discriminator.trunk(fake.video, fake.times)
        terms += [(a.mean(0) - b.mean(0)).abs().mean() for a, b in zip(wanted, made, strict=True)]
    return torch.stack(terms).mean()


def mode_seeking(view: GeneratorView) -> torch.Tensor:
    """Mean of |z_a − z_b| / |G(z_a) − G(z_b)| over neighbouring pairs of the batch (MSGAN, Mao et al. 2019).

    Minimising it spreads the clips of different latents apart.

    Raises:
        VgbenchError: there is only one clip, so no pair.
    """
    if len(view.fake) < 2:
        raise VgbenchError(
            "'mode-seeking' compares pairs of clips, and a part of the batch has only one",
            "give every process at least two clips, and micro_batch a value that leaves none alone",
        )
    fake = view.fake[: len(view.fake) // 2 * 2]
    latent = torch.cat([view.latents.content, view.latents.motion.flatten(1)], 1)[: len(fake)]
    clips = (fake[::2] - fake[1::2]).abs().flatten(1).mean(1)
    codes = (latent[::2] - latent[1::2]).abs().mean(1)
    return (codes / (clips + 1e-5)).mean()


def categorical_information(view: GeneratorView) -> torch.Tensor:
    """Cross entropy of the discriminators' class heads on fakes (InfoGAN, Chen et al. 2016; MoCoGAN)."""
    label = view.latents.label
    if label is None:
        raise VgbenchError(
            "'categorical-information' needs labels or a categorical latent",
            "set labels: true or generator.categories",
        )
    terms = [
        F.cross_entropy(discriminator.class_logits(fake.video, fake.times), label)
        for discriminator, _, fake in view.discriminators
    ]
    return torch.stack(terms).mean()


def first_frame(view: GeneratorView) -> torch.Tensor:
    """Mean |G(z | x_0)_0 − x_0|: the first generated frame is the given one (conditional VGAN, weight 10)."""
    given = view.latents.first_frame
    if given is None:
        raise VgbenchError("'first-frame' needs generator.first_frame: true")
    return (view.fake[:, :, 0] - given).abs().mean()


def mask_sparsity(view: GeneratorView) -> torch.Tensor:
    """Mean |m| of the decoder's mask (VGAN, weight 0.1)."""
    return _term(view, "mask").abs().mean()


def flow_smoothness(view: GeneratorView) -> torch.Tensor:
    """Total variation of the decoder's flow plus a tenth of its mean magnitude."""
    flow = _term(view, "flow")
    variation = flow.diff(dim=-1).abs().mean() + flow.diff(dim=-2).abs().mean()
    return variation + 0.1 * flow.abs().mean()


def _term(view: GeneratorView, name: str) -> torch.Tensor:
    if name not in view.terms:
        raise VgbenchError(f"this decoder has no {name} to regularise", "take the regulariser out")
    return view.terms[name]


GENERATOR_TERMS: dict[str, Callable[..., torch.Tensor]] = {
    "temporal-smoothness": temporal_smoothness,
    "periodicity": periodicity,
    "code-periodicity": code_periodicity,
    "feature-matching": feature_matching,
    "mode-seeking": mode_seeking,
    "categorical-information": categorical_information,
    "first-frame": first_frame,
    "mask-sparsity": mask_sparsity,
    "flow-smoothness": flow_smoothness,
}


NEED_NO_CLIP = {"code-periodicity", "feature-matching", "categorical-information"}
"""Terms that look at codes or through the discriminators' eyes: no more frames are rendered for them."""


def class_loss(discriminator: Discriminator, view: View) -> torch.Tensor:
    """The discriminator's side of "categorical-information": cross entropy of its class head on `view`."""
    assert view.label is not None
    return F.cross_entropy(discriminator.class_logits(view.video, view.times), view.label)


def check_options(name: str, options: dict[str, Any]) -> None:
    """Raise `VgbenchError` unless `options` are keyword arguments of the regulariser `name`."""
    import inspect
    from typing import get_type_hints

    from pydantic import TypeAdapter, ValidationError

    from vgbench.reference_models.constraints import CONSTRAINTS

    functions: dict[str, Callable[..., Any]] = {
        **DISCRIMINATOR_PENALTIES,
        **GENERATOR_TERMS,
        **CONSTRAINTS,
    }
    function = functions[name]
    inputs = {"discriminator", "real", "fake", "mixing", "view", "bound"}
    allowed = sorted(set(inspect.signature(function).parameters) - inputs)
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise VgbenchError(
            f"regulariser '{name}' has no option {', '.join(unknown)}",
            f"its options: {', '.join(allowed) or 'none'}",
        )
    types = get_type_hints(function, include_extras=True)
    for option, value in options.items():
        kind = TypeAdapter(types[option], config={"allow_inf_nan": False})
        try:
            understood = kind.validate_python(value, strict=True)
        except ValidationError as error:
            said = "; ".join(problem["msg"] for problem in error.errors(include_url=False))
        else:  # true and 2.0 equal the 1 and 2 of a list of choices, but are not taken for them
            same = type(value) in (type(understood), int)
            said = "" if same else f"Input should be of type {type(understood).__name__}"
        if said:
            raise VgbenchError(f"regulariser '{name}', option {option} = {value!r}: {said}")
