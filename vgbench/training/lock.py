"""One trainer per run folder: a lock file that names its owner."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vgbench.errors import VgbenchError

NAME = "train.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Own `folder` while inside.

    The operating system holds the lock, so that it ends with its owner however that dies; the file's text
    only says who the owner is.

    Raises:
        VgbenchError: another trainer owns the folder; names its host and process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise VgbenchError(
                f"{folder}: {_describe(file.read())} is training here",
                "choose another run folder, or stop that process",
            ) from error
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _describe(text: str) -> str:
    try:
        owner = json.loads(text)
        return f"process {owner['pid']} on {owner['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
