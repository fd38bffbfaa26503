"""Constraints on a discriminator's weights, applied in place after an optimiser step."""

from __future__ import annotations

import torch
from torch import nn

from vgbench.reference_models.layers import AnyBatchNorm, AnyConvolution


@torch.no_grad()
def clip_weights(discriminator: nn.Module, bound: float) -> None:
    """Clamp every trainable parameter to [−bound, bound] (WGAN, Arjovsky et al. 2017)."""
    for parameter in discriminator.parameters():
        if parameter.requires_grad:
            parameter.clamp_(-bound, bound)


@torch.no_grad()
def clip_singular_values(discriminator: nn.Module, bound: float) -> None:
    """Limit the singular values of every weight, reshaped to (out, −1), to `bound` (TGAN, Saito et al. 2017).

    This concerns the weights of convolutions and linear maps, and embeddings, each of which is a linear map
    of the class as a one-hot vector; frozen weights do not change. In batch norms γ/σ acts as a singular
    value, so γ is clipped to [0.01·σ, σ] times `bound`, with σ the running standard deviation.
    """
    for module in discriminator.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or not weight.requires_grad:
            continue
        if isinstance(module, AnyBatchNorm):
            assert module.running_var is not None
            deviation = (module.running_var + module.eps).sqrt() * bound
            weight.clamp_(0.01 * deviation, deviation)
        elif isinstance(module, nn.Linear | nn.Embedding | AnyConvolution):
            left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
            weight.copy_((left * values.clamp(max=bound) @ right).view_as(weight))
