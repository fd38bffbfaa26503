"""Reads a pickle that contains nested dicts of NumPy arrays and nothing else."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from vgbench.errors import VgbenchError

# Its module moved between NumPy 1 and 2; the pickle of an array names it in both.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class ArraysUnpickler(pickle.Unpickler):
    """Refuses every global that is not needed to rebuild an array, so that no pickle can run code."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"asks for {module}.{name}") from None


def load_arrays(data: bytes, where: str) -> dict[str, Any]:
    """Read a pickled, nested dict of arrays.

    Args:
        data: the pickle.
        where: the file name for messages.

    Raises:
        VgbenchError: it is damaged, contains anything but dicts and plain arrays, or tries to run code.
    """
    try:
        tree = ArraysUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise VgbenchError(
            f"weights file {where} is not a pickle of plain arrays ({error})",
            "no code in it was run; download the file again",
        ) from error
    if not _plain(tree):
        raise VgbenchError(
            f"weights file {where} contains more than dicts of arrays", "download another file"
        )
    return tree  # type: ignore[no-any-return]


def _plain(tree: object) -> bool:
    if isinstance(tree, dict):
        return all(isinstance(key, str) and _plain(value) for key, value in tree.items())
    return isinstance(tree, np.ndarray) and tree.dtype != object
