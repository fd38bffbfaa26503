"""Processes that are forked from one in which torch is loaded, so that each begins at once.

A new Python needs seconds for its imports, and a test that kills it at a random moment would mostly interrupt
those.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = [
    "torch",
    "torch.utils.data",
    "scipy.special",
    "pandas",
    "av",
    "vgbench.cli",
    "vgbench.evaluation",
    "vgbench.training.trainer",
    "vgbench.leaderboard.report",
    "vgbench.training.sampling",
    "vgbench.clips.write",
    "vgbench.clips.builtin",
]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(PRELOADED)


def start(work: Callable[[], object], folder: Path, **environment: str) -> BaseProcess:
    """Begin `work()`; what it prints goes to the files `stdout` and `stderr` in the folder."""
    folder.mkdir(exist_ok=True)
    process = _SERVER.Process(target=_work, args=(work, folder, {**os.environ, **environment}))
    process.start()
    return process


def start_ranks(work: Callable[[], object], folder: Path, **environment: str) -> list[BaseProcess]:
    """Begin `work()` in two processes that find each other as under `torchrun`; folders `0` and `1`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    folder.mkdir(exist_ok=True)
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    return [start(work, folder / rank["RANK"], **meeting, **rank, **environment) for rank in ranks]


def kill(process: BaseProcess) -> None:
    """Kill a process that must be under way: the number of one that ended may be another's by now."""
    assert process.is_alive(), f"it ended with {process.exitcode} before it could be killed"
    process.kill()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def vgbench(*arguments: str, largest_file: int | None = None) -> Callable[[], object]:
    """The work of `vgbench ARGUMENTS`; no file may grow beyond `largest_file` bytes."""
    return functools.partial(_vgbench, arguments, largest_file)


def _work(work: Callable[[], object], folder: Path, environment: dict[str, str]) -> None:
    os.environ.clear()  # the server's, which is as old as the server
    os.environ.update(environment)
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    work()


def _vgbench(arguments: tuple[str, ...], largest_file: int | None) -> None:
    from vgbench import cli

    if largest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    sys.argv = ["vgbench", *arguments]
    cli.main()
