"""What a network costs: number of parameters, and multiply-accumulates for one clip."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vgbench.reference_models.discriminators import Discriminator
from vgbench.reference_models.generator import Generator, Latents
from vgbench.reference_models.layers import frame_times


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: number of its parameters.
        macs: multiply-accumulates of one forward pass for one clip.
    """

    parameters: int
    macs: int


def parameters_of(module: nn.Module) -> int:
    """Count the numbers in all parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def generator_cost(generator: Generator) -> Cost:
    """Count the cost of a clip of the training length."""
    frames = generator.config.frames
    first_frame = None
    if generator.encoder is not None:
        first_frame = torch.zeros(2, 3, generator.config.size, generator.config.size)
    latents = generator.draw(2, frames, torch.Generator().manual_seed(0), first_frame=first_frame)
    return _cost(generator, latents, frame_times(frames, 2))


def discriminator_cost(discriminator: Discriminator, size: int, frames: int) -> Cost:
    """Count the cost of a clip, or of those of its frames that the discriminator looks at."""
    chosen = discriminator.choose_times(2, frames, torch.Generator().manual_seed(0))
    times = frame_times(frames, 2) if chosen is None else chosen.float()
    return _cost(discriminator, torch.zeros(2, 3, times.shape[1], size, size), times)


def _cost(network: nn.Module, *inputs: torch.Tensor | Latents) -> Cost:
    """Count the cost of one clip from a forward pass of two."""
    device = next(network.parameters()).device
    try:
        # Shapes are enough to count operations, and nothing is computed on this device.
        operations = _operations(copy.deepcopy(network), inputs, torch.device("meta"))
    except (RuntimeError, NotImplementedError):  # a part looks at numbers, such as the times of the frames
        operations = _operations(network, inputs, device)
    operations_per_clip = operations // 2
    return Cost(parameters_of(network), operations_per_clip // 2)  # a multiplication and an addition


def _operations(network: nn.Module, inputs: Sequence[torch.Tensor | Latents], device: torch.device) -> int:
    was_training = network.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to(device).eval()(*(one.to(device) for one in inputs))
    network.train(was_training)
    return int(counter.get_total_flops())
