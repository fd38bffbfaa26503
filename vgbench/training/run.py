"""A training run: its counters, and what is written into its folder at which time."""

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
from vgbench.training.config import TrainConfig
from vgbench.training.data import Windows
from vgbench.training.divergence import look_ahead, require_usable
from vgbench.training.networks import Networks
from vgbench.training.parallel import largest_over_processes
from vgbench.training.state import save_state
from vgbench.training.trackers import TensorBoard, Tracker, WeightsAndBiases

Stopped = Literal["steps", "minutes", "converged", "interrupted"]
"""Why a run ended; "converged": no better score for `patience` scores."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is; given to the progress callback at every log step.

    Attributes:
        step: generator steps done.
        clips: real clips seen, `batch` per generator step.
        seconds: training time so far, over all parts of a resumed run.
        seconds_per_step: mean since the last report.
        steps: limit, or None.
        minutes: limit, or None.
        measured: losses, scores and gradient norms by name.
        best_score: lowest score so far; None before the first.
        sample: path of the newest grid of samples; None before the first.
    """

    step: int
    clips: int
    seconds: float
    seconds_per_step: float
    steps: int | None
    minutes: float | None
    measured: Mapping[str, float]
    best_score: float | None
    sample: Path | None


@dataclass
class TrainingRun:
    """The counters of a run, and its folder, which only the main process writes to.

    Attributes:
        folder: of the run.
        config: resolved.
        world: of the processes.
        progress: called at every log step.
        score: of the moving average; lower is better. None if the run has no score, or if it could not be
            computed.
        step: generator steps done.
        seconds: training time, over all parts of a resumed run.
        best_score: lowest score so far.
        waited: number of scores since the best one.
        unscored: why no score could be computed; it is not tried again.
        sample: path of the newest grid of samples.
    """

    folder: Path
    config: TrainConfig
    world: World
    progress: Callable[[TrainingProgress], None] | None = None
    score: Callable[[Generator], float] | None = None
    step: int = 0
    seconds: float = 0.0
    best_score: float | None = None
    waited: int = 0
    unscored: str | None = None
    sample: Path | None = None
    _started: float = field(default_factory=time.monotonic)
    _earlier: float = 0.0
    _reported: tuple[int, float] = (0, 0.0)
    _due: dict[str, float] = field(default_factory=dict)
    _first_frames: Frames | None = None
    _labels: list[int] | None = None
    _trackers: list[Tracker] = field(default_factory=list)

    @property
    def clips(self) -> int:
        """Real clips seen, `batch` per generator step."""
        return self.step * self.config.batch

    @property
    def last(self) -> Path:
        """The checkpoint that the run is resumed from."""
        return self.folder / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The generator with the best score."""
        return self.folder / "checkpoints" / "best.safetensors"

    def start(self) -> None:
        """Open the trackers, and start to measure training time, which is added to that of earlier parts."""
        self._started, self._earlier = time.monotonic(), self.seconds
        self._reported = (self.step, self.seconds)
        if self.config.tensorboard and self.world.is_main:
            self._trackers.append(TensorBoard(self.folder / "tensorboard"))
        if self.config.wandb and self.world.is_main:
            self._trackers.append(WeightsAndBiases(self.folder, self.config))
        for name in ("checkpoint", "sample", "score"):
            self._due[name] = self.seconds + 60 * getattr(self.config, f"{name}_minutes")

    def after_step(self, networks: Networks, windows: Windows, measured: Mapping[str, float]) -> None:
        """Count a step; log, sample, save and score if it is time."""
        self.step += 1
        self.seconds = self._earlier + time.monotonic() - self._started
        if not self.world.is_main:
            return
        networks.average.class_counts = windows.class_counts
        if self.step % self.config.log_steps == 0 or self.step == 1:
            self.report(measured)
        if self.is_due("sample"):
            self.write_samples(networks)
        if self.is_due("checkpoint"):
            self.write_checkpoint(networks, windows)
        if self.score and self.is_due("score"):
            self.take_score(networks)

    def is_due(self, name: str) -> bool:
        """Whether it is time for a "checkpoint", "sample" or "score"; if so, set the time of the next one."""
        if self.seconds < self._due[name]:
            return False
        self._due[name] = self.seconds + 60 * getattr(self.config, f"{name}_minutes")
        return True

    def finished(self, interrupted: threading.Event) -> Stopped | None:
        """Return why to stop now, or None; all processes return the same.

        They wait here while the main process writes or scores. Only the main process knows the time and the
        scores, because it does not count the time that it takes to score.
        """
        config = self.config
        if config.steps is not None and self.step >= config.steps:
            return "steps"
        reason = 0
        if interrupted.is_set():
            reason = 3
        elif self.world.is_main and config.minutes is not None and self.seconds >= 60 * config.minutes:
            reason = 2
        elif self.world.is_main and config.patience is not None and self.waited >= config.patience:
            reason = 1
        reasons: dict[int, Stopped | None] = {0: None, 1: "converged", 2: "minutes", 3: "interrupted"}
        return reasons[largest_over_processes(reason, self.world)]

    def close(self, networks: Networks, windows: Windows, stopped: Stopped) -> None:
        """Write the last checkpoint and samples; compute the last score unless the run was interrupted."""
        if self.world.is_main:
            self.write_checkpoint(networks, windows)
            self.write_samples(networks)
            if self.score and stopped != "interrupted":
                self.take_score(networks)
        self.best_score, self.unscored = from_main((self.best_score, self.unscored), self.world)

    def close_trackers(self) -> None:
        """Finish what the trackers write or send."""
        for tracker in self._trackers:
            tracker.close()

    def report(self, measured: Mapping[str, float]) -> None:
        """Write a line to log.jsonl, tell the trackers, and call the progress callback."""
        steps_before, seconds_before = self._reported
        pace = (self.seconds - seconds_before) / max(1, self.step - steps_before)
        self._reported = (self.step, self.seconds)
        line = {
            "step": self.step,
            "clips": self.clips,
            "seconds": round(self.seconds, 3),
            "seconds_per_step": round(pace, 5),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            **{name: float(f"{value:.6g}") for name, value in measured.items()},
        }
        append_line(self.folder / "log.jsonl", line)
        for tracker in self._trackers:
            tracker.scalars(measured, self.step)
        if self.progress:
            self.progress(
                TrainingProgress(
                    step=self.step,
                    clips=self.clips,
                    seconds=self.seconds,
                    seconds_per_step=pace,
                    steps=self.config.steps,
                    minutes=self.config.minutes,
                    measured=measured,
                    best_score=self.best_score,
                    sample=self.sample,
                )
            )

    def write_samples(self, networks: Networks) -> None:
        """Write samples/STEP.gif, always of the same sixteen latents."""
        clips = networks.average.sample(16, seed=0, label=self._labels, first_frame=self._first_frames)
        self.sample = self.folder / "samples" / f"{self.step:07d}.gif"
        write_gif(self.sample, clips, columns=4, scale=max(1, 96 // self.config.size))
        for tracker in self._trackers:
            tracker.clips(clips, self.sample, self.step)

    def show_real(self, windows: Windows) -> None:
        """Write samples/real.gif, of real clips; samples that continue a first frame continue theirs."""
        if not self.world.is_main:
            return
        real = windows.batch(range(16))
        if self.config.generator.first_frame:
            self._first_frames = real.clips[:, 0]
            self._labels = real.labels.tolist() if self.config.classes else None
        write_gif(
            self.folder / "samples" / "real.gif", real.clips, columns=4, scale=max(1, 96 // self.config.size)
        )

    def write_checkpoint(self, networks: Networks, windows: Windows) -> None:
        """Write checkpoints/last.safetensors and generator.safetensors.

        Raises:
            Diverged: the weights after the last step are not usable; the files stay as they are.
        """
        require_usable(look_ahead(self.config, networks, self.world, windows, self.step), self.step)
        counters = {"step": self.step, "seconds": self.seconds}
        save_state(self.last, networks.parts(), counters)
        self.share(networks, self.folder / "generator.safetensors")

    def share(self, networks: Networks, path: Path, **details: Any) -> None:
        """Write the moving average of the generator, with details of the training in the file's metadata."""
        details = {"steps": self.step, "clips": self.clips, "data": self.config.data} | details
        save_generator(path, networks.average, details=details)

    def take_score(self, networks: Networks) -> None:
        """Score the moving average, and save it if the score is the best so far.

        If the score cannot be computed, training continues without scores.
        """
        assert self.score is not None
        before = time.monotonic()
        try:
            with alone():  # the other processes wait in `finished`, so they cannot share the work
                value = float(self.score(networks.average))
        except VgbenchError as error:  # too few clips, or too short ones
            self.score, self.unscored = None, error.message
            return
        self._started += time.monotonic() - before  # scoring is not training time
        append_line(self.folder / "scores.jsonl", {"step": self.step, "clips": self.clips, "score": value})
        for tracker in self._trackers:
            tracker.scalars({"score": value}, self.step)
        self.waited += 1
        if math.isfinite(value) and (self.best_score is None or value < self.best_score):
            self.best_score, self.waited = value, 0
            self.share(networks, self.best, score=value)


def scores_since_best(path: Path) -> int:
    """Count the lines of scores.jsonl after the best score."""
    if not path.exists():
        return 0
    scores = [json.loads(line)["score"] for line in path.read_text(encoding="utf-8").splitlines()]
    finite = [score for score in scores if math.isfinite(score)]
    return len(scores) - 1 - scores.index(min(finite)) if finite else len(scores)


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append a JSON object to a file of lines."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def keep_lines(path: Path, last_step: int) -> None:
    """Remove lines of steps after the checkpoint, which are repeated, and a line that is incomplete."""
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
