"""Measures the windows that the protocol chooses from a source of clips.

Nothing is computed twice: whatever the feature store holds is taken from there, and only missing windows are
decoded. A clip that turns out to be damaged is skipped, and the next one in the protocol's order takes its
place, so the outcome does not depend on workers, batch size or ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from vgbench.clips.clip import ClipSource
from vgbench.distributed import World, gather
from vgbench.errors import VgbenchError
from vgbench.evaluation.content_seeds import content_seeds
from vgbench.evaluation.execution import Execution
from vgbench.evaluation.extraction import extract
from vgbench.evaluation.feature_store import Row, Table, window_key
from vgbench.evaluation.measured import (
    CONTENT,
    EXTRACTOR,
    LEVELS,
    PIXELS,
    SIZE,
    Measured,
    Measures,
    Side,
    UsedWindow,
    describe_samples,
    independent_groups,
)
from vgbench.evaluation.ranks import SharedSource
from vgbench.evaluation.selection import FRAME_COUNTS, FRAME_TIMES, Selection, inspect
from vgbench.metrics import Samples
from vgbench.protocol import Protocol
from vgbench.protocol.sampler import Window


def measure(
    source: ClipSource | SharedSource,
    side: Side,
    protocol: Protocol,
    measures: Measures,
    how: Execution,
    world: World | None = None,
) -> Measured:
    """Measure the windows that the protocol chooses from one source.

    Args:
        source: the clips; under `torchrun`, a source made by `share_source`.
        side: "generated" or "real"; some protocols treat them differently.
        protocol: what to choose and how to resize it.
        measures: what to compute.
        how: see `Execution`.
        world: this process among the ranks of `torchrun`; the windows are divided among the ranks, and
            the results are gathered.

    Raises:
        NotEnoughClips: fewer windows than `protocol.clips.least`.
    """
    world = world or World()
    shared = source if isinstance(source, SharedSource) else SharedSource(source)
    tables = measures.tables(how.store)
    counts = how.store.table(FRAME_COUNTS if protocol.windows.fps is None else FRAME_TIMES)
    seeds = None
    if protocol.windows.seeded_by == "content":
        seeds = content_seeds(shared, how, world, side)
    selection = Selection(shared.source, side, protocol, seeds)
    while True:
        _inspect_clips(selection, shared, counts, how, world)
        selection.require_enough()  # before hours of extraction, and again after damaged clips
        windows = selection.windows()
        policy = protocol.resize_for(side)
        keys = [window_key(selection.inspected(w).fingerprint, w.frames, policy) for w in windows]
        window_of = dict(zip(keys, windows, strict=True))
        bad = _measure_missing(selection, shared, window_of, measures, tables, how, world)
        counts.flush()
        if not bad:
            return _collect(selection, windows, keys, measures, tables)
        for clip, reason in bad:
            selection.reject(clip, reason)


def _inspect_clips(
    selection: Selection, shared: SharedSource, counts: Table, how: Execution, world: World
) -> None:
    """Inspect clips until enough are usable; each rank inspects a part of them."""
    while chunk := selection.next_clips():
        how.progress(f"{selection.side}: reading clips", selection.looked_at, selection.goal)
        share = shared.share(chunk, lambda clip: clip, world)
        inspected = inspect(selection.source, share, counts, how.workers, selection.protocol.windows.fps)
        found = dict(zip(share, inspected, strict=True))
        for part in gather(found, world):
            selection.add(part)


def _measure_missing(
    selection: Selection,
    shared: SharedSource,
    window_of: Mapping[bytes, Window],  # windows of equal content share a key, and are measured once
    measures: Measures,
    tables: Mapping[str, Table],
    how: Execution,
    world: World,
) -> list[tuple[int, str]]:
    """Measure what is missing from the store, and pass the results to all ranks.

    Returns:
        (clip, reason) of clips that turned out to be damaged; the same list on all ranks.
    """
    missing = {key for key in window_of if any(key not in table for table in tables.values())}
    missing = set().union(*gather(missing, world))  # ranks may see different stores, and must agree
    todo = [(key, window) for key, window in window_of.items() if key in missing]
    share = shared.share(todo, lambda entry: entry[1].clip, world)
    results = extract(
        selection.source,
        [(key, selection.to_read(window)) for key, window in share],
        selection.protocol.resize_for(selection.side),
        measures,
        tables,
        how.batch_size,
        how.workers,
    )
    stage, total = f"{selection.side}: extracting", len(window_of)
    kept = total - len(todo)
    how.progress(stage, kept, total)
    bad: list[tuple[int, str]] = []
    computed: set[bytes] = set()
    try:
        for done, (key, outcome) in enumerate(results, 1):
            if isinstance(outcome, str):
                bad.append((window_of[key].clip, outcome))
            else:
                _put(tables, key, outcome)
                computed.add(key)
            how.progress(stage, kept + min(done * world.size, len(todo)), total)
    finally:
        for table in tables.values():
            table.flush()
    if world.size > 1:
        _share_rows(computed, tables, world)
    return sorted({entry for part in gather(bad, world) for entry in part})


def _put(tables: Mapping[str, Table], key: bytes, rows: Mapping[str, Row]) -> None:
    for name, row in rows.items():
        if key not in tables[name]:
            tables[name].put(key, row)


def _share_rows(computed: Iterable[bytes], tables: Mapping[str, Table], world: World) -> None:
    """Give every rank the rows of all ranks, even if the ranks do not share a disk."""
    mine = {
        key: {name: row for name, table in tables.items() if (row := table.get(key)) is not None}
        for key in computed
    }
    for table in tables.values():
        table.refresh()
    for part in gather(mine, world):
        for key, rows in part.items():
            _put(tables, key, rows)
    for table in tables.values():
        table.flush()


def _collect(
    selection: Selection,
    windows: Sequence[Window],
    keys: Sequence[bytes],
    measures: Measures,
    tables: Mapping[str, Table],
) -> Measured:
    clips = selection.source.clips
    # Numbered by first use, since a clip's position in a listing must not matter.
    named = [clips[window.clip].recording for window in windows]
    number = {recording: k for k, recording in enumerate(dict.fromkeys(named))}
    recordings = np.array([number[recording] for recording in named], dtype=np.int64)
    rows = {name: [_row(table, key) for key in keys] for name, table in tables.items()}
    contents = [row["value"].tobytes().hex() for row in rows[CONTENT]]
    pixels = [
        row["value"].tobytes().hex() if selection.is_known_by_pixels(window) else ""
        for window, row in zip(windows, rows[PIXELS], strict=True)
    ]
    sizes = [(int(height), int(width)) for height, width in (row["value"] for row in rows[SIZE])]
    levels = [(int(least), int(most)) for least, most in (row["value"] for row in rows[LEVELS])]
    used = tuple(
        UsedWindow(
            clips[w.clip].id,
            clips[w.clip].label,
            found.fingerprint,
            w,
            found.stamp,
            content,
            found.rate,
            size,
            shown,
            ends,
            found.use,
        )
        for w, found, content, size, shown, ends in zip(
            windows, map(selection.inspected, windows), contents, sizes, pixels, levels, strict=True
        )
    )
    groups = independent_groups(recordings, used)
    samples = {
        metric.name: Samples(
            np.stack([row["value"].astype(np.float64).reshape(-1) for row in rows[metric.name]]), None, groups
        )
        for metric in measures.metrics
    }
    if EXTRACTOR in rows:
        columns: dict[str, Any] = {
            name: np.stack([row[name] for row in rows[EXTRACTOR]]) for name in rows[EXTRACTOR][0]
        }
        samples[EXTRACTOR] = Samples(
            columns["features"], columns.get("logits"), groups, columns.get("frames")
        )
    return Measured(
        source=selection.source.name,
        found=len(clips),
        clips=len({clips[window.clip].origin for window in windows}),
        windows=used,
        recordings=recordings,
        groups=groups,
        samples={name: describe_samples(one, used, recordings) for name, one in samples.items()},
        skipped=tuple(sorted(selection.skipped, key=lambda entry: entry.path)),
        left_out=selection.source.left_out,
        layout=selection.source.layout,
    )


def _row(table: Table, key: bytes) -> Row:
    row = table.get(key)
    if row is None:
        raise VgbenchError(
            f"feature store: entry {key.hex()[:12]} vanished while it was in use",
            "was the store pruned meanwhile? run the same command again",
        )
    return row
