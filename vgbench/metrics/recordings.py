"""Which rows of a set belong to one recording, and may not be compared with each other as if independent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError

Numbers = npt.NDArray[np.int64]
"""int64 [N]: rows of one recording share a number."""
Groups = tuple[npt.ArrayLike | None, npt.ArrayLike | None]
"""One label for each row of both arguments of a function; None where every row is a recording of its own."""


def numbered(groups: Groups | None, *counts: int) -> tuple[Numbers, Numbers]:
    """Return the number of each row's recording for both sets.

    Args:
        groups: labels of any type that numpy can sort.
        counts: rows of both sets.

    Raises:
        VgbenchError: there are not two sequences of labels, or not as many labels as rows.
    """
    if groups is not None and (not isinstance(groups, tuple | list) or len(groups) != 2):
        raise VgbenchError("groups must be a pair", "give one sequence of labels, or None, for each set")
    found = []
    for labels, count in zip(groups or (None, None), counts, strict=True):
        array = np.arange(count) if labels is None else np.asarray(labels)
        if array.shape != (count,):
            raise VgbenchError(
                f"groups of shape {list(array.shape)} for {count} rows", "give one label for each row"
            )
        found.append(np.unique(array, return_inverse=True)[1].astype(np.int64))
    return found[0], found[1]


def rows_of_each(recordings: Numbers) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each recording, ascending; recordings come in the order of their first rows."""
    order = np.argsort(recordings, kind="stable")
    starts = np.flatnonzero(np.diff(recordings[order])) + 1
    return sorted(np.split(order, starts), key=lambda rows: int(rows[0]))


def one_of_each(recordings: Sequence[Numbers]) -> list[npt.NDArray[np.intp]]:
    """Choose one row of each recording, in several ways that together use the rows evenly.

    A statistic of such a choice has the expectation that it has for sets of one window per recording, however
    alike the windows of a recording are. The mean over the choices keeps that expectation and varies less.

    Args:
        recordings: of each set that takes part.

    Returns:
        For each set, row indices [C, R] of C choices, with R its number of recordings. C is the mean number
        of rows of a recording, rounded up, in the set where that is greatest: the choices together cost no
        more than all pairs of rows would.
    """
    rows = [rows_of_each(numbers) for numbers in recordings]
    count = max(-(-len(numbers) // len(of)) for numbers, of in zip(recordings, rows, strict=True))
    return [np.array([[own[k * len(own) // count] for own in of] for k in range(count)]) for of in rows]
