"""Work shared out over processes, so that a crash or a lack of memory costs one item and no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from vgbench.errors import VgbenchError
from vgbench.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")

SECONDS_TO_STOP = 120
"""How long a process may take to write its checkpoint when it is asked to stop."""


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """Outcome for one item: a result, or the reason why there is none.

    Attributes:
        index: position of the item.
        result: what the function returned; None if it failed.
        error: one sentence; "" if it did not fail.
        trace: traceback of an error that the user cannot correct.
    """

    index: int
    result: Result | None
    error: str = ""
    trace: str = ""


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    index: int | None = None


def over_processes(
    function: Callable[[Item, Progress], Result],
    items: Sequence[Item],
    jobs: int,
    progress: Callable[[int, int, str, int, int], None],
    deadline: float | None = None,
) -> Iterator[Outcome[Result]]:
    """Apply `function` to all items in up to `jobs` processes, and yield outcomes in the order of completion.

    A process that dies costs its item and no other. When the iterator is closed or the deadline passes, the
    processes are asked to stop by SIGTERM, upon which a trainer writes its checkpoint.

    Args:
        function: an importable function of an item and a callback (stage, done, total).
        items: picklable values.
        jobs: number of processes, with one thread each (see `_one_thread`).
        progress: called as (job, index, stage, done, total).
        deadline: value of `time.monotonic()` at which all work stops; unfinished items have no outcome.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    waiting = list(range(len(items)))[::-1]

    def start() -> _Worker:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, function), daemon=False)
        with _one_thread():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    try:
        workers += [start() for _ in range(min(jobs, len(items)))]
        while waiting or any(worker.index is not None for worker in workers):
            for worker in workers:
                if worker.index is None and waiting:
                    worker.index = waiting.pop()
                    worker.pipe.send(items[worker.index])
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            busy = {worker.pipe: job for job, worker in enumerate(workers) if worker.index is not None}
            for pipe in wait(list(busy), left):
                job = busy[pipe]  # type: ignore[index]
                worker = workers[job]
                assert worker.index is not None
                try:
                    message = worker.pipe.recv()
                except EOFError:
                    worker.process.join()
                    yield Outcome(
                        worker.index, None, f"its process ended ({_ending(worker.process.exitcode)})"
                    )
                    worker.pipe.close()
                    workers[job] = start()
                    continue
                if isinstance(message, Outcome):
                    yield Outcome(worker.index, message.result, message.error, message.trace)
                    worker.index = None
                else:
                    progress(job, worker.index, *message)
    finally:
        _stop(workers)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"{signal.Signals(-code).name}; out of memory?"
    return f"exit code {code}"


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.index is None:
            worker.pipe.close()  # it is idle and ends by itself
        elif worker.process.is_alive():
            worker.process.terminate()
    for worker in workers:
        _drain(worker)
        worker.process.join(SECONDS_TO_STOP)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _drain(worker: _Worker) -> None:
    """Read until the process has ended, so that a full pipe never blocks it."""
    limit = time.monotonic() + SECONDS_TO_STOP
    with suppress(EOFError, OSError):
        while worker.index is not None and worker.pipe.poll(max(0.0, limit - time.monotonic())):
            if isinstance(worker.pipe.recv(), Outcome):
                worker.pipe.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that are started inside compute with one thread, unless the environment says otherwise.

    Small models gain little from a second thread, and threads that wait for each other on busy cores are many
    times slower. numpy and torch read these variables once, when they are loaded.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    added = {name: "1" for name in names if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _serve(pipe: Connection, function: Callable[[Any, Progress], Any]) -> None:
    """Main loop of a process: receive an item and send its outcome, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which asks to stop
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            item = pipe.recv()
            try:
                outcome = Outcome(0, function(item, lambda *progress: pipe.send(progress)))
            except VgbenchError as error:
                outcome = Outcome(0, None, error.message)
            except Exception as error:  # noqa: BLE001  the parent reports it with the trace
                outcome = Outcome(0, None, f"{type(error).__name__}: {error}", traceback.format_exc())
            pipe.send(outcome)


def _follow(parent: Any) -> None:
    """End with the parent, even if it was killed: an orphan would train on and hold the lock of its run."""
    parent.join()
    os._exit(1)
