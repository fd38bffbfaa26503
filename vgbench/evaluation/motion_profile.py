"""How the clips of a set move, for the plots of a report: curves over the frames, and a histogram of flow.

No score depends on it. It describes the first windows of each side in the protocol's order, a few because
optical flow is slow, and the feature store keeps it, so that another evaluation of the same clips is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import ClipSource, Frames
from vgbench.errors import BadClip
from vgbench.evaluation.feature_store import FeatureStore, Row, window_key
from vgbench.evaluation.measure import Measured
from vgbench.metrics import flow
from vgbench.metrics.checks import frames
from vgbench.metrics.temporal import histogram_of
from vgbench.protocol import Protocol
from vgbench.protocol.pixels import resize

WINDOWS = 32
"""Windows of a side that are described."""

SCHEMA = 1
"""Of `details["motion"]` in a record."""

CURVES = {
    "flow": "mean length of the optical flow to the next frame, in shorter sides of the frame",
    "change": "mean absolute difference to the next frame, 0 to 1",
    "drift": "mean absolute difference to the first frame, 0 to 1",
    "sharpness": "mean absolute difference of neighbouring pixels, 0 to 1",
}
"""Curve -> what it shows; those to the next frame have one value less than the clip has frames."""


def describe(clip: Frames) -> Row:
    """Measure one clip, uint8 [T, H, W, 3]: the curves of `CURVES`, float64 [T] or [T − 1], and "histogram".

    Raises:
        VgbenchError: another dtype or shape, or a single frame.
    """
    values = frames(clip)
    field = np.stack(list(flow.forward(values))).astype(np.float64) / min(values.shape[1:3])
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


def describe_sets(
    opened: Mapping[str, ClipSource], measured: Mapping[str, Measured], plan: Protocol, store: FeatureStore
) -> dict[str, Any]:
    """Describe each side that has clips, as `details["motion"]` of a record keeps it; empty for stills.

    Returns:
        "windows" and "clips" (side -> number described), "curves" (name -> side -> "mean" and "error", one
        value a frame, the error being the standard error over source clips), "flow_histogram" (side -> 41
        shares, bins as in `metrics.temporal.flow_histogram`).
    """
    if plan.windows.frames < 2:
        return {}
    windows: dict[str, int] = {}
    clips: dict[str, int] = {}
    curves: dict[str, dict[str, Any]] = {name: {} for name in CURVES}
    histograms: dict[str, list[float]] = {}
    for side, source in opened.items():
        rows, groups = _rows(source, measured[side], plan, store)
        if not rows:
            continue
        windows[side], clips[side] = len(rows), len(set(groups))
        for name in CURVES:
            mean, error = _over_clips(np.stack([row[name] for row in rows]), groups)
            curves[name][side] = {"mean": _rounded(mean), "error": None if error is None else _rounded(error)}
        histograms[side] = _rounded(_over_clips(np.stack([row["histogram"] for row in rows]), groups)[0])
    if not windows:
        return {}
    return {
        "schema": SCHEMA,
        "windows": windows,
        "clips": clips,
        "curves": curves,
        "flow_histogram": histograms,
    }


def _rows(
    source: ClipSource, side: Measured, plan: Protocol, store: FeatureStore
) -> tuple[list[Row], list[int]]:
    """Rows of the first windows and the numbers of their clips; a window gone from the disk is left out."""
    table = store.table("motion@1")
    rows, groups = [], []
    for used, group in zip(side.windows[:WINDOWS], side.groups.tolist(), strict=False):
        key = window_key(used.fingerprint, used.window.frames, plan.resize)
        row = table.get(key)
        if row is None:
            try:
                pixels = source.clips[used.window.clip].read(used.window.frames)
            except BadClip:
                continue
            row = describe(resize(pixels, plan.resize))
            table.put(key, row)
        rows.append(row)
        groups.append(group)
    table.flush()
    return rows, groups


def _over_clips(
    values: npt.NDArray[Any], groups: Sequence[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Mean over source clips of [N, L], windows of one clip averaged first, and its standard error if any."""
    numbers = np.asarray(groups)
    means = np.stack([values[numbers == group].mean(axis=0) for group in dict.fromkeys(groups)])
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else None
    return means.mean(axis=0), error


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    """Four significant digits, which is more than a plot shows and keeps records small."""
    return [float(f"{value:.4g}") for value in values]
