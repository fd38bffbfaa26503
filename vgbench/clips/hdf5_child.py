"""The process that runs the HDF5 library, whose time and memory can only be limited from outside.

It opens no file itself: it asks its parent for bytes, so that the file may lie anywhere, and answers with
names, types, shapes and elements. Messages are lines of JSON; `bytes` says how many bytes follow one. It
imports nothing of vgbench, so that it starts quickly. `vgbench.clips.hdf5_file` is the other side.
"""

from __future__ import annotations

import io
import json
import math
import sys
from typing import Any

MAX_DATA_SETS = 2**17
MAX_DEPTH = 8
"""Levels of groups that are looked through."""
MAX_NAMES = 2**17
"""Most texts of a data set of labels."""
READ_BYTES = 2**22
"""Most bytes that are asked for at once."""


def send(message: dict[str, Any], data: bytes = b"") -> None:
    """Write one message to the parent."""
    sys.stdout.buffer.write(json.dumps({**message, "bytes": len(data)}).encode() + b"\n" + data)
    sys.stdout.buffer.flush()


def receive() -> tuple[dict[str, Any], bytes]:
    """Read one message of the parent; end where it has none left."""
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit()
    message = json.loads(line)
    return message, sys.stdin.buffer.read(message["bytes"])


class ParentFile(io.RawIOBase):
    """The file, read by the parent."""

    def __init__(self, size: int) -> None:
        self._size, self._position = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = {0: 0, 1: self._position, 2: self._size}[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), READ_BYTES, max(self._size - self._position, 0))
        if wanted == 0:
            return 0
        send({"read": self._position, "count": wanted})
        _, data = receive()
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def find_data_sets(root: Any, largest_chunk: int) -> tuple[list[Any], dict[str, list[str]]]:
    """Return [name, type, shape] of every data set in the file, and the texts of those that hold texts.

    Links are not followed, and data sets that lie in other files are refused, so that a file from a stranger
    shows nothing but its own bytes.

    Raises:
        ValueError: too many data sets, too large a chunk, or a data set that lies in other files.
    """
    import h5py

    arrays: list[Any] = []
    texts: dict[str, list[str]] = {}
    pending: list[tuple[str, Any, int]] = [("", root, 0)]
    count = 0
    while pending:
        above, group, depth = pending.pop()
        for name in group:
            count += 1
            if count > MAX_DATA_SETS:
                raise ValueError(f"more than {MAX_DATA_SETS} data sets")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            path, found = f"{above}{name}", group[name]
            if isinstance(found, h5py.Group):
                if depth < MAX_DEPTH:
                    pending.append((f"{path}/", found, depth + 1))
                continue
            if not isinstance(found, h5py.Dataset) or found.shape is None:
                continue
            if found.external or found.is_virtual:
                raise ValueError(f"{path} lies in other files; store its values in this one")
            if math.prod(found.chunks or ()) * found.dtype.itemsize > largest_chunk:
                raise ValueError(f"chunks of more than {largest_chunk} bytes (VGBENCH_MAX_CLIP_BYTES)")
            if h5py.check_string_dtype(found.dtype) is not None and len(found.shape) == 1:
                if found.shape[0] <= MAX_NAMES:
                    texts[path] = list(found.asstr(errors="backslashreplace")[:])
            elif not found.dtype.hasobject:
                arrays.append([path, found.dtype.str, list(found.shape)])
    return arrays, texts


def main() -> None:
    """Answer requests until the parent closes the pipe."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
    except (ImportError, ValueError, OSError):
        pass  # not on this system; the deadline still holds
    try:
        import h5py
    except ImportError:
        send({"error": "HDF5 needs h5py: pip install h5py (the extra `hdf5`)"})
        return
    send({"ready": True})
    key, root = None, None
    while True:
        request, _ = receive()
        try:
            if request["key"] != key or root is None:
                root = h5py.File(io.BufferedReader(ParentFile(request["size"])), "r")
                key = request["key"]
            if "name" not in request:
                arrays, texts = find_data_sets(root, request["largest"])
                send({"arrays": arrays, "texts": texts})
                continue
            box = tuple(slice(first, first + count) for first, count in request["parts"])
            send({}, root[request["name"]][box].tobytes())
        except Exception as error:  # noqa: BLE001 - the library raises anything on damaged files
            root = None
            send({"error": (str(error) or type(error).__name__).splitlines()[0]})


if __name__ == "__main__":
    main()
