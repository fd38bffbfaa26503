"""`train`: from a config to a run folder.

A step has two phases, see `phases`. The discriminators are updated `discriminator_steps` times, each time
with new real clips and new latents. Then the generator is updated against the discriminators as they are now,
and after it the moving average.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vgbench.clips.clip import ClipSource
from vgbench.config import parse, read_yaml, to_yaml
from vgbench.distributed import World, joined_world
from vgbench.errors import VgbenchError
from vgbench.reference_models.checkpoint import read_metadata
from vgbench.reference_models.generator import Generator
from vgbench.storage import atomic
from vgbench.storage.lock import locked
from vgbench.training import ema
from vgbench.training.config import TrainConfig, fixed_differences
from vgbench.training.config_files import resume_command
from vgbench.training.data import Windows, class_names, positions
from vgbench.training.divergence import Diverged, require_usable
from vgbench.training.inputs import draw, seeded_layers
from vgbench.training.networks import Networks, build_networks, set_learning_rates
from vgbench.training.parallel import share_weights
from vgbench.training.phases import discriminator_phase, generator_phase
from vgbench.training.run import Stopped, TrainingProgress, TrainingRun, keep_lines, scores_since_best
from vgbench.training.state import load_state, read_counters


@dataclass(frozen=True)
class TrainingSummary:
    """How a run ended.

    Attributes:
        run_folder: contains everything.
        steps: generator steps done, over all parts of a resumed run.
        clips: real clips seen, `batch` per generator step.
        seconds: training time, over all parts of a resumed run.
        stopped: by the limit of steps or minutes, or by a signal.
        best_score: lowest score; None if there is none.
        skipped: clip id -> reason, for clips that could not be used.
        unscored: why no score could be computed; None otherwise.
    """

    run_folder: Path
    steps: int
    clips: int
    seconds: float
    stopped: Stopped
    best_score: float | None
    skipped: Mapping[str, str]
    unscored: str | None = None


def train(
    config: TrainConfig,
    run_folder: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    progress: Callable[[TrainingProgress], None] | None = None,
    score: Callable[[Generator], float] | None = None,
    source: ClipSource | None = None,
) -> TrainingSummary:
    """Train a generator. Under `torchrun`, all processes share the batch.

    The run folder gets config.yaml (resolved), log.jsonl, samples/ (animated grids from fixed latents),
    checkpoints/ (last.safetensors, from which a run is resumed; first and best) and generator.safetensors
    (the moving average, to share and to load).

    Args:
        config: what to train.
        run_folder: created if it does not exist.
        minutes: maximal training time, over all parts of a resumed run.
        steps: maximal number of generator steps, over all parts of a resumed run. If one of these two is
            given, both replace the limits in the config.
        resume: continue from the last checkpoint; the weights become those of an uninterrupted run, on a CPU
            with one thread to the last bit.
        progress: called in the main process every `log_steps` steps.
        score: called with the moving average every `score_minutes` and at the end, in the main process while
            the others wait. Lower is better, and the best generator is kept as checkpoints/best.safetensors.
        source: clips to use instead of `config.data`.

    Raises:
        ConfigError: a part does not have an option, parts do not fit together, or the device does not exist.
        NotEnoughClips: no clip is long enough.
        Diverged: training diverged; the last checkpoint is from before.
        VgbenchError: the folder contains another run, or another process trains there.
    """
    folder = Path(run_folder)
    with ExitStack() as stack:
        world = stack.enter_context(joined_world())
        if world.is_main:
            stack.enter_context(owned(folder))
        config = resolved(config, minutes, steps, source := source or open_data(config))
        check(config, world, score)
        stack.enter_context(limited_threads(config.threads))
        run = TrainingRun(folder, config, world, progress, score)
        stack.callback(run.close_trackers)
        networks = build_networks(config)
        windows = stack.enter_context(opened_windows(config, source))
        windows.look_at_every_class()
        networks.average.class_counts = windows.class_counts
        networks.average.frame_rate = windows.frame_rate()
        begin(run, networks, resume)
        interrupted = stack.enter_context(signals())
        run.show_real(windows)
        with reported_divergence(run):
            stopped: Stopped | None = run.finished(interrupted)
            while stopped is None:
                measured = training_step(config, networks, world, windows, run.step)
                run.after_step(networks, windows, measured)
                stopped = run.finished(interrupted)
            run.close(networks, windows, stopped)
        return TrainingSummary(
            run_folder=folder,
            steps=run.step,
            clips=run.clips,
            seconds=run.seconds,
            stopped=stopped,
            best_score=run.best_score,
            skipped=_unlisted(source, world) | windows.skipped,
            unscored=run.unscored,
        )


def _unlisted(source: ClipSource, world: World) -> dict[str, str]:
    """Return the files that could not be listed as clips, with the reason; in the main process only."""
    return {entry.path: entry.reason for entry in source.skipped} if world.is_main else {}


def training_step(
    config: TrainConfig, networks: Networks, world: World, windows: Windows, step: int
) -> dict[str, float]:
    """Update all networks; the random draws depend only on (seed, step).

    Returns:
        losses, scores, gradient norms and regularisers by name.

    Raises:
        Diverged: one of these numbers is not usable.
    """
    set_learning_rates(config, networks, step)
    device = networks.generator.device
    measured: dict[str, float] = {}
    for phase in range(config.discriminator_steps):
        batch = windows.batch(
            positions(config, world, step, phase), then=positions(config, world, step, phase + 1)
        )
        draws = draw(config, networks, step, phase)
        with seeded_layers(config, world, step, phase, device):
            measured |= discriminator_phase(config, networks, world, step, batch, draws)
    draws = draw(config, networks, step, config.discriminator_steps)
    with seeded_layers(config, world, step, config.discriminator_steps, device):
        measured |= generator_phase(config, networks, world, step, batch, draws)
    require_usable(measured, step + 1)
    keep = ema.decay(config.batch, (step + 1) * config.batch, config.ema.half_life_clips, config.ema.ramp_up)
    ema.update(networks.average, networks.generator, keep)
    return measured


def owned(folder: Path) -> AbstractContextManager[None]:
    """Keep other processes from training in a run folder while inside.

    Raises:
        VgbenchError: another process trains there.
    """
    return locked(
        folder / "train.lock",
        lambda owner: VgbenchError(
            f"{folder}: {owner} is training here", "choose another run folder, or stop that process"
        ),
    )


@contextmanager
def reported_divergence(run: TrainingRun) -> Iterator[None]:
    """Log the numbers of a step that diverged, and tell the user what to do with this folder."""
    try:
        yield
    except Diverged as problem:
        run.step = problem.step
        if run.world.is_main:
            run.report(problem.measured)
        problem.remedy = remedy_for_divergence(run)
        raise


def remedy_for_divergence(run: TrainingRun) -> str:
    """Tell the user what to do; since draws depend only on (seed, step), an identical run diverges again."""
    if not run.last.exists():
        return "there is no checkpoint yet: start again with lower learning rates, r1 or spectral norm"
    rates = run.config.optimiser
    return (
        f"continue from step {read_counters(run.last)['step']} with lower learning rates: "
        f"{resume_command(run.folder)} "
        f"--set optimiser.generator_lr={rates.generator_lr / 2:g} "
        f"--set optimiser.discriminator_lr={rates.discriminator_lr / 2:g}; "
        "or start again with r1 or spectral norm"
    )


def open_data(config: TrainConfig) -> ClipSource:
    """Open the clips that the config names."""
    from vgbench.clips import open_source

    return open_source(config.data, value_range=config.value_range, axes=config.axes)


def resolved(
    config: TrainConfig, minutes: float | None, steps: int | None, source: ClipSource
) -> TrainConfig:
    """Fill in the limits that were given as arguments, and the class names of the data.

    Raises:
        VgbenchError: the data have no labels, or have a class that the config does not name.
    """
    values = config.model_dump()
    if minutes is not None or steps is not None:
        values |= {"minutes": minutes, "steps": steps}
    if config.labels and not config.classes:
        values["classes"] = class_names(source)
    elif config.labels and (unknown := sorted(set(class_names(source)) - set(config.classes))):
        raise VgbenchError(
            f"{source.name}: has classes that the config does not name: {', '.join(unknown)}",
            f"use data whose classes are among {', '.join(config.classes)}",
        )
    return parse(TrainConfig, values, "training config")


def check(config: TrainConfig, world: World, score: Callable[[Generator], float] | None = None) -> None:
    """Raise `VgbenchError` if the run has no limit, or limits and batch do not fit score and processes."""
    if config.steps is None and config.minutes is None:
        raise VgbenchError(
            "neither steps nor minutes limits this run", "set one of them, for example --minutes 2"
        )
    if config.patience is not None and score is None:
        raise VgbenchError(
            f"patience = {config.patience}, but the generator is not scored during training",
            "leave out --no-score, or set patience=null",
        )
    if config.batch % world.size:
        raise VgbenchError(
            f"batch = {config.batch} cannot be divided among {world.size} processes",
            "use a multiple of the number of processes",
        )


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Let PyTorch use this many CPU threads inside; None for as many as it uses already."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def opened_windows(config: TrainConfig, source: ClipSource) -> Iterator[Windows]:
    """Open the stream of training clips that the config describes."""
    windows = Windows(
        source,
        config.size,
        config.frames,
        config.stride,
        config.seed,
        config.flip,
        config.classes,
        config.cache_gigabytes,
    )
    try:
        yield windows
    finally:
        windows.close()


@contextmanager
def signals() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; a second signal has its usual effect."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _: Any) -> None:
        interrupted.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def begin(run: TrainingRun, networks: Networks, resume: bool) -> None:
    """Start a new run in the folder, or resume the one that is there.

    Raises:
        VgbenchError: there is a run that must be resumed, or that was started with another config.
    """
    if run.world.is_main:  # the folder is locked, so no process is writing the temporary files
        for folder in (run.folder, run.last.parent, run.folder / "samples"):
            atomic.remove_leftovers(folder)
    if run.last.exists():
        if not resume:
            raise VgbenchError(
                f"{run.folder}: already contains a run", "resume it (--resume), or choose another folder"
            )
        require_same_run(run)
        counters = load_state(run.last, networks.parts())
        run.step, run.seconds = int(counters["step"]), float(counters["seconds"])
        if run.world.is_main:
            keep_lines(run.folder / "log.jsonl", run.step)
            keep_lines(run.folder / "scores.jsonl", run.step)
            if read_run_config(run.folder).data != run.config.data:
                set_scores_aside(run)
            # The best score may be newer than the checkpoint, so it is read from its own file.
            run.best_score = read_metadata(run.best)[1].get("score") if run.best.exists() else None
            run.waited = scores_since_best(run.folder / "scores.jsonl")
    else:
        share_weights([networks.generator, networks.average, *networks.discriminators], run.world)
        if run.world.is_main:
            (run.folder / "log.jsonl").unlink(missing_ok=True)
            (run.folder / "scores.jsonl").unlink(missing_ok=True)
            run.best.unlink(missing_ok=True)
            run.share(networks, run.folder / "checkpoints" / "first.safetensors")
    if run.world.is_main:
        atomic.write_text(run.folder / "config.yaml", to_yaml(run.config))
    run.start()


def set_scores_aside(run: TrainingRun) -> None:
    """Let a new best score begin, because scores against other data say nothing about the new ones.

    The best generator and the scores so far are kept under names that end in the number of steps.
    """
    for path in (run.best, run.folder / "scores.jsonl"):
        if path.exists():
            path.replace(path.with_stem(f"{path.stem}-{run.step:07d}"))


def read_run_config(folder: Path) -> TrainConfig:
    """Read the config that a run was started or last resumed with."""
    path = folder / "config.yaml"
    return parse(TrainConfig, read_yaml(path), str(path))


def require_same_run(run: TrainingRun) -> None:
    """Raise `VgbenchError` if the config differs from that of the run by more than `MAY_CHANGE` allows."""
    changed = fixed_differences(read_run_config(run.folder), run.config)
    if changed:
        raise VgbenchError(
            f"{run.folder}: this run was started with another {', '.join(changed)}",
            f"resume it with its own config: {resume_command(run.folder)}",
        )
