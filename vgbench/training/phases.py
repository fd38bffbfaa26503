"""The two halves of a training step: the discriminators' phase and the generator's phase."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from vgbench.distributed import World
from vgbench.errors import ConfigError
from vgbench.named import lookup
from vgbench.reference_models.constraints import CONSTRAINTS
from vgbench.reference_models.discriminators import Discriminator, needed_times
from vgbench.reference_models.generator import Latents, from_uint8
from vgbench.reference_models.layers import gather_frames
from vgbench.reference_models.losses import LOSSES, Loss
from vgbench.reference_models.penalties import (
    DISCRIMINATOR_PENALTIES,
    GENERATOR_TERMS,
    NEED_NO_CLIP,
    GeneratorView,
    View,
    autocorrelation,
    class_loss,
    frame_features,
)
from vgbench.training import augment
from vgbench.training.config import TrainConfig
from vgbench.training.data import Batch
from vgbench.training.parallel import average_gradients, average_statistics, mean_over_processes
from vgbench.training.players import Players

AUTOCORRELATION_MEMORY = 0.98
"""Share of the running mean of real autocorrelation that one step keeps."""


@dataclass(frozen=True)
class Draws:
    """All random choices of one phase, for the rows that this process (or micro-batch) owns.

    Attributes:
        latents: of the fakes.
        times: for each discriminator the frames that it looks at, int64 [B, K]; None for all.
        augmentation: see `augment.draw`.
        mixing: α of the gradient penalty, [B].
    """

    latents: Latents
    times: tuple[torch.Tensor | None, ...]
    augmentation: torch.Tensor
    mixing: torch.Tensor

    def __getitem__(self, rows: slice) -> Draws:
        times = tuple(None if one is None else one[rows] for one in self.times)
        return Draws(self.latents[rows], times, self.augmentation[rows], self.mixing[rows])


def draw(config: TrainConfig, players: Players, step: int, phase: int) -> Draws:
    """Draw for the whole global batch from (seed, step, phase) alone.

    Every process draws the same numbers and takes its rows, so that one process and many train alike, and a
    resumed run needs no random state.
    """
    sequence = np.random.SeedSequence([config.seed, step, phase])
    random = torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]) >> 1)
    return Draws(
        latents=players.generator.draw(config.batch, config.noise_frames, random),
        times=tuple(one.choose_times(config.batch, config.frames, random) for one in players.discriminators),
        augmentation=augment.draw(config.batch, random),
        mixing=torch.rand(config.batch, generator=random),
    )


def micro_batches(
    config: TrainConfig, world: World, device: torch.device, batch: Batch, draws: Draws
) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, Draws]]:
    """Cut this process's share into (real video, real label, draws), each of `micro_batch` clips or fewer.

    `batch` holds this process's clips only, `draws` the whole global batch. The last part is smaller where
    the share does not divide; `weight_of` tells what each counts.
    """
    share = config.batch // world.size
    own = draws[world.rank * share : (world.rank + 1) * share]
    size = min(config.micro_batch or share, share)
    for start in range(0, share, size):
        rows = slice(start, start + size)
        real = from_uint8(batch.clips[rows]).to(device)
        labels = torch.from_numpy(batch.labels[rows]).to(device) if config.classes else None
        part = own[rows]
        latents = dataclasses.replace(
            part.latents,
            # A fake takes its label and its first frame from the real clip in the same row.
            label=part.latents.label if labels is None else labels,
            first_frame=real[:, :, 0] if config.generator.first_frame else None,
        ).to(device)
        yield real, labels, dataclasses.replace(part, latents=latents)


def weight_of(real: torch.Tensor, batch: Batch) -> float:
    """Share of this process's clips in one micro-batch, so that every clip counts alike in the gradient."""
    return len(real) / len(batch.clips)


@dataclass(frozen=True)
class Looks:
    """What to render and how each discriminator's view is cut from it.

    Attributes:
        rendered: float [B, K], the times to render.
        partial: only the frames that some discriminator looks at are rendered.
        chosen: for each discriminator its times, None for all.
    """

    rendered: torch.Tensor
    partial: bool
    chosen: tuple[torch.Tensor | None, ...]

    def cut(self, video: torch.Tensor, labels: torch.Tensor | None) -> list[View]:
        """One view per discriminator from video [B, 3, K, H, W] at the times `rendered`."""
        views, start = [], 0
        for times in self.chosen:
            if times is None:
                views.append(View(video, self.rendered, labels))
            elif self.partial:
                stop = start + times.shape[1]
                views.append(View(video[:, :, start:stop], times.float(), labels))
                start = stop
            else:
                views.append(View(gather_frames(video, times), times.float(), labels))
        return views

    def of_real(self, video: torch.Tensor) -> torch.Tensor:
        """The rendered times of real clips, which come with all frames."""
        return gather_frames(video, self.rendered) if self.partial else video


def look(config: TrainConfig, players: Players, draws: Draws, whole: bool, device: torch.device) -> Looks:
    """Decide what to render; `whole` when something needs every frame."""
    chosen = tuple(None if one is None else one.to(device) for one in draws.times)
    partial = not whole and players.generator.renders_single_frames and all(one is not None for one in chosen)
    if partial:
        rendered = torch.cat([one for one in chosen if one is not None], 1).float()
    else:
        rendered = needed_times(config.frames, len(draws.latents), device)
    return Looks(rendered, partial, chosen)


def discriminator_phase(
    config: TrainConfig, players: Players, world: World, step: int, batch: Batch, draws: Draws
) -> dict[str, float]:
    """One step of all discriminators on real clips and on fakes made without gradients."""
    loss_functions = adversarial_loss(config)
    device = players.generator.device
    facts = Facts()
    players.discriminator_optimiser.zero_grad(set_to_none=True)
    for real, labels, own in micro_batches(config, world, device, batch, draws):
        real_views, fake_views = views_of(config, players, real, labels, own)
        total = torch.zeros((), device=device)
        for index, (critic, real_view, fake_view) in enumerate(
            zip(players.discriminators, real_views, fake_views, strict=True)
        ):
            with mixed_precision(config, device):
                real_scores, fake_scores = scores_of(critic, real_view, fake_view)
            loss = loss_functions.discriminator(real_scores.float(), fake_scores.float())
            facts.add_scores(index, real_scores, fake_scores)
            facts.add("discriminator_loss", loss)
            mixing = own.mixing.to(device)
            total = total + loss + penalties(config, step, critic, real_view, fake_view, mixing, facts)
        torch.autograd.backward(total * weight_of(real, batch))
    parameters = players.critic_parameters()
    average_gradients(parameters, world)
    facts.add("discriminator_gradient", limit_gradients(config, players.discriminators))
    measured = facts.means(world)
    if is_finite(measured):
        players.discriminator_optimiser.step()
        constrain(config, step, players.discriminators, world)
    return measured


def views_of(
    config: TrainConfig, players: Players, real: torch.Tensor, labels: torch.Tensor | None, draws: Draws
) -> tuple[list[View], list[View]]:
    """What each discriminator sees of real clips, and of fakes made without gradients."""
    device = players.generator.device
    looks = look(config, players, draws, whole=False, device=device)
    with torch.no_grad(), frozen_statistics(players.generator), mixed_precision(config, device):
        fake = players.generator(draws.latents, looks.rendered)
    return (
        looks.cut(augmented(config, looks.of_real(real), draws), labels),
        looks.cut(augmented(config, fake.float(), draws), draws.latents.label),
    )


def penalties(
    config: TrainConfig,
    step: int,
    critic: Discriminator,
    real: View,
    fake: View,
    mixing: torch.Tensor,
    facts: Facts,
) -> torch.Tensor:
    """The discriminator's regularisers that are due at this step, weighted."""
    total = torch.zeros((), device=mixing.device)
    for one in config.regularisers:
        if step % one.interval:
            continue
        if one.name in DISCRIMINATOR_PENALTIES:
            value = DISCRIMINATOR_PENALTIES[one.name](critic, real, fake, mixing, **one.options)
        elif one.name == "categorical-information":
            known = [view for view in (real, fake) if view.label is not None]
            value = torch.stack([class_loss(critic, view) for view in known]).sum()
        else:
            continue
        facts.add(one.name, value)
        total = total + one.weight * one.interval * value
    return total


def generator_phase(
    config: TrainConfig, players: Players, world: World, step: int, batch: Batch, draws: Draws
) -> dict[str, float]:
    """One step of the generator against discriminators that stand still."""
    loss_functions = adversarial_loss(config)
    device = players.generator.device
    due = [one for one in config.regularisers if one.name in GENERATOR_TERMS and step % one.interval == 0]
    whole = any(one.name not in NEED_NO_CLIP for one in due)
    facts = Facts()
    players.generator_optimiser.zero_grad(set_to_none=True)
    if config.regularised_by("periodicity"):
        remember_autocorrelation(players, batch, world)
    with standing_still(players.discriminators):
        for real, labels, own in micro_batches(config, world, device, batch, draws):
            looks = look(config, players, own, whole=whole, device=device)
            with mixed_precision(config, device):
                fake = players.generator(own.latents, looks.rendered).float()
            views = looks.cut(augmented(config, fake, own), own.latents.label)
            real_views = views
            if due or loss_functions.needs_real:
                real_views = looks.cut(augmented(config, looks.of_real(real), own), labels)
            total = torch.zeros((), device=device)
            for critic, real_view, view in zip(players.discriminators, real_views, views, strict=True):
                with mixed_precision(config, device):
                    scores = view.scores(critic)
                    real_scores = scores
                    if loss_functions.needs_real:
                        with torch.no_grad():
                            real_scores = real_view.scores(critic)
                loss = loss_functions.generator(real_scores.detach().float(), scores.float())
                facts.add("generator_loss", loss)
                total = total + critic.config.weight * loss
            seen = GeneratorView(
                real=real,
                fake=fake,
                latents=own.latents,
                motion=players.generator.motion,
                terms=players.generator.decoder.terms,
                discriminators=tuple(zip(players.discriminators, real_views, views, strict=True)),
                real_autocorrelation=players.memory.get("real_autocorrelation"),
            )
            for one in due:
                value = GENERATOR_TERMS[one.name](seen, **one.options)
                facts.add(one.name, value)
                total = total + one.weight * one.interval * value
            torch.autograd.backward(total * weight_of(real, batch))
            if not looks.partial:
                facts.add("motion_ratio", motion_energy(fake) / (motion_energy(real) + 1e-8))
    parameters = players.generator_parameters()
    average_gradients(parameters, world)
    facts.add("generator_gradient", limit_gradients(config, [players.generator]))
    measured = facts.means(world)
    if is_finite(measured):
        players.generator_optimiser.step()
    return measured


def adversarial_loss(config: TrainConfig) -> Loss:
    """The pair of loss functions that the config names."""
    loss = lookup("loss", config.loss.name, LOSSES)
    if not isinstance(loss, Loss):
        raise ConfigError(
            f"loss.name = '{config.loss.name}' is not a loss",
            "make it a vgbench.reference_models.losses.Loss(discriminator, generator)",
        )
    return loss


def scores_of(critic: Discriminator, real: View, fake: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Raw scores of both views; in one forward pass unless batch norm would mix them."""
    if critic.mixes_samples or (real.label is None) != (fake.label is None):
        return real.scores(critic), fake.scores(critic)
    label = None if real.label is None or fake.label is None else torch.cat([real.label, fake.label])
    both = View(torch.cat([real.video, fake.video]), torch.cat([real.times, fake.times]), label)
    real_scores, fake_scores = both.scores(critic).chunk(2)
    return real_scores, fake_scores


def augmented(config: TrainConfig, video: torch.Tensor, draws: Draws) -> torch.Tensor:
    return augment.augment(video, config.augment, draws.augmentation) if config.augment else video


def constrain(config: TrainConfig, step: int, critics: Sequence[Discriminator], world: World) -> None:
    """Apply the weight constraints that are due, after the optimiser's step."""
    for one in config.regularisers:
        if one.name in CONSTRAINTS and step % one.interval == 0:
            # Singular value clipping reads them, and each process has its own: weights would drift apart.
            average_statistics(critics, world)
            for critic in critics:
                CONSTRAINTS[one.name](critic, one.weight)


def limit_gradients(config: TrainConfig, networks: Sequence[nn.Module]) -> torch.Tensor:
    """Norm of the gradient of all networks, before each one's is clipped where the config says so."""
    limit = config.optimiser.gradient_clip or float("inf")
    norms = [nn.utils.clip_grad_norm_(one.parameters(), limit) for one in networks]
    return torch.stack(norms).square().sum().sqrt()


def remember_autocorrelation(players: Players, batch: Batch, world: World) -> None:
    """Update the running mean of the frames' `autocorrelation` over the real clips of all processes."""
    now = mean_over_processes(autocorrelation(frame_features(from_uint8(batch.clips))).mean(0), world)
    before = players.memory.get("real_autocorrelation", now)
    players.memory["real_autocorrelation"] = torch.lerp(now, before, AUTOCORRELATION_MEMORY)


def motion_energy(video: torch.Tensor) -> torch.Tensor:
    """Mean |x_{t+1} − x_t|."""
    return video.detach().diff(dim=2).abs().mean()


@contextmanager
def standing_still(critics: Sequence[nn.Module]) -> Iterator[None]:
    """Discriminators take part in the graph and gather no gradients; frozen parts of them stay frozen."""
    trained = [one for critic in critics for one in critic.parameters() if one.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms keep using the batch, and leave their running statistics as they are."""
    layers = [one for one in module.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def mixed_precision(config: TrainConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


@dataclass
class Facts:
    """Sums of what a phase measured; tensors stay tensors until the end of the phase."""

    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: torch.Tensor) -> None:
        self.sums[name] = self.sums.get(name, torch.zeros(())) + value.detach().float().cpu()
        self.counts[name] = self.counts.get(name, 0) + 1

    def add_scores(self, index: int, real: torch.Tensor, fake: torch.Tensor) -> None:
        self.add(f"real_score_{index}", real.mean())
        self.add(f"fake_score_{index}", fake.mean())
        # Share of pairs told apart; unlike a threshold at zero it means the same for every loss.
        self.add(f"accuracy_{index}", (real > fake).float().mean())

    def means(self, world: World) -> dict[str, float]:
        """Means over micro-batches and processes; all processes get the same numbers."""
        means = torch.stack([total / self.counts[name] for name, total in self.sums.items()])
        return dict(zip(self.sums, mean_over_processes(means, world).tolist(), strict=True))


def is_finite(measured: Mapping[str, float]) -> bool:
    return all(math.isfinite(value) for value in measured.values())
