"""Presets that bear the name of a paper: their parts against formulas and layers written out by hand."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vgbench.errors import ConfigError
from vgbench.presets import FORMER_NAMES, preset_names
from vgbench.reference_models import build
from vgbench.reference_models.config import (
    DecoderConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    MotionConfig,
)
from vgbench.reference_models.dcgan import DcganDecoder, TganDecoder, VganDecoder
from vgbench.reference_models.digan import DiganDecoder, FactorisedConv2d, coordinates
from vgbench.reference_models.discriminators import Noise, build_discriminator
from vgbench.reference_models.generator import Generator
from vgbench.reference_models.layers import frame_times
from vgbench.reference_models.motion import build_motion
from vgbench.reference_models.residual import with_deviation
from vgbench.reference_models.stylegan2 import DoublingConv2d, ReducingBlock, doubled, filtered
from vgbench.reference_models.stylegan2_discriminators import pair_times
from vgbench.training import read_config

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def layer(inputs, outputs, *kernel, bias=True):
    """Parameters of a convolution or of a linear map."""
    return inputs * outputs * math.prod(kernel) + outputs * bias


def norms(*widths, shift=True):
    return sum(widths) * (1 + shift)


def chain(widths, *kernel, bias=True):
    return sum(layer(a, b, *kernel, bias=bias) for a, b in pairwise(widths))


def modulated(inputs, outputs, kernel=3, style=512):
    return layer(style, inputs) + layer(inputs, outputs, kernel, kernel)


def style_discriminator(inputs, widths, most=512, last_outputs=1):
    """StyleGAN2's discriminator at 128 pixels; a block is (inputs, inside, outputs)."""
    blocks = sum(layer(a, b, 3, 3) + layer(b, c, 3, 3) + layer(a, c, 1, bias=False) for a, b, c in widths)
    last = layer(most + 1, most, 3, 3) + layer(most * 16, most) + layer(most, last_outputs)
    return layer(inputs, widths[0][0]) + blocks + last


# Counted from the code of the authors, layer by layer. The sums for MoCoGAN, StyleGAN-V and DIGAN are also
# those of their networks when they are built.
DOWN, UP = (3, 64, 128, 256, 512), (512, 256, 128, 64, 3)
MOCOGAN_GENERATOR = layer(60, 512, 4, 4, bias=False) + chain(UP, 4, 4, bias=False) + norms(512, 256, 128, 64)
MOCOGAN_VIDEO = chain((*DOWN, 1), 4, 4, 4, bias=False) + norms(128, 256, 512)
MOCOGAN_IMAGE = chain((3, 64, 128, 256, 1), 4, 4, bias=False) + norms(128, 256)
TGAN_TEMPORAL = (
    layer(100, 512, 1) + chain((512, 256, 128, 128, 100), 4) + norms(512, 256, 128, 128, shift=False)
)
TGAN_IMAGE = (
    2 * (layer(100, 4096, bias=False) + norms(4096))
    + chain((512, 256, 128, 64, 32), 4, 4, bias=False)
    + norms(256, 128, 64, 32)
    + layer(32, 3, 3, 3)
)
TGAN_CRITIC = chain(DOWN, 4, 4, 4) + layer(512, 1, 4, 4) + norms(128, 256, 512, shift=False)
VGAN_STREAMS = (
    layer(100, 512, 4, 4) + chain(UP, 4, 4) + norms(512, 256, 128, 64)
    + layer(100, 512, 2, 4, 4) + chain(UP, 4, 4, 4) + layer(64, 1, 4, 4, 4) + norms(512, 256, 128, 64)
)  # fmt: skip
VGAN_CRITIC = chain(DOWN, 4, 4, 4) + norms(128, 256, 512) + layer(512, 2, 2, 4, 4)
STYLEGAN_V_WIDTHS = (512, 512, 512, 512, 256, 128)
STYLEGAN_V_GENERATOR = (
    2 * layer(512, 512)
    + 2 * layer(512, 512, 11)
    + 2 * layer(512, 256, bias=False)
    + layer(512, 512, bias=False)
    + 512 * 16
    + modulated(1024, 512)
    + sum(modulated(a, b) + modulated(b, b) for a, b in pairwise(STYLEGAN_V_WIDTHS))
    + sum(modulated(one, 3, 1) for one in STYLEGAN_V_WIDTHS)
)
STYLEGAN_V_CRITIC = (
    style_discriminator(
        3,
        [(128, 128, 256), (256, 256, 512), (512, 512, 256), (768, 512, 512), (512, 512, 512)],
        last_outputs=512,
    )
    + 1024 * 256
    + layer(2 * (256 + 20), 512)
    + 2 * layer(512, 512)
)


def factorised(inputs, outputs):
    return layer(512, (inputs + outputs) * 10) + layer(inputs, outputs)


DIGAN_WAVES = layer(512, 384) + layer(1024, 128) + 2 * layer(128, 128)
DIGAN_GENERATOR = (
    2 * layer(512, 512)
    + 3 * DIGAN_WAVES
    + factorised(256, 512)
    + 6 * factorised(512, 512)
    + factorised(768, 512) + factorised(512, 512)
    + factorised(768, 256) + 2 * factorised(256, 256)
    + 5 * modulated(512, 3, 1) + modulated(256, 3, 1)
)  # fmt: skip
DIGAN_BLOCKS = [(256, 256, 512), *[(512, 512, 512)] * 4]
COUNTED = {
    "mocogan-64": (MOCOGAN_GENERATOR + 2 * (30 * 10 + 30), (MOCOGAN_VIDEO, MOCOGAN_IMAGE)),
    "tgan-64": (TGAN_TEMPORAL + TGAN_IMAGE, (TGAN_CRITIC,)),
    "vgan-64": (VGAN_STREAMS, (VGAN_CRITIC,)),
    "stylegan-v-128": (STYLEGAN_V_GENERATOR, (STYLEGAN_V_CRITIC,)),
    "digan-128": (
        DIGAN_GENERATOR,
        (style_discriminator(7, DIGAN_BLOCKS), style_discriminator(3, DIGAN_BLOCKS)),
    ),
}
BUILT = {
    "mocogan-64": (3_249_684, 11_720_192),
    "stylegan-v-128": (31_863_698, 25_214_848),
    "digan-128": (63_538_706, 56_779_266),
}
"""Parameters of the networks that the authors' code builds: generator, all discriminators."""


def size_of(network):
    return sum(one.numel() for one in network.parameters())


@pytest.mark.parametrize("name", COUNTED)
def test_a_preset_with_the_name_of_a_paper_has_the_parameters_of_its_code(name):
    one = read_config(name)
    with torch.device("meta"):
        generator = Generator(one.model)
        discriminators = [build_discriminator(each, one.size, one.frames) for each in one.discriminators]
    expected, critics = COUNTED[name]
    assert size_of(generator) == expected
    assert tuple(map(size_of, discriminators)) == critics
    assert BUILT.get(name, (expected, sum(critics))) == (expected, sum(critics))


@pytest.mark.parametrize("name", COUNTED)
def test_the_table_of_the_docs_has_these_numbers(name):
    (row,) = re.findall(rf"^\| `{name}`, parameters .*$", DOCS.read_text(), re.MULTILINE)
    generator, critics = COUNTED[name]
    assert f"{generator:,}" in row
    assert f"{sum(critics):,}" in row


def test_only_these_presets_bear_the_name_of_a_paper_alone():
    papers = ("mocogan", "tgan", "vgan", "ivgan", "stylegan-v", "digan", "dvdgan", "tsb")
    alone = [name for name in preset_names() if re.fullmatch(rf"({'|'.join(papers)})(-\d+)?", name)]
    assert set(alone) == set(COUNTED)
    assert set(FORMER_NAMES.values()) <= set(preset_names())
    assert not set(FORMER_NAMES) & set(preset_names())


@pytest.mark.parametrize("former", FORMER_NAMES)
def test_former_names_stand_for_the_same_preset(former):
    assert read_config(former) == read_config(FORMER_NAMES[former])


# StyleGAN2's layers


def spread(x):
    """Zeros between and after the pixels: [N, C, H, W] -> [N, C, 2 H, 2 W]."""
    wide = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    wide[:, :, ::2, ::2] = x
    return wide


def taps(like, gain):
    one = like.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return gain * torch.outer(one, one)


def test_a_doubling_convolution_is_a_filtered_convolution_of_spread_pixels():
    torch.manual_seed(0)
    double = DoublingConv2d(5, 4, 6).double()
    nn.init.normal_(double.bias)
    x, style = torch.randn(2, 5, 6, 6).double(), torch.randn(2, 6).double()
    scale = double.affine(style)
    weight = double.convolution.weight[None] * scale[:, None, :, None, None]
    weight = weight / (weight.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    expected = []
    for one, own in zip(spread(x), weight, strict=True):
        made = F.conv2d(F.pad(one[None], (2, 2, 2, 2)), own.flip(2, 3))  # a transposed convolution flips
        each = taps(x, 4).expand(4, 1, 4, 4)
        expected.append(
            F.conv2d(made, each, padding=1, groups=4)[:, :, :12, :12] + double.bias[:, None, None]
        )
    torch.testing.assert_close(double(x, style), torch.cat(expected))


def test_doubled_images_are_interpolated_linearly_except_at_the_edges():
    picture = torch.randn(2, 3, 8, 8).double()
    expected = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(doubled(picture)[inside], expected[inside])
    torch.testing.assert_close(doubled(picture)[..., 0, 5], expected[..., 0, 5] * 0.75)


def test_a_reducing_block_is_two_filtered_paths():
    torch.manual_seed(0)
    block, x = ReducingBlock(3, 4, 5).double(), torch.randn(2, 3, 8, 8).double()
    nn.init.normal_(block.first.bias)
    nn.init.normal_(block.second.bias)

    def blurred(maps, padding):
        return F.conv2d(
            maps, taps(maps, 1).expand(maps.shape[1], 1, 4, 4), padding=padding, groups=maps.shape[1]
        )

    def gain(maps):
        return F.leaky_relu(maps, 0.2) * math.sqrt(2)

    made = gain(F.conv2d(x, block.first.weight, block.first.bias, padding=1))
    made = gain(F.conv2d(blurred(made, 2), block.second.weight, block.second.bias)[:, :, ::2, ::2])
    expected = (made + F.conv2d(blurred(x, 1)[:, :, ::2, ::2], block.skip.weight)) / math.sqrt(2)
    torch.testing.assert_close(block(x), expected)
    torch.testing.assert_close(filtered(torch.ones(1, 1, 6, 6), 0), torch.ones(1, 1, 3, 3))


def test_the_deviation_is_that_of_each_group():
    x = torch.randn(8, 3, 4, 4)
    got = with_deviation(x, 4)[:, 3]
    for member in range(2):
        group = x[member::2]  # as StyleGAN2 lays its groups out
        deviation = (group.var(0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(got[member::2], deviation.expand(4, 4, 4))
    torch.testing.assert_close(with_deviation(x[:6], 4)[:, 3], with_deviation(x[:6], 3)[:, 3])


# StyleGAN-V


def waves(**options):
    torch.manual_seed(0)
    config = MotionConfig(
        name="stylegan-v", noise_dim=4, code_dim=5, anchor_distance=4, options={"waves": 3, **options}
    )
    return build_motion(config, 8).double()


def test_acyclic_waves_are_their_formula():
    motion = waves(longest_period=64).eval()
    noise, time = torch.randn(1, *motion.noise_shape(8)).double(), 5.25
    first, second = motion.first, motion.second
    hidden = F.leaky_relu(F.conv1d(noise.transpose(1, 2), first.weight, first.bias), 0.2)
    anchors = F.leaky_relu(F.conv1d(hidden, second.weight, second.bias), 0.2)[0].T
    periods = torch.tensor([64.0, 16.0, 4.0]).double()
    left, right = anchors[1], anchors[2]
    share = (time - 4) / 4

    def wave(at):
        rate = 2 * math.pi / periods * (1 + torch.tanh(motion.stretch.weight @ left))
        angle = rate * at + (motion.phase.weight @ left) * 64 / periods
        return torch.cat([angle.sin(), angle.cos()])

    expected = wave(time) - torch.lerp(wave(4), wave(8), share)
    expected = expected + torch.lerp(motion.anchor.weight @ left, motion.anchor.weight @ right, share)
    got = motion(noise, torch.tensor([[time]]).double())[0, 0]
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_clips_begin_anywhere_in_the_longest_video_during_training_only():
    motion = waves(longest=40)
    plain = waves()
    assert motion.noise_shape(8)[0] == plain.noise_shape(40)[0]
    noise, times = torch.randn(1, *motion.noise_shape(8)).double(), torch.arange(8.0).double()[None]
    assert torch.equal(motion.eval()(noise, times), motion(noise, times))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        shift = 32 * torch.rand(1, 1)
        torch.manual_seed(1)
        got = motion.train()(noise, times)
    torch.testing.assert_close(got, motion.eval()(noise, times + shift))


def discriminator(name, clip=12, **rest):
    torch.manual_seed(0)
    settings = {"name": name, "channels": 4, "norm": "equalised", "blocks": "residual", **rest}
    return build_discriminator(DiscriminatorConfig(**settings), 16, clip).eval()


def test_stylegan_v_draws_distances_that_are_powers_of_two():
    network = discriminator("stylegan-v", clip=33, options={"joined": 8})
    times = network.choose_times(4000, 33, torch.Generator().manual_seed(0))
    assert (times.diff(dim=1) > 0).all()
    assert times.min() == 0
    assert times.max() == 32
    distance = times[:, 2] - times[:, 0]
    shares = [(distance == power).float().mean().item() for power in (2, 4, 8, 16, 32)]
    assert shares == pytest.approx([0.2] * 5, abs=0.03)
    eight = times[distance == 8]
    middle = torch.bincount(eight[:, 1] - eight[:, 0], minlength=8)[1:] / len(eight)
    torch.testing.assert_close(middle, torch.full((7,), 1 / 7), atol=0.05, rtol=0)
    first = eight[:, 0].float()
    assert first.mean() == pytest.approx(12, abs=1)


def test_stylegan_v_conditions_are_the_mapped_distances():
    network = discriminator("stylegan-v", options={"joined": 8}).double()
    times = torch.tensor([[1.0, 4.0, 9.0]]).double()
    rates = math.pi / 1024 * 2.0 ** torch.arange(10).double()
    parts = []
    for distance in (3, 5):
        parts += [
            network.embedding_of_distance.weight[distance],
            (rates * distance).sin(),
            (rates * distance).cos(),
        ]
    x = network.condition.weight @ torch.cat(parts) + network.condition.bias
    x = x / (x.square().mean() + 1e-8).sqrt()
    for each in network.mapping.layers:
        x = F.leaky_relu(each.weight @ x + each.bias, 0.2)
    torch.testing.assert_close(network.conditions(times)[0], x)


def test_stylegan_v_looks_at_all_its_frames_and_at_their_distances():
    network = discriminator("stylegan-v", options={"joined": 8})
    video, times = torch.randn(1, 3, 3, 16, 16), torch.tensor([[0.0, 2.0, 8.0]])
    score = network(video, times)
    assert score.shape == (1, 1)
    for frame in range(3):
        other = video.clone()
        other[:, :, frame] = 0
        assert network(other, times) != score
    assert network(video, torch.tensor([[0.0, 3.0, 8.0]])) != score
    torch.testing.assert_close(network(video, times + 2), score)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norm": "spectral"}, "equalised residual blocks.*norm = spectral"),
        ({"blocks": "plain"}, "blocks = plain"),
        ({"options": {"joined": 16}}, "joins frames at 16 pixels, but size = 16"),
        ({"options": {"joined": 8}, "frames": 20}, "these have 12 frames"),
    ],
)
def test_a_stylegan_v_discriminator_that_cannot_be_says_why(changes, words):
    with pytest.raises(ConfigError, match=words):
        discriminator("stylegan-v", **changes)


def test_images_of_several_resolutions_and_the_motion_reach_stylegan_v_frames():
    torch.manual_seed(0)
    network = build(
        {
            "size": 16,
            "frames": 8,
            "generator": {"content_dim": 6, "channels": 4, "motion": {"name": "stylegan-v", "noise_dim": 4}},
        }
    ).eval()
    latents = network.draw(2, 8, torch.Generator().manual_seed(0))
    video = network(latents, frame_times(8, 2))
    assert video.shape == (2, 3, 8, 16, 16)
    assert (video[:, :, 1:] != video[:, :, :-1]).any((1, 3, 4)).all()
    with torch.no_grad():
        for drawn in network.decoder.pictures[:-1]:
            drawn.affine.bias.zero_()
            drawn.affine.parametrizations.weight.original.zero_()
    assert (network(latents, frame_times(8, 2)) != video).any()


# DIGAN


def test_a_factorised_convolution_changes_the_weights_by_low_rank_factors():
    torch.manual_seed(0)
    convolution = FactorisedConv2d(4, 5, 6, rank=2).double()
    nn.init.normal_(convolution.bias)
    x, style = torch.randn(3, 4, 2, 2).double(), torch.randn(3, 6).double()
    factors = convolution.affine(style)
    for one, own, got in zip(x, factors, convolution(x, style), strict=True):
        left, right = own[:10].view(5, 2), own[10:].view(2, 4)
        weight = convolution.weight * (1 + left @ right / math.sqrt(2))
        weight = weight / (weight.norm(dim=1, keepdim=True) + 1e-8)
        made = torch.einsum("oi,ihw->ohw", weight, one) + convolution.bias[:, None, None]
        torch.testing.assert_close(got, F.leaky_relu(made, 0.2) * math.sqrt(2))


def test_coordinates_run_to_the_right_and_up():
    x, y = coordinates(4, torch.zeros(1)).view(2, 4, 4)
    assert x.tolist() == [[-1, -0.5, 0, 0.5]] * 4
    assert y[:, 0].tolist() == [0.5, 0, -0.5, -1]


def digan(size=16):
    torch.manual_seed(0)
    config = GeneratorConfig(content_dim=6, channels=4)
    return DiganDecoder(config, size, 8, 6, 4, style_dim=8, waves=5, rank=2, coarse=8).eval()


def test_digan_moves_by_noise_and_time_from_a_first_frame_that_is_the_same_for_all_noise():
    network, content, noise = digan(), torch.randn(1, 6).expand(2, -1), torch.randn(2, 1, 3)
    times = torch.tensor([0.0, 0.5]).view(1, 2, 1).expand(2, -1, -1)
    video = network(content, torch.cat([noise.expand(-1, 2, -1), times], 2))
    assert video.shape == (2, 3, 2, 16, 16)
    torch.testing.assert_close(video[0, :, 0], video[1, :, 0])
    assert (video[0, :, 1] - video[1, :, 1]).abs().max() > 1e-3


def test_digan_draws_its_pairs_from_two_beta_distributions():
    times = pair_times(40_000, 16, torch.Generator().manual_seed(0))
    assert (times[:, 0] <= times[:, 1]).all()
    # P(min ≤ x) = 1 − (1 − F₁)(1 − F₂) and P(max ≤ x) = F₁ F₂ with F₁ = 1 − (1 − x)² and F₂ = x².
    for frame in (3, 7, 11):
        x = (frame + 1) / 16
        early, late = 1 - (1 - x) ** 2, x**2
        assert (times[:, 0] <= frame).float().mean() == pytest.approx(1 - (1 - early) * (1 - late), abs=0.01)
        assert (times[:, 1] <= frame).float().mean() == pytest.approx(early * late, abs=0.01)


def test_digan_s_pairs_are_seven_channels():
    network = discriminator("digan-pair")
    video, times = torch.randn(2, 3, 2, 16, 16), torch.tensor([[0.0, 4.0], [3.0, 3.0]])
    seen = []
    network.reduction.enter.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(video, times)
    (pixels,) = seen
    assert torch.equal(pixels[:, :3], video[:, :, 0])
    assert torch.equal(pixels[:, 3:6], video[:, :, 1])
    torch.testing.assert_close(pixels[:, 6, 0, 0], torch.tensor([4 / 11, 0]))


def test_pairs_of_frames_that_are_scored_separately_need_two_frames():
    with pytest.raises(ConfigError, match="times = pair with 1 frames"):
        discriminator("stylegan2", options={"times": "pair"})
    network = discriminator("stylegan2", frames=2, options={"times": "pair"})
    times = network.choose_times(5, 12, torch.Generator().manual_seed(3))
    assert torch.equal(times, pair_times(5, 12, torch.Generator().manual_seed(3)))
    video = torch.randn(1, 3, 2, 16, 16)
    scores = network(video, times[:1].float())
    torch.testing.assert_close(scores[:, 1:], network(video[:, :, 1:], times[:1, 1:].float()))


# VGAN, TGAN, MoCoGAN


def config_of(**rest):
    return GeneratorConfig(content_dim=5, channels=4, decoder=DecoderConfig(**rest))


def test_vgan_puts_its_foreground_over_one_background():
    torch.manual_seed(0)
    network, content = VganDecoder(config_of(), 16, 8, 5, 0).eval(), torch.randn(3, 5)
    nothing = torch.zeros(3, 8, 0)
    video = network(content, nothing)
    assert video.shape == (3, 3, 8, 16, 16)
    mask = network.terms["mask"]
    assert mask.mean().item() == pytest.approx(0.5, abs=0.01)  # weights begin near zero
    nn.init.constant_(network.mask.bias, -100.0)
    still = network(content, nothing)
    assert torch.equal(still, still[:, :, :1].expand_as(still))
    nn.init.constant_(network.mask.bias, 100.0)
    torch.testing.assert_close(
        torch.lerp(still, network(content, nothing), mask.expand_as(video)), video, atol=1e-6, rtol=1e-5
    )
    with pytest.raises(ConfigError, match="makes 8 frames of 16 pixels"):
        VganDecoder(config_of(), 16, 16, 5, 0)


def test_tgan_s_content_is_uniform_and_its_clips_follow_the_fold():
    torch.manual_seed(0)
    network = TganDecoder(config_of(), 16, 8, 5, 0).double().eval()
    for weight in network.parameters():
        weight.data.mul_(20)  # so that content and codes make a difference
    seen = []
    network.temporal.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    content = torch.randn(2000, 5).double()
    with torch.no_grad():
        network(content[:1], torch.zeros(1, 8, 0))
        both = network(content[:2], torch.zeros(2, 8, 0))
        alone = network(content[1:2], torch.zeros(1, 8, 0))
    torch.testing.assert_close(both[1:], alone)
    assert (both[0] - both[1]).abs().max() > 0.1
    assert both.shape == (2, 3, 8, 16, 16)
    uniform = torch.erf(content / math.sqrt(2)).flatten().sort().values
    torch.testing.assert_close(seen[0][0, :, 0], torch.erf(content[0] / math.sqrt(2)))
    expected = torch.linspace(-1, 1, len(uniform)).double()
    assert (uniform - expected).abs().max() < 0.03  # a Kolmogorov-Smirnov distance of 0.015
    with pytest.raises(ConfigError, match=r"frames = 12.*doubles time"):
        TganDecoder(config_of(), 16, 12, 5, 0)


@pytest.mark.parametrize("decoder", [VganDecoder, TganDecoder])
def test_decoders_of_whole_clips_take_no_codes(decoder):
    with pytest.raises(ConfigError, match="takes no motion codes"):
        decoder(config_of(), 16, 8, 5, 3)


def test_mocogan_s_frames_follow_the_fold():
    torch.manual_seed(0)
    network = DcganDecoder(config_of(), 16, 8, 5, 2).eval()
    content, codes = torch.randn(2, 5), torch.randn(2, 3, 2)
    video = network(content, codes)
    frame = network.layers(torch.cat([content[1], codes[1, 2]])[None, :, None, None])
    torch.testing.assert_close(video[1, :, 2], frame[0])


def test_mocogan_s_first_state_is_noise():
    torch.manual_seed(0)
    motion = build_motion(MotionConfig(name="gru", noise_dim=4, code_dim=4, options={"start": "noise"}), 8)
    cell = nn.GRUCell(4, 4)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(cell, name).data.copy_(getattr(motion.cell, f"{name}_l0"))
    noise = torch.randn(2, *motion.noise_shape(3))
    state, expected = noise[:, 0], []
    for step in range(1, 4):
        state = cell(noise[:, step], state)
        expected.append(state)
    torch.testing.assert_close(motion(noise, frame_times(3, 2)), torch.stack(expected, 1))
    with pytest.raises(ConfigError, match="'noise' with noise_dim = 3"):
        build_motion(MotionConfig(name="gru", noise_dim=3, code_dim=4, options={"start": "noise"}), 8)


@pytest.mark.parametrize(
    ("settings", "size", "noisy"),
    [
        ({"name": "video3d", "options": {"time_stride": 1}}, 32, 3),
        ({"name": "image", "options": {"patches": True}}, 64, 4),  # before the last convolution too
    ],
)
def test_noise_is_added_before_each_convolution_of_stride_two_in_training_only(settings, size, noisy):
    torch.manual_seed(0)
    config = DiscriminatorConfig(channels=2, norm="none", bias=False, noise=0.1, **settings)
    network = build_discriminator(config, size, 16)
    layers = [one for one in network.modules() if isinstance(one, Noise)]
    assert len(layers) == noisy
    assert all(one.bias is None for one in network.modules() if isinstance(one, nn.Conv2d | nn.Conv3d))
    x = torch.zeros(400, 500)
    added = layers[0].train()(x)
    assert added.std().item() == pytest.approx(0.1, rel=0.01)
    assert torch.equal(layers[0].eval()(x), x)


def test_a_batch_norm_of_scale_only_does_not_shift():
    config = DiscriminatorConfig(name="video3d", channels=2, norm="batch-scale")
    network = build_discriminator(config, 16, 8)
    (norm,) = (one for one in network.modules() if isinstance(one, nn.BatchNorm3d))
    assert [name for name, _ in norm.named_parameters()] == ["weight"]
    means = norm(torch.randn(64, 4, 2, 3, 3) + 5).mean((0, 2, 3, 4))
    torch.testing.assert_close(means, torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("kind", "deviation"), [("normal", 0.01), ("uniform", 0.01 / math.sqrt(3))])
def test_initial_weights_are_those_of_the_papers(kind, deviation):
    torch.manual_seed(0)
    network = build_discriminator(DiscriminatorConfig(name="video3d", norm="batch", weights=kind), 16, 8)
    weights = torch.cat([one.weight.flatten() for one in network.modules() if isinstance(one, nn.Conv3d)])
    assert weights.std().item() == pytest.approx(deviation, rel=0.02)
    (norm,) = (one for one in network.modules() if isinstance(one, nn.BatchNorm3d))
    assert norm.weight.std().item() == pytest.approx(0.02 if kind == "normal" else 0.0, abs=0.006)
    if kind == "uniform":
        assert weights.abs().max() <= 0.01


def test_two_logits_make_one_score():
    torch.manual_seed(0)
    config = DiscriminatorConfig(name="video3d", channels=2, norm="none", options={"logits": 2})
    network, video = build_discriminator(config, 16, 8), torch.randn(3, 3, 8, 16, 16)
    real, fake = network.head(network.layers(video)[-1]).flatten(1).unbind(1)
    score = network(video, frame_times(8, 3))[:, 0]
    torch.testing.assert_close(score, real - fake)
    # The cross entropy of two logits is the logistic loss of their difference.
    entropy = F.cross_entropy(torch.stack([real, fake], 1), torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(F.softplus(-score).mean(), entropy)


def test_time_can_be_halved_down_to_one_step():
    config = DiscriminatorConfig(name="video3d", channels=2, norm="none", options={"last_time": 1})
    network = build_discriminator(config, 64, 16)
    assert network.layers(torch.zeros(1, 3, 16, 64, 64))[-1].shape[2:] == (1, 4, 4)
    with pytest.raises(ConfigError, match="last_time = 3"):
        build_discriminator(config.model_copy(update={"options": {"last_time": 3}}), 64, 16)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"blocks": "residual", "noise": 0.1}, "blocks = residual with noise = 0.1"),
        ({"blocks": "residual", "bias": False}, "bias = false"),
        ({"norm": "spectral", "weights": "normal"}, "weights = normal with norm = spectral"),
    ],
)
def test_settings_that_would_have_no_effect_are_errors(changes, words):
    with pytest.raises(ValueError, match=words):
        DiscriminatorConfig(**changes)
