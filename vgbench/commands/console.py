"""Who writes where: results on stdout, everything else on stderr; progress, quiet, colour, errors.

Only `cli` imports this; libraries take a callback and never print.
"""

from __future__ import annotations

import errno
import json
import platform
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vgbench.distributed import launched_world
from vgbench.errors import EXIT_INTERNAL, VgbenchError

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, highlight=False)


@dataclass
class Verbosity:
    """How much goes to stderr; set by the options that every command has."""

    quiet: bool = False
    debug: bool = False


verbosity = Verbosity()


def note(text: str) -> None:
    """Say something that is not the result; silent under --quiet."""
    if not verbosity.quiet:
        err.print(escape(text), style="dim", soft_wrap=True)


def warn(code: str, text: str) -> None:
    """Say what weakens a result; also under --quiet, since it changes what a score means."""
    err.print(f"[yellow]warning[/] [dim]{escape(code)}[/] {escape(text)}", soft_wrap=True)


def print_json(document: Any) -> None:
    """Print one JSON document and nothing else on stdout."""
    sys.stdout.write(document if isinstance(document, str) else json.dumps(document, indent=1) + "\n")


def fail(error: VgbenchError) -> int:
    """Print an error that the user can mend; return the exit code."""
    if verbosity.debug:
        traceback.print_exception(error, file=sys.stderr)
    err.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
    if error.remedy:
        err.print(f"[bold]hint:[/] {escape(error.remedy)}", soft_wrap=True)
    return error.exit_code


DISK = {
    errno.ENOSPC: "free space there, or choose another folder",
    errno.EDQUOT: "free space there, or choose another folder",
    errno.EFBIG: "raise the limit of file sizes, or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that you may use",
    errno.EPERM: "choose a folder that you may use",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What a user can do about an error of the system."""


def fail_on_disk(error: OSError) -> int:
    """Print what the system refused as an error that the user can mend, where it is one."""
    remedy = DISK.get(error.errno or 0)
    if remedy is None:
        return crash(error)
    where = f"{error.filename}: " if error.filename else ""
    return fail(VgbenchError(f"{where}{error.strerror}", f"{remedy}; what was written before is whole"))


def crash(error: BaseException) -> int:
    """Report an error of our own: two lines, and a log that can be attached to a bug report."""
    if verbosity.debug:
        traceback.print_exception(error, file=sys.stderr)
        return EXIT_INTERNAL
    with tempfile.NamedTemporaryFile(
        "w", prefix="vgbench-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        log.write(f"command: {' '.join(sys.argv)}\npython: {platform.python_version()}\n\n")
        traceback.print_exception(error, file=log)
    err.print(f"[bold red]internal error:[/] {type(error).__name__}: {escape(str(error))}", soft_wrap=True)
    err.print(f"[bold]hint:[/] this is a bug in vgbench; its report is in {escape(log.name)}", soft_wrap=True)
    return EXIT_INTERNAL


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show long work on stderr: a bar per stage on a terminal, a plain line per 10 % or 30 s elsewhere."""
    if verbosity.quiet or not launched_world().is_main:
        yield lambda stage, done, total: None  # noqa: ARG005
    elif err.is_terminal:
        with _bars() as report:
            yield report
    else:
        yield _Lines().report


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(compact=True),
        _MemoryColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


@contextmanager
def training_panel(run_folder: Path) -> Iterator[Callable[[Any], None]]:
    """Show a training run on stderr: a live panel on a terminal, a line per 30 s elsewhere."""
    if verbosity.quiet or not launched_world().is_main:
        yield lambda state: None  # noqa: ARG005
        return
    if err.is_terminal:
        with Live(console=err, transient=True, auto_refresh=False) as live:
            yield lambda state: live.update(_training_table(state, run_folder), refresh=True)
        return
    last = [0.0]

    def line(state: Any) -> None:
        if time.monotonic() - last[0] > 30 or state.step == state.steps:
            last[0] = time.monotonic()
            numbers = "  ".join(f"{name} {value:.3g}" for name, value in state.measured.items())
            err.print(f"step {state.step}  {_remaining(state)}  {numbers}", soft_wrap=True, markup=False)

    yield line


@contextmanager
def bench_panel() -> Iterator[Callable[[Any], None]]:
    """Show a whole grid on stderr: a bar for all of it and one a job on a terminal, lines elsewhere."""
    if verbosity.quiet:
        yield lambda state: None  # noqa: ARG005
        return
    begun, last = time.monotonic(), [0.0]
    with Live(console=err, transient=True, auto_refresh=False) if err.is_terminal else nullcontext() as live:

        def show(state: Any) -> None:
            if state.message:
                err.print(escape(f"[{state.finished}/{state.total}] {state.message}"), soft_wrap=True)
            if time.monotonic() - last[0] < (0.2 if live else 30):
                return
            last[0] = time.monotonic()
            spent = time.monotonic() - begun
            left = f", {spent * (1 / state.share - 1) / 60:.0f} min left" if state.share > 0.02 else ""
            head = f"{state.finished}/{state.total} rows, {spent / 60:.1f} min{left}"
            rows = [f"{cell}: {stage} {done}/{total}" for cell, stage, done, total in state.now.values()]
            if live is None:
                err.print(escape("; ".join([head, *rows])), soft_wrap=True)
                return
            table = Table.grid(padding=(0, 2))
            table.add_row(Text(head), ProgressBar(total=1, completed=state.share, width=30))
            for row, (_, _, done, total) in zip(rows, state.now.values(), strict=True):
                table.add_row(Text(row, style="dim"), ProgressBar(total=total, completed=done, width=30))
            live.update(table, refresh=True)

        yield show


def _training_table(state: Any, run_folder: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    rows = {
        "run": str(run_folder),
        "step": f"{state.step}, {state.clips} clips, {1 / max(state.seconds_per_step, 1e-9):.1f} steps/s",
        "time": _remaining(state),
        "memory": f"{peak_memory_bytes() / 2**30:.1f} GiB",
        **{name: f"{value:.4g}" for name, value in state.measured.items()},
    }
    if state.best_score is not None:
        rows["best score"] = f"{state.best_score:.4g}"
    if state.sample is not None:
        rows["samples"] = str(state.sample)
    for name, value in rows.items():
        table.add_row(Text(name, style="dim"), Text(value))
    return table


def _remaining(state: Any) -> str:
    """Time spent, and what is left by the nearer of the two limits."""
    left = [60 * state.minutes - state.seconds] if state.minutes else []
    left += [(state.steps - state.step) * state.seconds_per_step] if state.steps else []
    spent = f"{state.seconds / 60:.1f} min"
    return f"{spent}, {max(min(left), 0) / 60:.1f} min left" if left else spent


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f}/s" if task.speed else "", style="cyan")


class _MemoryColumn(ProgressColumn):
    def render(self, task: Task) -> Text:  # noqa: ARG002
        return Text(f"{peak_memory_bytes() / 2**30:.1f} GiB", style="dim")


def peak_memory_bytes() -> int:
    """Return the largest resident size of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class _Lines:
    """Progress for logs: no redraw."""

    def __init__(self) -> None:
        self._stage = ""
        self._tenth = 0
        self._when = 0.0

    def report(self, stage: str, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        now = time.monotonic()
        news = stage != self._stage or tenth > self._tenth or now - self._when > 30
        if not news:
            return
        self._stage, self._tenth, self._when = stage, tenth, now
        err.print(f"{escape(stage)} {done}/{total}", soft_wrap=True)
