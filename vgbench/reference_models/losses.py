"""Adversarial losses as functions of raw discriminator scores.

s_r = D(x) and s_f = D(G(z)) are raw scores of any shape; no discriminator ends in a sigmoid. Every function
returns a scalar that D or G *minimises*. The formulas that many texts give as `min_G max_D V` for LSGAN and
hinge have the wrong sign for D (they are unbounded above); see docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

Scores = torch.Tensor
LossFunction = Callable[[Scores, Scores], torch.Tensor]


@dataclass(frozen=True)
class Loss:
    """The two functions of an adversarial loss, both called as `f(real_scores, fake_scores) -> scalar`.

    Attributes:
        discriminator: what D minimises.
        generator: what G minimises.
        needs_real: G's function depends on the real scores, as that of relativistic losses does.
    """

    discriminator: LossFunction
    generator: LossFunction
    needs_real: bool = False


def minimax_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """−E log σ(s_r) − E log(1 − σ(s_f)) = E softplus(−s_r) + E softplus(s_f) (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def minimax_generator(real: Scores, fake: Scores) -> torch.Tensor:  # noqa: ARG001
    """E log(1 − σ(s_f)) = −E softplus(s_f): saturates (no gradient) where D is certain of a fake."""
    return -F.softplus(fake).mean()


def non_saturating_generator(real: Scores, fake: Scores) -> torch.Tensor:  # noqa: ARG001
    """−E log σ(s_f) = E softplus(−s_f) (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean()


def lsgan_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """½E(s_r − 1)² + ½E s_f² (Mao et al. 2017, targets a=0, b=1)."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def lsgan_generator(real: Scores, fake: Scores) -> torch.Tensor:  # noqa: ARG001
    """½E(s_f − 1)² (target c=1)."""
    return 0.5 * (fake - 1).square().mean()


def wgan_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """E s_f − E s_r, for a D that is kept 1-Lipschitz by other means (Arjovsky et al. 2017)."""
    return fake.mean() - real.mean()


def wgan_generator(real: Scores, fake: Scores) -> torch.Tensor:  # noqa: ARG001
    """−E s_f."""
    return -fake.mean()


def hinge_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """E max(0, 1 − s_r) + E max(0, 1 + s_f) (Lim and Ye 2017; Miyato et al. 2018)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def ralsgan_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """½E(s_r − E s_f − 1)² + ½E(s_f − E s_r + 1)² (Jolicoeur-Martineau 2019, relativistic average LSGAN)."""
    return 0.5 * (real - fake.mean() - 1).square().mean() + 0.5 * (fake - real.mean() + 1).square().mean()


def rahinge_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """Hinge on s_r − E s_f and s_f − E s_r (Jolicoeur-Martineau 2019)."""
    return hinge_discriminator(real - fake.mean(), fake - real.mean())


def rans_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """Softplus on s_r − E s_f and s_f − E s_r (Jolicoeur-Martineau 2019, relativistic average GAN)."""
    return minimax_discriminator(real - fake.mean(), fake - real.mean())


def rpgan_discriminator(real: Scores, fake: Scores) -> torch.Tensor:
    """E softplus(−(s_r − s_f)) over pairs of a real and a generated clip (Jolicoeur-Martineau 2019, RpGAN).

    The pairs are the rows of the batch. R3GAN uses it with `r1` and `r2` (Huang et al. 2024, arXiv
    2501.05441).
    """
    return F.softplus(fake - real).mean()


def swapped(loss: LossFunction) -> LossFunction:
    """Make the generator's loss of a relativistic discriminator's: s_r and s_f are exchanged."""

    def generator(real: Scores, fake: Scores) -> torch.Tensor:
        """The same with s_r and s_f exchanged."""
        return loss(fake, real)

    return generator


minimax = Loss(minimax_discriminator, minimax_generator)
non_saturating = Loss(minimax_discriminator, non_saturating_generator)
lsgan = Loss(lsgan_discriminator, lsgan_generator)
wgan = Loss(wgan_discriminator, wgan_generator)
hinge = Loss(hinge_discriminator, wgan_generator)
ralsgan = Loss(ralsgan_discriminator, swapped(ralsgan_discriminator), needs_real=True)
rahinge = Loss(rahinge_discriminator, swapped(rahinge_discriminator), needs_real=True)
rans = Loss(rans_discriminator, swapped(rans_discriminator), needs_real=True)
rpgan = Loss(rpgan_discriminator, swapped(rpgan_discriminator), needs_real=True)
