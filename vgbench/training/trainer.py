"""`train`: from a config to a run folder.

One step, in order: real clips are drawn; each discriminator steps (`discriminator_steps` times, fresh latents
each time) on real clips and on fakes made without gradients; the generator steps against the discriminators
as they then are; the moving average follows. `phases` holds the two halves.
"""

from __future__ import annotations

import copy
import json
import math
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from vgbench import atomic
from vgbench.clips.clip import ClipSource
from vgbench.config import parse, read_yaml, to_yaml
from vgbench.distributed import World, joined_world
from vgbench.errors import VgbenchError
from vgbench.reference_models.checkpoint import build_generator, save_generator
from vgbench.reference_models.discriminators import build_discriminator
from vgbench.reference_models.generator import Generator
from vgbench.reference_models.penalties import check_options
from vgbench.training import ema
from vgbench.training.config import OptimiserConfig, TrainConfig
from vgbench.training.data import Windows, class_names
from vgbench.training.grid import write_gif
from vgbench.training.lock import locked
from vgbench.training.parallel import share_weights
from vgbench.training.phases import Players, discriminator_phase, draw, generator_phase
from vgbench.training.state import load_state, save_state

Stopped = Literal["steps", "minutes", "interrupted"]

WILD_SCORE = 1e5
"""A mean discriminator score beyond this is divergence, although it is still a number."""

MAY_CHANGE = {
    "data",
    "steps",
    "minutes",
    "micro_batch",
    "device",
    "cache_gigabytes",
    "log_steps",
    "checkpoint_minutes",
    "sample_minutes",
    "score_minutes",
    "tensorboard",
}
"""Keys that a resumed run may set anew; all others decide what the weights become."""


class Diverged(VgbenchError):
    """A loss, gradient or score stopped being a usable number; the last checkpoint is from before that."""


@dataclass(frozen=True)
class Progress:
    """Where a run is; what the progress callback receives at every log step.

    Attributes:
        step: generator steps done.
        clips: real clips seen by the generator's steps.
        seconds: of training so far, over all resumed parts.
        seconds_per_step: since the last report.
        steps: limit, or None.
        minutes: limit, or None.
        facts: losses, scores, gradients by name.
        best_score: lowest score so far, None before the first.
        sample: path of the newest grid, None before the first.
    """

    step: int
    clips: int
    seconds: float
    seconds_per_step: float
    steps: int | None
    minutes: float | None
    facts: Mapping[str, float]
    best_score: float | None
    sample: Path | None


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
    """

    run_folder: Path
    steps: int
    clips: int
    seconds: float
    stopped: Stopped
    best_score: float | None
    skipped: Mapping[str, str]


def train(
    config: TrainConfig,
    run_folder: str | Path,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
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
        minutes: limit of training time over all resumed parts; wins over the config.
        steps: limit of generator steps in all; wins over the config.
        resume: go on from the last checkpoint; weights become what they would without the interruption, to
            the last bit on a CPU.
        progress: called on the main process every `log_steps` steps.
        score: called with the moving average every `score_minutes` and at the end; lower is better, and the
            best is kept as checkpoints/best.safetensors.
        source: clips, where they are not to be opened from `config.data`.

    Raises:
        ConfigError: an option that no part knows.
        NotEnoughClips: no clip is long enough.
        Diverged: training broke down; the last checkpoint stays.
        VgbenchError: the folder holds another run, or belongs to another trainer now.
    """
    folder = Path(run_folder)
    with ExitStack() as stack:
        world = stack.enter_context(joined_world())
        if world.is_main:
            stack.enter_context(locked(folder))
        config = resolved(config, minutes, steps, source := source or open_data(config))
        check(config, world)
        run = Run(folder, config, world, progress, score)
        players = build_players(config)
        begin(run, players, resume)
        windows = stack.enter_context(opened_windows(config, source))
        interrupted = stack.enter_context(signals())
        stopped: Stopped | None = run.finished(interrupted)
        while stopped is None:
            facts = training_step(config, players, world, windows, run.step)
            run.after_step(players, facts, windows)
            stopped = run.finished(interrupted)
        run.close(players)
        return Summary(
            folder, run.step, run.clips, run.seconds, stopped, run.best_score, dict(windows.skipped)
        )


def training_step(
    config: TrainConfig, players: Players, world: World, windows: Windows, step: int
) -> dict[str, float]:
    """One step of everything; the draws depend on (seed, step) alone."""
    set_learning_rates(config, players, step)
    share = config.batch // world.size
    facts: dict[str, float] = {}
    for phase in range(config.discriminator_steps):
        first = (step * config.discriminator_steps + phase) * config.batch + world.rank * share
        ahead = first + config.batch
        batch = windows.batch(range(first, first + share), then=range(ahead, ahead + share))
        draws = draw(config, players, step, phase)
        facts |= discriminator_phase(config, players, world, step, batch, draws)
    draws = draw(config, players, step, config.discriminator_steps)
    facts |= generator_phase(config, players, world, step, batch, draws)
    require_sound(facts, step)
    keep = ema.decay(config.batch, (step + 1) * config.batch, config.ema.half_life_clips, config.ema.ramp_up)
    ema.update(players.average, players.generator, keep)
    return facts


def require_sound(facts: Mapping[str, float], step: int) -> None:
    """Raise `Diverged` on a number that is not finite, or on scores beyond all measure."""
    for name, value in facts.items():
        wild = "score" in name and abs(value) > WILD_SCORE
        if wild or not math.isfinite(value):
            raise Diverged(
                f"training diverged at step {step}: {name} is {value:.3g}",
                "lower the learning rates, add r1 or spectral norm; the last checkpoint is from before",
            )


def build_players(config: TrainConfig) -> Players:
    """Networks with weights from the config's seed, and their optimisers."""
    device = torch.device(
        ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    )
    generator = build_generator(config.model, config.seed)
    classifies = config.regularised_by("categorical-information")
    # A categorical latent is not known of real clips, so only labels of the data can condition the critic.
    labels = config.model.label_count if classifies else len(config.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 1)
        critics = [
            build_discriminator(one, config.size, config.frames, labels, classifies).to(device)
            for one in config.discriminators
        ]
    generator = generator.to(device).train()
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    parameters = [parameter for critic in critics for parameter in critic.parameters()]
    return Players(
        generator=generator,
        average=average,
        discriminators=critics,
        generator_optimiser=build_optimiser(
            config.optimiser, list(generator.parameters()), config.optimiser.generator_lr
        ),
        discriminator_optimiser=build_optimiser(
            config.optimiser, parameters, config.optimiser.discriminator_lr
        ),
    )


def build_optimiser(
    config: OptimiserConfig, parameters: list[torch.nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    if config.kind == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=lr, alpha=config.betas[1], weight_decay=config.weight_decay)
    return torch.optim.Adam(
        parameters, lr=lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def set_learning_rates(config: TrainConfig, players: Players, step: int) -> None:
    """Learning rates of this step, by the schedule."""
    share = 1.0
    if config.optimiser.schedule == "linear":
        assert config.steps is not None
        share = max(0.0, 1 - step / config.steps)
    for optimiser, lr in (
        (players.generator_optimiser, config.optimiser.generator_lr),
        (players.discriminator_optimiser, config.optimiser.discriminator_lr),
    ):
        for group in optimiser.param_groups:
            group["lr"] = lr * share


def open_data(config: TrainConfig) -> ClipSource:
    """Open the clips that the config names."""
    from vgbench.clips import open_source

    return open_source(config.data)


def resolved(
    config: TrainConfig, minutes: float | None, steps: int | None, source: ClipSource
) -> TrainConfig:
    """Fill in the limits that were given as arguments and the class names of the data."""
    values = config.model_dump()
    if minutes is not None:
        values["minutes"] = minutes
    if steps is not None:
        values["steps"] = steps
    if config.labels and not config.classes:
        values["classes"] = class_names(source)
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
    for one in config.regularisers:
        check_options(one.name, one.options)


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


@dataclass
class Run:
    """A run folder and the counters of the run in it. Only the main process writes.

    Attributes:
        step: generator steps done.
        seconds: of training, over all resumed parts.
        best_score: lowest score so far.
    """

    folder: Path
    config: TrainConfig
    world: World
    progress: Callable[[Progress], None] | None = None
    score: Callable[[Generator], float] | None = None
    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    sample: Path | None = None
    _started: float = field(default_factory=time.monotonic)
    _earlier: float = 0.0
    _reported: tuple[int, float] = (0, 0.0)
    _due: dict[str, float] = field(default_factory=dict)

    @property
    def clips(self) -> int:
        return self.step * self.config.batch

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.safetensors"

    def start_clock(self) -> None:
        """Training time counts from here; earlier parts of a resumed run are in `seconds`."""
        self._started, self._earlier = time.monotonic(), self.seconds
        self._reported = (self.step, self.seconds)
        for name in ("checkpoint", "sample", "score"):
            self._due[name] = self.seconds + 60 * getattr(self.config, f"{name}_minutes")

    def after_step(self, players: Players, facts: Mapping[str, float], windows: Windows) -> None:
        """Count the step; log, show, save and score what is due."""
        self.step += 1
        self.seconds = self._earlier + time.monotonic() - self._started
        if not self.world.is_main:
            return
        if self.step == 1:
            self.write_real_grid(windows)
        if self.step % self.config.log_steps == 0 or self.step == 1:
            self.report(facts)
        if self.is_due("sample"):
            self.write_samples(players)
        if self.is_due("checkpoint"):
            self.write_checkpoint(players)
        if self.score and self.is_due("score"):
            self.take_score(players)

    def is_due(self, name: str) -> bool:
        if self.seconds < self._due[name]:
            return False
        self._due[name] = self.seconds + 60 * getattr(self.config, f"{name}_minutes")
        return True

    def finished(self, interrupted: threading.Event) -> Stopped | None:
        """Why to stop now, or None. All processes answer alike."""
        config = self.config
        if config.steps is not None and self.step >= config.steps:
            return "steps"
        out_of_time = config.minutes is not None and self.seconds >= 60 * config.minutes
        verdict = 2 if interrupted.is_set() else int(out_of_time)
        if self.world.size > 1:
            import torch.distributed as dist

            device = "cuda" if dist.get_backend() == "nccl" else "cpu"
            shared = torch.tensor(verdict, device=device)
            dist.all_reduce(shared, dist.ReduceOp.MAX)
            verdict = int(shared)
        answers: dict[int, Stopped | None] = {0: None, 1: "minutes", 2: "interrupted"}
        return answers[verdict]

    def close(self, players: Players) -> None:
        if not self.world.is_main:
            return
        self.write_samples(players)
        self.write_checkpoint(players)
        if self.score:
            self.take_score(players)

    def report(self, facts: Mapping[str, float]) -> None:
        """One line in log.jsonl, one call of the progress callback."""
        steps_before, seconds_before = self._reported
        pace = (self.seconds - seconds_before) / max(1, self.step - steps_before)
        self._reported = (self.step, self.seconds)
        line = {
            "step": self.step,
            "clips": self.clips,
            "seconds": round(self.seconds, 3),
            "seconds_per_step": round(pace, 5),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            **{name: float(f"{value:.6g}") for name, value in facts.items()},
        }
        append_line(self.folder / "log.jsonl", line)
        if self.progress:
            self.progress(
                Progress(
                    self.step,
                    self.clips,
                    self.seconds,
                    pace,
                    self.config.steps,
                    self.config.minutes,
                    facts,
                    self.best_score,
                    self.sample,
                )
            )

    def write_samples(self, players: Players) -> None:
        """samples/STEP.gif: the same sixteen latents every time."""
        still = None
        if self.config.generator.first_frame:
            still = self._stills
            if still is None:
                return
        clips = players.average.sample(16, seed=0, first_frame=still)
        self.sample = self.folder / "samples" / f"{self.step:07d}.gif"
        write_gif(self.sample, clips, columns=4, scale=max(1, 96 // self.config.size))

    _stills: Any = None

    def write_real_grid(self, windows: Windows) -> None:
        """samples/real.gif: what the samples should come to look like."""
        real = windows.batch(range(16)).clips
        self._stills = real[:, 0]
        write_gif(self.folder / "samples" / "real.gif", real, columns=4, scale=max(1, 96 // self.config.size))

    def write_checkpoint(self, players: Players) -> None:
        """checkpoints/last.safetensors and generator.safetensors."""
        counters = {"step": self.step, "seconds": self.seconds, "best_score": self.best_score}
        save_state(self.last, parts_of(players), counters)
        self.share(players, self.folder / "generator.safetensors")

    def share(self, players: Players, path: Path, **facts: Any) -> None:
        save_generator(
            path,
            players.average,
            facts={"steps": self.step, "clips": self.clips, "data": self.config.data} | facts,
        )

    def take_score(self, players: Players) -> None:
        """Score the moving average; keep it if it is the best so far."""
        assert self.score is not None
        before = time.monotonic()
        value = float(self.score(players.average))
        self._started += time.monotonic() - before  # scoring is not training time
        append_line(self.folder / "scores.jsonl", {"step": self.step, "clips": self.clips, "score": value})
        if math.isfinite(value) and (self.best_score is None or value < self.best_score):
            self.best_score = value
            self.share(players, self.folder / "checkpoints" / "best.safetensors", score=value)


def begin(run: Run, players: Players, resume: bool) -> None:
    """Start a fresh run in the folder, or take up the one that is there."""
    if run.last.exists():
        if not resume:
            raise VgbenchError(
                f"{run.folder}: already holds a run", "resume it (--resume), or choose another folder"
            )
        require_same_run(run)
        counters = load_state(run.last, parts_of(players))
        run.step, run.seconds = int(counters["step"]), float(counters["seconds"])
        run.best_score = counters["best_score"]
        if run.world.is_main:
            keep_lines(run.folder / "log.jsonl", run.step)
            keep_lines(run.folder / "scores.jsonl", run.step)
    else:
        share_weights([players.generator, players.average, *players.discriminators], run.world)
        if run.world.is_main:
            (run.folder / "log.jsonl").unlink(missing_ok=True)
            (run.folder / "scores.jsonl").unlink(missing_ok=True)
            run.share(players, run.folder / "checkpoints" / "first.safetensors")
    if run.world.is_main:
        atomic.write_text(run.folder / "config.yaml", to_yaml(run.config))
    run.start_clock()


def require_same_run(run: Run) -> None:
    """Raise unless the config is that of the run in the folder, but for `MAY_CHANGE`."""
    path = run.folder / "config.yaml"
    before = parse(TrainConfig, read_yaml(path), str(path)).model_dump(mode="json")
    now = run.config.model_dump(mode="json")
    changed = sorted(key for key in now if key not in MAY_CHANGE and now[key] != before[key])
    if changed:
        raise VgbenchError(
            f"{run.folder}: this run was begun with another {', '.join(changed)}",
            f"resume it with its own config, {path}",
        )


def parts_of(players: Players) -> dict[str, Any]:
    """What a checkpoint holds, by name."""
    return {
        "generator": players.generator,
        "average": players.average,
        **{f"discriminator{index}": critic for index, critic in enumerate(players.discriminators)},
        "generator_optimiser": players.generator_optimiser,
        "discriminator_optimiser": players.discriminator_optimiser,
        "memory": players.memory,
    }


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def keep_lines(path: Path, last_step: int) -> None:
    """Drop lines of steps after the checkpoint, which will be made again, and a line cut off by a crash."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    atomic.write_text(path, "".join(line + os.linesep for line in kept))
