"""A file lock that ends with its process and tells others which process holds it."""

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
    """Hold the lock of a file inside the `with` block; never wait for it.

    The operating system holds the lock, so a killed process leaves none behind. The file is not removed,
    because two processes could then hold locks of two files with the same name.

    Args:
        path: of the lock file; its folder is created where it does not exist.
        in_use: makes the error to raise, from a text that names the process that holds the lock.

    Raises:
        VgbenchError: as `in_use` makes it; or the lock file is a link, which is never followed.
        OSError: the folder cannot be written to, or its file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptors: list[int] = []  # of the lock itself, because the path may change meanwhile
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
