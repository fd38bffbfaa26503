"""The layered decoder moves one foreground rigidly over a background that stands still."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from vgbench.config import parse
from vgbench.errors import ConfigError
from vgbench.reference_models.checkpoint import build_generator
from vgbench.reference_models.config import ModelConfig
from vgbench.reference_models.layered import LayeredDecoder
from vgbench.reference_models.layers import frame_times


@pytest.fixture
def generator():
    values = {
        "size": 32,
        "frames": 8,
        "generator": {
            "content_dim": 6,
            "channels": 4,
            "motion": {"name": "gru", "noise_dim": 3, "code_dim": 8},
            "decoder": {"name": "layered", "skips": True},
        },
    }
    return build_generator(parse(ModelConfig, values, "test"), seed=0)


def moved(decoder: LayeredDecoder, layer: torch.Tensor, *, x=0.0, y=0.0, size=1.0, angle=0.0) -> torch.Tensor:
    """The layer after a shift in half widths, a change of size and a turn."""
    bounded = torch.tensor(
        [
            [
                x / decoder.reach,
                y / decoder.reach,
                math.log(size / decoder.start) / math.log(decoder.stretch),
                angle / decoder.turns,
            ]
        ]
    )
    return F.grid_sample(layer, decoder.grid(bounded.atanh(), layer), align_corners=False)


def spot(row: int, column: int) -> torch.Tensor:
    layer = torch.zeros(1, 1, 32, 32)
    layer[0, 0, row, column] = 1
    return layer


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -5), (-7, 4)])
def test_a_shift_moves_a_pixel_by_exactly_so_many_pixels(generator, right, down):
    found = moved(generator.decoder, spot(16, 16), x=right / 16, y=down / 16)
    torch.testing.assert_close(found, spot(16 + down, 16 + right), atol=1e-4, rtol=0)


def test_half_the_size_is_every_second_pixel_and_a_quarter_turn_is_exact(generator):
    layer = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    half = moved(generator.decoder, layer, size=0.5)
    torch.testing.assert_close(half[..., 8:24, 8:24], F.avg_pool2d(layer, 2), atol=1e-4, rtol=0)
    assert half[..., :8, :].max() < 1e-4, "nothing lies beyond the edge"
    turned = moved(generator.decoder, layer, angle=math.pi / 2)
    torch.testing.assert_close(turned, layer.rot90(-1, (2, 3)), atol=1e-4, rtol=0)


def test_layers_keep_shape_and_colour_and_the_background_stands_still(generator):
    latents = generator.draw(2, 8, torch.Generator().manual_seed(0))
    decoder = generator.decoder
    with torch.no_grad():
        decoder.place[-1].weight.mul_(3)  # so that it moves visibly
        content, codes = generator.conditioned(latents), generator.motion(latents.motion, frame_times(8, 2))
        video = decoder(content, codes)
        mask = decoder.terms["mask"]
        background = F.interpolate(decoder.background(content).tanh(), scale_factor=2.0, mode="bilinear")
        assert decoder.colours(content).shape == (2, 3, 16, 16)
        assert mask.shape == (2, 1, 8, 32, 32)
        assert 0 <= mask.min() <= mask.max() <= 1
        assert (mask[:, :, 0] - mask[:, :, 7]).abs().max() > 0.05, "the foreground moves"
        still = (mask < 1e-6).expand_as(video)
        assert still.any()
        torch.testing.assert_close(video[still], background[:, :, None].expand_as(video)[still])
        same = decoder(content, codes[:, :1].expand(-1, 8, -1))
    torch.testing.assert_close(same, same[:, :, :1].expand_as(same), msg="equal codes give equal frames")
    assert generator.renders_single_frames


def test_gradients_reach_every_parameter(generator):
    latents = generator.draw(2, 8, torch.Generator().manual_seed(0))
    generator(latents, frame_times(8, 2)).square().mean().backward()
    assert all(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in generator.decoder.parameters()
    )


@pytest.mark.parametrize("grain", [0, 3, 64])
def layered(**options):
    decoder = {"name": "layered", "options": options}
    values = {"size": 32, "frames": 8, "generator": {"content_dim": 6, "channels": 4, "decoder": decoder}}
    return build_generator(parse(ModelConfig, values, "test"), seed=0)


@pytest.mark.parametrize(("grain", "side"), [(4, 8), (8, 4), (16, 2), (32, 1)])
def test_colours_have_so_many_pixels(grain, side):
    generator = layered(grain=grain)
    content = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    for layer in (generator.decoder.background, generator.decoder.colours):
        assert layer(content).shape == (5, 3, side, side)
    video = generator(generator.draw(2, 8, torch.Generator().manual_seed(0)), frame_times(8, 2))
    assert video.shape == (2, 3, 8, 32, 32)
    video.square().mean().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in generator.decoder.parameters())


class Fixed(torch.nn.Module):
    """A network that gives the same for every input."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output.expand(len(x), *self.output.shape[1:])


@pytest.mark.parametrize("sharp", [False, True])
def test_a_sharp_mask_keeps_its_edge_where_a_soft_one_is_blurred(sharp):
    """A half plane, whose edge lies between columns 15 and 16, moved to the right by a quarter of a pixel."""
    decoder = layered(sharp=sharp).decoder
    decoder.mask = Fixed(torch.where(torch.arange(32) < 16, 20.0, -20.0).expand(1, 1, 32, 32))
    size = math.log(1 / decoder.start) / math.log(decoder.stretch)
    decoder.place = Fixed(torch.tensor([[0.25 / 16 / decoder.reach, 0.0, size, 0.0]]).atanh())
    with torch.no_grad():
        decoder(torch.zeros(1, 6), torch.zeros(1, 1, 16))
    row = decoder.terms["mask"][0, 0, 0, 16]
    assert row[14] == pytest.approx(1, abs=1e-3)
    assert row[17] == pytest.approx(0, abs=1e-3)
    assert row[16] == pytest.approx(1 / (1 + math.exp(10)) if sharp else 0.25, abs=1e-3)
    assert row[0] > 0.7, "the first column is a quarter of a pixel further inside than the layer's edge"


@pytest.mark.parametrize("grain", [0, 3, 64])
def test_a_grain_that_does_not_fit_is_refused(grain):
    decoder = {"name": "layered", "options": {"grain": grain}}
    values = {"size": 32, "frames": 8, "generator": {"decoder": decoder}}
    with pytest.raises(ConfigError, match=f"grain = {grain}"):
        build_generator(parse(ModelConfig, values, "test"), seed=0)
