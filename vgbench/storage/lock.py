"""A file lock that ends with the process that holds it, and tells others which process that is."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vgbench.errors import VgbenchError


@contextmanager
def locked(path: Path, in_use: Callable[[str], VgbenchError]) -> Iterator[None]:
    """Hold the lock of a file while inside; never wait for it.

    The operating system holds the lock, so a killed process leaves none behind. The file stays where it is,
    because removing it would let two processes hold locks of two files with the same name.

    Args:
        path: of the lock file; its folder is created where it does not exist.
        in_use: makes the error to raise from the words for the process that holds the lock.

    Raises:
        VgbenchError: what `in_use` returns; or the lock file is a link, which is never followed.
        OSError: the folder cannot be written to, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptors: list[int] = []  # the lock's own, so that nothing is written through a path that may change
    try:
        held = FileLock(path, on_acquired=descriptors.append).acquire(blocking=False)
    except Timeout as error:
        raise in_use(_owner(path)) from error
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise VgbenchError(f"{path}: the lock file is a symbolic link", "remove the link") from error
    with held:
        os.ftruncate(descriptors[0], 0)
        os.write(descriptors[0], json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        try:
            yield
        finally:
            os.ftruncate(descriptors[0], 0)


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_bytes())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
