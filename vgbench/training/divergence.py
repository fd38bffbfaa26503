"""Divergence checks: whether losses, gradients, scores and weights are still usable numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from vgbench.distributed import World
from vgbench.errors import VgbenchError
from vgbench.training.config import TrainConfig
from vgbench.training.data import Windows, positions
from vgbench.training.inputs import draw, micro_batches, seeded_layers
from vgbench.training.networks import Networks
from vgbench.training.phases import StepLog, mixed_precision, scores_of, views_of

LARGEST_SCORE = 1e5
"""A run whose mean discriminator score is larger than this has diverged, even if the score is finite."""


class Diverged(VgbenchError):
    """A loss, gradient, score or weight is no longer a usable number.

    Attributes:
        step: the step that found it, counted from 1.
        measured: numbers of that step by name.
    """

    def __init__(
        self,
        message: str,
        remedy: str | None = None,
        step: int = 0,
        measured: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.step = step
        self.measured = measured or {}


def require_usable(measured: Mapping[str, float], step: int) -> None:
    """Raise `Diverged` if a number is not finite, or a score is larger than `LARGEST_SCORE`."""
    for name, value in measured.items():
        too_large = "score" in name and abs(value) > LARGEST_SCORE
        if too_large or not math.isfinite(value):
            raise Diverged(
                f"training diverged at step {step}: {name} is {value:.3g}",
                "lower the learning rates, or add r1 or spectral norm",
                step,
                measured,
            )


def look_ahead(
    config: TrainConfig, networks: Networks, world: World, windows: Windows, step: int
) -> dict[str, float]:
    """Measure the weights that step `step` (counted from 0) starts with.

    The numbers of a step belong to the weights before it, so they do not tell whether the weights after it
    are worth saving. This changes nothing, and needs no other process.

    Returns:
        scores of the first micro-batch of the step, and the largest weight of each network, by name.
    """
    own = positions(config, world, step)
    batch = windows.batch(own[: config.micro_batch], then=own)
    device = networks.generator.device
    log = StepLog()
    by_name: dict[str, nn.Module] = {"generator": networks.generator, "average": networks.average}
    by_name |= {f"discriminator_{index}": one for index, one in enumerate(networks.discriminators)}
    with unchanged_buffers(by_name.values()), seeded_layers(config, world, step, 0, device):
        draws = draw(config, networks, step, phase=0)
        part = next(micro_batches(config, world, device, batch, draws))
        views = views_of(config, networks, part)
        for index, (discriminator, real_view, fake_view) in enumerate(
            zip(networks.discriminators, *views, strict=True)
        ):
            with mixed_precision(config, device):
                log.add_scores(index, *scores_of(discriminator, real_view, fake_view))
    for name, network in by_name.items():
        log.add(f"{name}_largest_weight", largest(network.state_dict().values()))
    return log.means(World())


def largest(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Return the largest magnitude in tensors of floating-point numbers; not finite if any is not."""
    numbers = [one.detach() for one in tensors if one.is_floating_point() and one.numel()]
    return torch.stack([one.abs().max().float().cpu() for one in numbers]).max()


@contextmanager
def unchanged_buffers(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Restore what forward passes change: running statistics, and the vectors of spectral norm."""
    before = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
