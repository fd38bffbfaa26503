"""What training a config would build and need: shapes, parameters, cost and memory (`train --dry-run`)."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vgbench.distributed import World
from vgbench.reference_models.cost import parameters_of
from vgbench.reference_models.discriminators import Discriminator, needed_times
from vgbench.training.catalogue import ASSUMED_CLASSES, PresetFacts, describe_config, with_classes
from vgbench.training.config import TrainConfig
from vgbench.training.data import random_clips
from vgbench.training.players import build_players
from vgbench.training.trainer import opened_windows, training_step

MEASURED = (2, 4)
"""Clips of two small steps, from whose memory that of a full step is extended: every clip adds the same."""


@dataclass(frozen=True)
class Part:
    """One network of a config.

    Attributes:
        name: such as "decoder FrameDecoder".
        takes: shapes of its inputs for one micro-batch.
        gives: shapes of its outputs; for a discriminator its feature maps and then its scores.
        parameters: trainable numbers.
    """

    name: str
    takes: tuple[tuple[int, ...], ...]
    gives: tuple[tuple[int, ...], ...]
    parameters: int

    def __str__(self) -> str:
        shapes = [" ".join(str(list(shape)) for shape in side) for side in (self.takes, self.gives)]
        return f"{self.name}: {shapes[0]} -> {shapes[1]}, {self.parameters:,} parameters"


@dataclass(frozen=True)
class TrainingPreview:
    """What training a config would build and hold.

    Attributes:
        config: with the classes of its data, where the data are known.
        parts: every network.
        facts: sizes and cost of the networks.
        step_bytes: of tensors at the peak of a training step, see `step_memory`.
    """

    config: TrainConfig
    parts: tuple[Part, ...]
    facts: PresetFacts
    step_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the preview for JSON."""
        return {
            "config": self.config.model_dump(mode="json"),
            "parts": [asdict(part) for part in self.parts],
            "facts": asdict(self.facts),
            "step_bytes": self.step_bytes,
        }


def preview(config: TrainConfig, name: str) -> TrainingPreview:
    """Build the networks of a config on the CPU, describe them, and measure a training step; trains nothing.

    Args:
        config: of the run.
        name: of the run, for the facts.

    Raises:
        VgbenchError: classes cannot be found, see `with_classes`.
    """
    counted = with_classes(config)
    return TrainingPreview(
        config=config if counted.classes == ASSUMED_CLASSES else counted,
        parts=tuple(describe_parts(counted)),
        facts=describe_config(counted, name),
        step_bytes=step_memory(counted),
    )


def describe_parts(config: TrainConfig) -> list[Part]:
    """Pass one micro-batch through every network on the CPU, and note the shapes of inputs and outputs."""
    players = build_players(config.model_copy(update={"device": "cpu", "compile": False}))
    clips = config.micro_batch or config.batch
    random = torch.Generator().manual_seed(0)
    generator = players.generator
    still = torch.zeros(clips, 3, config.size, config.size) if config.generator.first_frame else None
    latents = generator.draw(clips, config.frames, random, first_frame=still)
    times = needed_times(config.frames, clips)
    parts = []
    with torch.no_grad():
        content = generator.conditioned(latents)
        codes = generator.motion(latents.motion, times)
        video = generator.decoder(content, codes)
        taken = [part for part in (latents.content, latents.label, latents.first_frame) if part is not None]
        outside = (
            parameters_of(generator) - parameters_of(generator.motion) - parameters_of(generator.decoder)
        )
        parts += [
            Part(
                "content latent, with what it is conditioned on", _shapes(taken), _shapes([content]), outside
            ),
            _part("motion module", generator.motion, [latents.motion, times], [codes]),
            _part("decoder", generator.decoder, [content, codes], [video]),
        ]
        for critic in players.discriminators:
            chosen = critic.choose_times(clips, config.frames, random)
            seen = needed_times(config.frames, clips) if chosen is None else chosen.float()
            looked_at = video[:, :, : seen.shape[1]]
            label = latents.label if critic.embedding is not None else None
            taken = [looked_at] if label is None else [looked_at, label]
            parts.append(_part("discriminator", critic, taken, _given(critic, looked_at, seen, label)))
    return parts


def _given(
    critic: Discriminator, video: torch.Tensor, times: torch.Tensor, label: torch.Tensor | None
) -> list[torch.Tensor]:
    try:
        maps = critic.trunk(video, times)
    except NotImplementedError:  # a discriminator of the user, which may have nothing but `forward`
        maps = []
    return [*maps, critic(video, times) if label is None else critic(video, times, label)]


def _part(kind: str, network: nn.Module, takes: list[torch.Tensor], gives: list[torch.Tensor]) -> Part:
    name = f"{kind} {type(network).__name__}"
    return Part(name, _shapes(takes), _shapes(gives), parameters_of(network))


def _shapes(tensors: Sequence[torch.Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one.shape) for one in tensors)


def step_memory(config: TrainConfig) -> int:
    """Return the bytes of tensors that a training step holds at its peak, in one process.

    They are weights, gradients, moments of the optimiser, the moving average and everything that is kept for
    the backward pass, with all regularisers. Measured on the CPU with a few clips and extended to the full
    micro-batch. Not included are the workspace of convolutions on a GPU, libraries, and the cache of decoded
    clips.
    """
    clips = config.micro_batch or config.batch
    if clips <= MEASURED[1]:
        return measured_memory(config, clips)
    low, high = (measured_memory(config, one) for one in MEASURED)
    return low + (high - low) * (clips - MEASURED[0]) // (MEASURED[1] - MEASURED[0])


def measured_memory(config: TrainConfig, clips: int) -> int:
    """Return the peak in bytes of two steps on random clips, by PyTorch's record of its allocations."""
    small = config.model_copy(update={"batch": clips, "micro_batch": None, "device": "cpu", "compile": False})
    gc.collect()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise its recorder reports its stages on stderr
    with (
        opened_windows(small, random_clips(small)) as windows,
        torch.autograd.profiler.profile(profile_memory=True, use_cpu=True) as record,
    ):
        players = build_players(small)
        for _ in range(2):  # the second step has moments; at step 0 all regularisers are applied
            training_step(small, players, World(), windows, 0)
    events = [event for event in record.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())
