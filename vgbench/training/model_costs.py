"""Size and cost of the model in each preset, for `vgbench list models`, which are counted or measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vgbench.presets import describe, present_name, preset_names
from vgbench.progress import Progress, no_progress
from vgbench.training.config import TrainConfig
from vgbench.training.config_files import read_config

NO_DATA = "path/to/clips"
"""The data of presets for which the user chooses the clips."""

ASSUMED_CLASSES = tuple(f"class {number}" for number in range(101))
"""Classes that are counted for a preset with labels but without data: as many as UCF-101 has."""


@dataclass(frozen=True)
class ModelCosts:
    """Size and cost of one model.

    Attributes:
        name: of the preset or run.
        description: one sentence.
        size: side length in pixels.
        frames: length of a clip.
        generator_parameters: number of the generator's parameters.
        generator_macs: multiply-accumulates of one forward pass for one clip.
        discriminator_parameters: number of the parameters of all discriminators.
        discriminator_macs: multiply-accumulates of one forward pass of all discriminators, for the frames
            that they see of one clip.
        seconds_per_step: time of a training step on this machine; None if it was not measured.
        estimated: the time is that of a step with `MEASURED_CLIPS`, scaled to the batch, because a whole step
            would take too long.
        classes: number of classes that the networks are conditioned on; 0 without labels.
        assumed: the data are unknown, and `ASSUMED_CLASSES` were counted.
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
            how = f" (extrapolated from {MEASURED_CLIPS} clips)" if self.estimated else ""
            parts.append(f"{self.seconds_per_step:.2f} s per step{how}")
        return "; ".join(parts)


def _size(network: str, parameters: int, macs: int) -> str:
    return f"{network} {parameters / 1e6:.2f} M parameters, {macs / 1e9:.2f} GMAC per clip"


MEASURED_CLIPS = 2
"""Clips of the small step from which the time of a whole step is extrapolated."""


def list_models(
    names: Iterable[str] | None = None,
    measured_steps: int = 0,
    *,
    seconds_limit: float = 20.0,
    progress: Progress = no_progress,
) -> list[ModelCosts]:
    """Count, and measure if asked to, the models of presets.

    Args:
        names: of the presets; all by default.
        measured_steps: number of training steps of each kind to time, on random clips, after one to warm up.
        seconds_limit: per preset. If whole steps are expected to take longer, the time of a step with
            `MEASURED_CLIPS` is scaled to the batch.
        progress: called before each preset.

    Raises:
        ConfigError: unknown preset.
        VgbenchError: the classes of the data cannot be found, see `with_classes`.
    """
    wanted = preset_names() if names is None else [present_name(name) for name in names]
    configs = [read_config(name) for name in wanted]  # so that an unknown name is an error before any work
    costs = []
    for done, (name, config) in enumerate(zip(wanted, configs, strict=True)):
        progress(f"timing {name}" if measured_steps else f"counting {name}", done, len(wanted))
        costs.append(costs_of(config, name, describe(name), measured_steps, seconds_limit))
    return costs


def costs_of(
    config: TrainConfig,
    name: str,
    description: str = "",
    measured_steps: int = 0,
    seconds_limit: float = 20.0,
) -> ModelCosts:
    """Count the networks of a config, and time its training step if `measured_steps` is not 0.

    Raises:
        VgbenchError: the classes of the data cannot be found, see `with_classes`.
    """
    from vgbench.reference_models.cost import discriminator_cost, generator_cost
    from vgbench.training.networks import build_networks

    config = with_classes(config)
    networks = build_networks(config.model_copy(update={"device": "cpu"}))
    generator = generator_cost(networks.generator)
    discriminators = [discriminator_cost(one, config.size, config.frames) for one in networks.discriminators]
    seconds, estimated = None, False
    if measured_steps:
        seconds, estimated = bounded_seconds_per_step(config, measured_steps, seconds_limit)
    return ModelCosts(
        name=name,
        description=description,
        size=config.size,
        frames=config.frames,
        generator_parameters=generator.parameters,
        generator_macs=generator.macs,
        discriminator_parameters=sum(cost.parameters for cost in discriminators),
        discriminator_macs=sum(cost.macs for cost in discriminators),
        seconds_per_step=seconds,
        estimated=estimated,
        classes=len(config.classes),
        assumed=config.classes == ASSUMED_CLASSES,
    )


def with_classes(config: TrainConfig) -> TrainConfig:
    """Fill in the classes of the data, as training does: the networks have parameters for each class.

    A preset for which the user chooses the data gets `ASSUMED_CLASSES`.

    Raises:
        VgbenchError: the data do not exist, or have no labels.
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
    """Return the time of a training step, and whether it was extrapolated to stay below the limit."""
    if config.batch <= MEASURED_CLIPS:
        return seconds_per_step(config, steps), False
    small = config.model_copy(update={"batch": MEASURED_CLIPS, "micro_batch": None})
    expected = seconds_per_step(small, 1) * config.batch / MEASURED_CLIPS
    if expected * (steps + 1) * len(kinds_of_steps(config)) > seconds_limit:
        return expected, True
    return seconds_per_step(config, steps), False


def seconds_per_step(
    config: TrainConfig, steps: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Measure the mean time of a training step on random clips, including data loading.

    If regularisers are only due at some steps, `steps` of each kind of step are timed, and weighted by the
    share of their kind.

    Args:
        config: of the run.
        steps: of each kind to time, after one to warm up.
        clock: returns seconds.
    """
    from vgbench.distributed import World
    from vgbench.training.data import random_clips
    from vgbench.training.networks import build_networks
    from vgbench.training.trainer import opened_windows, training_step

    networks = build_networks(config)
    with opened_windows(config, random_clips(config)) as windows:
        mean = 0.0
        for step, share in kinds_of_steps(config):
            training_step(config, networks, World(), windows, step)  # the first step of a kind takes longer
            before = clock()
            for _ in range(steps):
                training_step(config, networks, World(), windows, step)
            mean += share * (clock() - before) / steps
        return mean


def kinds_of_steps(config: TrainConfig) -> list[tuple[int, float]]:
    """Group steps by the regularisers that are due; return the first of each kind, and the kind's share."""
    intervals = sorted({one.interval for one in config.regularisers})
    cycle = min(math.lcm(*intervals), 10_000)
    due = [tuple(step % interval == 0 for interval in intervals) for step in range(cycle)]
    return [(due.index(kind), due.count(kind) / cycle) for kind in dict.fromkeys(due)]
