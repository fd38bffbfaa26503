"""Plan a suite (`make_plan`), estimate its cost, run what is left of it (`run_plan`), write its tables."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vgbench.bench.cells import Cell, expand, model_key, recorded
from vgbench.bench.processes import over_processes
from vgbench.bench.suite import Suite
from vgbench.bench.summary import write_summary
from vgbench.bench.work import Task, do, steps_done, tasks_left, time_step
from vgbench.device import device_of
from vgbench.errors import VgbenchError
from vgbench.leaderboard.report import write_report
from vgbench.progress import Progress
from vgbench.storage import atomic


@dataclass(frozen=True)
class Plan:
    """What a suite stands for, and how much of it is left.

    Attributes:
        suite: as read.
        work: folder for runs, checkpoints and clips.
        results: folder for records, leaderboard and summary.
        cells: all rows.
        tasks: those that lack a record, and whose data is given.
        missing: data sets that are not given -> the number of rows that wait for them.
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
        """Seconds that are left of a cell's training, 0 where its step was not timed."""
        if task.cell.config is None:
            return 0.0
        left = task.cell.steps - steps_done(task.folder)
        return left * self.step_seconds.get(model_key(task.cell.config), 0.0)


@dataclass(frozen=True)
class State:
    """Where a bench is; what the progress callback receives.

    Attributes:
        finished: cells with all their records.
        total: cells of the plan.
        share: of the remaining work that is done, in [0, 1], weighted by measured step times.
        now: job -> (cell, stage, done, total).
        message: a cell that has just ended, in one line; "" otherwise.
    """

    finished: int
    total: int
    share: float
    now: Mapping[int, tuple[str, str, int, int]]
    message: str = ""


@dataclass
class Ending:
    """How a bench ended.

    Attributes:
        done: cells that were finished now.
        left: cells that a later run has to finish.
        failed: cell -> reason.
        traces: cell -> traceback of errors that are not the user's to mend.
        written: tables and the summary.
    """

    done: int = 0
    left: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)
    written: list[Path] = field(default_factory=list)


GUESSED_SCORING_SECONDS = 20.0
"""Of one evaluation, for the share of the work that is done, until a record says better."""


def make_plan(suite: Suite, work: Path | None = None, results: Path | None = None) -> Plan:
    """Spell out a suite and look at what is there already. Opens no data.

    Raises:
        ConfigError: a cell whose config does not hold together.
        VgbenchError: a damaged record.
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
    """Time a few steps of each distinct model that is left and has not been timed yet; kept for next time.

    As many processes time at once as will train, so that the times are those of the real run.

    Raises:
        VgbenchError: a model that cannot make a step.
    """
    configs = {
        model_key(task.cell.config): task.cell.config for task in plan.tasks if task.cell.config is not None
    }
    unknown = {key: config for key, config in configs.items() if key not in plan.step_seconds}
    seconds = dict(plan.step_seconds)
    for outcome in over_processes(time_step, list(unknown.values()), jobs, lambda *_: None):
        key = list(unknown)[outcome.index]
        if outcome.result is not None:  # what fails here fails again, and is reported, in its cell
            seconds[key] = outcome.result
        progress("timing steps", len(seconds), len(configs.keys() | plan.step_seconds.keys()))
        atomic.write_text(plan.work / "timings.json", json.dumps(seconds, indent=1) + "\n")
    return replace(plan, step_seconds=seconds)


def run_plan(
    plan: Plan,
    jobs: int = 1,
    minutes: float | None = None,
    progress: Callable[[State], None] | None = None,
) -> Ending:
    """Finish what is left, as far as `minutes` allow, and write the tables of what there is.

    Args:
        plan: of `make_plan`.
        jobs: cells at once, each in a process of its own with one thread.
        minutes: stop after this time; trainers write their checkpoint, and the next run continues from there.
        progress: called whenever something moves.

    Raises:
        VgbenchError: the results cannot be written.
    """
    ending = Ending()
    scoring = scoring_seconds(plan) or GUESSED_SCORING_SECONDS
    training = [plan.training_seconds(task) for task in plan.tasks]
    weights = [scoring + seconds for seconds in training]
    shares = [0.0] * len(weights)
    now: dict[int, tuple[str, str, int, int]] = {}
    begun = len(plan.cells) - len(plan.tasks) - sum(plan.missing.values())

    def tell(message: str = "") -> None:
        if progress is not None:
            share = sum(w * s for w, s in zip(weights, shares, strict=True)) / max(sum(weights), 1e-9)
            progress(State(begun + ending.done, len(plan.cells), share, now, message))

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
            ending.failed[name] = outcome.error
            if outcome.trace:
                ending.traces[name] = outcome.trace
            tell(f"{name}: failed: {outcome.error}")
        elif outcome.result:
            ending.done += 1
            shares[outcome.index] = 1.0
            tell(f"{name}: done")
    ending.left = len(plan.tasks) - ending.done - len(ending.failed)
    ending.written = write_tables(plan)
    return ending


def write_tables(plan: Plan) -> list[Path]:
    """Leaderboard and summary of the records that there are; [] while there is none."""
    if not recorded(plan.records):
        return []
    suite = plan.suite
    written = write_report(
        [plan.records], plan.results, ("html", "md", "csv"), primary=suite.primary, title=suite.title
    )
    return written + write_summary(plan.records, plan.results, suite.primary, suite.title)


def scoring_seconds(plan: Plan) -> float:
    """Mean seconds of one evaluation among the records that there are; 0 while there is none."""
    found = [record.seconds["total"] for record in recorded(plan.records).values()]
    return sum(found) / len(found) if found else 0.0


def describe(plan: Plan) -> list[tuple[str, str]]:
    """One line a cell: its name, and what is left of it."""
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
    """What is left to do, in words."""
    timed: Sequence[float] = [plan.training_seconds(task) for task in plan.tasks]
    scoring = scoring_seconds(plan)
    hours = (sum(timed) + len(plan.tasks) * scoring) / 3600
    text = f"{len(plan.tasks)} of {len(plan.cells)} rows to do"
    if sum(timed):
        text += f", about {hours:.2f} hours of one core, {hours / jobs:.2f} with --jobs {jobs} on free cores"
        text += "" if scoring else " (scoring not counted: none has been timed yet)"
    return text


def require_ready(plan: Plan) -> None:
    """Make sure that there is something to do, and a device to do it on.

    Raises:
        ConfigError: the suite's device is not there.
        VgbenchError: every row waits for data that was not given.
    """
    device_of(plan.suite.device)
    if plan.missing and sum(plan.missing.values()) == len(plan.cells):
        name = next(iter(plan.missing))
        about = plan.suite.data[name].about
        raise VgbenchError(
            f"suite {plan.suite.name}: no row has its data ({', '.join(plan.missing)})",
            f"--data {name}=PATH{'; ' + about if about else ''}",
        )
