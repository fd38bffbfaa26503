"""Gradient penalties, which add a term to a discriminator's loss.

Each takes (discriminator, real, fake, mixing), and returns a scalar without its weight.
"""

from __future__ import annotations

from typing import Literal

import torch

from vgbench.reference_models.discriminators import Discriminator, View


def gradient_norms(
    discriminator: Discriminator, view: View, space: Literal["video", "frames"] = "video"
) -> torch.Tensor:
    """Compute ‖∇_x D(x_i)‖₂ of each clip: over (C, T, H, W) -> [B], or over (C, H, W) per frame -> [B, T].

    If a clip has several scores (for patches or frames), D is their mean. The result is float32 and
    differentiable.
    """
    video = view.video.detach().float().requires_grad_(True)
    scores = discriminator(video, view.times, view.label)
    # The sum over the batch gives per-clip gradients, as no clip's score depends on other clips.
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

    There is one α per clip and one norm over all of a clip's (C, T, H, W), as in iVGAN; "frames" computes a
    norm per frame and the mean over frames.

    Args:
        discriminator: D.
        real: x.
        fake: G(z), with the same times.
        mixing: α in [0, 1], float [B].
        center: target of the norm; 0 makes the penalty zero-centred.
        space: what a norm runs over.
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
