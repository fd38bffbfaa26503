"""Equalised learning rates, the style decoder, residual blocks and the deviation over a batch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vgbench.config import parse
from vgbench.errors import ConfigError, VgbenchError
from vgbench.reference_models.checkpoint import build_generator
from vgbench.reference_models.config import DiscriminatorConfig, ModelConfig
from vgbench.reference_models.discriminators import build_discriminator
from vgbench.reference_models.equalised import equalised
from vgbench.reference_models.layers import frame_times
from vgbench.reference_models.residual import with_deviation
from vgbench.reference_models.style import Mapping, ModulatedConv2d


@pytest.mark.parametrize("layer", [nn.Linear(40, 30), nn.Conv2d(4, 30, 3), nn.Conv3d(4, 30, 3)])
@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_an_equalised_layer_keeps_the_variance_and_takes_equal_steps(layer, rate):
    torch.manual_seed(0)
    layer = equalised(
        type(layer)(*(40, 30) if isinstance(layer, nn.Linear) else (4, 30, 3)), rate, activated=False
    )
    fan_in = layer.weight[0].numel()
    assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(fan_in), rel=0.1)
    stored = layer.parametrizations.weight.original
    assert stored.std().item() == pytest.approx(1 / rate, rel=0.1)
    before = layer.weight.detach().clone()
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.01, betas=(0.0, 0.9))
    (layer.weight * torch.randn_like(layer.weight)).sum().backward()
    optimiser.step()  # the first step of Adam moves each stored weight by the learning rate
    moved = (layer.weight - before).abs()
    torch.testing.assert_close(
        moved, torch.full_like(moved, 0.01 * rate / math.sqrt(fan_in)), rtol=1e-2, atol=1e-6
    )


def test_a_modulated_convolution_is_a_convolution_with_modulated_weights():
    """Against the equations of the paper, with weights for each frame."""
    torch.manual_seed(0)
    for demodulate in (True, False):
        layer = ModulatedConv2d(5, 7, 6, 3, demodulate).double()
        nn.init.normal_(layer.bias)
        x, style = torch.randn(3, 5, 8, 8).double(), torch.randn(3, 6).double()
        scale = layer.affine(style)
        weight = layer.convolution.weight[None] * scale[:, None, :, None, None]
        if demodulate:
            weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
        expected = torch.stack(
            [F.conv2d(one[None], own, layer.bias, padding=1)[0] for one, own in zip(x, weight, strict=True)]
        )
        torch.testing.assert_close(layer(x, style), expected)


def test_modulation_starts_without_effect_on_the_scale():
    layer = ModulatedConv2d(64, 64, 32)
    style = torch.zeros(2, 32)
    assert torch.equal(layer.affine(style), torch.ones(2, 64))
    made = layer(torch.randn(2, 64, 16, 16, generator=torch.Generator().manual_seed(0)), style)
    assert made.std().item() == pytest.approx(1, abs=0.1)


def test_truncation_moves_styles_towards_their_running_mean():
    torch.manual_seed(0)
    mapping = Mapping(8, 16, 2)
    latents = torch.randn(4096, 8)
    for _ in range(3000):
        mapping(latents[torch.randint(4096, (16,))])
    mapping.eval()
    mean = mapping(latents).mean(0)
    torch.testing.assert_close(mapping.mean, mean, atol=0.05, rtol=0)
    before = mapping.mean.clone()
    whole, half, none = (mapping(latents, psi) for psi in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half, (whole + before) / 2)
    torch.testing.assert_close(none, before.expand_as(none))
    assert torch.equal(mapping.mean, before), "sampling changes nothing"


def model(**generator):
    values = {"size": 16, "frames": 8, "generator": {"content_dim": 6, "channels": 4, **generator}}
    return build_generator(parse(ModelConfig, values, "test"), seed=0)


@pytest.mark.parametrize("decoder", ["style", "frame"])
def test_truncated_samples_are_less_varied_and_training_is_not_truncated(decoder):
    generator = model(decoder={"name": decoder, "norm": "none"}, motion={"name": "static"})
    generator.train()
    if decoder == "style":
        for row in range(300):  # so that the mean is known
            generator.decoder.mapping(torch.randn(64, 6, generator=torch.Generator().manual_seed(row)))
    spread = [
        generator.sample(16, seed=1, truncation=psi, fix="motion").astype(float).std(0).mean()
        for psi in (1, 0.5, 0)
    ]
    assert spread[0] > 1.2 * spread[1] > 1.2 * spread[2]
    assert spread[2] < 1e-3
    assert generator.decoder.truncation == 1
    with pytest.raises(VgbenchError, match=r"truncation = 1\.5"):
        generator.sample(1, truncation=1.5)


def test_content_and_motion_both_act_through_the_style():
    generator = model(decoder={"name": "style"})
    clips = generator.sample(2, seed=0).astype(int)
    assert (clips[0, 0] != clips[0, 4]).any(), "frames differ"
    same = generator.sample(2, seed=0, fix="motion").astype(int)
    assert (same[0] != same[1]).any(), "contents differ"
    assert generator.renders_single_frames


@pytest.mark.parametrize(
    "name", ["image", "video3d", "temporal", "time-conditioned", "spatial", "two-stream"]
)
@pytest.mark.parametrize("norm", ["equalised", "spectral", "group"])
def test_residual_blocks_score_like_any_others(name, norm):
    torch.manual_seed(0)
    config = DiscriminatorConfig(name=name, channels=8, norm=norm, blocks="residual")
    discriminator = build_discriminator(config, 32, 8, labels=2).eval()
    plain = build_discriminator(config.model_copy(update={"blocks": "plain"}), 32, 8, labels=2)
    chosen = discriminator.choose_times(3, 8, torch.Generator().manual_seed(0))
    times = frame_times(8, 3) if chosen is None else chosen.float()
    video, label = torch.randn(3, 3, times.shape[1], 32, 32), torch.tensor([0, 1, 1])
    scores = discriminator(video, times, label)
    assert scores.shape == plain(video, times, label).shape
    torch.testing.assert_close(
        discriminator(video[1:2], times[1:2], label[1:2]), scores[1:2], atol=1e-4, rtol=1e-4
    )


def test_a_residual_block_keeps_the_variance():
    torch.manual_seed(0)
    config = DiscriminatorConfig(name="image", channels=32, norm="equalised", blocks="residual")
    discriminator = build_discriminator(config, 64, 2)
    maps = discriminator.trunk(torch.randn(8, 3, 1, 64, 64), torch.zeros(8, 1))
    assert [tuple(one.shape[2:]) for one in maps] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (256, 4, 4)]
    for one in maps:  # average pooling takes a part of the variance of noise
        assert 0.1 < one.square().mean().sqrt().item() < 3


def test_the_deviation_of_a_batch_is_that_of_numpy_and_zero_for_copies():
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = with_deviation(x)
    assert torch.equal(found[:, :3], x)
    expected = x.numpy().std(0).mean()
    torch.testing.assert_close(found[:, 3], torch.full((6, 4, 4), float(expected)), atol=1e-4, rtol=0)
    assert with_deviation(x[:1].expand_as(x))[:, 3].max() < 2e-4


def test_a_discriminator_with_deviation_tells_a_collapsed_batch_from_a_varied_one():
    torch.manual_seed(0)
    config = DiscriminatorConfig(name="video3d", channels=4, norm="none", deviation=True)
    discriminator = build_discriminator(config, 16, 8)
    assert discriminator.mixes_samples
    varied = torch.randn(4, 3, 8, 16, 16)
    collapsed = varied[:1].expand_as(varied)
    alone, together = (discriminator(x, frame_times(8, 4))[0] for x in (collapsed, varied))
    assert not torch.allclose(alone, together), "the score of one clip depends on the others"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deviation": True}, "gradient-penalty with discriminators.deviation = true"),
        ({"norm": "equalised"}, "weight-clipping with discriminators.norm = equalised"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    from vgbench.training.config import TrainConfig

    regulariser = words.partition(" ")[0]
    values = {
        "steps": 1,
        "discriminators": [{"name": "video3d", "norm": "none", **changes}],
        "regularisers": [{"name": regulariser}],
    }
    with pytest.raises(ConfigError, match=words):
        parse(TrainConfig, values, "test")
