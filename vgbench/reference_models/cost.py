"""What a model costs: parameters and multiply-accumulates per clip, counted and not estimated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vgbench.reference_models.discriminators import Discriminator, needed_times
from vgbench.reference_models.generator import Generator


@dataclass(frozen=True)
class Cost:
    """Attributes: trainable numbers; multiply-accumulates of one forward pass for one clip."""

    parameters: int
    macs: int


def parameters_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def generator_cost(generator: Generator) -> Cost:
    """Count one clip of the training length."""
    frames = generator.config.frames
    still = None
    if generator.encoder is not None:
        still = torch.zeros(2, 3, generator.config.size, generator.config.size)
    latents = generator.draw(2, frames, torch.Generator().manual_seed(0), first_frame=still)
    latents, times = latents.to(generator.device), needed_times(frames, 2).to(generator.device)
    was_training = generator.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        generator.eval()(latents, times)
    generator.train(was_training)
    return Cost(parameters_of(generator), counter.get_total_flops() // 4)


def discriminator_cost(discriminator: Discriminator, size: int, frames: int) -> Cost:
    """Count one clip, or the frames of it that the discriminator looks at."""
    chosen = discriminator.choose_times(2, frames, torch.Generator().manual_seed(0))
    times = needed_times(frames, 2) if chosen is None else chosen.float()
    video = torch.zeros(2, 3, times.shape[1], size, size)
    was_training = discriminator.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        discriminator.eval()(video, times)
    discriminator.train(was_training)
    return Cost(parameters_of(discriminator), counter.get_total_flops() // 4)
