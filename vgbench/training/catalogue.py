"""Size and cost of each preset, counted or measured, for `vgbench list models`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vgbench.presets import describe, preset_names
from vgbench.progress import Progress, no_progress
from vgbench.training.config import TrainConfig
from vgbench.training.reading import read_config

NO_DATA = "path/to/clips"
"""The data of presets that leave the choice of clips to the user."""

ASSUMED_CLASSES = tuple(f"class {number}" for number in range(101))
"""Classes with which a labelled preset without data is counted: as many as UCF-101 has."""


@dataclass(frozen=True)
class PresetFacts:
    """One preset.

    Attributes:
        name: of the preset.
        description: one sentence.
        size: side in pixels.
        frames: length of a clip.
        generator_parameters: trainable numbers.
        generator_macs: multiply-accumulates for one clip, forward.
        discriminator_parameters: trainable numbers of all discriminators.
        discriminator_macs: multiply-accumulates of all discriminators for what they see of one clip, forward.
        seconds_per_step: of training on this machine; None when not measured.
        estimated: the seconds were measured with two clips and scaled to the batch, because a full step takes
            too long.
        classes: number of classes that the networks are conditioned on; 0 without labels.
        assumed: the preset has no data, and `ASSUMED_CLASSES` were used in place of its classes.
    """

    name: str
    description: str
    size: int
    frames: int
    generator_parameters: int
    generator_macs: int
    discriminator_parameters: int
    discriminator_macs: int
    seconds_per_step: float | None = None
    estimated: bool = False
    classes: int = 0
    assumed: bool = False

    def __str__(self) -> str:
        classes = f", {self.classes} classes" if self.classes else ""
        parts = [
            f"{self.frames}x{self.size}x{self.size}{classes}{' (assumed)' if self.assumed else ''}",
            _size("generator", self.generator_parameters, self.generator_macs),
            _size("discriminators", self.discriminator_parameters, self.discriminator_macs),
        ]
        if self.seconds_per_step is not None:
            scaled = " (estimated from two clips)" if self.estimated else ""
            parts.append(f"{self.seconds_per_step:.2f} s per step{scaled}")
        return "; ".join(parts)


def _size(network: str, parameters: int, macs: int) -> str:
    return f"{network} {parameters / 1e6:.2f} M parameters, {macs / 1e9:.2f} GMAC per clip"


MEASURED_CLIPS = 2
"""Clips of the small step from which the time of a full step is predicted."""


def list_models(
    names: Iterable[str] | None = None,
    measured_steps: int = 0,
    *,
    seconds_limit: float = 20.0,
    progress: Progress = no_progress,
) -> list[PresetFacts]:
    """Describe presets.

    Args:
        names: which ones; all unless given.
        measured_steps: time this many training steps of each kind on random clips, after one to warm up.
        seconds_limit: per preset. If full steps would take longer, a step of two clips is timed and scaled to
            the batch, and the facts say so.
        progress: called before each preset.

    Raises:
        ConfigError: unknown preset.
        VgbenchError: classes cannot be found, see `with_classes`.
    """
    wanted = preset_names() if names is None else list(names)
    configs = [read_config(name) for name in wanted]  # an unknown name is an error before any work
    facts = []
    for done, (name, config) in enumerate(zip(wanted, configs, strict=True)):
        progress(f"timing {name}" if measured_steps else f"counting {name}", done, len(wanted))
        facts.append(describe_config(config, name, describe(name), measured_steps, seconds_limit))
    return facts


def describe_config(
    config: TrainConfig,
    name: str,
    description: str = "",
    measured_steps: int = 0,
    seconds_limit: float = 20.0,
) -> PresetFacts:
    """Count the parameters and the cost of a config's networks, and time its training step if asked to.

    Raises:
        VgbenchError: classes cannot be found, see `with_classes`.
    """
    from vgbench.reference_models.cost import discriminator_cost, generator_cost
    from vgbench.training.players import build_players

    config = with_classes(config)
    players = build_players(config.model_copy(update={"device": "cpu"}))
    generator = generator_cost(players.generator)
    critics = [discriminator_cost(one, config.size, config.frames) for one in players.discriminators]
    seconds, estimated = None, False
    if measured_steps:
        seconds, estimated = bounded_seconds_per_step(config, measured_steps, seconds_limit)
    return PresetFacts(
        name=name,
        description=description,
        size=config.size,
        frames=config.frames,
        generator_parameters=generator.parameters,
        generator_macs=generator.macs,
        discriminator_parameters=sum(cost.parameters for cost in critics),
        discriminator_macs=sum(cost.macs for cost in critics),
        seconds_per_step=seconds,
        estimated=estimated,
        classes=len(config.classes),
        assumed=config.classes == ASSUMED_CLASSES,
    )


def with_classes(config: TrainConfig) -> TrainConfig:
    """Fill in the classes of the data, on which the size of embeddings and projections depends.

    A preset that leaves its data to the user gets `ASSUMED_CLASSES`.

    Raises:
        VgbenchError: the data do not exist, or the clips have no labels.
    """
    if not config.labels or config.classes:
        return config
    if config.data == NO_DATA:
        return config.model_copy(update={"classes": ASSUMED_CLASSES})
    from vgbench.training.trainer import open_data, resolved

    return resolved(config, None, None, open_data(config))


def bounded_seconds_per_step(
    config: TrainConfig, steps: int, seconds_limit: float = 20.0
) -> tuple[float, bool]:
    """Return the seconds of a training step, and whether they were scaled up from a step of two clips."""
    if config.batch <= MEASURED_CLIPS:
        return seconds_per_step(config, steps), False
    small = config.model_copy(update={"batch": MEASURED_CLIPS, "micro_batch": None})
    foreseen = seconds_per_step(small, 1) * config.batch / MEASURED_CLIPS
    if foreseen * (steps + 1) * len(kinds_of_steps(config)) > seconds_limit:
        return foreseen, True
    return seconds_per_step(config, steps), False


def seconds_per_step(
    config: TrainConfig, steps: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the mean time of a training step on random clips, data loading included, by any clock.

    Regularisers that are not applied at every step count by their share: `steps` of each kind are timed.
    """
    from vgbench.distributed import World
    from vgbench.training.data import random_clips
    from vgbench.training.players import build_players
    from vgbench.training.trainer import opened_windows, training_step

    players = build_players(config)
    with opened_windows(config, random_clips(config)) as windows:
        mean = 0.0
        for step, share in kinds_of_steps(config):
            training_step(config, players, World(), windows, step)  # the first step of each kind is slow
            before = clock()
            for _ in range(steps):
                training_step(config, players, World(), windows, step)
            mean += share * (clock() - before) / steps
        return mean


def kinds_of_steps(config: TrainConfig) -> list[tuple[int, float]]:
    """Return the kinds of steps by the regularisers applied in them: (first step, share of all steps)."""
    intervals = sorted({one.interval for one in config.regularisers})
    cycle = min(math.lcm(*intervals), 10_000)
    due = [tuple(step % interval == 0 for interval in intervals) for step in range(cycle)]
    return [(due.index(kind), due.count(kind) / cycle) for kind in dict.fromkeys(due)]
