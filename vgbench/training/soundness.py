"""Whether a run still makes sense: numbers that are finite, scores of a usable size."""

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
from vgbench.training.phases import Facts, draw, micro_batches, mixed_precision, scores_of, views_of
from vgbench.training.players import Players

WILD_SCORE = 1e5
"""A mean discriminator score beyond this is divergence, although it is still a number."""


class Diverged(VgbenchError):
    """A loss, gradient, score or weight stopped being a usable number.

    Attributes:
        step: the step that ended so, counted from 1.
        facts: its numbers by name.
    """

    def __init__(
        self,
        message: str,
        remedy: str | None = None,
        step: int = 0,
        facts: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.step = step
        self.facts = facts or {}


def require_sound(facts: Mapping[str, float], step: int) -> None:
    """Raise `Diverged` on a number that is not finite, or on scores beyond all measure."""
    for name, value in facts.items():
        wild = "score" in name and abs(value) > WILD_SCORE
        if wild or not math.isfinite(value):
            raise Diverged(
                f"training diverged at step {step}: {name} is {value:.3g}",
                "lower the learning rates, or add r1 or spectral norm",
                step,
                facts,
            )


def foreseen(
    config: TrainConfig, players: Players, world: World, windows: Windows, step: int
) -> dict[str, float]:
    """What step `step` (counted from 0) will find: the scores of its first micro-batch, the largest weights.

    The numbers of a step are of the weights before it, so only this tells whether the weights after it are
    worth keeping. It changes nothing, and needs no other process.
    """
    own = positions(config, world, step)
    batch = windows.batch(own[: config.micro_batch], then=own)
    device = players.generator.device
    facts = Facts()
    networks: dict[str, nn.Module] = {"generator": players.generator, "average": players.average}
    networks |= {f"discriminator_{index}": critic for index, critic in enumerate(players.discriminators)}
    with unmoved_buffers(networks.values()):
        real, labels, draws = next(
            micro_batches(config, world, device, batch, draw(config, players, step, phase=0))
        )
        views = views_of(config, players, real, labels, draws)
        for index, (critic, real_view, fake_view) in enumerate(
            zip(players.discriminators, *views, strict=True)
        ):
            with mixed_precision(config, device):
                facts.add_scores(index, *scores_of(critic, real_view, fake_view))
    for name, network in networks.items():
        facts.add(f"{name}_largest_weight", largest(network.state_dict().values()))
    return facts.means(World())


def largest(tensors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Largest magnitude among all numbers but counters; not finite where one of them is not."""
    numbers = [one.detach() for one in tensors if one.is_floating_point() and one.numel()]
    return torch.stack([one.abs().max().float().cpu() for one in numbers]).max()


@contextmanager
def unmoved_buffers(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Put back what forward passes move: running statistics, vectors of spectral norm."""
    before = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
