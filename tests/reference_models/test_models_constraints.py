"""Constraints on weights: clipping, and singular values brought down."""

import numpy as np
import pytest
import torch
from torch import nn

from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.constraints import clip_singular_values, clip_weights
from vgbench.reference_models.discriminators import build_discriminator


def test_clipping_is_that_of_numpy_and_leaves_frozen_parameters_alone():
    network = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
    network[2].weight.requires_grad_(False)
    before = {name: weight.detach().clone().numpy() for name, weight in network.named_parameters()}
    clip_weights(network, 0.1)
    for name, weight in network.named_parameters():
        expected = before[name] if name == "2.weight" else np.clip(before[name], -0.1, 0.1)
        np.testing.assert_array_equal(weight.detach().numpy(), expected)
    assert np.abs(before["0.weight"]).min() < 0.1 < np.abs(before["2.weight"]).max()


@pytest.mark.parametrize("bound", [1.0, 0.5])
@pytest.mark.parametrize(
    "layer", [nn.Conv3d(3, 8, (4, 4, 4)), nn.Conv2d(12, 8, 4), nn.Linear(192, 8), nn.Embedding(8, 192)]
)
def test_singular_values_are_brought_down_to_the_bound_and_small_ones_and_directions_kept(layer, bound):
    values = torch.linspace(3, 0.1, 8)
    left = torch.linalg.qr(torch.randn(8, 8))[0]
    right = torch.linalg.qr(torch.randn(192, 8))[0].T
    with torch.no_grad():
        layer.weight.copy_((left * values @ right).view_as(layer.weight))
    clip_singular_values(nn.Sequential(layer, nn.BatchNorm3d(8)), bound)
    expected = left * values.clamp(max=bound) @ right
    torch.testing.assert_close(layer.weight.detach().flatten(1), expected, atol=1e-5, rtol=1e-5)


def test_only_weights_that_are_trained_are_changed_and_no_bias():
    """A frozen weight stays beside a bias that is trained; so do norms that are no batch norms."""
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.GroupNorm(1, 4), nn.BatchNorm1d(4))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(5 + torch.rand_like(parameter))
    network[0].bias.requires_grad_(False)
    network[1].weight.requires_grad_(False)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    clip_singular_values(network, 1.0)
    changed = [name for name, now in network.named_parameters() if not torch.equal(now, before[name])]
    assert changed == ["0.weight", "3.weight"]


def test_singular_values_of_class_embeddings_are_brought_down_too():
    """The score's projection term <V y, phi> is linear in phi with the norm of V y, which V's bounds."""
    config = DiscriminatorConfig(name="video3d", channels=4, norm="none")
    discriminator = build_discriminator(config, 16, 8, labels=3)
    with torch.no_grad():
        discriminator.embedding.weight.mul_(100)
    clip_singular_values(discriminator, 1.0)
    assert torch.linalg.svdvals(discriminator.embedding.weight.detach()).max().item() == pytest.approx(
        1, abs=1e-5
    )
    weights = [weight.detach() for weight in discriminator.parameters() if weight.dim() > 1]
    assert all(torch.linalg.svdvals(weight.flatten(1)).max() < 1 + 1e-5 for weight in weights)


@pytest.mark.parametrize("bound", [1.0, 3.0])
def test_batch_norm_scale_is_clipped_to_the_running_deviation(bound):
    """Deviations √(variance + ε) of 2, 2 and 3: [0.01·σ, σ] times the bound."""
    norm = nn.BatchNorm3d(3, eps=1.0)
    with torch.no_grad():
        norm.running_var.copy_(torch.tensor([3.0, 3.0, 8.0]))
        norm.weight.copy_(torch.tensor([50.0, 1.5, 0.001]))
    clip_singular_values(nn.Sequential(norm, nn.BatchNorm3d(3, affine=False)), bound)
    np.testing.assert_allclose(norm.weight.detach().numpy(), [2 * bound, 1.5, 0.03 * bound], rtol=1e-6)
    assert norm.bias.abs().max() == 0
