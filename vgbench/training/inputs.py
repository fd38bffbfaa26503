"""The inputs of one phase of a step: random draws, micro-batches, and the frames that are rendered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from vgbench.distributed import World
from vgbench.reference_models.discriminators import View
from vgbench.reference_models.generator import Latents
from vgbench.reference_models.layers import frame_times, gather_frames
from vgbench.training import augment
from vgbench.training.config import TrainConfig
from vgbench.training.data import Batch
from vgbench.training.networks import Networks

LAYERS_STREAM = 1
"""Distinguishes the random numbers that layers draw from those of `draw`."""


@dataclass(frozen=True)
class Draws:
    """All random choices of one phase, for the whole batch or for some of its rows.

    Attributes:
        latents: of the generated clips.
        times: for each discriminator, the frames that it looks at, int64 [B, K]; None for all frames.
        augmentation: see `augment.draw`.
        mixing: α of the gradient penalty, [B].
        chances: in [0, 1), [B]; a clip is augmented if its chance is below the present probability. None if
            all clips are augmented.
    """

    latents: Latents
    times: tuple[torch.Tensor | None, ...]
    augmentation: torch.Tensor
    mixing: torch.Tensor
    chances: torch.Tensor | None = None

    def __getitem__(self, rows: slice) -> Draws:
        times = tuple(None if one is None else one[rows] for one in self.times)
        chances = None if self.chances is None else self.chances[rows]
        return Draws(self.latents[rows], times, self.augmentation[rows], self.mixing[rows], chances)


def draw(config: TrainConfig, networks: Networks, step: int, phase: int) -> Draws:
    """Draw for the whole global batch; the draws depend only on (seed, step, phase).

    Every process draws the same numbers and uses its own rows, so several processes train like one, and a
    resumed run needs no random state.
    """
    sequence = np.random.SeedSequence([config.seed, step, phase])
    random = torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0]) >> 1)
    return Draws(
        latents=networks.generator.draw(config.batch, config.noise_frames, random),
        times=tuple(one.choose_times(config.batch, config.frames, random) for one in networks.discriminators),
        augmentation=augment.draw(config.batch, random),
        mixing=torch.rand(config.batch, generator=random),
        chances=None if config.augment_target is None else torch.rand(config.batch, generator=random),
    )


@contextmanager
def seeded_layers(
    config: TrainConfig, world: World, step: int, phase: int, device: torch.device
) -> Iterator[None]:
    """Seed what layers draw themselves, such as noise or dropout, inside; it depends on (seed, step, phase).

    Each process draws its own numbers. Outside, PyTorch's random state is as it was before.
    """
    sequence = np.random.SeedSequence([config.seed, step, phase, world.rank, LAYERS_STREAM])
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]) >> 1)
        yield


@dataclass(frozen=True)
class MicroBatch:
    """Real clips that are computed at once, and the draws that belong to them.

    Attributes:
        real: real clips, float [B, 3, T, H, W] in [−1, 1].
        labels: their classes, int64 [B]; None without labels.
        draws: with the latents on the device of the networks; a generated clip has the label and the first
            frame of the real clip in the same row.
        weight: share of this process's clips, so that every clip has the same weight in the gradient.
    """

    real: torch.Tensor
    labels: torch.Tensor | None
    draws: Draws
    weight: float


def micro_batches(
    config: TrainConfig, world: World, device: torch.device, batch: Batch, draws: Draws
) -> Iterator[MicroBatch]:
    """Cut the batch of this process into parts of `micro_batch` clips; the last one may be smaller.

    Args:
        config: of the run.
        world: of the processes.
        device: of the networks.
        batch: real clips of this process.
        draws: those of the whole global batch.
    """
    share = config.batch // world.size
    own = draws[world.rank * share : (world.rank + 1) * share]
    size = min(config.micro_batch or share, share)
    for start in range(0, share, size):
        rows = slice(start, start + size)
        real = batch.video[rows].to(device)
        labels = torch.from_numpy(batch.labels[rows]).to(device) if config.classes else None
        part = own[rows]
        latents = dataclasses.replace(
            part.latents,
            label=part.latents.label if labels is None else labels,
            first_frame=real[:, :, 0] if config.generator.first_frame else None,
        ).to(device)
        yield MicroBatch(
            real, labels, dataclasses.replace(part, latents=latents), len(real) / len(batch.clips)
        )


@dataclass(frozen=True)
class Rendering:
    """Which frames are rendered, and which of them each discriminator sees.

    Attributes:
        times: of the frames that are rendered, float [B, K].
        partial: only the frames that some discriminator looks at are rendered.
        chosen: for each discriminator the times of the frames that it looks at; None for all frames.
    """

    times: torch.Tensor
    partial: bool
    chosen: tuple[torch.Tensor | None, ...]

    def views(self, video: torch.Tensor, labels: torch.Tensor | None) -> list[View]:
        """Cut one view per discriminator out of the rendered frames, [B, 3, K, H, W]."""
        views, start = [], 0
        for times in self.chosen:
            if times is None:
                views.append(View(video, self.times, labels))
            elif self.partial:
                stop = start + times.shape[1]
                views.append(View(video[:, :, start:stop], times.float(), labels))
                start = stop
            else:
                views.append(View(gather_frames(video, times), times.float(), labels))
        return views

    def of_real(self, video: torch.Tensor) -> torch.Tensor:
        """Select the same frames of real clips, which have all frames."""
        return gather_frames(video, self.times) if self.partial else video


def choose_rendering(
    config: TrainConfig, networks: Networks, draws: Draws, whole_clips: bool, device: torch.device
) -> Rendering:
    """Decide which frames to render; all of them if `whole_clips`."""
    chosen = tuple(None if one is None else one.to(device) for one in draws.times)
    partial = (
        not whole_clips
        and networks.generator.renders_single_frames
        and all(one is not None for one in chosen)
    )
    if partial:
        times = torch.cat([one for one in chosen if one is not None], 1).float()
    else:
        times = frame_times(config.frames, len(draws.latents), device)
    return Rendering(times, partial, chosen)
