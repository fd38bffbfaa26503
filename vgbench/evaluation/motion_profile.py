"""How the clips of a set move, for the plots of a report: curves over the frames, and a histogram of flow.

No score depends on this. Only the first windows of each side, in the protocol's order, are described,
because optical flow is slow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Frames
from vgbench.evaluation.feature_store import Row
from vgbench.evaluation.measured import Side
from vgbench.metrics import ClipView, flow
from vgbench.metrics.temporal import histogram_of

WINDOWS = 32
"""Number of windows of each side that are described."""

TABLE = "motion@1"
"""Table of the feature store that keeps the rows."""

SCHEMA = 1
"""Version of the layout of `details["motion"]` in a record."""

CURVES = {
    "flow": "mean length of the optical flow to the next frame, as a share of the frame's shorter side",
    "change": "mean absolute difference from the next frame, 0 to 1",
    "drift": "mean absolute difference from the first frame, 0 to 1",
    "sharpness": "mean absolute difference of neighbouring pixels, 0 to 1",
}
"""Curve -> what it shows; curves about the next frame have one value fewer than the clip has frames."""


def describe(clip: Frames | ClipView) -> Row:
    """Measure one clip, uint8 [T, H, W, 3]: the curves of `CURVES`, float64 [T] or [T − 1], and "histogram".

    Raises:
        VgbenchError: another dtype or shape, or a single frame.
    """
    view = ClipView.of(clip)
    values, field = view.frames, view.relative_flow()
    steps = values.astype(np.int16)  # wide enough for differences, a quarter of float64
    down, right = np.diff(steps, axis=1), np.diff(steps, axis=2)
    neighbours = max(down[0].size + right[0].size, 1) * 255
    return {
        "flow": np.sqrt(flow.squared_length(field)).mean(axis=(1, 2)),
        "change": _mean_size(np.diff(steps, axis=0)),
        "drift": _mean_size(steps - steps[:1]),
        "sharpness": (_total_size(down) + _total_size(right)) / neighbours,
        "histogram": histogram_of(field),
    }


def _total_size(values: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Sum of |values| over all but the first axis."""
    return np.asarray(np.abs(values).sum(axis=(1, 2, 3), dtype=np.int64), dtype=np.float64)


def _mean_size(values: npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Mean of |values| over all but the first axis, as a share of 255."""
    return np.asarray(_total_size(values) / (values[0].size * 255), dtype=np.float64)


@dataclass(frozen=True)
class MotionRows:
    """Descriptions of the first windows of one side.

    Attributes:
        rows: what `describe` returns for each window.
        groups: number of each window's source clip.
    """

    rows: Sequence[Row]
    groups: Sequence[int]


def summarise(sides: Mapping[Side, MotionRows]) -> dict[str, Any]:
    """Average each side over its source clips, as `details["motion"]` of a record keeps it.

    Returns:
        "windows" and "clips" (side -> number described), "curves" (name -> side -> "mean" and "error", one
        value for each frame, the error being the standard error over source clips), "flow_histogram" (side ->
        41 shares, bins as in `metrics.temporal.flow_histogram`). Empty if no side has a row.
    """
    described = {side: one for side, one in sides.items() if one.rows}
    if not described:
        return {}
    curves: dict[str, dict[str, Any]] = {name: {} for name in CURVES}
    for side, one in described.items():
        for name in CURVES:
            mean, error = _over_clips(np.stack([row[name] for row in one.rows]), one.groups)
            curves[name][side] = {"mean": _rounded(mean), "error": None if error is None else _rounded(error)}
    return {
        "schema": SCHEMA,
        "windows": {side: len(one.rows) for side, one in described.items()},
        "clips": {side: len(set(one.groups)) for side, one in described.items()},
        "curves": curves,
        "flow_histogram": {
            side: _rounded(_over_clips(np.stack([row["histogram"] for row in one.rows]), one.groups)[0])
            for side, one in described.items()
        },
    }


def _over_clips(
    values: npt.NDArray[Any], groups: Sequence[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Average [N, L] within source clips, then over them; return the mean and its standard error, if any."""
    numbers = np.asarray(groups)
    means = np.stack([values[numbers == group].mean(axis=0) for group in dict.fromkeys(groups)])
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else None
    return means.mean(axis=0), error


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    """Four significant digits, which is more than a plot shows, and keeps records small."""
    return [float(f"{value:.4g}") for value in values]
