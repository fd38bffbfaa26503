"""`make_plan` and `run_plan`: the cells of a suite, the time they will take, the work, and the tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgbench.bench.cells import Cell, expand, model_key, recorded
from vgbench.bench.processes import over_processes
from vgbench.bench.suite import Suite
from vgbench.bench.work import Task, do, steps_done, tasks_left, time_step
from vgbench.device import device_of
from vgbench.errors import VgbenchError
from vgbench.leaderboard.report import write_report
from vgbench.progress import Progress
from vgbench.storage import atomic


@dataclass(frozen=True)
class Plan:
    """The cells of a suite, and how much of them is left.

    Attributes:
        suite: the suite.
        work: folder for runs, checkpoints and clips.
        results: folder for records, leaderboard and summary.
        cells: all rows.
        tasks: the rows that lack a record and whose data set is given.
        missing: data set that is not given -> number of rows that need it.
        step_seconds: model key -> measured seconds of one training step.
    """

    suite: Suite
    work: Path
    results: Path
    cells: tuple[Cell, ...]
    tasks: tuple[Task, ...]
    missing: Mapping[str, int]
    step_seconds: Mapping[str, float]

    @property
    def records(self) -> Path:
        return self.results / "records"

    def training_seconds(self, task: Task) -> float:
        """Seconds of training that are left for a cell; 0 if its step was not timed."""
        if task.cell.config is None:
            return 0.0
        left = task.cell.steps - steps_done(task.folder)
        return left * self.step_seconds.get(model_key(task.cell.config), 0.0)


@dataclass(frozen=True)
class BenchProgress:
    """Progress of a bench, as the callback receives it.

    Attributes:
        finished: number of cells with all their records.
        total: number of cells of the plan.
        share: share of the remaining work that is done, in [0, 1], weighted by measured step times.
        now: job -> (cell, stage, done, total).
        message: one line about a cell that has just ended; "" otherwise.
    """

    finished: int
    total: int
    share: float
    now: Mapping[int, tuple[str, str, int, int]]
    message: str = ""


@dataclass
class BenchResult:
    """What a bench achieved.

    Attributes:
        done: number of cells that were finished.
        left: number of cells that are left for a later run.
        failed: cell -> reason.
        traces: cell -> traceback of an error that the user cannot correct.
        written: files with the tables and the summary.
    """

    done: int = 0
    left: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)


GUESSED_SCORING_SECONDS = 20.0
"""Assumed duration of one evaluation for the progress display, until a record gives a better value."""


def make_plan(suite: Suite, work: Path | None = None, results: Path | None = None) -> Plan:
    """Expand a suite and find out what exists already, without opening any data.

    Raises:
        ConfigError: the config of a cell is not valid.
        VgbenchError: a record is damaged.
    """
    work = work or Path("bench") / suite.name
    results = results or Path(suite.results or f"results/{suite.name}")
    cells = expand(suite)
    waiting = [cell for cell in cells if suite.data[cell.data].train is None]
    ready = [cell for cell in cells if suite.data[cell.data].train is not None]
    done = set(recorded(results / "records"))
    return Plan(
        suite,
        work,
        results,
        tuple(cells),
        tuple(tasks_left(suite, ready, done, work, results / "records")),
        {name: sum(cell.data == name for cell in waiting) for name in dict.fromkeys(c.data for c in waiting)},
        _read_timings(work),
    )


def _read_timings(work: Path) -> dict[str, float]:
    path = work / "timings.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def measure_steps(plan: Plan, jobs: int, progress: Progress) -> Plan:
    """Time a few training steps of each distinct model that is left and not timed yet, and store the times.

    As many processes are used at once as for training, so that the times are those of the real run. A model
    that cannot be timed is left out; its failure is reported when its cell is run.
    """
    configs = {
        model_key(task.cell.config): task.cell.config for task in plan.tasks if task.cell.config is not None
    }
    unknown = {key: config for key, config in configs.items() if key not in plan.step_seconds}
    seconds = dict(plan.step_seconds)
    for outcome in over_processes(time_step, list(unknown.values()), jobs, lambda *_: None):
        key = list(unknown)[outcome.index]
        if outcome.result is not None:
            seconds[key] = outcome.result
        progress("timing steps", len(seconds), len(configs.keys() | plan.step_seconds.keys()))
        atomic.write_text(plan.work / "timings.json", json.dumps(seconds, indent=1) + "\n")
    return replace(plan, step_seconds=seconds)


def run_plan(
    plan: Plan,
    jobs: int = 1,
    minutes: float | None = None,
    progress: Callable[[BenchProgress], None] | None = None,
) -> BenchResult:
    """Do what is left, as far as `minutes` allow, and write the tables of all records.

    Args:
        plan: from `make_plan`.
        jobs: number of cells at a time, each in a process of its own with one thread.
        minutes: stop after this time; trainers write their checkpoint, from which the next run continues.
        progress: called whenever there is progress.

    Raises:
        VgbenchError: the results cannot be written.
    """
    result = BenchResult()
    scoring = scoring_seconds(plan) or GUESSED_SCORING_SECONDS
    training = [plan.training_seconds(task) for task in plan.tasks]
    weights = [scoring + seconds for seconds in training]
    shares = [0.0] * len(weights)
    now: dict[int, tuple[str, str, int, int]] = {}
    finished = len(plan.cells) - len(plan.tasks) - sum(plan.missing.values())

    def tell(message: str = "") -> None:
        if progress is not None:
            share = sum(w * s for w, s in zip(weights, shares, strict=True)) / max(sum(weights), 1e-9)
            progress(BenchProgress(finished + result.done, len(plan.cells), share, now, message))

    def moved(job: int, index: int, stage: str, done: int, total: int) -> None:
        now[job] = (plan.tasks[index].cell.name, stage, done, total)
        if stage == "training":
            first = steps_at_start.setdefault(index, done)
            shares[index] = max(0, done - first) / max(1, total - first) * training[index] / weights[index]
        tell()

    steps_at_start: dict[int, int] = {}
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    for outcome in over_processes(do, plan.tasks, jobs, moved, deadline):
        name = plan.tasks[outcome.index].cell.name
        if outcome.error:
            result.failed[name] = outcome.error
            if outcome.trace:
                result.traces[name] = outcome.trace
            tell(f"{name}: failed: {outcome.error}")
        elif outcome.result:
            result.done += 1
            shares[outcome.index] = 1.0
            tell(f"{name}: done")
    result.left = len(plan.tasks) - result.done - len(result.failed)
    result.written = write_tables(plan)
    return result


def write_tables(plan: Plan) -> list[Path]:
    """Write leaderboard and summary, and return the files; none while there are no records."""
    if not recorded(plan.records):
        return []
    from vgbench.bench.summary import write_summary

    suite = plan.suite
    written = write_report(
        [plan.records], plan.results, ("html", "md", "csv"), primary=suite.primary, title=suite.title
    )
    return written + write_summary(plan.records, plan.results, suite.primary, suite.title)


def scoring_seconds(plan: Plan) -> float:
    """Mean duration of one evaluation according to the records, in seconds; 0 while there are none."""
    found = [record.seconds["total"] for record in recorded(plan.records).values()]
    return sum(found) / len(found) if found else 0.0


def describe(plan: Plan) -> list[tuple[str, str]]:
    """For each cell: its name, and what is left to do for it."""
    left: dict[str, Task] = {task.cell.name: task for task in plan.tasks}
    lines = []
    for cell in plan.cells:
        if cell.data in plan.missing:
            text = f"needs --data {cell.data}=PATH"
        elif cell.name not in left:
            text = "done"
        elif cell.config is None:
            text = "to score"
        else:
            seconds = plan.training_seconds(left[cell.name])
            text = f"{steps_done(left[cell.name].folder)} of {cell.steps} steps"
            text += f", {seconds / 60:.1f} min left" if seconds else ""
        lines.append((cell.name, text))
    return lines


def estimate(plan: Plan, jobs: int) -> str:
    """Say in words how much is left to do."""
    timed: Sequence[float] = [plan.training_seconds(task) for task in plan.tasks]
    scoring = scoring_seconds(plan)
    hours = (sum(timed) + len(plan.tasks) * scoring) / 3600
    text = f"{len(plan.tasks)} of {len(plan.cells)} rows to do"
    if sum(timed):
        text += f", about {hours:.2f} hours of one core, {hours / jobs:.2f} with --jobs {jobs} on free cores"
        text += "" if scoring else " (without scoring, which has not been timed yet)"
    return text


def require_ready(plan: Plan) -> None:
    """Make sure that there is something to do, and a device to do it on.

    Raises:
        ConfigError: the device of the suite does not exist.
        VgbenchError: every row needs data that are not given.
    """
    device_of(plan.suite.device)
    if plan.missing and sum(plan.missing.values()) == len(plan.cells):
        name = next(iter(plan.missing))
        about = plan.suite.data[name].about
        raise VgbenchError(
            f"suite {plan.suite.name}: the data of every row are missing ({', '.join(plan.missing)})",
            f"--data {name}=PATH{'; ' + about if about else ''}",
        )
