"""What each preset is and costs, for `vgbench list models`: counted or measured, never estimated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vgbench.presets import describe, preset_names
from vgbench.progress import Progress, silent
from vgbench.training.config import TrainConfig
from vgbench.training.reading import read_config

NO_DATA = "path/to/clips"
"""The data of presets that leave the choice of clips to the user."""

ASSUMED_CLASSES = tuple(f"class {number}" for number in range(101))
"""What a labelled preset without data is counted with: as many classes as UCF-101 has."""


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
        estimated: the seconds are those of two clips, scaled to the batch, as a whole step takes too long.
        classes: that the networks are conditioned on, 0 without labels.
        assumed: the preset's data are not known, and `ASSUMED_CLASSES` stand for theirs.
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
            f"generator {self.generator_parameters / 1e6:.2f} M, {self.generator_macs / 1e9:.2f} GMAC a clip",
            f"critics {self.discriminator_parameters / 1e6:.2f} M, {self.discriminator_macs / 1e9:.2f} GMAC",
        ]
        if self.seconds_per_step is not None:
            scaled = " (estimated from two clips)" if self.estimated else ""
            parts.append(f"{self.seconds_per_step:.2f} s a step{scaled}")
        return "; ".join(parts)


MEASURED_CLIPS = 2
"""Clips of the small step from which the time of a whole one is foreseen."""


def list_models(
    names: Iterable[str] | None = None,
    measured_steps: int = 0,
    *,
    seconds_limit: float = 20.0,
    progress: Progress = silent,
) -> list[PresetFacts]:
    """Describe presets.

    Args:
        names: which ones; all unless given.
        measured_steps: time that many training steps of each kind on random clips, after one to warm up.
        seconds_limit: per preset. Where whole steps are foreseen to take longer, a step of two clips is timed
            and scaled to the batch, and the facts say so.
        progress: called as (stage, done, total) before each preset.

    Raises:
        ConfigError: unknown preset.
        VgbenchError: classes cannot be found, see `with_classes`.
    """
    wanted = preset_names() if names is None else list(names)
    configs = [read_config(name) for name in wanted]  # an unknown name is an error before any work
    facts = []
    for done, (name, config) in enumerate(zip(wanted, configs, strict=True)):
        progress(f"measuring {name}" if measured_steps else f"counting {name}", done, len(wanted))
        facts.append(describe_config(config, name, describe(name), measured_steps, seconds_limit))
    return facts


def describe_config(
    config: TrainConfig,
    name: str,
    description: str = "",
    measured_steps: int = 0,
    seconds_limit: float = 20.0,
) -> PresetFacts:
    """Count a config's networks, and time its training step if asked to.

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
    """Fill in the classes that training finds in the data: embeddings and projections have a row for each.

    A preset that leaves its data to the user gets `ASSUMED_CLASSES`.

    Raises:
        VgbenchError: the data are not there, or are clips without labels.
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
    """Time of a training step, and whether it was scaled up from two clips to stay under the limit."""
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
    """Mean time of a training step on random clips, data loading included, by any clock.

    Regularisers that come every so many steps count by their share: `steps` of each kind of step are timed.
    """
    from vgbench.distributed import World
    from vgbench.training.data import random_clips
    from vgbench.training.players import build_players
    from vgbench.training.trainer import opened_windows, training_step

    players = build_players(config)
    with opened_windows(config, random_clips(config)) as windows:
        mean = 0.0
        for step, share in kinds_of_steps(config):
            training_step(config, players, World(), windows, step)  # every kind has first times of its own
            before = clock()
            for _ in range(steps):
                training_step(config, players, World(), windows, step)
            mean += share * (clock() - before) / steps
        return mean


def kinds_of_steps(config: TrainConfig) -> list[tuple[int, float]]:
    """Kinds of steps by what is due in them: the first step of each, and its kind's share of all steps."""
    intervals = sorted({one.interval for one in config.regularisers})
    cycle = min(math.lcm(*intervals), 10_000)
    due = [tuple(step % interval == 0 for interval in intervals) for step in range(cycle)]
    return [(due.index(kind), due.count(kind) / cycle) for kind in dict.fromkeys(due)]
