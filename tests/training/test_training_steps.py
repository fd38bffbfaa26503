"""One training step of every combination, and what a step must and must not change."""

import copy
import dataclasses
import math
from itertools import product

import pytest
import torch
from tiny import FRAMES, SIZE, config, discriminator, generator, moving_squares

from vgbench.distributed import World
from vgbench.errors import ConfigError
from vgbench.reference_models.config import LossConfig
from vgbench.reference_models.embeddings import EMBEDDINGS
from vgbench.reference_models.layers import frame_times
from vgbench.reference_models.parts import DISCRIMINATORS, LOSSES, MOTIONS
from vgbench.training.data import Windows
from vgbench.training.inputs import choose_rendering, draw, micro_batches, seeded_layers
from vgbench.training.networks import build_networks
from vgbench.training.phases import (
    StepLog,
    discriminator_phase,
    frozen_statistics,
    generator_phase,
    penalties,
)
from vgbench.training.trainer import training_step

ALONE = World()


def windows(one, source=None):
    source = source or moving_squares(labels=one.labels)
    return Windows(source, one.size, one.frames, one.stride, one.seed, one.flip, one.classes)


def step(one, times=1):
    networks = build_networks(one)
    source = windows(one)
    try:
        for number in range(times):
            measured = training_step(one, networks, ALONE, source, number)
    finally:
        source.close()
    return networks, measured


def changed(before, after):
    return [name for name, old in before.items() if not torch.equal(old, after[name])]


def assert_trains(one):
    networks = build_networks(one)
    before = copy.deepcopy(
        [networks.generator.state_dict(), *(d.state_dict() for d in networks.discriminators)]
    )
    source = windows(one)
    measured = training_step(one, networks, ALONE, source, 0)
    source.close()
    assert all(math.isfinite(value) for value in measured.values()), measured
    for old, network in zip(before, [networks.generator, *networks.discriminators], strict=True):
        assert changed(old, network.state_dict())
        assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    return measured


def wasserstein(loss, name):
    """Settings that make every loss legal."""
    return {"loss": {"name": loss}, "discriminators": [discriminator(name)]}


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_motion_trains_against_every_discriminator_under_every_loss(motion, name):
    """The whole product: networks are built once, then every loss makes its step with them."""
    first = config(batch=2, generator=generator(motion), **wasserstein("hinge", name))
    networks, source = build_networks(first), windows(first)
    trained = [networks.generator, *networks.discriminators]
    for loss in LOSSES:
        one = first.model_copy(update={"loss": LossConfig(name=loss)})
        before = copy.deepcopy([network.state_dict() for network in trained])
        measured = training_step(one, networks, ALONE, source, 0)
        assert all(math.isfinite(value) for value in measured.values()), (loss, measured)
        players = ("generator", *["discriminator"] * (len(trained) - 1))
        for player, old, network in zip(players, before, trained, strict=True):
            beyond_margin = loss.endswith("hinge") and measured[f"{player}_gradient"] == 0
            assert changed(old, network.state_dict()) or beyond_margin, loss
            assert all(torch.isfinite(value).all() for value in network.state_dict().values()), loss
    source.close()


@pytest.mark.parametrize("norm", ["none", "batch", "batch-scale", "layer", "group", "spectral"])
def test_every_norm_trains(norm):
    assert_trains(config(discriminators=[{"name": "video3d", "channels": 4, "norm": norm}]))


@pytest.mark.parametrize("source", ["embedding", "frame-difference", "optical-flow"])
def test_every_kind_of_motion_estimate_trains_under_a_gradient_penalty(source):
    discriminator = {"name": "embedding-motion", "channels": 4, "norm": "none", "motion_from": source}
    measured = assert_trains(
        config(
            loss={"name": "wgan"},
            regularisers=[{"name": "gradient-penalty"}],
            discriminators=[discriminator],
        )
    )
    assert measured["gradient-penalty"] > 0


def test_style_residual_blocks_and_deviation_train():
    """The parts of StyleGAN2, with its loss and penalty."""
    discriminators = [
        {"name": name, "channels": 4, "norm": "equalised", "blocks": "residual", "deviation": True}
        for name in ("image", "video3d", "time-conditioned")
    ]
    assert_trains(
        config(
            generator=generator("fourier", decoder={"name": "style"}),
            loss={"name": "non-saturating"},
            regularisers=[{"name": "r1"}, {"name": "r2"}],
            discriminators=discriminators,
        )
    )


def test_every_embedding_trains_under_a_gradient_penalty():
    for embedding in EMBEDDINGS:
        options = {"embedding": embedding}
        discriminator = {"name": "embedding-motion", "channels": 4, "norm": "none", "options": options}
        assert_trains(config(regularisers=[{"name": "r1"}], discriminators=[discriminator]))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("r1", {}),
        ("r2", {}),
        ("weight-clipping", {}),
        ("singular-value-clipping", {}),
        ("temporal-smoothness", {}),
        ("periodicity", {}),
        ("code-periodicity", {}),
        ("feature-matching", {}),
        ("mode-seeking", {}),
        ("categorical-information", {"generator": generator(categories=3)}),
        ("first-frame", {"generator": generator(first_frame=True)}),
        ("mask-sparsity", {"generator": generator("two-stream")}),
        ("flow-smoothness", {"generator": generator("flow-warp")}),
    ],
)
def test_every_regulariser_trains(name, changes):
    discriminators = [
        {"name": "video3d", "channels": 4, "norm": "none"},
        {"name": "image", "channels": 4, "norm": "none"},
    ]
    assert_trains(config(regularisers=[{"name": name}], discriminators=discriminators, **changes))


@pytest.mark.parametrize("motion", ["gru", "lstm", "transformer", "fourier", "implicit", "flow-warp"])
def test_codes_beyond_the_training_window_are_regularised(motion):
    looped = [{"name": "code-periodicity", "options": {"mode": "target", "period": 7, "length": 6 * FRAMES}}]
    assert assert_trains(config(regularisers=looped, generator=generator(motion)))["code-periodicity"] > 0


def test_longer_noise_changes_no_frame_of_training():
    """Clips are rendered at the training length, and the noise of a longer clip begins as a shorter one's."""
    short = config(generator=generator("gru"))
    long = config(
        generator=generator("gru"), regularisers=[{"name": "code-periodicity", "options": {"length": 64}}]
    )
    networks = build_networks(short)
    times = torch.arange(float(FRAMES)).expand(short.batch, -1)
    latents = draw(long, networks, 0, 0).latents
    assert latents.motion.shape[1] == 65
    cut = dataclasses.replace(latents, motion=latents.motion[:, : FRAMES + 1])
    networks.generator.eval()
    torch.testing.assert_close(networks.generator(latents, times), networks.generator(cut, times))


def test_labels_train_every_discriminator():
    discriminators = [discriminator(name) for name in DISCRIMINATORS]
    assert_trains(config(labels=True, classes=["a", "b"], discriminators=discriminators))


@pytest.mark.parametrize("changes", [{"precision": "bf16"}, {"augment": ["colour", "translation", "cutout"]}])
def test_options_of_a_step_train(changes):
    assert_trains(config(**changes))


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_trains_in_bfloat16(motion):
    assert_trains(config(precision="bf16", generator=generator(motion), **wasserstein("hinge", "image")))


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_discriminator_trains_in_bfloat16(name):
    assert_trains(config(precision="bf16", **wasserstein("hinge", name)))


def test_what_layers_draw_depends_on_the_step_only():
    """Not on PyTorch's random state, which is afterwards what it was before."""
    one = config(discriminators=[{"name": "video3d", "channels": 4, "norm": "none", "noise": 0.5}])
    measured = []
    for seed, number in ((0, 3), (1, 3), (0, 4)):
        networks, source = build_networks(one), windows(one)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        measured.append(training_step(one, networks, ALONE, source, number))
        assert torch.equal(torch.get_rng_state(), before)
        source.close()
    assert measured[0] == measured[1]
    assert measured[0] != measured[2]


def test_every_phase_and_process_draws_other_numbers_in_layers():
    drawn = set()
    for seed, step, phase, rank in product((0, 1), repeat=4):
        with seeded_layers(config(seed=seed), World(rank, 2), step, phase, torch.device("cpu")):
            drawn.add(torch.rand(()).item())
    assert len(drawn) == 16


def test_generator_phase_leaves_no_gradient_in_discriminators():
    one = config(discriminators=[{"name": "video3d", "channels": 4, "norm": "batch"}])
    networks, source = build_networks(one), windows(one)
    batch = source.batch(range(4))
    generator_phase(one, networks, ALONE, 0, batch, draw(one, networks, 0, 0))
    source.close()
    assert all(p.grad is None for d in networks.discriminators for p in d.parameters())
    assert all(p.requires_grad for d in networks.discriminators for p in d.parameters())


def test_frozen_parts_of_a_discriminator_stay_frozen():
    """A pretrained extractor inside a discriminator of one's own, say."""
    plain = {"name": "video3d", "channels": 4, "norm": "none"}
    one = config(discriminators=[plain], loss={"name": "non-saturating"})
    networks, source = build_networks(one), windows(one)
    (discriminator,) = networks.discriminators
    discriminator.layers.layers[0].requires_grad_(False)
    before = copy.deepcopy(discriminator.state_dict())
    for number in range(2):
        training_step(one, networks, ALONE, source, number)
    source.close()
    unchanged = set(before) - set(changed(before, discriminator.state_dict()))
    assert unchanged == {name for name in before if name.startswith("layers.layers.0.")} != set()


def test_the_moving_average_follows_by_the_clips_that_were_seen():
    """The half-life is as long as what was seen, at most 8 clips: 4 at the first step, then 8 for good."""
    one = config(ema={"half_life_clips": 8, "ramp_up": 1.0}, generator=generator(decoder={"norm": "none"}))
    networks, source = build_networks(one), windows(one)
    with torch.no_grad():
        for weight in networks.average.parameters():
            weight.add_(1)
    for number, keep in enumerate([0.5, math.sqrt(0.5), math.sqrt(0.5)]):
        before = [weight.clone() for weight in networks.average.parameters()]
        training_step(one, networks, ALONE, source, number)
        for old, new, target in zip(
            before, networks.average.parameters(), networks.generator.parameters(), strict=True
        ):
            torch.testing.assert_close(new, keep * old + (1 - keep) * target.detach())
    source.close()


def test_discriminator_phase_leaves_the_generator_alone():
    one = config()
    networks, source = build_networks(one), windows(one)
    before = {
        name: tensor.clone()
        for name, tensor in networks.generator.state_dict().items()
        if "num_batches" not in name
    }
    discriminator_phase(one, networks, ALONE, 0, source.batch(range(4)), draw(one, networks, 0, 0))
    source.close()
    assert not changed(before, networks.generator.state_dict())
    assert all(p.grad is None for p in networks.generator.parameters())


def test_frozen_statistics_come_back():
    norm = torch.nn.BatchNorm2d(3)
    with frozen_statistics(norm):
        norm(torch.randn(4, 3, 2, 2) + 5)
    assert norm.running_mean.abs().max() == 0
    norm(torch.randn(4, 3, 2, 2) + 5)
    assert norm.running_mean.min() > 0.3


def test_weights_are_inside_the_bound_after_a_step():
    one = config(
        loss={"name": "wgan"},
        discriminators=[{"name": "video3d", "channels": 4, "norm": "none"}],
        regularisers=[{"name": "weight-clipping", "weight": 0.02}],
        optimiser={"kind": "rmsprop", "discriminator_lr": 0.05},
    )
    networks, _ = step(one, times=2)
    assert max(p.abs().max().item() for p in networks.discriminators[0].parameters()) <= 0.02


def test_lazy_regularisation_multiplies_by_its_interval():
    def value(interval, number):
        one = config(
            discriminators=[{"name": "video3d", "channels": 4, "norm": "none"}],
            regularisers=[{"name": "r1", "weight": 2.0, "interval": interval}],
        )
        networks, source = build_networks(one), windows(one)
        batch, draws = source.batch(range(4)), draw(one, networks, 0, 0)
        source.close()
        (part,) = micro_batches(one, ALONE, torch.device("cpu"), batch, draws)
        rendering = choose_rendering(one, networks, draws, whole_clips=False, device=torch.device("cpu"))
        (view,) = rendering.views(part.real, part.labels)
        (discriminator,) = networks.discriminators
        return float(penalties(one, number, discriminator, view, view, draws.mixing, StepLog()).detach())

    assert value(4, 0) == pytest.approx(4 * value(1, 0), rel=1e-6)
    assert value(4, 1) == 0
    assert value(4, 8) == value(4, 0)


def test_generators_gradient_is_that_of_its_weighted_losses():
    """Hinge asks G to raise its scores: −Σ weight·E D(G(z)), and a lazy term counts weight × interval."""
    one = config(
        discriminators=[
            {"name": "video3d", "channels": 4, "norm": "none", "weight": 3.0},
            {"name": "image", "channels": 4, "norm": "none", "weight": 0.5},
        ],
        regularisers=[{"name": "temporal-smoothness", "weight": 2.0, "interval": 4, "options": {"order": 1}}],
    )
    networks, source = build_networks(one), windows(one)
    batch, draws = source.batch(range(4)), draw(one, networks, 0, 1)
    source.close()
    generator_phase(one, networks, ALONE, 0, batch, draws)
    found = [parameter.grad for parameter in networks.generator_parameters()]

    networks, every = build_networks(one), frame_times(FRAMES, 4)
    whole, image = networks.discriminators
    fake = networks.generator(draws.latents, every)
    looked_at = fake[torch.arange(4), :, draws.times[1][:, 0]][:, :, None]
    scores = 3 * whole(fake, every).mean() + 0.5 * image(looked_at, draws.times[1].float()).mean()
    loss = -scores + 2 * 4 * (fake[:, :, 1:] - fake[:, :, :-1]).square().mean()
    expected = torch.autograd.grad(loss, networks.generator_parameters())
    for ours, by_hand in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, by_hand, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("size", [2, 3])
def test_gradient_accumulation_changes_nothing_but_memory(size):
    """Without batch norm, micro-batches of two and two, or of three and one, are one batch of four.

    Several processes have uneven ones where their share is not a multiple of `micro_batch`.
    """
    changes = {
        "generator": generator(decoder={"norm": "none"}),
        "discriminators": [
            {"name": "video3d", "channels": 4, "norm": "none"},
            {"name": "image", "channels": 4, "norm": "none"},
        ],
        "regularisers": [{"name": "r1"}],
        "loss": {"name": "non-saturating"},
        "optimiser": {"kind": "adam", "generator_lr": 1e-3, "betas": [0.5, 0.9]},
    }
    whole, _ = step(config(**changes), times=3)
    parts, _ = step(config(**changes).model_copy(update={"micro_batch": size}), times=3)
    for a, b in zip(whole.generator.parameters(), parts.generator.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_only_frames_that_are_looked_at_are_rendered():
    one = config(
        generator=generator("fourier"),
        discriminators=[{"name": "time-conditioned", "channels": 4, "frames": 3}],
    )
    networks, source = build_networks(one), windows(one)
    seen = []
    networks.generator.decoder.register_forward_hook(lambda _, inputs, output: seen.append(output.shape))
    training_step(one, networks, ALONE, source, 0)
    source.close()
    assert {tuple(shape) for shape in seen} == {(4, 3, 3, SIZE, SIZE)}


def test_each_step_draws_anew_and_the_same_again():
    one = config(discriminators=[{"name": "image", "channels": 4}])
    networks = build_networks(one)
    first, again, other = draw(one, networks, 3, 0), draw(one, networks, 3, 0), draw(one, networks, 4, 0)
    assert torch.equal(first.latents.content, again.latents.content)
    assert torch.equal(first.times[0], again.times[0])
    assert not torch.equal(first.latents.content, other.latents.content)
    assert first.times[0].min() >= 0
    assert first.times[0].max() < FRAMES


def test_layout_of_weights_changes_rounding_only():
    def gradients(channels_last):
        discriminators = [
            {"name": "video3d", "channels": 4, "norm": "none"},
            {"name": "image", "channels": 4},
        ]
        networks, _ = step(config(discriminators=discriminators, channels_last=channels_last))
        return networks.discriminator_parameters(), [one.grad for one in networks.discriminator_parameters()]

    weights, laid_out = gradients(True)
    assert any(one.dim() == 5 and not one.is_contiguous() for one in weights)
    for ours, plain in zip(laid_out, gradients(False)[1], strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the compiler warns of its own doings
def test_compiled_networks_have_the_same_gradients():
    def gradients(compiled):
        networks, _ = step(config(compile=compiled))
        return [one.grad for one in networks.discriminator_parameters()]

    for ours, plain in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-6)


def test_compiling_without_a_compiler_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match="compile: true needs a C\\+\\+ compiler, and no-such-compiler"):
        build_networks(config(compile=True))


def test_gradients_are_limited_network_by_network():
    limited = config(
        discriminators=[{"name": "video3d", "channels": 4}, {"name": "image", "channels": 4}],
        optimiser={"gradient_clip": 1e-3},
    )
    networks, source = build_networks(limited), windows(limited)
    measured = training_step(limited, networks, ALONE, source, 0)
    source.close()
    norms = [
        torch.stack([p.grad.norm() for p in one.parameters() if p.grad is not None]).norm().item()
        for one in (*networks.discriminators, networks.generator)
    ]
    assert norms == pytest.approx([1e-3] * 3, rel=1e-3)
    assert measured["discriminator_gradient"] > 1e-2, "as it was before"


@pytest.mark.parametrize("name", ["weight-clipping", "singular-value-clipping"])
def test_constraints_leave_frozen_parts_alone(name):
    one = config(
        loss={"name": "wgan"},
        discriminators=[{"name": "video3d", "channels": 4, "norm": "none"}],
        regularisers=[{"name": name, "weight": 0.01}],
    )
    networks, source = build_networks(one), windows(one)
    (discriminator,) = networks.discriminators
    (frozen, *_) = discriminator.layers.layers[0].requires_grad_(False)
    before = frozen.weight.clone()
    training_step(one, networks, ALONE, source, 0)
    source.close()
    assert torch.equal(frozen.weight, before)
    assert before.abs().max() > 0.01
    free = [weight for weight in discriminator.parameters() if weight.requires_grad and weight.dim() > 1]
    largest = [weight.abs().max() if name == "weight-clipping" else singular(weight) for weight in free]
    assert max(largest) <= 0.01 + 1e-6


def singular(weight):
    return torch.linalg.svdvals(weight.detach().flatten(1)).max()


@pytest.mark.parametrize(
    ("regulariser", "rendered"),
    [("code-periodicity", 2), ("feature-matching", 2), ("periodicity", FRAMES), ("mode-seeking", FRAMES)],
)
def test_only_terms_that_look_at_whole_clips_have_them_rendered(monkeypatch, regulariser, rendered):
    one = config(
        generator=generator("fourier"),
        discriminators=[{"name": "time-conditioned", "channels": 4, "frames": 2, "norm": "none"}],
        regularisers=[{"name": regulariser}],
    )
    networks, source = build_networks(one), windows(one)
    forward, seen = networks.generator.forward, []
    monkeypatch.setattr(
        networks.generator,
        "forward",
        lambda latents, times: seen.append(times.shape[1]) or forward(latents, times),
    )
    measured = training_step(one, networks, ALONE, source, 0)
    source.close()
    assert seen == [2, rendered], "for the discriminator, then for the generator"
    assert math.isfinite(measured[regulariser])
