"""`train`: from a config to a run folder.

One step, in order: real clips are drawn; each discriminator steps (`discriminator_steps` times, fresh latents
each time) on real clips and on fakes made without gradients; the generator steps against the discriminators
as they then are; the moving average follows. `phases` holds the two halves.
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
from vgbench.training.data import Windows, class_names, positions
from vgbench.training.parallel import share_weights
from vgbench.training.phases import discriminator_phase, draw, generator_phase
from vgbench.training.players import Players, build_players, set_learning_rates
from vgbench.training.reading import resume_command
from vgbench.training.run import Run, Stopped, TrainingProgress, keep_lines
from vgbench.training.soundness import Diverged, require_sound
from vgbench.training.state import load_state, read_counters


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        run_folder: where everything is.
        steps: generator steps done in all.
        clips: real clips seen.
        seconds: of training, over all resumed parts.
        stopped: by the limit of steps or of minutes, or by a signal.
        best_score: lowest score, None without a score function.
        skipped: clip id -> reason, for clips that could not be used.
        unscored: why no score could be taken, None where all were.
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
) -> Summary:
    """Train a generator. Under `torchrun` all processes share the batch.

    The run folder gets config.yaml (resolved), log.jsonl, samples/ (animated grids from fixed latents),
    checkpoints/ (last.safetensors to resume from; first, best) and generator.safetensors (the moving average,
    to share and to load).

    Args:
        config: what to train.
        run_folder: created if need be.
        minutes: limit of training time over all resumed parts.
        steps: limit of generator steps in all. These two, where one is given, replace the config's limits.
        resume: go on from the last checkpoint; weights become what they would without the interruption, to
            the last bit on a CPU.
        progress: called on the main process every `log_steps` steps.
        score: called with the moving average every `score_minutes` and at the end, on the main process while
            the others wait; lower is better, and the best is kept as checkpoints/best.safetensors.
        source: clips, where they are not to be opened from `config.data`.

    Raises:
        ConfigError: an option that no part knows.
        NotEnoughClips: no clip is long enough.
        Diverged: training broke down; the last checkpoint is from before.
        VgbenchError: the folder holds another run, or belongs to another trainer now.
    """
    folder = Path(run_folder)
    with ExitStack() as stack:
        world = stack.enter_context(joined_world())
        if world.is_main:
            stack.enter_context(owned(folder))
        config = resolved(config, minutes, steps, source := source or open_data(config))
        check(config, world)
        stack.enter_context(limited_threads(config.threads))
        run = Run(folder, config, world, progress, score)
        stack.callback(run.close_boards)
        players = build_players(config)
        begin(run, players, resume)
        windows = stack.enter_context(opened_windows(config, source))
        interrupted = stack.enter_context(signals())
        run.show_real(windows)
        with reported_divergence(run):
            stopped: Stopped | None = run.finished(interrupted)
            while stopped is None:
                facts = training_step(config, players, world, windows, run.step)
                run.after_step(players, windows, facts)
                stopped = run.finished(interrupted)
            run.close(players, windows, stopped)
        return Summary(
            run_folder=folder,
            steps=run.step,
            clips=run.clips,
            seconds=run.seconds,
            stopped=stopped,
            best_score=run.best_score,
            skipped=dict(windows.skipped),
            unscored=run.unscored,
        )


def training_step(
    config: TrainConfig, players: Players, world: World, windows: Windows, step: int
) -> dict[str, float]:
    """One step of everything; the draws depend on (seed, step) alone."""
    set_learning_rates(config, players, step)
    facts: dict[str, float] = {}
    for phase in range(config.discriminator_steps):
        batch = windows.batch(
            positions(config, world, step, phase), then=positions(config, world, step, phase + 1)
        )
        draws = draw(config, players, step, phase)
        facts |= discriminator_phase(config, players, world, step, batch, draws)
    draws = draw(config, players, step, config.discriminator_steps)
    facts |= generator_phase(config, players, world, step, batch, draws)
    require_sound(facts, step + 1)
    keep = ema.decay(config.batch, (step + 1) * config.batch, config.ema.half_life_clips, config.ema.ramp_up)
    ema.update(players.average, players.generator, keep)
    return facts


def owned(folder: Path) -> AbstractContextManager[None]:
    """Keep every other trainer out of a run folder while inside."""
    return locked(
        folder / "train.lock",
        lambda owner: VgbenchError(
            f"{folder}: {owner} is training here", "choose another run folder, or stop that process"
        ),
    )


@contextmanager
def reported_divergence(run: Run) -> Iterator[None]:
    """Log the numbers of the step that diverged, and say what can be done in this folder."""
    try:
        yield
    except Diverged as problem:
        run.step = problem.step
        if run.world.is_main:
            run.report(problem.facts)
        problem.remedy = way_out(run)
        raise


def way_out(run: Run) -> str:
    """What to do about divergence. Draws depend on (seed, step) alone: the same again diverges again."""
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

    return open_source(config.data)


def resolved(
    config: TrainConfig, minutes: float | None, steps: int | None, source: ClipSource
) -> TrainConfig:
    """Fill in the limits that were given as arguments and the class names of the data.

    Raises:
        VgbenchError: the data has a class that the config does not name.
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


def check(config: TrainConfig, world: World) -> None:
    """Raise `VgbenchError` on what the config alone cannot know."""
    if config.steps is None and config.minutes is None:
        raise VgbenchError(
            "neither steps nor minutes limit this run", "set one of them, for example --minutes 2"
        )
    if config.batch % world.size:
        raise VgbenchError(
            f"batch = {config.batch} does not divide over {world.size} processes",
            "use a multiple of the number of processes",
        )


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """PyTorch uses that many CPU threads while inside; its own choice for None."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def opened_windows(config: TrainConfig, source: ClipSource) -> Iterator[Windows]:
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
    """The event is set by the first SIGINT or SIGTERM; a second one acts as it always does."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: Any) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def begin(run: Run, players: Players, resume: bool) -> None:
    """Start a fresh run in the folder, or take up the one that is there."""
    if run.world.is_main:  # the folder is locked: whatever is half written belongs to nobody
        for folder in (run.folder, run.last.parent, run.folder / "samples"):
            atomic.remove_leftovers(folder)
    if run.last.exists():
        if not resume:
            raise VgbenchError(
                f"{run.folder}: already holds a run", "resume it (--resume), or choose another folder"
            )
        require_same_run(run)
        counters = load_state(run.last, players.parts())
        run.step, run.seconds = int(counters["step"]), float(counters["seconds"])
        # A score may be younger than the checkpoint: the file that it left is what knows of it.
        run.best_score = read_metadata(run.best)[1].get("score") if run.best.exists() else None
        if run.world.is_main:
            keep_lines(run.folder / "log.jsonl", run.step)
            keep_lines(run.folder / "scores.jsonl", run.step)
    else:
        share_weights([players.generator, players.average, *players.discriminators], run.world)
        if run.world.is_main:
            (run.folder / "log.jsonl").unlink(missing_ok=True)
            (run.folder / "scores.jsonl").unlink(missing_ok=True)
            run.best.unlink(missing_ok=True)
            run.share(players, run.folder / "checkpoints" / "first.safetensors")
    if run.world.is_main:
        atomic.write_text(run.folder / "config.yaml", to_yaml(run.config))
    run.start_clock()


def require_same_run(run: Run) -> None:
    """Raise unless the config is that of the run in the folder, but for `MAY_CHANGE`."""
    path = run.folder / "config.yaml"
    changed = fixed_differences(parse(TrainConfig, read_yaml(path), str(path)), run.config)
    if changed:
        raise VgbenchError(
            f"{run.folder}: this run was begun with another {', '.join(changed)}",
            f"resume it with its own config: {resume_command(run.folder)}",
        )
