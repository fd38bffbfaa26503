"""Which data sets an HDF5 file holds; read by h5py, which the extra `hdf5` installs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import limits
from vgbench.clips.array_members import Names
from vgbench.clips.files import LocalFile, StoredFile
from vgbench.clips.stored_array import Part, StoredArray

MAX_DATA_SETS = 2**17
MAX_DEPTH = 8
"""Levels of groups that are looked through."""

HDF5_DAMAGE = (RuntimeError, LookupError, TypeError, AttributeError)
"""Raised by h5py on damaged files, besides `DAMAGE`."""


@dataclass(frozen=True)
class Hdf5Array(StoredArray):
    """A data set in an HDF5 file.

    Attributes:
        path: its name in the file, with those of the groups that hold it.
    """

    path: str

    def part(self, parts: Sequence[Part]) -> npt.NDArray[Any]:
        with _opened(self.file) as root:
            found = root[self.path]
            return np.asarray(found[tuple(slice(first, first + count) for first, count in parts)])


def data_sets_of(file: StoredFile) -> dict[str, StoredArray | Names]:
    """Return the data sets of a file by name; those of text as lists.

    Links are not followed, and data sets that lie in other files are refused, so that a file from a stranger
    shows nothing but its own bytes.

    Raises:
        ValueError: h5py is not installed, or a data set lies in other files.
        OSError: damaged.
    """
    with _opened(file) as root:
        return dict(_walk(root, file))


@contextmanager
def _opened(file: StoredFile) -> Iterator[Any]:
    try:
        import h5py
    except ImportError as error:
        raise ValueError("HDF5 needs h5py: pip install h5py (the extra `hdf5`)") from error
    if isinstance(file, LocalFile):
        with h5py.File(file.name, "r") as root:
            yield root
    else:
        with file.open() as stream, h5py.File(stream, "r") as root:
            yield root


def _walk(root: Any, file: StoredFile) -> Iterator[tuple[str, StoredArray | Names]]:
    import h5py

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
            chunk = found.chunks or ()
            if math.prod(chunk) * found.dtype.itemsize > limits.MAX_CLIP_BYTES:
                raise ValueError(
                    f"chunks of more than {limits.MAX_CLIP_BYTES} bytes (VGBENCH_MAX_CLIP_BYTES)"
                )
            if h5py.check_string_dtype(found.dtype) is not None and len(found.shape) == 1:
                if found.shape[0] <= limits.MAX_ARRAY_CLIPS:
                    yield path, list(found.asstr(errors="backslashreplace")[:])
                continue
            if found.dtype.hasobject:
                continue
            yield path, Hdf5Array(file, found.dtype.str, tuple(found.shape), path)
