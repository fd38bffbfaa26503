"""Atomic writes: outputs are written under a temporary name beside the target and then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_temporary(path: Path) -> bool:
    """Whether a file is being written, or was when its process was killed."""
    return path.name.startswith(".")


def remove_leftovers(folder: Path, older_than_seconds: float = 0.0) -> None:
    """Remove what killed processes left behind in a folder, but not in its sub-folders."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.\d+\.[0-9a-f]{8}(\..+)?", path.name):
            with contextlib.suppress(FileNotFoundError):  # its owner renamed or removed it meanwhile
                if time.time() - path.stat().st_mtime >= older_than_seconds:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success it becomes `target`, on failure it is removed.

    The name keeps the target's suffix, by which encoders choose a container. Works for files and for folders;
    an existing folder is replaced.

    Raises:
        OSError: the parent cannot be written to; the old target is then unchanged.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield temporary
        if target.is_dir() and temporary.is_dir():
            retired = target.with_name(f"{temporary.name}.old")
            target.rename(retired)
            temporary.rename(target)
            shutil.rmtree(retired)
        else:
            temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_new(target: str | Path, data: bytes) -> None:
    """Write `data` to `target` atomically, where nothing exists yet.

    Raises:
        FileExistsError: the target exists; it is left unchanged.
        OSError: the parent cannot be written to.
    """
    target = Path(target)
    with replacing(target) as temporary:
        _write(temporary, data)
        try:
            os.link(temporary, target)  # of two simultaneous writers, only one gets the name
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: this check is nearly as good
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None


def write_text(target: str | Path, text: str) -> None:
    """Write `text` (UTF-8) to `target` atomically, and flush it to the disk."""
    write_bytes(target, text.encode())


def write_bytes(target: str | Path, data: bytes) -> None:
    """Write `data` to `target` atomically, and flush it to the disk."""
    with replacing(target) as temporary:
        _write(temporary, data)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
