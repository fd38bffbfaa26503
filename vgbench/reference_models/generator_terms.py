"""Regularisers that add a term to the generator's loss.

Each takes a `GeneratorView` and its options, and returns a scalar without its weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from vgbench.errors import VgbenchError
from vgbench.reference_models.discriminators import Discriminator, View
from vgbench.reference_models.generator import Latents
from vgbench.reference_models.motion import Motion


@dataclass(frozen=True)
class GeneratorView:
    """What a regulariser of the generator may look at.

    Attributes:
        real: the current batch of real clips, float [B, 3, T, H, W].
        fake: generated clips, with gradients, float [B, 3, T, H, W]. They only have the frames that
            discriminators look at if no regulariser that is due needs whole clips.
        latents: the latents of the generated clips; their noise may be for more frames than `fake` has.
        motion: the generator's motion module.
        terms: what the decoder left ("mask", "flow").
        discriminators: all discriminators, frozen, each with its view of the real and of the generated clips.
        real_autocorrelation: running mean over real batches of the frames' `periodicity.autocorrelation`, [T
            // 2]; None before the first.
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

    The first order penalises motion itself, the second only changes of motion.
    """
    return view.fake.diff(n=order, dim=2).square().mean()


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

    Minimising it makes clips of different latents different.

    Raises:
        VgbenchError: there is only one clip, so there is no pair.
    """
    if len(view.fake) < 2:
        raise VgbenchError(
            "'mode-seeking' compares pairs of clips, and a part of the batch has only one clip",
            "choose batch and micro_batch so that every part has at least two clips",
        )
    fake = view.fake[: len(view.fake) // 2 * 2]
    latent = torch.cat([view.latents.content, view.latents.motion.flatten(1)], 1)[: len(fake)]
    clip_distances = (fake[::2] - fake[1::2]).abs().flatten(1).mean(1)
    latent_distances = (latent[::2] - latent[1::2]).abs().mean(1)
    return (latent_distances / (clip_distances + 1e-5)).mean()


def categorical_information(view: GeneratorView) -> torch.Tensor:
    """Cross entropy of the class heads on generated clips (InfoGAN, Chen et al. 2016; MoCoGAN).

    Raises:
        VgbenchError: the model has no classes.
    """
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


def class_loss(discriminator: Discriminator, view: View) -> torch.Tensor:
    """Compute a discriminator's part of "categorical-information": cross entropy of its class head."""
    assert view.label is not None
    return F.cross_entropy(discriminator.class_logits(view.video, view.times), view.label)


def first_frame(view: GeneratorView) -> torch.Tensor:
    """Mean |G(z, x_0)_0 − x_0|: the first generated frame is the given one (conditional VGAN).

    Raises:
        VgbenchError: the model continues no first frame.
    """
    given = view.latents.first_frame
    if given is None:
        raise VgbenchError("'first-frame' needs generator.first_frame: true")
    return (view.fake[:, :, 0] - given).abs().mean()


def mask_sparsity(view: GeneratorView) -> torch.Tensor:
    """Mean |m| of the decoder's mask (VGAN).

    Raises:
        VgbenchError: the decoder has no mask.
    """
    return _decoder_term(view, "mask").abs().mean()


def flow_smoothness(view: GeneratorView) -> torch.Tensor:
    """Total variation of the decoder's flow plus a tenth of its mean magnitude.

    Raises:
        VgbenchError: the decoder has no flow.
    """
    flow = _decoder_term(view, "flow")
    variation = flow.diff(dim=-1).abs().mean() + flow.diff(dim=-2).abs().mean()
    return variation + 0.1 * flow.abs().mean()


def _decoder_term(view: GeneratorView, name: str) -> torch.Tensor:
    if name not in view.terms:
        raise VgbenchError(f"this decoder has no {name} to regularise", "remove the regulariser")
    return view.terms[name]
