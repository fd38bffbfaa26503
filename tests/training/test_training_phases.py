"""What the two halves of a step compute, against autograd on formulas written out by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import FRAMES, SIZE, config, generator, moving_squares

from vgbench.distributed import World
from vgbench.errors import ConfigError
from vgbench.reference_models import losses
from vgbench.reference_models.discriminators import View
from vgbench.reference_models.generator import from_uint8
from vgbench.reference_models.layers import AnyConvolution, frame_times
from vgbench.reference_models.losses import Loss
from vgbench.reference_models.periodicity import autocorrelation, frame_features
from vgbench.training import phases, trainer
from vgbench.training.data import Batch, Windows, positions
from vgbench.training.inputs import MicroBatch, Rendering, choose_rendering, draw, micro_batches
from vgbench.training.networks import build_networks
from vgbench.training.phases import (
    StepLog,
    constrain,
    discriminator_phase,
    frozen,
    frozen_statistics,
    generator_phase,
    limit_gradients,
    mixed_precision,
    motion_energy,
    remember_autocorrelation,
    scores_of,
    views_of,
)

ALONE = World()
CPU = torch.device("cpu")
WHOLE_AND_FRAME = [
    {"name": "video3d", "channels": 4, "norm": "none", "weight": 3.0},
    {"name": "image", "channels": 4, "norm": "none", "weight": 0.5},
]


def real_batch(one, seed=0):
    random = np.random.default_rng(seed)
    clips = random.integers(0, 256, (one.batch, FRAMES, SIZE, SIZE, 3), np.uint8)
    labels = random.integers(0, max(1, len(one.classes)), one.batch)
    return Batch(clips, labels)


def at(video, times):
    """The frames of each clip at its own times."""
    return torch.stack([clip[:, own] for clip, own in zip(video, times, strict=True)])


def assert_gradients(parameters, loss):
    """Gradients left by a phase are those of the loss, written out for the twins of its networks."""
    found, twins = parameters
    expected = torch.autograd.grad(loss, twins)
    for ours, by_hand in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.grad, by_hand, atol=1e-6, rtol=1e-3)


def test_discriminators_gradient_is_that_of_their_losses_and_weighted_penalties():
    """Each discriminator minimises its own loss, whatever it weighs with the generator."""
    one = config(
        labels=True,
        classes=["a", "b"],
        discriminators=WHOLE_AND_FRAME,
        loss={"name": "non-saturating"},
        regularisers=[
            {"name": "r2", "weight": 100.0, "interval": 2},
            {"name": "temporal-smoothness"},
            {"name": "r1", "weight": 2.0, "interval": 3},
            {"name": "gradient-penalty", "weight": 5.0, "options": {"center": 0.5}},
        ],
    )
    networks, twins = build_networks(one), build_networks(one)
    batch, draws = real_batch(one), draw(one, networks, 3, 0)
    measured = discriminator_phase(one, networks, ALONE, 3, batch, draws)

    labels = torch.from_numpy(batch.labels)
    every = frame_times(FRAMES, 4)
    real = from_uint8(batch.clips)
    with torch.no_grad():
        fake = twins.generator(dataclasses.replace(draws.latents, label=labels), every)
    chosen = draws.times[1]
    views = [(real, fake, every), (at(real, chosen), at(fake, chosen), chosen.float())]
    losses, totals = [], []
    for discriminator, (x, made, times) in zip(twins.discriminators, views, strict=True):
        losses.append(
            F.softplus(-discriminator(x, times, labels)).mean()
            + F.softplus(discriminator(made, times, labels)).mean()
        )
        x = x.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(discriminator(x, times, labels).sum(), x, create_graph=True)
        alpha = draws.mixing.view(-1, 1, 1, 1, 1)
        mixed = (alpha * x + (1 - alpha) * made).detach().requires_grad_(True)
        (between,) = torch.autograd.grad(discriminator(mixed, times, labels).sum(), mixed, create_graph=True)
        r1 = 0.5 * slope.square().flatten(1).sum(1).mean()
        gradient_penalty = (between.flatten(1).norm(dim=1) - 0.5).square().mean()
        totals.append(losses[-1] + 2 * 3 * r1 + 5 * gradient_penalty)
    assert_gradients((networks.discriminator_parameters(), twins.discriminator_parameters()), sum(totals))
    assert measured["discriminator_loss"] == pytest.approx(sum(losses).item() / 2, rel=1e-5)
    assert "r2" not in measured, "due at every second step"
    assert "temporal-smoothness" not in measured, "the generator's"
    gradients = torch.cat([parameter.grad.flatten() for parameter in networks.discriminator_parameters()])
    assert measured["discriminator_gradient"] == pytest.approx(gradients.norm().item(), rel=1e-5)


def test_class_heads_learn_from_real_and_from_generated_clips():
    one = config(
        labels=True,
        classes=["a", "b"],
        discriminators=WHOLE_AND_FRAME[:1],
        regularisers=[{"name": "categorical-information", "weight": 3.0}],
    )
    networks, twins = build_networks(one), build_networks(one)
    batch, draws = real_batch(one), draw(one, networks, 0, 0)
    measured = discriminator_phase(one, networks, ALONE, 0, batch, draws)
    labels, every = torch.from_numpy(batch.labels), frame_times(FRAMES, 4)
    with torch.no_grad():
        fake = twins.generator(dataclasses.replace(draws.latents, label=labels), every)
    (discriminator,) = twins.discriminators
    entropy = sum(
        F.cross_entropy(discriminator.class_logits(clips, every), labels)
        for clips in (from_uint8(batch.clips), fake)
    )
    expected = torch.autograd.grad(3 * entropy, discriminator.classifier.parameters())
    for parameter, gradient in zip(networks.discriminators[0].classifier.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert measured["categorical-information"] == pytest.approx(entropy.item(), rel=1e-5)


def test_class_heads_learn_categories_from_generated_clips_alone():
    """Nobody knows the category of a real clip."""
    one = config(
        generator=generator(categories=3),
        discriminators=WHOLE_AND_FRAME[:1],
        regularisers=[{"name": "categorical-information"}],
    )
    networks, twins = build_networks(one), build_networks(one)
    draws, every = draw(one, networks, 0, 0), frame_times(FRAMES, 4)
    measured = discriminator_phase(one, networks, ALONE, 0, real_batch(one), draws)
    with torch.no_grad():
        logits = twins.discriminators[0].class_logits(twins.generator(draws.latents, every), every)
    expected = F.cross_entropy(logits, draws.latents.label).item()
    assert measured["categorical-information"] == pytest.approx(expected, rel=1e-5)


def test_generators_gradient_is_that_of_a_relativistic_loss_and_of_the_terms_that_are_due():
    one = config(
        labels=True,
        classes=["a", "b"],
        discriminators=WHOLE_AND_FRAME,
        loss={"name": "ralsgan"},
        regularisers=[
            {"name": "mode-seeking", "interval": 2},
            {"name": "temporal-smoothness", "weight": 2.0, "interval": 3},
        ],
    )
    networks, twins = build_networks(one), build_networks(one)
    batch, draws = real_batch(one), draw(one, networks, 3, 1)
    measured = generator_phase(one, networks, ALONE, 3, batch, draws)
    labels, every, chosen = torch.from_numpy(batch.labels), frame_times(FRAMES, 4), draws.times[1]
    real = from_uint8(batch.clips)
    fake = twins.generator(dataclasses.replace(draws.latents, label=labels), every)
    whole, frame = twins.discriminators

    def loss(real_scores, fake_scores):
        above = real_scores - fake_scores.mean() + 1
        below = fake_scores - real_scores.mean() - 1
        return (above.square().mean() + below.square().mean()) / 2

    losses = [
        loss(whole(real, every, labels), whole(fake, every, labels)),
        loss(
            frame(at(real, chosen), chosen.float(), labels), frame(at(fake, chosen), chosen.float(), labels)
        ),
    ]
    change = fake[:, :, 2:] - 2 * fake[:, :, 1:-1] + fake[:, :, :-2]
    total = 3 * losses[0] + 0.5 * losses[1] + 2 * 3 * change.square().mean()
    assert_gradients((networks.generator_parameters(), twins.generator_parameters()), total)
    assert measured["generator_loss"] == pytest.approx(sum(losses).item() / 2, rel=1e-5)
    assert "mode-seeking" not in measured, "due at every second step"
    gradients = torch.cat([parameter.grad.flatten() for parameter in networks.generator_parameters()])
    assert measured["generator_gradient"] == pytest.approx(gradients.norm().item(), rel=1e-5)
    moved = [clips[:, :, 1:] - clips[:, :, :-1] for clips in (fake, real)]
    ratio = moved[0].abs().mean() / moved[1].abs().mean()
    assert measured["motion_ratio"] == pytest.approx(ratio.item(), rel=1e-4)


def test_frames_are_rendered_for_each_discriminator_and_compared_with_the_same_real_ones():
    """Two discriminators that look at some frames only: one and three of them, at times of their own."""
    one = config(
        generator=generator("fourier", decoder={"norm": "none"}),
        discriminators=[
            {"name": "image", "channels": 4, "norm": "none"},
            {"name": "time-conditioned", "channels": 4, "norm": "none", "frames": 3},
        ],
        regularisers=[{"name": "feature-matching", "weight": 7.0}],
    )
    networks, twins = build_networks(one), build_networks(one)
    batch, draws = real_batch(one), draw(one, networks, 0, 1)
    measured = generator_phase(one, networks, ALONE, 0, batch, draws)
    real = from_uint8(batch.clips)
    scores, differences = 0, []
    for discriminator, times in zip(twins.discriminators, draws.times, strict=True):
        fake = twins.generator(draws.latents, times.float())
        scores = scores + discriminator(fake, times.float()).mean()
        wanted = discriminator.trunk(at(real, times), times.float())
        made = discriminator.trunk(fake, times.float())
        differences += [(a.mean(0) - b.mean(0)).abs().mean() for a, b in zip(wanted, made, strict=True)]
    matching = sum(differences) / len(differences)
    assert_gradients((networks.generator_parameters(), twins.generator_parameters()), -scores + 7 * matching)
    assert measured["feature-matching"] == pytest.approx(matching.item(), rel=1e-5)
    assert "motion_ratio" not in measured, "no whole clip was rendered"


@pytest.mark.parametrize("partial", [True, False])
def test_real_and_generated_clips_are_augmented_alike(partial, monkeypatch):
    """With equal numbers, and as a discriminator sees them."""
    motion = "fourier" if partial else "conv3d"
    one = config(
        generator=generator(motion),
        discriminators=[{"name": "image", "channels": 4, "frames": 2}, {"name": "image", "channels": 4}],
        augment=["colour"],
    )
    networks = build_networks(one)
    draws, real = draw(one, networks, 0, 0), from_uint8(real_batch(one).clips)
    monkeypatch.setattr(
        type(networks.generator), "forward", lambda self, latents, times: at_times(real, times)
    )
    augmented = phases.augment.augment(real, ["colour"], draws.augmentation)
    seen_real, seen_fake = views_of(one, networks, MicroBatch(real, None, draws, 1.0))
    if partial:  # a clip's own mean, which colours turn about, is that of the frames that are rendered
        rendered = torch.cat([at(real, times) for times in draws.times], 2)
        augmented = phases.augment.augment(rendered, ["colour"], draws.augmentation)
        expected = augmented.split([2, 1], 2)
    else:
        expected = [at(augmented, times) for times in draws.times]
    for ours, theirs, video, times in zip(seen_real, seen_fake, expected, draws.times, strict=True):
        torch.testing.assert_close(ours.video, video)
        torch.testing.assert_close(theirs.video, video)
        assert torch.equal(ours.times, times.float())
        assert torch.equal(theirs.times, times.float())
    assert not torch.equal(phases.augmented(one, networks, real, draws), real)
    assert phases.augmented(config(), networks, real, draws) is real


def at_times(video, times):
    return at(video, times.long())


def test_a_step_that_finds_no_number_changes_no_weight(monkeypatch):
    """Weights of before can then still be saved, and looked at."""
    one = config(discriminators=WHOLE_AND_FRAME, regularisers=[{"name": "weight-clipping"}])
    networks = build_networks(one)
    before = [
        weight.detach().clone()
        for weight in (*networks.discriminator_parameters(), *networks.generator_parameters())
    ]
    nothing = Loss(lambda real, fake: fake.mean() * math.nan, lambda real, fake: fake.mean() * math.inf)
    monkeypatch.setattr(losses, "hinge", nothing)
    measured = discriminator_phase(one, networks, ALONE, 0, real_batch(one), draw(one, networks, 0, 0))
    assert math.isnan(measured["discriminator_loss"])
    measured = generator_phase(one, networks, ALONE, 0, real_batch(one), draw(one, networks, 0, 1))
    assert math.isinf(measured["generator_loss"])
    after = [*networks.discriminator_parameters(), *networks.generator_parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_gradients_of_one_step_are_not_added_to_those_of_the_step_before():
    one = config(discriminators=WHOLE_AND_FRAME, generator=generator(decoder={"norm": "none"}))
    networks = build_networks(one)
    for optimiser in (networks.generator_optimiser, networks.discriminator_optimiser):
        optimiser.param_groups[0]["lr"] = 0.0

    def gradients(step):
        batch, draws = real_batch(one, step), draw(one, networks, step, 0)
        discriminator_phase(one, networks, ALONE, 0, batch, draws)
        generator_phase(one, networks, ALONE, 0, batch, draws)
        parameters = [*networks.discriminator_parameters(), *networks.generator_parameters()]
        return torch.cat([parameter.grad.flatten() for parameter in parameters])

    first, other, again = gradients(0), gradients(1), gradients(0)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_has_no_gradient_in_a_step_does_not_move():
    """A class head that is trained at every second step, under momentum and weight decay."""
    one = config(
        labels=True,
        classes=["a", "b"],
        discriminators=WHOLE_AND_FRAME[:1],
        regularisers=[{"name": "categorical-information", "interval": 2}],
        optimiser={"betas": [0.5, 0.9], "weight_decay": 0.1},
    )
    networks = build_networks(one)
    head = networks.discriminators[0].classifier.weight
    for step, moves in ((0, True), (1, False), (2, True)):
        before = head.detach().clone()
        discriminator_phase(one, networks, ALONE, step, real_batch(one), draw(one, networks, step, 0))
        assert torch.equal(head, before) != moves


def test_motion_beside_real_clips_that_stand_still_is_large_and_finite():
    one = config()
    networks = build_networks(one)
    batch, draws = real_batch(one), draw(one, networks, 0, 1)
    still = Batch(np.ascontiguousarray(batch.clips[:, :1].repeat(FRAMES, 1)), batch.labels)
    with torch.no_grad(), frozen_statistics(networks.generator):
        fake = networks.generator(draws.latents, frame_times(FRAMES, 4))
    measured = generator_phase(one, networks, ALONE, 0, still, draws)
    assert measured["motion_ratio"] == pytest.approx(motion_energy(fake).item() / 1e-8, rel=1e-4)


def test_every_discriminator_step_sees_fresh_real_clips_and_fresh_latents(monkeypatch):
    one = config(discriminator_steps=3)
    networks, seen, latents = build_networks(one), [], []

    def discriminator(config, networks, world, step, batch, draws):
        seen.append(batch.clips)
        latents.append(draws.latents.content)
        return discriminator_phase(config, networks, world, step, batch, draws)

    def last(config, networks, world, step, batch, draws):
        assert batch.clips is seen[-1]
        latents.append(draws.latents.content)
        return generator_phase(config, networks, world, step, batch, draws)

    monkeypatch.setattr(trainer, "discriminator_phase", discriminator)
    monkeypatch.setattr(trainer, "generator_phase", last)
    windows = Windows(moving_squares(n=24, frames=FRAMES), SIZE, FRAMES, 1, one.seed)
    expected = windows.batch(range(24)).clips
    for step in range(2):
        trainer.training_step(one, networks, ALONE, windows, step)
    windows.close()
    np.testing.assert_array_equal(np.concatenate(seen), expected)
    assert len(np.unique(expected.reshape(24, -1), axis=0)) == 24
    drawn = torch.cat(latents)
    assert len(drawn.unique(dim=0)) == len(drawn) == 2 * 4 * 4


@pytest.mark.parametrize("size", [1, 2, 4])
def test_processes_see_the_clips_of_one_and_none_twice(size):
    """The stream is cut into steps, these into phases, and these into the shares of the processes."""
    one = config(batch=8, discriminator_steps=3)
    seen = [
        position
        for step in range(4)
        for phase in range(3)
        for rank in range(size)
        for position in positions(one, World(rank, size), step, phase)
    ]
    assert seen == list(range(4 * 3 * 8))
    assert positions(one, ALONE, 2) == positions(one, ALONE, 2, 0)


def test_draws_depend_on_seed_step_and_phase_alone():
    one = config(discriminators=[{"name": "image", "channels": 4}])
    networks = build_networks(one)

    def numbers(one, step, phase):
        draws = draw(one, networks, step, phase)
        return torch.cat([draws.latents.content.flatten(), draws.mixing, draws.augmentation.flatten()])

    first = numbers(one, 3, 1)
    torch.manual_seed(5)
    assert torch.equal(numbers(one, 3, 1), first)
    for other in (numbers(one, 4, 1), numbers(one, 3, 0), numbers(config(seed=1), 3, 1)):
        assert (other != first).all()
    many = draw(config(batch=1024), networks, 0, 0)
    for uniform in (many.mixing, many.augmentation):
        assert uniform.min() >= 0
        assert uniform.max() < 1
        assert uniform.mean() == pytest.approx(0.5, abs=0.04)
        assert uniform.var() == pytest.approx(1 / 12, abs=0.01)


def test_draws_of_a_seed_stay_what_they_were():
    """A run that is resumed with a newer vgbench, or on a GPU, goes on as it would have."""
    one = config(discriminators=[{"name": "image", "channels": 4}])
    draws = draw(one, build_networks(one), 3, 1)
    assert draws.latents.content[0].tolist() == pytest.approx(
        [-0.16148, -1.14617, -0.40453, -0.94595], abs=1e-4
    )
    assert draws.latents.motion[0, 0].tolist() == pytest.approx([-0.02314, 0.82055, 0.62350], abs=1e-4)
    assert draws.times[0].flatten().tolist() == [7, 6, 0, 1]
    assert draws.augmentation[0, :2].tolist() == pytest.approx([0.020986, 0.487636], abs=1e-5)
    assert draws.mixing.tolist() == pytest.approx([0.903944, 0.592126, 0.046740, 0.210370], abs=1e-5)


def test_micro_batches_are_this_process_s_rows_of_the_global_batch():
    """The second of two processes has rows 5 to 9, here in parts of three and two."""
    one = config(
        batch=10,
        micro_batch=5,
        labels=True,
        classes=["a", "b"],
        generator=generator(first_frame=True),
        regularisers=[{"name": "first-frame"}],
        discriminators=[{"name": "image", "channels": 4}, {"name": "video3d", "channels": 4}],
    )
    draws, whole = draw(one, build_networks(one), 0, 0), real_batch(one)
    one = one.model_copy(update={"micro_batch": 3})
    own = Batch(whole.clips[5:], whole.labels[5:])
    parts = list(micro_batches(one, World(1, 2), CPU, own, draws))
    assert [len(part.real) for part in parts] == [3, 2]
    assert [part.weight for part in parts] == pytest.approx([0.6, 0.4])
    for part, rows in zip(parts, (slice(5, 8), slice(8, 10)), strict=True):
        drawn = part.draws
        assert torch.equal(part.real, from_uint8(whole.clips[rows]))
        assert part.labels.tolist() == drawn.latents.label.tolist() == whole.labels[rows].tolist()
        assert torch.equal(drawn.latents.first_frame, from_uint8(whole.clips[rows])[:, :, 0])
        assert torch.equal(drawn.latents.content, draws.latents.content[rows])
        assert torch.equal(drawn.latents.motion, draws.latents.motion[rows])
        assert torch.equal(drawn.times[0], draws.times[0][rows])
        assert drawn.times[1] is None
        assert torch.equal(drawn.augmentation, draws.augmentation[rows])
        assert torch.equal(drawn.mixing, draws.mixing[rows])


def test_what_a_phase_works_on_is_on_its_device():
    """The meta device has shapes and no numbers, and refuses to be mixed with any other."""
    meta = torch.device("meta")
    one = config(
        labels=True,
        classes=["a", "b"],
        generator=generator("fourier", first_frame=True),
        regularisers=[{"name": "first-frame"}],
        discriminators=[{"name": "image", "channels": 4}],
    )
    networks = build_networks(one)
    draws = draw(one, networks, 0, 0)
    (part,) = micro_batches(one, ALONE, meta, real_batch(one), draws)
    some, every = (choose_rendering(one, networks, part.draws, whole, meta) for whole in (False, True))
    latents = part.draws.latents
    tensors = [part.real, part.labels, latents.content, latents.motion, latents.label, latents.first_frame]
    tensors += [some.times, every.times, *some.chosen, *every.chosen]
    assert {one.device for one in tensors} == {meta}


def test_a_categorical_latent_keeps_its_own_label():
    one = config(generator=generator(categories=3), regularisers=[{"name": "categorical-information"}])
    draws = draw(one, build_networks(one), 0, 0)
    (part,) = micro_batches(one, ALONE, CPU, real_batch(one), draws)
    assert part.labels is None
    assert torch.equal(part.draws.latents.label, draws.latents.label)
    assert part.draws.latents.first_frame is None


def test_only_frames_that_discriminators_look_at_are_rendered_where_that_is_possible():
    """All frames are rendered if those of the decoder interact, or if one discriminator sees all."""
    image, video = {"name": "image", "channels": 4, "frames": 2}, {"name": "video3d", "channels": 4}

    def rendering(motion, discriminators, whole_clips=False):
        one = config(generator=generator(motion), discriminators=discriminators)
        networks = build_networks(one)
        return choose_rendering(one, networks, draw(one, networks, 0, 0), whole_clips, CPU)

    some = rendering("fourier", [image, image])
    assert some.partial
    assert torch.equal(some.times, torch.cat(some.chosen, 1).float())
    clips = torch.rand(4, 3, FRAMES, 2, 2)
    assert torch.equal(some.of_real(clips), at(clips, torch.cat(some.chosen, 1)))
    for every in (
        rendering("fourier", [image, image], whole_clips=True),
        rendering("fourier", [image, video]),
        rendering("conv3d", [image]),
    ):
        assert not every.partial
        assert torch.equal(every.times, frame_times(FRAMES, 4))
        assert every.of_real(clips) is clips


def test_a_view_is_cut_for_each_discriminator():
    video, labels = torch.rand(2, 3, 5, 2, 2), torch.tensor([1, 0])
    first, second = torch.tensor([[0, 3], [1, 2]]), torch.tensor([[4, 2, 0], [0, 1, 3]])
    every = Rendering(frame_times(5, 2), False, (None, first)).views(video, labels)
    assert every[0].video is video
    assert torch.equal(every[0].times, frame_times(5, 2))
    assert torch.equal(every[1].video, at(video, first))
    assert torch.equal(every[1].times, first.float())
    rendered = torch.cat([first, second], 1).float()
    parts = Rendering(rendered, True, (first, second)).views(video, labels)
    assert torch.equal(parts[0].video, video[:, :, :2])
    assert torch.equal(parts[1].video, video[:, :, 2:])
    assert torch.equal(parts[1].times, second.float())
    assert all(view.label is labels for view in (*every, *parts))


class Sees:
    """Scores that tell a clip, its times and its label; counts how often it is asked."""

    def __init__(self, mixes):
        self.mixes_samples, self.calls = mixes, 0

    def __call__(self, video, times, label):
        self.calls += 1
        told = video.flatten(1).sum(1) + 10 * times.sum(1)
        return (told if label is None else told + 1000 * label)[:, None]


@pytest.mark.parametrize(
    ("mixes", "labels", "calls"),
    [(False, "both", 1), (False, "none", 1), (True, "both", 2), (False, "fake", 2)],
)
def test_scores_of_both_views_take_one_pass_where_that_changes_nothing(mixes, labels, calls):
    real_label = torch.tensor([0, 1]) if labels == "both" else None
    fake_label = None if labels == "none" else torch.tensor([1, 1])
    real = View(torch.rand(2, 3, 2, 1, 1), torch.rand(2, 2), real_label)
    fake = View(torch.rand(2, 3, 2, 1, 1), torch.rand(2, 2), fake_label)
    discriminator = Sees(mixes)
    found = scores_of(discriminator, real, fake)
    assert discriminator.calls == calls
    for scores, view in zip(found, (real, fake), strict=True):
        torch.testing.assert_close(scores, view.scores(discriminator))


def test_constraints_are_applied_when_they_are_due_with_their_weight_as_the_bound():
    one = config(
        discriminators=WHOLE_AND_FRAME,
        regularisers=[{"name": "weight-clipping", "weight": 0.02, "interval": 3}],
    )
    networks = build_networks(one)

    def largest():
        return max(weight.abs().max().item() for weight in networks.discriminator_parameters())

    for step, bounded in ((1, False), (2, False), (3, True)):
        constrain(one, step, networks.discriminators, ALONE)
        assert (largest() <= 0.02) == bounded
    assert largest() == pytest.approx(0.02)


def test_the_mean_of_real_autocorrelation_forgets_a_fiftieth_at_each_step():
    one = config()
    networks = build_networks(one)
    batches = [real_batch(one, seed) for seed in range(3)]
    found = [autocorrelation(frame_features(from_uint8(batch.clips))).mean(0) for batch in batches]
    remember_autocorrelation(networks, batches[0], ALONE)
    torch.testing.assert_close(networks.memory["real_autocorrelation"], found[0])
    for batch in batches[1:]:
        remember_autocorrelation(networks, batch, ALONE)
    expected = 0.98 * (0.98 * found[0] + 0.02 * found[1]) + 0.02 * found[2]
    torch.testing.assert_close(networks.memory["real_autocorrelation"], expected)


def test_periodicity_is_held_against_the_memory_of_real_clips():
    one = config(regularisers=[{"name": "periodicity"}], discriminators=WHOLE_AND_FRAME)
    networks = build_networks(one)
    networks.memory["real_autocorrelation"] = torch.zeros(FRAMES // 2)
    batch, draws = real_batch(one), draw(one, networks, 0, 1)
    with torch.no_grad(), frozen_statistics(networks.generator):
        fake = networks.generator(draws.latents, frame_times(FRAMES, 4))
    measured = generator_phase(one, networks, ALONE, 0, batch, draws)
    remembered = 0.02 * autocorrelation(frame_features(from_uint8(batch.clips))).mean(0)
    torch.testing.assert_close(networks.memory["real_autocorrelation"], remembered)
    expected = (autocorrelation(frame_features(fake)).mean(0) - remembered).square().mean().item()
    assert measured["periodicity"] == pytest.approx(expected, rel=1e-4), "every lag is below 0.5"
    assert "real_autocorrelation" not in build_networks(one).memory
    plain = build_networks(config())
    generator_phase(config(), plain, ALONE, 0, batch, draw(config(), plain, 0, 1))
    assert not plain.memory, "which only periodicity needs"


def test_motion_energy_is_the_mean_change_from_frame_to_frame():
    video = torch.tensor([0.0, 1.0, -1.0]).view(1, 1, 3, 1, 1).expand(2, 3, 3, 4, 4)
    assert motion_energy(video).item() == pytest.approx(1.5)


def test_the_norm_of_the_gradient_is_over_all_networks():
    networks = [torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(1, 1, bias=False)]
    for network, gradient in zip(networks, ([[2.0, 3.0]], [[6.0]]), strict=True):
        network.weight.grad = torch.tensor(gradient)
    assert limit_gradients(config(), networks).item() == pytest.approx(7)
    assert networks[1].weight.grad.item() == 6
    assert limit_gradients(config(optimiser={"gradient_clip": 3.0}), networks).item() == pytest.approx(7)
    assert [network.weight.grad.norm().item() for network in networks] == pytest.approx([3, 3], rel=1e-5)


def test_what_is_held_for_a_phase_is_as_before_after_an_error():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2, momentum=0.3))
    network[0].bias.requires_grad_(False)

    def interrupted():
        with frozen([network]), frozen_statistics(network):
            assert not any(weight.requires_grad for weight in network.parameters())
            assert network[1].momentum == 0
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()
    trained = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert trained == ["0.weight", "1.weight", "1.bias"]
    assert network[1].momentum == 0.3


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_bf16_computes_in_bfloat16(precision, kind):
    one = config(precision=precision, discriminators=WHOLE_AND_FRAME)
    networks, seen = build_networks(one), []
    for network in (networks.discriminators[0].layers, networks.generator.decoder):
        for layer in network.modules():
            if isinstance(layer, AnyConvolution):
                layer.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    for phase in (discriminator_phase, generator_phase):
        seen.clear()
        phase(one, networks, ALONE, 0, real_batch(one), draw(one, networks, 0, 0))
        assert set(seen) == {kind}
    with mixed_precision(one, CPU):
        assert (torch.ones(1, 1) @ torch.ones(1, 1)).dtype == kind
    assert all(weight.dtype == torch.float32 for weight in networks.discriminator_parameters())
    batch, draws = real_batch(one), draw(one, networks, 0, 0)
    views = views_of(one, networks, MicroBatch(from_uint8(batch.clips), None, draws, 1.0))
    assert {view.video.dtype for side in views for view in side} == {torch.float32}


def test_gradient_penalties_stay_in_float32_under_bf16():
    one = config(
        precision="bf16",
        discriminators=WHOLE_AND_FRAME[:1],
        regularisers=[{"name": "r1"}],
    )
    full = one.model_copy(update={"precision": "fp32"})
    batch, draws = real_batch(one), draw(one, build_networks(one), 0, 0)
    exact = discriminator_phase(full, build_networks(one), ALONE, 0, batch, draws)
    found = discriminator_phase(one, build_networks(one), ALONE, 0, batch, draws)
    assert found["r1"] == pytest.approx(exact["r1"], rel=1e-6)
    assert found["real_score_0"] != exact["real_score_0"]


def test_a_step_log_has_the_means_of_what_was_added():
    log = StepLog()
    for value in (1.0, 2.0, 6.0):
        log.add("loss", torch.tensor(value, requires_grad=True))
    log.add_scores(1, torch.tensor([1.0, 5.0, 2.0, 0.0]), torch.tensor([0.0, 5.0, 3.0, -2.0]))
    assert log.means(ALONE) == pytest.approx(
        {"loss": 3.0, "real_score_1": 2.0, "fake_score_1": 1.5, "accuracy_1": 0.5}
    )


def test_a_loss_of_one_s_own_is_taken_as_it_is():
    with pytest.raises(ConfigError, match="is not a loss") as caught:
        phases.adversarial_loss(config(loss={"name": "math:pi"}))
    assert "losses.Loss(discriminator, generator)" in caught.value.remedy


def test_only_clips_whose_chance_is_below_the_probability_are_augmented():
    one = config(augment=["colour"], augment_target=0.6)
    networks = build_networks(one)
    draws = draw(one, networks, 0, 0)
    video = torch.rand(4, 3, FRAMES, SIZE, SIZE)
    everywhere = phases.augment.augment(video, ["colour"], draws.augmentation)
    assert torch.equal(phases.augmented(one, networks, video, draws), video), "the probability begins at 0"
    for probability in (0.3, 0.7, 1.0):
        networks.memory["augmentation"] = torch.tensor(probability)
        found = phases.augmented(one, networks, video, draws)
        for clip, chance in enumerate(draws.chances.tolist()):
            assert torch.equal(found[clip], (everywhere if chance < probability else video)[clip])


def test_the_probability_moves_towards_the_target_and_stays_a_probability():
    one = config(augment=["colour"], augment_target=0.6, augment_clips=16)
    networks = build_networks(one)
    signs = [1.0, 0.7, 0.5, 0.7, 0.61, 0.9, 1.0, 1.0, 0.6, -1.0]
    found = [phases.adapt_augmentation(one, networks, sign) for sign in signs]
    assert found == [0.25, 0.5, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.75, 0.5], "4 of 16 clips a step"


def test_a_discriminator_that_knows_all_real_clips_raises_the_probability():
    hinge, relativistic = losses.hinge, losses.rahinge
    real, fake = torch.tensor([[2.0], [3.0], [4.0], [-1.0]]), torch.tensor([[2.5], [2.5], [2.5], [2.5]])
    assert phases.real_sign(hinge, real, fake) == 0.5
    assert phases.real_sign(relativistic, real, fake) == 0, "two are above the generated clips, two below"
    one = config(augment=["colour"], augment_target=0.6, augment_clips=8, steps=1)
    networks = build_networks(one)
    with torch.no_grad():
        networks.discriminators[0].head.bias.fill_(100.0)
    measured = discriminator_phase(one, networks, ALONE, 0, real_batch(one), draw(one, networks, 0, 0))
    assert measured["augmentation"] == 0.5
    assert "real_sign" not in measured
