"""Gradient penalties, which add a term to a discriminator's loss.

Each takes (discriminator, real, fake, mixing), and returns a scalar without its weight. The option `per` says
what has a gradient norm of its own:

- "clip": the mean of all scores of a clip, over all pixels that the discriminator sees of the clip. Of T
  frames that are scored separately, each then counts 1 / T², and all of them 1 / T: the penalty depends on
  how many frames are looked at.
- "score": each score, over all pixels that it depends on. Frames that are scored separately then count as
  much as a single one.
- "frame": the same, averaged over the frames that a score depends on, as in StyleGAN-V.
"""

from __future__ import annotations

from typing import Literal

import torch

from vgbench.reference_models.discriminators import Discriminator, View

Per = Literal["clip", "score", "frame"]
"""What has a gradient norm of its own."""


def gradient_norms(
    discriminator: Discriminator,
    view: View,
    space: Literal["video", "frames"] = "video",
    per: Per = "clip",
) -> torch.Tensor:
    """Compute ‖∇_x D(x_i)‖₂, as float32 and differentiable.

    Args:
        discriminator: D. If a clip or, with `per` other than "clip", a frame has several scores, D is their
            mean.
        view: what it sees.
        space: for `per` "clip", a norm runs over (C, T, H, W), or over the (C, H, W) of each frame.
        per: see the module.

    Returns:
        [B], or [B, T] if each frame has a norm of its own.
    """
    video = view.video.detach().float().requires_grad_(True)
    scores = discriminator(video, view.times, view.label)
    # The sum over the batch gives per-clip gradients, as no clip's score depends on other clips.
    total = scores.float().flatten(1).mean(1).sum()
    apart = per != "clip" and discriminator.frames_apart
    if apart:  # then the sum over the frames gives per-frame gradients
        total = total * video.shape[2]
    (gradient,) = torch.autograd.grad(total, video, create_graph=True)
    by_frame = apart or per == "frame" or (per == "clip" and space == "frames")
    squares = gradient.square().sum((1, 3, 4) if by_frame else (1, 2, 3, 4))
    return (squares + 1e-12).sqrt()


def gradient_penalty(
    discriminator: Discriminator,
    real: View,
    fake: View,
    mixing: torch.Tensor,
    center: float = 1.0,
    space: Literal["video", "frames"] = "video",
    per: Per = "clip",
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
        space: what a norm runs over, if `per` is "clip".
        per: what has a norm of its own, see the module.
    """
    alpha = mixing.view(-1, 1, 1, 1, 1)
    mixed = View(alpha * real.video + (1 - alpha) * fake.video, real.times, real.label)
    return (gradient_norms(discriminator, mixed, space, per) - center).square().mean()


def r1(
    discriminator: Discriminator,
    real: View,
    fake: View,  # noqa: ARG001
    mixing: torch.Tensor,  # noqa: ARG001
    per: Per = "clip",
) -> torch.Tensor:
    """½ mean_i ‖∇D(x_i)‖² on real clips (Mescheder et al. 2018); `per` says over what, see the module."""
    return 0.5 * gradient_norms(discriminator, real, per=per).square().mean()


def r2(
    discriminator: Discriminator,
    real: View,  # noqa: ARG001
    fake: View,
    mixing: torch.Tensor,  # noqa: ARG001
    per: Per = "clip",
) -> torch.Tensor:
    """½ mean_i ‖∇D(G(z_i))‖² on generated clips (Mescheder et al. 2018); `per` as for `r1`."""
    return 0.5 * gradient_norms(discriminator, fake, per=per).square().mean()
