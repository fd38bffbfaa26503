"""Checks of arrays that all metrics share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError

Matrix = npt.NDArray[np.float64]


def matrix(values: npt.ArrayLike, name: str, least_rows: int = 2) -> Matrix:
    """Return `values` as float64 [N, D].

    Raises:
        VgbenchError: not two-dimensional, fewer than `least_rows` rows, no columns, or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise VgbenchError(f"{name} must be [N, D], got shape {list(array.shape)}", "one row for each clip")
    if len(array) < least_rows:
        raise VgbenchError(f"{name} has {len(array)} row(s), needs at least {least_rows}", "score more clips")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise VgbenchError(
            f"{name} holds NaN or infinity in {np.count_nonzero(~finite)} of {len(array)} rows "
            f"(first: row {int(np.argmin(finite))})",
            "the extractor overflowed or its weights are damaged; no score is computed from such features",
        )
    return array


def matrices(x: npt.ArrayLike, y: npt.ArrayLike, least_rows: int = 2) -> tuple[Matrix, Matrix]:
    """Return both sides as float64 [N, D] and [M, D].

    Raises:
        VgbenchError: as `matrix`, or the two have different D.
    """
    first, second = matrix(x, "x", least_rows), matrix(y, "y", least_rows)
    if first.shape[1] != second.shape[1]:
        raise VgbenchError(
            f"x has {first.shape[1]} columns and y has {second.shape[1]}", "use one extractor for both sets"
        )
    return first, second


def frames(clip: npt.ArrayLike, least_frames: int = 2) -> npt.NDArray[np.uint8]:
    """Return `clip` as uint8 [T, H, W, 3].

    Raises:
        VgbenchError: another dtype or shape, or fewer than `least_frames` frames.
    """
    array = np.asarray(clip)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] != 3 or 0 in array.shape[1:3]:
        raise VgbenchError(
            f"a clip must be uint8 [T, H, W, 3], got {array.dtype} {list(array.shape)}",
            "scale to 0..255, round, and put the channels last",
        )
    if len(array) < least_frames:
        raise VgbenchError(
            f"the clip has {len(array)} frame(s), this metric needs at least {least_frames}",
            "use longer clips",
        )
    return array
