import json

import numpy as np
import pytest
import torch
from torch import nn

from vgbench.errors import ConfigError, VgbenchError
from vgbench.reference_models import build, load
from vgbench.reference_models.checkpoint import read_metadata, save_generator
from vgbench.reference_models.config import DiscriminatorConfig, MotionConfig
from vgbench.reference_models.cost import discriminator_cost, generator_cost
from vgbench.reference_models.decoders import identity_grid, shifted
from vgbench.reference_models.discriminators import build_discriminator
from vgbench.reference_models.generator import Generator, from_uint8, to_uint8
from vgbench.reference_models.layers import (
    begin_smooth,
    fold,
    frame_times,
    frames_first,
    gather_frames,
    per_frame,
    unfold,
)
from vgbench.reference_models.motion import build_motion, with_memory
from vgbench.reference_models.optical_flow import optical_flow
from vgbench.reference_models.parts import DISCRIMINATORS, MOTIONS

FIXED = ("none", "temporal-deconv", "conv3d", "two-stream")
CONTINUOUS = ("fourier", "implicit", "stylegan-v", "digan")
STYLE = {"norm": "equalised", "blocks": "residual"}
NEEDED = {"stylegan2": STYLE, "digan-pair": STYLE, "stylegan-v": STYLE | {"options": {"joined": 8}}}
"""What discriminators need in their config."""


def model(motion="gru", frames=8, size=16, **rest):
    classes = rest.pop("classes", ())
    return build(
        {
            "size": size,
            "frames": frames,
            "classes": classes,
            "generator": {
                "content_dim": 6,
                "channels": 4,
                "motion": {"name": motion, "noise_dim": 3, "code_dim": 8, "anchor_distance": 4},
                **rest,
            },
        },
        seed=3,
    )


def test_fold_is_clip_major():
    clips = torch.arange(2 * 3).view(2, 3)
    assert fold(clips).tolist() == [0, 1, 2, 3, 4, 5]
    assert torch.equal(unfold(fold(clips), 2), clips)
    assert per_frame(torch.tensor([[7], [8]]), 3).flatten().tolist() == [7, 7, 7, 8, 8, 8]
    video = torch.randn(2, 3, 4, 5, 5)
    assert torch.equal(frames_first(video)[4 + 1], video[1, :, 1])


def test_gather_frames_takes_each_clips_own_frames():
    video = torch.randn(2, 3, 6, 4, 4)
    got = gather_frames(video, torch.tensor([[0, 5], [2, 3]]))
    torch.testing.assert_close(got[0], video[0][:, [0, 5]])
    torch.testing.assert_close(got[1], video[1][:, [2, 3]])


@pytest.mark.parametrize("motion", MOTIONS)
def test_conditions_follow_their_clip_through_the_fold(motion):
    """A mixed batch gives each clip what it gets alone; a wrong (B, T) order would mix labels."""
    network = model(motion, classes=("a", "b", "c"))
    together = network.sample(3, seed=5, label=["a", "b", "c"])
    for index, label in enumerate("abc"):
        alone = network.sample(3, seed=5, label=label)
        assert np.abs(together[index].astype(int) - alone[index]).max() <= 1


@pytest.mark.parametrize("motion", MOTIONS)
def test_samples_depend_on_seed_and_row_only(motion):
    network = model(motion)
    five, two = network.sample(5, seed=1, batch=5), network.sample(2, seed=1, batch=1)
    assert five.shape == (5, 8, 16, 16, 3)
    assert five.dtype == np.uint8
    assert np.abs(five[:2].astype(int) - two).max() <= 1
    assert not np.array_equal(five, network.sample(5, seed=2))
    assert not np.array_equal(five[0], five[1])


@pytest.mark.parametrize("motion", [name for name in MOTIONS if name not in (*FIXED, "temporal-shift")])
def test_longer_clip_begins_with_the_shorter_one(motion):
    network = model(motion)
    short, long = network.sample(2, seed=1, frames=5), network.sample(2, seed=1, frames=21)
    assert long.shape[1] == 21
    assert np.abs(long[:, :5].astype(int) - short).max() <= 1


@pytest.mark.parametrize("motion", FIXED)
def test_fixed_horizons_say_so(motion):
    with pytest.raises(VgbenchError, match="exactly 8 frames, but 16 were asked for"):
        model(motion).sample(1, frames=16)


@pytest.mark.parametrize("motion", CONTINUOUS)
def test_continuous_motion_renders_between_frames(motion):
    network = model(motion)
    whole, halves = network.sample(2, seed=1, frames=8), network.sample(2, seed=1, frames=15, frame_step=0.5)
    assert np.abs(halves[:, ::2].astype(int) - whole).max() <= 1


@pytest.mark.parametrize("motion", CONTINUOUS)
def test_continuous_motion_has_no_jumps(motion):
    network = model(motion).motion
    noise = torch.randn(1, *network.noise_shape(9))
    times = torch.linspace(0, 8, 8001)[None]
    with torch.no_grad():
        codes = network(noise, times)
    assert codes.diff(dim=1).abs().max() < 0.02 * (codes.max() - codes.min())


def test_noise_with_memory_is_the_recursion_at_unit_variance():
    white = torch.randn(2000, 6, 3, generator=torch.Generator().manual_seed(0))
    memory, expected = 0.9, [white[:, 0]]
    for step in range(1, 6):
        expected.append(memory * expected[-1] + (1 - memory**2) ** 0.5 * white[:, step])
    got = with_memory(white, memory)
    torch.testing.assert_close(got, torch.stack(expected, 1))
    torch.testing.assert_close(got.std((0, 2)), torch.ones(6), atol=0.05, rtol=0)


def test_discrete_motion_refuses_fractional_steps():
    with pytest.raises(VgbenchError, match="no frames between frames"):
        model("gru").sample(1, frame_step=0.5)


def test_codes_of_temporal_deconv_keep_apart_as_their_weights_grow():
    """Large weights drive a tanh into its ends; batch norm on the way there keeps clips apart."""
    network = build_motion(MotionConfig(name="temporal-deconv", noise_dim=16, code_dim=8), 16).train()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.ConvTranspose1d) and layer.out_channels != 8:
                layer.weight.mul_(10)
                layer.bias.add_(10)
        codes = network(torch.randn(64, 1, 16), frame_times(16, 64))
    assert codes.std(0).mean() > 0.2
    assert (codes.abs() > 0.99).float().mean() < 0.1


def test_two_stream_begins_with_its_moving_stream():
    network = model("two-stream", frames=16, size=32, decoder={"skips": True})
    with torch.no_grad():
        network(network.draw(16, 16, torch.Generator().manual_seed(0)), frame_times(16, 16))
    assert 0.8 < network.decoder.terms["mask"].mean() < 0.95


def test_static_stands_still_and_independent_does_not():
    still, jumping = model("static").sample(3), model("independent").sample(3)
    assert (still == still[:, :1]).all()
    assert (jumping[:, 1:] != jumping[:, :-1]).any()


def test_transposed_convolutions_begin_as_linear_interpolation_in_time():
    ramp = torch.arange(6.0)[None, None]
    doubling, keeping = nn.ConvTranspose1d(1, 1, 4, 2, 1, bias=False), nn.ConvTranspose3d(1, 1, 3, 1, 1)
    begin_smooth(doubling)
    factor = doubling.weight[0, 0].sum() / 2
    inside = slice(1, -1)  # zero padding makes the ends fade
    expected = nn.functional.interpolate(ramp, scale_factor=2, mode="linear", align_corners=False)
    torch.testing.assert_close(doubling(ramp)[..., inside], factor * expected[..., inside])
    before = keeping.weight[0, 0, 0].clone()
    begin_smooth(keeping)
    torch.testing.assert_close(keeping.weight[0, 0], torch.stack([before / 4, before / 2, before / 4]))


@pytest.mark.parametrize("motion", [*(name for name in FIXED if name != "none"), "transformer"])
@pytest.mark.parametrize("skips", [False, True])
def test_clips_begin_training_without_flicker(motion, skips):
    """Neighbouring frames are more alike than frames two apart, and those than frames four apart."""
    clips = model(motion, frames=16, size=32, decoder={"skips": skips}).sample(8).astype(float)
    one, two, four = (np.square(clips[:, lag:] - clips[:, :-lag]).mean() for lag in (1, 2, 4))
    assert 1.5 * one < two < four


@pytest.mark.parametrize("motion", [name for name in MOTIONS if name not in ("none", "implicit")])
def test_pictures_of_every_resolution_take_part_where_skips_are_on(motion):
    network = model(motion, decoder={"skips": True})
    pictures = {name: each for name, each in network.named_parameters() if ".pictures." in name}
    latents = network.draw(2, 8, torch.Generator().manual_seed(0))
    network(latents, frame_times(8, 2)).square().sum().backward()
    assert len(pictures) >= 4
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in pictures.values())


def test_fix_keeps_one_latent():
    network = model("gru")
    latents = network.draw_each(range(3), 0, 8, "content")
    assert (latents.content == latents.content[:1]).all()
    assert (latents.motion[0] != latents.motion[1]).any()
    latents = network.draw_each(range(3), 0, 8, "motion")
    assert (latents.motion == latents.motion[:1]).all()
    assert (latents.content[0] != latents.content[1]).any()
    np.testing.assert_array_equal(network.sample(3, fix="motion")[0], network.sample(3)[0])
    with pytest.raises(VgbenchError, match="no motion latent"):
        model("conv3d").sample(1, fix="motion")


def test_a_class_that_is_drawn_is_part_of_the_content():
    network = model("gru", classes=tuple("abcdef"))
    drawn = network.labels(range(8))
    assert len(set(drawn)) > 1
    assert network.labels(range(8), fix="motion") == drawn
    assert network.labels(range(8), fix="content") == drawn[:1] * 8
    assert network.labels(range(3), label=list("cad"), fix="content") == [2, 0, 3], "what is given stays"
    still = model("static", classes=tuple("abcdef"))
    with torch.no_grad():  # without weights for the codes a clip is its content alone
        first = next(layer for layer in still.decoder.modules() if isinstance(layer, nn.Linear))
        first.weight[:, -still.motion.code_dim :] = 0
    assert (still.sample(8) != still.sample(8)[:1]).any()
    assert (still.sample(8, fix="content") == still.sample(1)).all()


def test_a_set_may_be_made_in_parts():
    network = model("gru", classes=("walk", "run"))
    whole = network.sample(9, seed=2)
    np.testing.assert_array_equal(network.sample(4, seed=2, start=5), whole[5:])
    fixed = network.sample(9, seed=2, fix="content")
    np.testing.assert_array_equal(network.sample(4, seed=2, start=5, fix="content"), fixed[5:])
    with pytest.raises(VgbenchError, match="from clip -1"):
        network.sample(1, start=-1)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize(
    "times", [[[0, 3, 7], [1, 2, 6]], [[0, 3, 5, 7, 1, 2, 4, 6], [7, 7, 0, 1, 5, 5, 2, 3]]], ids=["some", "T"]
)
def test_only_chosen_frames_equal_the_whole_clips(motion, times):
    """Also where discriminators choose as many frames in all as a clip has."""
    network, chosen = model(motion).eval(), torch.tensor(times)
    latents = network.draw(2, 8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = network(latents, frame_times(8, 2))
        some = network(latents, chosen.float())
    torch.testing.assert_close(some, gather_frames(whole, chosen), atol=1e-5, rtol=1e-4)


def test_labels_and_first_frames_are_checked():
    plain, labelled = model(), model(classes=("walk", "run"))
    with pytest.raises(VgbenchError, match="without labels"):
        plain.sample(1, label=0)
    with pytest.raises(VgbenchError, match="unknown label 'jump'"):
        labelled.sample(1, label="jump")
    with pytest.raises(VgbenchError, match="2 classes"):
        labelled.sample(1, label=2)
    np.testing.assert_array_equal(labelled.sample(2, label="run"), labelled.sample(2, label=1))
    assert (labelled.sample(1, label=0) != labelled.sample(1, label=1)).any()
    conditional = model(first_frame=True)
    with pytest.raises(VgbenchError, match="none was given"):
        conditional.sample(1)
    with pytest.raises(VgbenchError, match="expected uint8"):
        conditional.sample(1, first_frame=np.zeros((8, 8, 3), np.uint8))
    black, white = (np.full((16, 16, 3), value, np.uint8) for value in (0, 255))
    assert (conditional.sample(1, first_frame=black) != conditional.sample(1, first_frame=white)).any()


def test_saved_generator_loads_in_place(tmp_path):
    network = model("two-stream", classes=("a", "b"))
    save_generator(tmp_path / "generator.safetensors", network, details={"steps": 7})
    again = load(tmp_path)
    assert isinstance(again, Generator)
    assert again.config == network.config
    np.testing.assert_array_equal(again.sample(3, seed=2), network.sample(3, seed=2))
    assert read_metadata(tmp_path / "generator.safetensors")[1] == {"steps": 7}


def test_files_that_are_no_generators_say_so(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, words in [
        ("text.safetensors", "cannot be read"),
        ("other.safetensors", "not a generator"),
        ("none.safetensors", "does not exist"),
    ]:
        with pytest.raises(VgbenchError, match=words):
            load(tmp_path / name)
    with pytest.raises(VgbenchError, match="contains no best generator"):
        load(tmp_path)


def _generator_file(path, config, metadata):
    from safetensors.torch import save_file

    about = {"format": "vgbench-generator", "schema": "1", "config": json.dumps(config)} | metadata
    save_file({"x": torch.zeros(1)}, path, about)
    return path


@pytest.mark.parametrize(
    ("config", "metadata", "words"),
    [
        ({}, {"schema": "abc"}, "damaged"),
        ({}, {"schema": "2"}, "newer"),
        ([1], {}, "not a mapping"),
        ({}, {"facts": "[1]"}, "not a mapping"),
        ({}, {"config": "[" * 100_000}, "damaged"),
        ({"generator": {"channels": 10**6}}, {}, "do not fit"),
        ({"generator": {"content_dim": 10**12}}, {}, "do not fit"),
        ({"generator": {"content_dim": 10**18}}, {}, "describes no network"),
        ({"generator": {"content_dim": 10**30}}, {}, "describes no network"),
        ({"generator": {"motion": {"name": "transformer", "layers": 10**9}}}, {}, "too few"),
    ],
)
def test_what_a_damaged_generator_lacks_is_named_before_memory_is_reserved(tmp_path, config, metadata, words):
    path = _generator_file(tmp_path / "a.safetensors", config, metadata)
    with pytest.raises(VgbenchError, match=rf"a\.safetensors.*{words}"):
        load(path)


def test_weights_that_are_missing_or_not_finite_are_named(tmp_path):
    network = build({"size": 16, "frames": 4})
    weights = network.state_dict()
    name = next(iter(weights))
    save_generator(tmp_path / "a.safetensors", network, {k: v for k, v in weights.items() if k != name})
    with pytest.raises(VgbenchError, match=rf"do not fit.*{name} has shape none, but"):
        load(tmp_path / "a.safetensors")
    save_generator(tmp_path / "a.safetensors", network, {**weights, name: weights[name] * torch.nan})
    with pytest.raises(VgbenchError, match=f"{name} is not finite"):
        load(tmp_path / "a.safetensors")


def test_fresh_weights_depend_on_the_seed_and_leave_the_global_rng_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    a, b = build({"size": 16, "frames": 4}, seed=1), build({"size": 16, "frames": 4}, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    c = build({"size": 16, "frames": 4}, seed=2)
    assert not torch.equal(next(a.parameters()), next(c.parameters()))


def test_pixels_survive_the_way_through_the_network_range():
    clips = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16, 1).repeat(3, -1)
    assert from_uint8(clips).min() == -1
    assert from_uint8(clips).max() == 1
    np.testing.assert_array_equal(to_uint8(from_uint8(clips)), clips)


def test_shift_moves_a_third_each_way():
    video = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(1, 4, 3, 1, 1) + 1
    moved = unfold(shifted(fold(video), 1), 1)[0, :, :, 0, 0]
    assert moved[:, 0].tolist() == [0, 1, 2, 3]
    assert moved[:, 1].tolist() == [2, 3, 4, 0]
    assert moved[:, 2].tolist() == [1, 2, 3, 4]


def test_identity_grid_changes_nothing():
    frames = torch.randn(2, 3, 8, 8)
    grid = identity_grid(frames).expand(2, -1, -1, -1)
    same = torch.nn.functional.grid_sample(frames, grid, align_corners=False, padding_mode="border")
    torch.testing.assert_close(same, frames)


def test_optical_flow_finds_a_shift():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    frames = [torch.sin(0.4 * (x - 0.5 * t)) + torch.sin(0.3 * (y + 0.25 * t)) for t in range(3)]
    video = torch.stack(frames)[None, None].expand(1, 3, -1, -1, -1)
    flow = optical_flow(video, damping=1e-6)[0, :, :, 4:-4, 4:-4].mean((1, 2, 3))
    torch.testing.assert_close(flow, torch.tensor([0.5, -0.25]), atol=0.03, rtol=0)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_scores_of_a_clip_do_not_depend_on_its_batch(name):
    chosen_config = DiscriminatorConfig(name=name, channels=4, **NEEDED.get(name, {}))
    discriminator = build_discriminator(chosen_config, 16, 8, labels=2).eval()
    chosen = discriminator.choose_times(3, 8, torch.Generator().manual_seed(0))
    times = frame_times(8, 3) if chosen is None else chosen.float()
    video, label = torch.randn(3, 3, times.shape[1], 16, 16), torch.tensor([0, 1, 1])
    together = discriminator(video, times, label)
    alone = torch.cat([discriminator(video[i : i + 1], times[i : i + 1], label[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert (discriminator(video, times, 1 - label) != together).all()


def test_spectral_norm_bounds_every_layer_of_a_decoder():
    network = model("gru", decoder={"spectral": True, "norm": "none"})
    latents = network.draw(4, 8, torch.Generator().manual_seed(0))
    for _ in range(30):  # each step of training refines the estimate of the largest singular value
        network(latents, frame_times(8, 4))
    weights = {name: one for name, one in network.decoder.named_modules() if hasattr(one, "parametrizations")}
    assert len(weights) == 3
    for layer in weights.values():
        outputs_first = layer.weight.transpose(0, 1) if layer.weight.dim() == 4 else layer.weight
        largest = torch.linalg.svdvals(outputs_first.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1, abs=0.02)
    assert model("gru", decoder={"spectral": False}).decoder.stack.enter.weight.norm() > 1.5


def test_spectral_norm_of_equalised_weights_is_refused():
    with pytest.raises(ConfigError, match="spectral = true: the weights of 'style' have an equalised"):
        model("gru", decoder={"name": "style", "spectral": True})


def test_spectral_norm_bounds_every_layer():
    discriminator = build_discriminator(DiscriminatorConfig(name="video3d", channels=4), 16, 8)
    for layer in discriminator.modules():
        if isinstance(layer, torch.nn.Conv3d):
            assert torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item() == pytest.approx(
                1, abs=0.05
            )


def test_costs_are_counted():
    """A 4-4-stride-2 transposed convolution costs in·out·16 per input position."""
    network = build(
        {
            "size": 16,
            "frames": 8,
            "generator": {"content_dim": 6, "channels": 4, "motion": {"name": "static", "noise_dim": 2}},
        }
    )
    enter, first, last = (6 + 2) * 8 * 16, 8 * 4 * 16 * 16, 4 * 3 * 16 * 64
    cost = generator_cost(network)
    assert generator_cost(network.to("meta")) == cost, "also where the weights lie elsewhere"
    assert cost.macs == 8 * (enter + first + last)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    discriminator = build_discriminator(DiscriminatorConfig(name="image", channels=4, norm="none"), 16, 8)
    assert discriminator_cost(discriminator, 16, 8).macs == 3 * 4 * 16 * 64 + 4 * 8 * 16 * 16 + 8 * 16


def test_discriminator_with_stride_one_in_time_is_mocogans():
    """16 frames become 13, 10, 7 and 4, and one score."""
    config = DiscriminatorConfig(name="video3d", channels=4, norm="batch", options={"time_stride": 1})
    discriminator = build_discriminator(config, 64, 16)
    video = torch.zeros(2, 3, 16, 64, 64)
    maps = discriminator.trunk(video, frame_times(16, 2))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (4, 13, 32, 32),
        (8, 10, 16, 16),
        (16, 7, 8, 8),
        (32, 4, 4, 4),
    ]
    assert discriminator(video, frame_times(16, 2)).shape == (2, 1)


def test_image_discriminator_of_patches_is_mocogans():
    """Three layers down to 8×8 and 4×4 scores of a frame; 0.66 M parameters, norms and biases aside."""
    config = DiscriminatorConfig(name="image", channels=64, norm="batch", frames=2, options={"patches": True})
    discriminator, times = build_discriminator(config, 64, 16), torch.tensor([[3.0, 8.0]])
    video = torch.randn(1, 3, 2, 64, 64)
    maps = discriminator.trunk(video, times)
    assert [tuple(one.shape[1:]) for one in maps] == [(2, 64, 32, 32), (2, 128, 16, 16), (2, 256, 8, 8)]
    assert discriminator(video, times).shape == (1, 2 * 16)
    weights = sum(weight.numel() for weight in discriminator.parameters() if weight.dim() > 1)
    assert weights == 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256) == pytest.approx(0.66e6, rel=0.01)


def test_patches_of_a_frame_are_scored_apart_and_frames_summed_where_they_are():
    options = {"channels": 4, "norm": "none", "options": {"patches": True}}
    discriminators = {}
    for name in ("image", "spatial"):
        config = DiscriminatorConfig(name=name, frames=3, **options)
        discriminators[name] = build_discriminator(config, 32, 8).eval()
    discriminators["spatial"].load_state_dict(discriminators["image"].state_dict())
    video, times = torch.randn(2, 3, 3, 32, 32), frame_times(3, 2)
    per_frame_scores = discriminators["image"](video, times).unflatten(1, (3, 16))
    video[:, :, 1, :8, :8] = 0  # only the receptive fields of patches near this corner reach there
    moved = discriminators["image"](video, times).unflatten(1, (3, 16)) != per_frame_scores
    assert not moved[:, [0, 2]].any()
    assert moved[:, 1, 0].all()
    assert not moved[:, 1, 15].any()
    summed = discriminators["image"](video, times).unflatten(1, (3, 16)).sum(1)
    torch.testing.assert_close(discriminators["spatial"](video, times), summed)


def test_label_and_first_frame_go_together():
    network = model(first_frame=True, classes=("walk", "run"))
    black, white = (np.full((16, 16, 3), value, np.uint8) for value in (0, 255))
    clips = network.sample(2, label="run", first_frame=black)
    assert (clips != network.sample(2, label="walk", first_frame=black)).any()
    assert (clips != network.sample(2, label="run", first_frame=white)).any()
