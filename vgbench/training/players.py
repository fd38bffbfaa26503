"""Everything that training changes: networks, their moving average, their optimisers."""

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
from vgbench.reference_models.penalties import check_options
from vgbench.training.config import GRADIENT_PENALTIES, OptimiserConfig, TrainConfig


@dataclass
class Players:
    """Everything that training changes.

    Attributes:
        average: moving average of the generator.
        memory: running statistics of regularisers, by name.
    """

    generator: Generator
    average: Generator
    discriminators: list[Discriminator]
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    memory: dict[str, torch.Tensor] = field(default_factory=dict)

    def critic_parameters(self) -> list[nn.Parameter]:
        return [parameter for one in self.discriminators for parameter in one.parameters()]

    def generator_parameters(self) -> list[nn.Parameter]:
        return list(self.generator.parameters())

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer | dict[str, torch.Tensor]]:
        """What a checkpoint holds, by name."""
        return {
            "generator": self.generator,
            "average": self.average,
            **{f"discriminator{index}": critic for index, critic in enumerate(self.discriminators)},
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
            "memory": self.memory,
        }


def build_players(config: TrainConfig) -> Players:
    """Networks with weights from the config's seed, and their optimisers.

    Raises:
        ConfigError: a device that is not there, or networks are to be compiled for a CPU, and there is no C++
            compiler.
        VgbenchError: an option that a regulariser or a part does not have, or not of that kind.
    """
    for one in config.regularisers:
        check_options(one.name, one.options)
    device = device_of(config.device)
    generator = build_generator(config.model, config.seed)
    classifies = config.regularised_by("categorical-information")
    # A categorical latent is not known of real clips, so only labels of the data can condition the critic.
    labels = config.model.label_count if classifies else len(config.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        critics = [
            build_discriminator(one, config.size, config.frames, labels, classifies).to(device)
            for one in config.discriminators
        ]
    generator = generator.to(device).train()
    if config.channels_last:
        for network in (generator, *critics):
            lay_channels_last(network)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    if config.compile:
        if device.type == "cpu":
            require_compiler("compile: true")
        compile_networks(config, generator, critics)
    parameters = [parameter for critic in critics for parameter in critic.parameters()]
    return Players(
        generator=generator,
        average=average,
        discriminators=critics,
        generator_optimiser=build_optimiser(
            config.optimiser, list(generator.parameters()), config.optimiser.generator_lr
        ),
        discriminator_optimiser=build_optimiser(
            config.optimiser, parameters, config.optimiser.discriminator_lr
        ),
    )


def compile_networks(config: TrainConfig, generator: Generator, critics: Sequence[Discriminator]) -> None:
    """Compile what can be, in place; names and weights stay."""
    generator.decoder.compile()
    if not config.regularised_by(*GRADIENT_PENALTIES):
        for critic in critics:
            critic.compile()


def lay_channels_last(network: nn.Module) -> None:
    """Lay convolution weights out with channels innermost, in place; activations follow by themselves."""
    for module in network.modules():
        for tensor in module.parameters(recurse=False):
            if tensor.dim() in CHANNELS_LAST:
                tensor.data = tensor.data.contiguous(memory_format=CHANNELS_LAST[tensor.dim()])


def build_optimiser(
    config: OptimiserConfig, parameters: list[nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    if config.kind == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, alpha=config.betas[1], weight_decay=config.weight_decay)
    return torch.optim.Adam(
        parameters, lr=lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def learning_rate_share(config: TrainConfig, step: int) -> float:
    """Factor of the learning rates at a step, by the schedule."""
    schedule = config.optimiser.schedule
    if schedule == "constant":
        return 1.0
    assert config.steps is not None
    left = max(0.0, 1 - step / config.steps)
    return left if schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def set_learning_rates(config: TrainConfig, players: Players, step: int) -> None:
    """Learning rates of this step, by the schedule."""
    share = learning_rate_share(config, step)
    for optimiser, lr in (
        (players.generator_optimiser, config.optimiser.generator_lr),
        (players.discriminator_optimiser, config.optimiser.discriminator_lr),
    ):
        for group in optimiser.param_groups:
            group["lr"] = lr * share
