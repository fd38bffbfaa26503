"""The networks of a run, their moving average and their optimisers: everything that training changes."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from vgbench.device import device_of
from vgbench.extractors.compiled import require_compiler
from vgbench.reference_models.checkpoint import build_generator
from vgbench.reference_models.discriminators import Discriminator, build_discriminator
from vgbench.reference_models.generator import Generator
from vgbench.reference_models.layers import CHANNELS_LAST
from vgbench.reference_models.parts import check_options
from vgbench.training.config import OptimiserConfig, TrainConfig


@dataclass
class Networks:
    """Everything that training changes.

    Attributes:
        generator: as the discriminators see it.
        average: moving average of the generator, which is sampled and scored.
        discriminators: in the order of the config.
        generator_optimiser: of the generator's parameters.
        discriminator_optimiser: of the parameters of all discriminators.
        memory: running statistics of regularisers, by name.
    """

    generator: Generator
    average: Generator
    discriminators: list[Discriminator]
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    memory: dict[str, torch.Tensor] = field(default_factory=dict)

    def generator_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the generator."""
        return list(self.generator.parameters())

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of all discriminators."""
        return [parameter for one in self.discriminators for parameter in one.parameters()]

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | dict[str, torch.Tensor]]:
        """Return what a checkpoint contains, by name."""
        return {
            "generator": self.generator,
            "average": self.average,
            **{f"discriminator{index}": one for index, one in enumerate(self.discriminators)},
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
            "memory": self.memory,
        }


def build_networks(config: TrainConfig) -> Networks:
    """Build networks, whose weights depend on the config's seed, and their optimisers.

    Raises:
        ConfigError: the device does not exist, parts do not fit together, or networks are to be compiled for
            a CPU but there is no C++ compiler.
        VgbenchError: a regulariser does not have an option, or the option has another type.
    """
    for one in config.regularisers:
        check_options(one.name, one.options)
    device = device_of(config.device)
    generator = build_generator(config.model, config.seed)
    classifies = config.is_regularised_by("categorical-information")
    # The category of a real clip is unknown, so discriminators can only be conditioned on labels of the data.
    labels = config.model.label_count if classifies else len(config.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        discriminators = [
            build_discriminator(one, config.size, config.frames, labels, classifies).to(device)
            for one in config.discriminators
        ]
    generator = generator.to(device).train()
    if config.channels_last:
        for network in (generator, *discriminators):
            lay_channels_last(network)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    if config.compile:
        if device.type == "cpu":
            require_compiler("compile: true")
        compile_networks(config, generator, discriminators)
    settings = config.optimiser
    discriminator_parameters = [parameter for one in discriminators for parameter in one.parameters()]
    return Networks(
        generator=generator,
        average=average,
        discriminators=discriminators,
        generator_optimiser=build_optimiser(settings, list(generator.parameters()), settings.generator_lr),
        discriminator_optimiser=build_optimiser(
            settings, discriminator_parameters, settings.discriminator_lr
        ),
    )


def compile_networks(
    config: TrainConfig, generator: Generator, discriminators: Sequence[Discriminator]
) -> None:
    """Compile the decoder, and discriminators without gradient penalty, in place; names and weights stay."""
    generator.decoder.compile()
    if not config.gradient_penalties:
        for discriminator in discriminators:
            discriminator.compile()


def lay_channels_last(network: nn.Module) -> None:
    """Store convolution weights with channels innermost, in place; activations then get the same layout."""
    for module in network.modules():
        for tensor in module.parameters(recurse=False):
            if tensor.dim() in CHANNELS_LAST:
                tensor.data = tensor.data.contiguous(memory_format=CHANNELS_LAST[tensor.dim()])


def build_optimiser(
    config: OptimiserConfig, parameters: list[nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    """Build the optimiser that the config names."""
    if config.kind == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, alpha=config.betas[1], weight_decay=config.weight_decay)
    return torch.optim.Adam(
        parameters, lr=lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def learning_rate_share(config: TrainConfig, step: int) -> float:
    """Return the factor of the learning rates at a step, according to the schedule."""
    schedule = config.optimiser.schedule
    if schedule == "constant":
        return 1.0
    assert config.steps is not None
    left = max(0.0, 1 - step / config.steps)
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def set_learning_rates(config: TrainConfig, networks: Networks, step: int) -> None:
    """Set the learning rates of a step, according to the schedule."""
    share = learning_rate_share(config, step)
    for optimiser, lr in (
        (networks.generator_optimiser, config.optimiser.generator_lr),
        (networks.discriminator_optimiser, config.optimiser.discriminator_lr),
    ):
        for group in optimiser.param_groups:
            group["lr"] = lr * share
