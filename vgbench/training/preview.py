"""What training would build: shapes, parameters, cost and memory of its networks (`train --dry-run`)."""

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
from vgbench.reference_models.discriminators import Discriminator
from vgbench.reference_models.layers import frame_times
from vgbench.training.config import TrainConfig
from vgbench.training.data import random_clips
from vgbench.training.model_costs import ASSUMED_CLASSES, ModelCosts, costs_of, with_classes
from vgbench.training.networks import build_networks
from vgbench.training.trainer import opened_windows, training_step

MEASURED = (2, 4)
"""Clips of the two small steps from which the memory of a whole step is extrapolated linearly."""


@dataclass(frozen=True)
class Part:
    """One network of a config.

    Attributes:
        name: such as "decoder FrameDecoder".
        takes: shapes of its inputs for one micro-batch.
        gives: shapes of its outputs; for a discriminator those of its feature maps, and then of its scores.
        parameters: number of its parameters.
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
    """What training a config would build.

    Attributes:
        config: with the classes of its data, if the data are known.
        parts: all networks.
        costs: size and cost of the model.
        step_bytes: peak memory of a training step, see `step_memory`.
    """

    config: TrainConfig
    parts: tuple[Part, ...]
    costs: ModelCosts
    step_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the preview for JSON."""
        return {
            "config": self.config.model_dump(mode="json"),
            "parts": [asdict(part) for part in self.parts],
            "facts": asdict(self.costs),
            "step_bytes": self.step_bytes,
        }


def preview(config: TrainConfig, name: str) -> TrainingPreview:
    """Build the networks of a config on the CPU, and measure a training step; nothing is written.

    Args:
        config: of the run.
        name: of the run.

    Raises:
        VgbenchError: the classes of the data cannot be found, see `with_classes`.
    """
    counted = with_classes(config)
    return TrainingPreview(
        config=config if counted.classes == ASSUMED_CLASSES else counted,
        parts=tuple(describe_parts(counted)),
        costs=costs_of(counted, name),
        step_bytes=step_memory(counted),
    )


def describe_parts(config: TrainConfig) -> list[Part]:
    """Pass one micro-batch through all networks, on the CPU, and return the shapes of inputs and outputs."""
    networks = build_networks(config.model_copy(update={"device": "cpu", "compile": False}))
    clips = config.micro_batch or config.batch
    random = torch.Generator().manual_seed(0)
    generator = networks.generator
    first_frame = torch.zeros(clips, 3, config.size, config.size) if config.generator.first_frame else None
    latents = generator.draw(clips, config.frames, random, first_frame=first_frame)
    times = frame_times(config.frames, clips)
    with torch.no_grad():
        content = generator.conditioned(latents)
        codes = generator.motion(latents.motion, times)
        video = generator.decoder(content, codes)
        inputs = [part for part in (latents.content, latents.label, latents.first_frame) if part is not None]
        parts = [
            Part(
                "content latent, and what it is conditioned on",
                _shapes(inputs),
                _shapes([content]),
                parameters_of(generator) - parameters_of(generator.motion) - parameters_of(generator.decoder),
            ),
            _part("motion module", generator.motion, [latents.motion, times], [codes]),
            _part("decoder", generator.decoder, [content, codes], [video]),
        ]
        for one in networks.discriminators:
            chosen = one.choose_times(clips, config.frames, random)
            times = frame_times(config.frames, clips) if chosen is None else chosen.float()
            seen = video[:, :, : times.shape[1]]
            label = latents.label if one.embedding is not None else None
            inputs = [seen] if label is None else [seen, label]
            parts.append(_part("discriminator", one, inputs, _outputs(one, seen, times, label)))
    return parts


def _outputs(
    discriminator: Discriminator, video: torch.Tensor, times: torch.Tensor, label: torch.Tensor | None
) -> list[torch.Tensor]:
    """Compute the feature maps and the scores of a discriminator."""
    try:
        maps = discriminator.trunk(video, times)
    except NotImplementedError:  # a user's discriminator may have nothing but `forward`
        maps = []
    return [*maps, discriminator(video, times) if label is None else discriminator(video, times, label)]


def _part(kind: str, network: nn.Module, takes: list[torch.Tensor], gives: list[torch.Tensor]) -> Part:
    name = f"{kind} {type(network).__name__}"
    return Part(name, _shapes(takes), _shapes(gives), parameters_of(network))


def _shapes(tensors: Sequence[torch.Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(one.shape) for one in tensors)


def step_memory(config: TrainConfig) -> int:
    """Return the bytes of tensors at the peak of a training step, in one process.

    These are weights, gradients, moments of the optimiser, moving average and everything kept for the
    backward pass, with all regularisers. They are measured on the CPU with a few clips, and extrapolated to
    the whole micro-batch. The workspace of a GPU's convolutions, libraries and the cache of decoded clips are
    not included.
    """
    clips = config.micro_batch or config.batch
    if clips <= MEASURED[1]:
        return measured_memory(config, clips)
    low, high = (measured_memory(config, one) for one in MEASURED)
    return low + (high - low) * (clips - MEASURED[0]) // (MEASURED[1] - MEASURED[0])


def measured_memory(config: TrainConfig, clips: int) -> int:
    """Measure the peak of two steps on that many random clips, as PyTorch records its allocations."""
    small = config.model_copy(update={"batch": clips, "micro_batch": None, "device": "cpu", "compile": False})
    gc.collect()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # otherwise it writes its own progress to stderr
    with (
        opened_windows(small, random_clips(small)) as windows,
        torch.autograd.profiler.profile(profile_memory=True, use_cpu=True) as record,
    ):
        networks = build_networks(small)
        for _ in range(2):  # the second has moments of the optimiser; at step 0 all regularisers are due
            training_step(small, networks, World(), windows, 0)
    events = [event for event in record.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(changes).max())
