"""The two phases of a training step: the discriminators' and the generator's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from vgbench.distributed import World
from vgbench.errors import ConfigError
from vgbench.named import load_target
from vgbench.reference_models.discriminators import Discriminator, View
from vgbench.reference_models.generator_terms import GeneratorView, class_loss
from vgbench.reference_models.layers import AnyBatchNorm
from vgbench.reference_models.losses import Loss
from vgbench.reference_models.parts import LOSSES, REGULARISERS, load_part
from vgbench.reference_models.periodicity import autocorrelation, frame_features
from vgbench.training import augment
from vgbench.training.config import TrainConfig
from vgbench.training.data import Batch
from vgbench.training.inputs import Draws, MicroBatch, choose_rendering, micro_batches
from vgbench.training.networks import Networks
from vgbench.training.parallel import average_gradients, average_statistics, mean_over_processes

AUTOCORRELATION_MEMORY = 0.98
"""Share of the running mean of real autocorrelation that one step keeps."""


def discriminator_phase(
    config: TrainConfig, networks: Networks, world: World, step: int, batch: Batch, draws: Draws
) -> dict[str, float]:
    """Update all discriminators on real clips and on clips that are generated without gradients.

    Returns:
        what was measured, by name.
    """
    adversarial = adversarial_loss(config)
    device = networks.generator.device
    log = StepLog()
    networks.discriminator_optimiser.zero_grad(set_to_none=True)
    for part in micro_batches(config, world, device, batch, draws):
        real_views, fake_views = views_of(config, networks, part)
        total = torch.zeros((), device=device)
        for index, (discriminator, real_view, fake_view) in enumerate(
            zip(networks.discriminators, real_views, fake_views, strict=True)
        ):
            with mixed_precision(config, device):
                real_scores, fake_scores = scores_of(discriminator, real_view, fake_view)
            loss = adversarial.discriminator(real_scores.float(), fake_scores.float())
            log.add_scores(index, real_scores, fake_scores)
            log.add("real_sign", real_sign(adversarial, real_scores, fake_scores))
            log.add("discriminator_loss", loss)
            mixing = part.draws.mixing.to(device)
            penalty = penalties(config, step, discriminator, real_view, fake_view, mixing, log)
            total = total + loss + penalty
        torch.autograd.backward(total * part.weight)
    average_gradients(networks.discriminator_parameters(), world)
    log.add("discriminator_gradient", limit_gradients(config, networks.discriminators))
    means = log.means(world)
    sign = means.pop("real_sign")
    if config.augment_target is not None:
        means["augmentation"] = adapt_augmentation(config, networks, sign)
    if is_finite(means):
        networks.discriminator_optimiser.step()
        constrain(config, step, networks.discriminators, world)
    return means


def views_of(config: TrainConfig, networks: Networks, part: MicroBatch) -> tuple[list[View], list[View]]:
    """Return what each discriminator sees of real clips, and of clips generated without gradients."""
    device = networks.generator.device
    rendering = choose_rendering(config, networks, part.draws, whole_clips=False, device=device)
    with torch.no_grad(), frozen_statistics(networks.generator), mixed_precision(config, device):
        fake = networks.generator(part.draws.latents, rendering.times)
    return (
        rendering.views(augmented(config, networks, rendering.of_real(part.real), part.draws), part.labels),
        rendering.views(augmented(config, networks, fake.float(), part.draws), part.draws.latents.label),
    )


def penalties(
    config: TrainConfig,
    step: int,
    discriminator: Discriminator,
    real: View,
    fake: View,
    mixing: torch.Tensor,
    log: StepLog,
) -> torch.Tensor:
    """Return the weighted sum of the discriminator's regularisers that are due at this step."""
    total = torch.zeros((), device=mixing.device)
    for one in config.regularisers:
        if not one.is_due(step):
            continue
        if one.kind == "penalty":
            penalty = load_target(REGULARISERS[one.name].target)
            value = penalty(discriminator, real, fake, mixing, **one.options)
        elif one.name == "categorical-information":
            known = [view for view in (real, fake) if view.label is not None]
            value = torch.stack([class_loss(discriminator, view) for view in known]).sum()
        else:
            continue
        log.add(one.name, value)
        total = total + one.weight * one.interval * value
    return total


def generator_phase(
    config: TrainConfig, networks: Networks, world: World, step: int, batch: Batch, draws: Draws
) -> dict[str, float]:
    """Update the generator against discriminators that do not change.

    Returns:
        what was measured, by name.
    """
    adversarial = adversarial_loss(config)
    device = networks.generator.device
    due = [one for one in config.regularisers if one.kind == "term" and one.is_due(step)]
    whole_clips = any(REGULARISERS[one.name].whole_clips for one in due)
    log = StepLog()
    networks.generator_optimiser.zero_grad(set_to_none=True)
    if config.is_regularised_by("periodicity"):
        remember_autocorrelation(networks, batch, world)
    with frozen(networks.discriminators):
        for part in micro_batches(config, world, device, batch, draws):
            rendering = choose_rendering(config, networks, part.draws, whole_clips, device)
            with mixed_precision(config, device):
                fake = networks.generator(part.draws.latents, rendering.times).float()
            views = rendering.views(augmented(config, networks, fake, part.draws), part.draws.latents.label)
            real_views = views
            if due or adversarial.needs_real:
                real = augmented(config, networks, rendering.of_real(part.real), part.draws)
                real_views = rendering.views(real, part.labels)
            total = torch.zeros((), device=device)
            for discriminator, real_view, view in zip(
                networks.discriminators, real_views, views, strict=True
            ):
                with mixed_precision(config, device):
                    scores = view.scores(discriminator)
                    real_scores = scores
                    if adversarial.needs_real:
                        with torch.no_grad():
                            real_scores = real_view.scores(discriminator)
                loss = adversarial.generator(real_scores.detach().float(), scores.float())
                log.add("generator_loss", loss)
                total = total + discriminator.config.weight * loss
            seen = GeneratorView(
                real=part.real,
                fake=fake,
                latents=part.draws.latents,
                motion=networks.generator.motion,
                terms=networks.generator.decoder.terms,
                discriminators=tuple(zip(networks.discriminators, real_views, views, strict=True)),
                real_autocorrelation=networks.memory.get("real_autocorrelation"),
            )
            for one in due:
                value = load_target(REGULARISERS[one.name].target)(seen, **one.options)
                log.add(one.name, value)
                total = total + one.weight * one.interval * value
            torch.autograd.backward(total * part.weight)
            if not rendering.partial:
                log.add("motion_ratio", motion_energy(fake) / (motion_energy(part.real) + 1e-8))
    average_gradients(networks.generator_parameters(), world)
    log.add("generator_gradient", limit_gradients(config, [networks.generator]))
    means = log.means(world)
    if is_finite(means):
        networks.generator_optimiser.step()
    return means


def adversarial_loss(config: TrainConfig) -> Loss:
    """Return the loss that the config names.

    Raises:
        ConfigError: the user's object cannot be imported, or is not a `Loss`.
    """
    loss = load_part("loss", config.loss.name, LOSSES)
    if not isinstance(loss, Loss):
        raise ConfigError(
            f"loss.name = '{config.loss.name}' is not a loss",
            "make it a vgbench.reference_models.losses.Loss(discriminator, generator)",
        )
    return loss


def scores_of(discriminator: Discriminator, real: View, fake: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the raw scores of both views, in one forward pass unless clips influence each other."""
    if discriminator.mixes_samples or (real.label is None) != (fake.label is None):
        return real.scores(discriminator), fake.scores(discriminator)
    label = None if real.label is None or fake.label is None else torch.cat([real.label, fake.label])
    both = View(torch.cat([real.video, fake.video]), torch.cat([real.times, fake.times]), label)
    real_scores, fake_scores = both.scores(discriminator).chunk(2)
    return real_scores, fake_scores


def augmented(config: TrainConfig, networks: Networks, video: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Augment clips if the config asks for it, all of them or with the present probability."""
    if not config.augment:
        return video
    changed = augment.augment(video, config.augment, draws.augmentation)
    if draws.chances is None:
        return changed
    chosen = draws.chances < augmentation_probability(networks)
    return torch.where(chosen.to(video.device).view(-1, 1, 1, 1, 1), changed, video)


def augmentation_probability(networks: Networks) -> torch.Tensor:
    """Return the present probability of adaptive augmentation, which begins at 0."""
    return networks.memory.get("augmentation", torch.zeros(()))


def real_sign(adversarial: Loss, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Return the mean sign of the real scores: 1 if the discriminator recognises all real clips.

    Relativistic losses only determine differences of scores, so their real scores are compared with the mean
    score of generated clips.
    """
    return (real - fake.mean() if adversarial.needs_real else real).sign().float().mean()


def adapt_augmentation(config: TrainConfig, networks: Networks, sign: float) -> float:
    """Move the probability of augmentation by one step towards the target, and return it."""
    assert config.augment_target is not None
    step = config.batch / config.augment_clips
    now = augmentation_probability(networks) + (step if sign > config.augment_target else -step)
    networks.memory["augmentation"] = now.clamp(0, 1)
    return float(networks.memory["augmentation"])


def constrain(config: TrainConfig, step: int, discriminators: Sequence[Discriminator], world: World) -> None:
    """Apply the constraints on weights that are due, after the optimiser's step."""
    for one in config.regularisers:
        if one.kind == "constraint" and one.is_due(step):
            # Singular value clipping depends on running statistics, and each process has its own: without
            # their mean, the weights of the processes would become different.
            average_statistics(discriminators, world)
            for discriminator in discriminators:
                load_target(REGULARISERS[one.name].target)(discriminator, one.weight)


def limit_gradients(config: TrainConfig, networks: Sequence[nn.Module]) -> torch.Tensor:
    """Clip the gradient of each network if the config says so; return the norm of all of them before it."""
    limit = config.optimiser.gradient_clip or float("inf")
    norms = [nn.utils.clip_grad_norm_(one.parameters(), limit) for one in networks]
    return torch.stack(norms).square().sum().sqrt()


def remember_autocorrelation(networks: Networks, batch: Batch, world: World) -> None:
    """Update the running mean of the frames' `autocorrelation` over the real clips of all processes."""
    now = mean_over_processes(autocorrelation(frame_features(batch.video)).mean(0), world)
    before = networks.memory.get("real_autocorrelation", now)
    networks.memory["real_autocorrelation"] = torch.lerp(now, before, AUTOCORRELATION_MEMORY)


def motion_energy(video: torch.Tensor) -> torch.Tensor:
    """Return the mean of |x_{t+1} − x_t|."""
    return video.detach().diff(dim=2).abs().mean()


@contextmanager
def frozen(networks: Sequence[nn.Module]) -> Iterator[None]:
    """Let gradients pass through networks without adding to their own; what was frozen stays frozen."""
    trained = [one for network in networks for one in network.parameters() if one.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch norms use the statistics of the batch without updating their running statistics."""
    layers = [one for one in module.modules() if isinstance(one, AnyBatchNorm)]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum


def mixed_precision(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16 if the config says so."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


@dataclass
class StepLog:
    """Sums of what a phase measures by name; they stay tensors until the end of the phase."""

    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: torch.Tensor) -> None:
        """Add one value, a scalar."""
        self.sums[name] = self.sums.get(name, torch.zeros(())) + value.detach().float().cpu()
        self.counts[name] = self.counts.get(name, 0) + 1

    def add_scores(self, index: int, real: torch.Tensor, fake: torch.Tensor) -> None:
        """Add the mean scores of a discriminator, and the share of pairs of clips that it orders correctly.

        Unlike a threshold at zero, this accuracy has the same meaning for all losses.
        """
        self.add(f"real_score_{index}", real.mean())
        self.add(f"fake_score_{index}", fake.mean())
        self.add(f"accuracy_{index}", (real > fake).float().mean())

    def means(self, world: World) -> dict[str, float]:
        """Return the means over micro-batches and processes, which are the same in all processes."""
        means = torch.stack([total / self.counts[name] for name, total in self.sums.items()])
        return dict(zip(self.sums, mean_over_processes(means, world).tolist(), strict=True))


def is_finite(measured: Mapping[str, float]) -> bool:
    """Whether all numbers are finite."""
    return all(math.isfinite(value) for value in measured.values())
