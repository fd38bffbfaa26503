"""Live displays of long work on stderr: progress bars, a training run, a benchmark.

On a terminal they redraw in place; in a log they are plain lines, written now and then. Under --quiet, and on
all ranks but the first, they show nothing.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich import progress as bars
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vgbench.commands import console
from vgbench.distributed import launched_world
from vgbench.progress import Progress, no_progress

if TYPE_CHECKING:
    from vgbench.bench.run import BenchProgress
    from vgbench.training.run import TrainingProgress

LINE_SECONDS = 30.0
"""Time between two lines in a log."""

REDRAW_SECONDS = 0.2
"""Time between two states of the benchmark's panel."""


def _is_silent() -> bool:
    return console.verbosity.quiet or not launched_world().is_main


@contextmanager
def progress() -> Iterator[Progress]:
    """Show one bar per stage on a terminal; elsewhere a line per 10 % or 30 s."""
    if _is_silent():
        yield no_progress
    elif console.stderr.is_terminal:
        with _progress_bars() as report:
            yield report
    else:
        yield _ProgressLines().report


@contextmanager
def _progress_bars() -> Iterator[Progress]:
    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        _RateColumn(),
        bars.TimeRemainingColumn(compact=True),
        _MemoryColumn(),
    )
    with bars.Progress(*columns, console=console.stderr, transient=True) as display:
        tasks: dict[str, bars.TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = display.add_task(stage, total=total)
            display.update(tasks[stage], completed=done, total=total)

        yield report


class _RateColumn(bars.ProgressColumn):
    def render(self, task: bars.Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


class _MemoryColumn(bars.ProgressColumn):
    def render(self, task: bars.Task) -> Text:  # noqa: ARG002
        return Text(f"{_peak_memory_bytes() / 2**30:.1f} GiB", style="dim")


class _ProgressLines:
    """Progress for logs: a line for each new stage, each 10 %, and every 30 s."""

    def __init__(self) -> None:
        self._stage = ""
        self._tenth = 0
        self._when = 0.0

    def report(self, stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        now = time.monotonic()
        if stage == self._stage and tenth <= self._tenth and now - self._when <= LINE_SECONDS:
            return
        self._stage, self._tenth, self._when = stage, tenth, now
        console.stderr.print(f"{escape(stage)} {done}/{total}", soft_wrap=True)


@contextmanager
def training_panel(run_folder: Path) -> Iterator[Callable[[TrainingProgress], None]]:
    """Show a training run: a live panel on a terminal, a line per 30 s elsewhere."""
    if _is_silent():
        yield lambda state: None  # noqa: ARG005
        return
    if console.stderr.is_terminal:
        with Live(console=console.stderr, transient=True, auto_refresh=False) as live:
            yield lambda state: live.update(_training_table(state, run_folder), refresh=True)
        return
    last = [0.0]

    def line(state: TrainingProgress) -> None:
        if time.monotonic() - last[0] > LINE_SECONDS or state.step == state.steps:
            last[0] = time.monotonic()
            numbers = "  ".join(f"{name} {value:.3g}" for name, value in state.measured.items())
            text = f"step {state.step}  {_time_spent_and_left(state)}  {numbers}"
            console.stderr.print(text, soft_wrap=True, markup=False)

    yield line


def _training_table(state: TrainingProgress, run_folder: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {
        "run": str(run_folder),
        "step": f"{state.step}, {state.clips} clips, {1 / max(state.seconds_per_step, 1e-9):.1f} steps/s",
        "time": _time_spent_and_left(state),
        "memory": f"{_peak_memory_bytes() / 2**30:.1f} GiB",
        **{name: f"{value:.4g}" for name, value in state.measured.items()},
    }
    if state.best_score is not None:
        rows["best score"] = f"{state.best_score:.4g}"
    if state.sample is not None:
        rows["samples"] = str(state.sample)
    for name, value in rows.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _time_spent_and_left(state: TrainingProgress) -> str:
    """Time spent, and the time left until the nearer of the two limits."""
    left = [60 * state.minutes - state.seconds] if state.minutes else []
    left += [(state.steps - state.step) * state.seconds_per_step] if state.steps else []
    spent = f"{state.seconds / 60:.1f} min"
    return f"{spent}, {max(min(left), 0) / 60:.1f} min left" if left else spent


@contextmanager
def bench_panel() -> Iterator[Callable[[BenchProgress], None]]:
    """Show a benchmark: one bar for all of it and one per job on a terminal, lines elsewhere."""
    if _is_silent():
        yield lambda state: None  # noqa: ARG005
        return
    begun, last, terminal = time.monotonic(), [0.0], console.stderr.is_terminal
    panel = Live(console=console.stderr, transient=True, auto_refresh=False) if terminal else nullcontext()
    with panel as live:

        def show(state: BenchProgress) -> None:
            if state.message:
                text = f"[{state.finished}/{state.total}] {state.message}"
                console.stderr.print(escape(text), soft_wrap=True)
            if time.monotonic() - last[0] < (REDRAW_SECONDS if live else LINE_SECONDS):
                return
            last[0] = time.monotonic()
            spent = time.monotonic() - begun
            left = f", {spent * (1 / state.share - 1) / 60:.0f} min left" if state.share > 0.02 else ""
            head = f"{state.finished}/{state.total} rows, {spent / 60:.1f} min{left}"
            if live is None:
                jobs = (f"{cell}: {stage} {done}/{total}" for cell, stage, done, total in state.now.values())
                console.stderr.print(escape("; ".join([head, *jobs])), soft_wrap=True)
            else:
                live.update(_bench_table(head, state), refresh=True)

        yield show


def _bench_table(head: str, state: BenchProgress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(Text(head), ProgressBar(total=1, completed=state.share, width=30))
    for cell, stage, done, total in state.now.values():
        text = Text(f"{cell}: {stage} {done}/{total}", style="dim")
        table.add_row(text, ProgressBar(total=total, completed=done, width=30))
    return table


def _peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
