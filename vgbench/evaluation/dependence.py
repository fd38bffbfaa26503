"""Finds scored windows that depend on each other: copies within a side, and between the sides.

Intervals and corrected values assume independent clips. Copies are found by equal pixels after resizing,
whatever files they are stored in, and by distances of 0 between features.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.evaluation.measured import EXTRACTOR, SIDES, Measured, Side, are_identical
from vgbench.metrics import Choice, Score
from vgbench.metrics.memorisation import EQUAL
from vgbench.records.record import COLLAPSED, DEPENDENT

TOLERATED = 0.02
"""Share of the generated windows that may be windows of the real set, before the sets count as dependent.

A few equal clips, such as black ones, are in many data sets."""
_CHUNK = 1024
_UNLIKELY = 4.0  # standard errors; distances of independent sets do not lie this far below 0


def shared_windows(measured: Mapping[Side, Measured]) -> int:
    """Count the generated windows that are windows of the real set, by their pixels or by their features."""
    generated, real = measured["generated"], measured["real"]
    contents = {used.content for used in real.windows if used.content}
    is_shared = np.array([used.content in contents for used in generated.windows])
    ours, theirs = generated.samples.get(EXTRACTOR), real.samples.get(EXTRACTOR)
    if ours is not None and theirs is not None:
        is_shared |= _have_equal_rows(ours.features, theirs.features)
    return int(np.count_nonzero(is_shared))


def are_dependent(shared: int, count: int) -> bool:
    """Whether too many of `count` generated windows are real ones to estimate the error of a distance."""
    return shared > TOLERATED * count


def is_collapsed(side: Measured) -> bool:
    """Whether all windows of a side, from more than one clip, have equal pixels."""
    contents = {used.content for used in side.windows}
    return side.clips > 1 and len(contents) == 1 and "" not in contents


def copies_within(side: Measured) -> int:
    """Count the windows that repeat the pixels of an earlier window of another recording."""
    recordings_of: dict[str, set[int]] = {}
    for used, recording in zip(side.windows, side.recordings.tolist(), strict=True):
        if used.content:
            recordings_of.setdefault(used.content, set()).add(recording)
    return sum(len(recordings) - 1 for recordings in recordings_of.values())


def describe(
    choices: Iterable[Choice], measured: Mapping[Side, Measured], scores: Mapping[str, Score], shared: int
) -> Iterator[tuple[str, str]]:
    """Warn of windows that depend on each other, as (warning code, sentence).

    Args:
        choices: the metrics that were scored.
        measured: both sides.
        scores: score name -> score.
        shared: what `shared_windows` counted.
    """
    for side in reversed(SIDES):
        count, copies = len(measured[side].windows), copies_within(measured[side])
        if is_collapsed(measured[side]):
            yield (
                COLLAPSED,
                f"{side}: all {count} windows are the same; no score of such a set means anything",
            )
        elif copies:
            yield (
                "duplicate-clips",
                f"{side}: {copies} of {count} windows ({copies / count:.0%}) repeat the pixels of another "
                "clip; copies count as one clip in errors and intervals",
            )
    if are_identical(measured):
        return
    count = len(measured["generated"].windows)
    if are_dependent(shared, count):
        yield (
            DEPENDENT,
            f"{shared} of {count} generated windows ({shared / count:.0%}) are windows of the real set, so "
            "there is neither a corrected value nor an interval; score against clips that were not copied",
        )
    elif below := [name for name in _distances(choices) if _is_far_below_zero(scores.get(name))]:
        yield (
            DEPENDENT,
            f"{', '.join(below)}: further below 0 than distances of independent sets can be; were the "
            "generated clips made from the real ones?",
        )


def _distances(choices: Iterable[Choice]) -> Iterator[str]:
    for choice in choices:
        if choice.metric.is_distance:
            yield from choice.metric.directions


def _is_far_below_zero(score: Score | None) -> bool:
    if score is None or score.standard_error is None:
        return False
    return score.best_estimate < -_UNLIKELY * score.standard_error


def _have_equal_rows(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each row of [N, D] equals some row of [M, D] up to rounding, bool [N]."""
    found = np.zeros(len(x), dtype=bool)
    squares = np.einsum("ij,ij->i", y, y, dtype=np.float64)
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        part = x[rows].astype(np.float64)
        nearest = np.argmin(squares - 2 * (part @ y.T.astype(np.float64)), axis=1)
        gap = np.linalg.norm(part - y[nearest], axis=1)
        found[rows] = gap <= EQUAL * np.linalg.norm(part, axis=1)
    return found
