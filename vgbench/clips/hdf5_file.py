"""Which data sets an HDF5 file holds, and their elements; read by h5py, which the extra `hdf5` installs.

The HDF5 library never ends on some damaged files, and ends its process on others. It therefore runs in a
process of its own, `hdf5_child`, with a limit on its memory and a deadline for each answer.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from vgbench.clips import hdf5_child, limits
from vgbench.clips.array_members import Names
from vgbench.clips.files import StoredFile
from vgbench.clips.stored_array import Part, StoredArray

MAX_SECONDS = 60.0
"""Time in which the child must ask for bytes or answer."""
MAX_MEMORY = 2**32
"""Bytes of address space of the child (4 GiB)."""
MAX_LINE = 2**26
"""Longest answer, without its elements (64 MiB)."""


@dataclass(frozen=True)
class Hdf5Array(StoredArray):
    """A data set in an HDF5 file.

    Attributes:
        name: its name in the file, with those of the groups that hold it.
    """

    name: str

    def part(self, parts: Sequence[Part]) -> npt.NDArray[Any]:
        sizes = [count for _, count in parts]
        _, data = _ask(self.file, {"name": self.name, "parts": parts})
        if len(data) != math.prod(sizes) * self.itemsize:
            raise EOFError("ends before the last clip")
        return np.frombuffer(data, self.kind).reshape(sizes)


def data_sets_of(file: StoredFile) -> dict[str, StoredArray | Names]:
    """Return the data sets of a file by name; those of text as lists.

    Raises:
        ValueError: h5py is not installed, the file is damaged, or a data set lies in other files.
    """
    answer, _ = _ask(file, {"largest": limits.MAX_CLIP_BYTES})
    found: dict[str, StoredArray | Names] = {}
    try:
        for name, kind, shape in answer["arrays"]:
            if np.dtype(kind).hasobject or not all(type(length) is int and length >= 0 for length in shape):
                raise ValueError("a damaged type or shape")
            found[str(name)] = Hdf5Array(file, str(kind), tuple(shape), str(name))
        for name, texts in answer["texts"].items():
            found[str(name)] = [str(text) for text in texts]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("a damaged type or shape") from error
    return found


class _Child:
    """The process that runs the HDF5 library, for one process of vgbench."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", str(Path(hdf5_child.__file__)), str(MAX_MEMORY)]
        self.owner = os.getpid()
        self.process = subprocess.Popen(  # noqa: S603 - a script of our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            self.receive()
        except ValueError:
            self.end()
            raise

    def send(self, message: Mapping[str, Any], data: bytes = b"") -> None:
        pipe = cast(IO[bytes], self.process.stdin)
        pipe.write(json.dumps({**message, "bytes": len(data)}).encode() + b"\n" + data)
        pipe.flush()

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for a message.

        Raises:
            ValueError: an error of the library, or there is no message within `MAX_SECONDS`.
        """
        pipe = cast(IO[bytes], self.process.stdout)
        alarm = threading.Timer(MAX_SECONDS, self.process.kill)
        alarm.start()
        try:
            message = json.loads(pipe.readline(MAX_LINE))
            data = pipe.read(min(int(message["bytes"]), MAX_MEMORY))
        except (ValueError, TypeError, LookupError) as error:
            raise _Failed from error
        finally:
            alarm.cancel()
        if "error" in message:
            raise ValueError(str(message["error"]))
        return message, data

    def end(self) -> None:
        """Kill the process; it has nothing to lose."""
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                cast(IO[bytes], pipe).close()
        self.process.wait()


class _Failed(ValueError):
    def __init__(self) -> None:
        limit = f"{MAX_SECONDS:g} s or {MAX_MEMORY / 2**30:g} GiB"
        super().__init__(f"damaged: the HDF5 library fails on it, or needs more than {limit}")


_lock = threading.Lock()
_children: list[_Child] = []
"""At most one; after a fork, it is that of the process before and must not be used."""


@contextmanager
def _child() -> Iterator[_Child]:
    with _lock:
        if _children and _children[0].owner != os.getpid():
            _children.clear()
        if not _children:
            _children.append(_Child())
        try:
            yield _children[0]
        except _Failed:
            _end()
            raise
        except OSError as error:  # a broken pipe
            _end()
            raise _Failed from error


@atexit.register
def _end() -> None:
    while _children:
        child = _children.pop()
        if child.owner == os.getpid():
            child.end()


def _ask(file: StoredFile, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Send a request about a file, give the child the bytes that it asks for, and return its answer.

    Raises:
        ValueError: the answer is an error.
    """
    with file.open() as stream, _child() as child:
        child.send({**request, "key": f"{file.name}|{file.stamp()}", "size": file.size})
        while True:
            message, data = child.receive()
            if "read" not in message:
                return message, data
            stream.seek(int(message["read"]))
            child.send({}, stream.read(min(int(message["count"]), hdf5_child.READ_BYTES)))
