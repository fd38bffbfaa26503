"""From windows to features: decoded windows go through the extractor in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice

import numpy as np
import torch

from vgbench.clips.clip import ClipSource
from vgbench.errors import VgbenchError
from vgbench.evaluation.feature_store import Row, Table
from vgbench.evaluation.loading import DecodedWindows, load_in_order
from vgbench.evaluation.measured import EXTRACTOR, Measures
from vgbench.extractors.batch_size import Batches
from vgbench.extractors.extractor import Extracted, Extractor
from vgbench.protocol.pixels import Resize
from vgbench.protocol.sampler import Window

_DECODED, _DECODED_FOR_TRIALS = 16, 4  # at most so many windows are handed over together

_Part = tuple[list[bytes], Extracted]
_Batch = tuple[dict[bytes, dict[str, Row]], list[_Part]]


def extract(
    source: ClipSource,
    missing: Sequence[tuple[bytes, tuple[Window, str, str]]],
    policy: Resize,
    measures: Measures,
    tables: Mapping[str, Table],
    batches: Batches,
    workers: int,
) -> Iterator[tuple[bytes, dict[str, Row] | str]]:
    """Measure the windows that the store lacks.

    The features of a batch are read only after the next batch has been submitted, so that a GPU never waits
    for this process.

    Args:
        source: the clips.
        missing: the key of each window to measure, and the window's entry for `DecodedWindows`.
        policy: how frames are resized.
        measures: what to measure.
        tables: the store's table of each measure; a measure whose table has all keys is not computed.
        batches: how many windows are passed to the extractor at a time.
        workers: decoding processes.

    Yields:
        (key, rows by table), or (key, reason) if a window cannot be decoded.
    """

    def is_lacking(table: Table) -> bool:
        return any(key not in table for key, _ in missing)

    metrics = [metric for metric in measures.metrics if is_lacking(tables[metric.name])]
    network = measures.extractor if EXTRACTOR in tables and is_lacking(tables[EXTRACTOR]) else None
    windows = DecodedWindows(source, [window for _, window in missing], policy, metrics)
    at_once = _DECODED_FOR_TRIALS if batches.trying else min(batches.size, _DECODED)
    decoded = iter(load_in_order(windows, at_once, workers))
    waiting = iter([key for key, _ in missing])
    before: _Batch = {}, []
    while keys := list(islice(waiting, batches.size)):
        rows: dict[bytes, dict[str, Row]] = {}
        pixels: list[tuple[bytes, torch.Tensor]] = []
        for key, window in zip(keys, islice(decoded, len(keys)), strict=True):
            if window.reason is not None:
                yield key, window.reason
                continue
            rows[key] = {name: {"value": values} for name, values in window.values.items()}
            pixels.append((key, window.frames))
        parts = [] if network is None else _run(network, pixels, batches)
        yield from _read(before)
        before = rows, parts
    yield from _read(before)


def _run(network: Extractor, pixels: list[tuple[bytes, torch.Tensor]], batches: Batches) -> list[_Part]:
    """Run the extractor once for each size of window; protocols that keep the native size mix sizes."""
    parts = []
    for _, same in groupby(sorted(pixels, key=_shape), key=_shape):
        keys, frames = zip(*same, strict=True)
        parts.append((list(keys), batches.run(network, torch.stack(frames))))
    return parts


def _shape(entry: tuple[bytes, torch.Tensor]) -> tuple[int, ...]:
    return tuple(entry[1].shape)


def _read(batch: _Batch) -> Iterator[tuple[bytes, dict[str, Row]]]:
    """Wait for the features of a batch, and yield everything that was measured on its windows."""
    rows, parts = batch
    for keys, extracted in parts:
        for key, row in zip(keys, _feature_rows(extracted), strict=True):
            rows[key][EXTRACTOR] = row
    yield from rows.items()


def _feature_rows(extracted: Extracted) -> Iterator[Row]:
    """Yield the row of each window.

    Raises:
        VgbenchError: the network gave a value that is not finite.
    """
    given = {"features": extracted.features, "logits": extracted.logits, "frames": extracted.frames}
    columns = {name: x.float().cpu().numpy() for name, x in given.items() if x is not None}
    for name, values in columns.items():
        if not np.isfinite(values).all():
            raise VgbenchError(
                f"the extractor gave {name} that are not finite",
                "check the weights file with `vgbench weights verify`",
            )
    for i in range(len(extracted.features)):
        yield {name: values[i] for name, values in columns.items()}
