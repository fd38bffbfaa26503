"""A run folder: what is written there, when it is due, and the counters of the run in it."""

from __future__ import annotations

import json
import math
import os
import resource
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vgbench.clips.clip import Frames
from vgbench.clips.grid import write_gif
from vgbench.distributed import World, alone, from_main
from vgbench.errors import VgbenchError
from vgbench.reference_models.checkpoint import save_generator
from vgbench.reference_models.generator import Generator
from vgbench.storage import atomic
from vgbench.training.boards import Board, TensorBoard, WeightsAndBiases
from vgbench.training.config import TrainConfig
from vgbench.training.data import Windows
from vgbench.training.parallel import largest_over_processes
from vgbench.training.players import Players
from vgbench.training.soundness import foreseen, require_sound
from vgbench.training.state import save_state

Stopped = Literal["steps", "minutes", "interrupted"]


@dataclass(frozen=True)
class TrainingProgress:
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


@dataclass
class Run:
    """A run folder and the counters of the run in it. Only the main process writes.

    Attributes:
        step: generator steps done.
        seconds: of training, over all resumed parts.
        best_score: lowest score so far.
        unscored: why no score could be taken, and none is tried again.
    """

    folder: Path
    config: TrainConfig
    world: World
    progress: Callable[[TrainingProgress], None] | None = None
    score: Callable[[Generator], float] | None = None
    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    unscored: str | None = None
    sample: Path | None = None
    _started: float = field(default_factory=time.monotonic)
    _earlier: float = 0.0
    _reported: tuple[int, float] = (0, 0.0)
    _due: dict[str, float] = field(default_factory=dict)
    _stills: Frames | None = None
    _labels: list[int] | None = None
    _boards: list[Board] = field(default_factory=list)

    @property
    def clips(self) -> int:
        return self.step * self.config.batch

    @property
    def last(self) -> Path:
        return self.folder / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best.safetensors"

    def start_clock(self) -> None:
        """Training time counts from here; earlier parts of a resumed run are in `seconds`."""
        self._started, self._earlier = time.monotonic(), self.seconds
        self._reported = (self.step, self.seconds)
        if self.config.tensorboard and self.world.is_main:
            self._boards.append(TensorBoard(self.folder / "tensorboard"))
        if self.config.wandb and self.world.is_main:
            self._boards.append(WeightsAndBiases(self.folder, self.config))
        for name in ("checkpoint", "sample", "score"):
            self._due[name] = self.seconds + 60 * getattr(self.config, f"{name}_minutes")

    def after_step(self, players: Players, windows: Windows, facts: Mapping[str, float]) -> None:
        """Count the step; log, show, save and score what is due."""
        self.step += 1
        self.seconds = self._earlier + time.monotonic() - self._started
        if not self.world.is_main:
            return
        if self.step % self.config.log_steps == 0 or self.step == 1:
            self.report(facts)
        if self.is_due("sample"):
            self.write_samples(players)
        if self.is_due("checkpoint"):
            self.write_checkpoint(players, windows)
        if self.score and self.is_due("score"):
            self.take_score(players)

    def is_due(self, name: str) -> bool:
        if self.seconds < self._due[name]:
            return False
        self._due[name] = self.seconds + 60 * getattr(self.config, f"{name}_minutes")
        return True

    def finished(self, interrupted: threading.Event) -> Stopped | None:
        """Why to stop now, or None. All processes answer alike; here they wait for one that writes or scores.

        The main process alone keeps the time: on the clocks of the others its scoring is training.
        """
        config = self.config
        if config.steps is not None and self.step >= config.steps:
            return "steps"
        out_of_time = config.minutes is not None and self.seconds >= 60 * config.minutes
        verdict = 2 if interrupted.is_set() else int(out_of_time and self.world.is_main)
        answers: dict[int, Stopped | None] = {0: None, 1: "minutes", 2: "interrupted"}
        return answers[largest_over_processes(verdict, self.world)]

    def close(self, players: Players, windows: Windows, stopped: Stopped) -> None:
        """Last checkpoint and samples; the last score too, unless somebody is waiting for the end."""
        if self.world.is_main:
            self.write_checkpoint(players, windows)
            self.write_samples(players)
            if self.score and stopped != "interrupted":
                self.take_score(players)
        self.best_score, self.unscored = from_main((self.best_score, self.unscored), self.world)

    def close_boards(self) -> None:
        for board in self._boards:
            board.close()

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
        for board in self._boards:
            board.scalars(facts, self.step)
        if self.progress:
            self.progress(
                TrainingProgress(
                    step=self.step,
                    clips=self.clips,
                    seconds=self.seconds,
                    seconds_per_step=pace,
                    steps=self.config.steps,
                    minutes=self.config.minutes,
                    facts=facts,
                    best_score=self.best_score,
                    sample=self.sample,
                )
            )

    def write_samples(self, players: Players) -> None:
        """samples/STEP.gif: the same sixteen latents every time."""
        clips = players.average.sample(16, seed=0, label=self._labels, first_frame=self._stills)
        self.sample = self.folder / "samples" / f"{self.step:07d}.gif"
        write_gif(self.sample, clips, columns=4, scale=max(1, 96 // self.config.size))
        for board in self._boards:
            board.clips(clips, self.sample, self.step)

    def show_real(self, windows: Windows) -> None:
        """samples/real.gif: what samples should come to look like; conditional ones begin with its frames."""
        if not self.world.is_main:
            return
        real = windows.batch(range(16))
        if self.config.generator.first_frame:
            self._stills = real.clips[:, 0]
            self._labels = real.labels.tolist() if self.config.classes else None
        write_gif(
            self.folder / "samples" / "real.gif", real.clips, columns=4, scale=max(1, 96 // self.config.size)
        )

    def write_checkpoint(self, players: Players, windows: Windows) -> None:
        """checkpoints/last.safetensors and generator.safetensors.

        Raises:
            Diverged: the last step ruined the weights; the files stay as they are.
        """
        require_sound(foreseen(self.config, players, self.world, windows, self.step), self.step)
        counters = {"step": self.step, "seconds": self.seconds}
        save_state(self.last, players.parts(), counters)
        self.share(players, self.folder / "generator.safetensors")

    def share(self, players: Players, path: Path, **facts: Any) -> None:
        save_generator(
            path,
            players.average,
            facts={"steps": self.step, "clips": self.clips, "data": self.config.data} | facts,
        )

    def take_score(self, players: Players) -> None:
        """Score the moving average; keep it if it is the best so far.

        Training goes on without scores where none can be taken.
        """
        assert self.score is not None
        before = time.monotonic()
        try:
            with alone():  # the other processes wait in `finished` and cannot share the work
                value = float(self.score(players.average))
        except VgbenchError as error:  # too few clips, or too short ones
            self.score, self.unscored = None, error.message
            return
        self._started += time.monotonic() - before  # scoring is not training time
        append_line(self.folder / "scores.jsonl", {"step": self.step, "clips": self.clips, "score": value})
        for board in self._boards:
            board.scalars({"score": value}, self.step)
        if math.isfinite(value) and (self.best_score is None or value < self.best_score):
            self.best_score = value
            self.share(players, self.best, score=value)


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
