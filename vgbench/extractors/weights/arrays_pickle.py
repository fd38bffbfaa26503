"""Read a pickle that holds nested dicts of numpy arrays, and nothing else."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from vgbench.errors import VgbenchError

# Its module moved between numpy 1 and 2; pickling an array names it in either.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every global that rebuilding an array does not need, so that no pickle can run code."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"asks for {module}.{name}") from None


def load_arrays(data: bytes, where: str) -> dict[str, Any]:
    """Read a pickled, nested dict of arrays.

    Args:
        data: the pickle.
        where: file name for the message.

    Raises:
        VgbenchError: damaged, holds anything but dicts and plain arrays, or tries to run code.
    """
    try:
        tree = _ArraysOnly(io.BytesIO(data)).load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise VgbenchError(
            f"weights file {where} is not a pickle of plain arrays ({error})",
            "nothing of it was run; get the file again from its source",
        ) from error
    if not _plain(tree):
        raise VgbenchError(f"weights file {where} holds more than dicts of arrays", "get another file")
    return tree  # type: ignore[no-any-return]


def _plain(tree: object) -> bool:
    if isinstance(tree, dict):
        return all(isinstance(key, str) and _plain(value) for key, value in tree.items())
    return isinstance(tree, np.ndarray) and tree.dtype != object
