"""From a source of clips to what was measured on each window: inspect, choose, decode, measure.

Nothing is computed twice: whatever the feature store holds is taken from there, and only missing windows are
decoded. Decoding, resizing and clip metrics run in worker processes while the extractor runs in this one;
queues are bounded, so memory does not grow with the number of clips. A clip that turns out to be damaged is
skipped and the next one in the protocol's order takes its place, so the outcome does not depend on workers,
batch size or ranks.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from vgbench.clips.clip import Clip, ClipSource, Frames, Skipped
from vgbench.distributed import World, gather
from vgbench.errors import BadClip, NotEnoughClips, VgbenchError
from vgbench.evaluation.feature_store import FeatureStore, Row, Table, window_key
from vgbench.extractors.batch_size import Batches, BatchSize, batches
from vgbench.extractors.extractor import Extracted, Extractor
from vgbench.metrics.metric import PixelMetric
from vgbench.metrics.score import Samples
from vgbench.protocol import Protocol
from vgbench.protocol.pixels import Resize, resize
from vgbench.protocol.sampler import Window, choose_windows, clip_order, window_starts

Side = Literal["generated", "real"]
Progress = Callable[[str, int, int], None]
"""Called as (stage, done, total)."""


@dataclass(frozen=True)
class Measures:
    """What is measured on every window.

    Attributes:
        extractor: network for features, or None when no metric needs it.
        clip_metrics: functions of the pixels of one window.
        foreign: where a user's own come from, by name, such as "package.module:sharpness".
    """

    extractor: Extractor | None
    clip_metrics: tuple[PixelMetric, ...]
    foreign: Mapping[str, str] = field(default_factory=dict)

    def version_of(self, metric: PixelMetric) -> str:
        """Its version; of a user's own with where it comes from, as two may share a name."""
        origin = self.foreign.get(metric.name)
        return f"{origin}@{metric.version}" if origin else metric.version

    def tables(self, store: FeatureStore) -> dict[str, Table]:
        """Open one table of the store for each measure."""
        tables = {m.name: store.table(f"{m.name}@{self.version_of(m)}") for m in self.clip_metrics}
        if self.extractor is not None:
            spec = self.extractor.spec
            producer = f"{spec.id}@{spec.weights}|{spec.preprocessing}|float32"
            tables[EXTRACTOR] = store.table(f"{producer}|frames" if spec.per_frame else producer)
        return tables


T = TypeVar("T")
_INSPECTED = 16  # clips that a worker reports at once
_DECODED, _DECODED_FOR_TRIALS = 16, 4  # windows that a worker hands over at once, at most

EXTRACTOR = "extractor"
"""Name of the extractor's table beside the clip metrics' names."""


@dataclass(frozen=True)
class UsedWindow:
    """One window that was measured: which clip, which bytes, which frames."""

    id: str
    label: str | None
    fingerprint: str
    window: Window

    def __str__(self) -> str:
        return f"{self.id} from frame {self.window.frames[0]}"


@dataclass(frozen=True)
class Measured:
    """One side of a comparison, measured.

    Attributes:
        source: as the user named it.
        found: clips in the source.
        windows: in the protocol's order, N of them.
        groups: int64 [N], number of the source clip.
        samples: features and logits, or None without an extractor.
        clip_values: clip metric name -> float64 [N], or [N, D] of a metric that describes by vectors.
        skipped: clips that could not be used.
        computed: windows that were decoded and measured now.
        reused: windows that came whole from the store.
    """

    source: str
    found: int
    windows: tuple[UsedWindow, ...]
    groups: npt.NDArray[np.int64]
    samples: Samples | None
    clip_values: dict[str, npt.NDArray[np.float64]]
    skipped: tuple[Skipped, ...]
    computed: int
    reused: int

    def described(self, metric: str) -> Samples:
        """The vectors of one `DescriptorMetric` in place of an extractor's features."""
        return label_samples(Samples(self.clip_values[metric], None, self.groups), self.windows)

    @property
    def manifest_hash(self) -> str:
        """Sha256 over every window's content hash and frame indices, in order."""
        digest = hashlib.sha256()
        for used in self.windows:
            digest.update(f"{used.fingerprint}|{','.join(map(str, used.window.frames))}\n".encode())
        return digest.hexdigest()


def label_samples(samples: Samples, windows: Sequence[UsedWindow]) -> Samples:
    """Add what is known of the windows: their class labels and names."""
    labels = tuple(used.label for used in windows)
    return dataclasses.replace(samples, labels=labels, names=tuple(map(str, windows)))


def measure(
    source: ClipSource,
    side: Side,
    protocol: Protocol,
    measures: Measures,
    store: FeatureStore,
    *,
    batch_size: BatchSize | Batches = 16,
    workers: int = 0,
    world: World | None = None,
    progress: Progress | None = None,
) -> Measured:
    """Measure the windows that the protocol chooses from one source.

    Args:
        source: the clips.
        side: "generated" or "real"; some protocols treat them differently.
        protocol: what to choose and how to resize it.
        measures: what to compute.
        store: where results are kept.
        batch_size: windows given to the extractor at once, or "auto" for the fastest; does not change the
            result.
        workers: decoding processes; 0 decodes in this one.
        world: this process among the ranks of `torchrun`; windows are shared out, results gathered.
        progress: called as (stage, done, total).

    Raises:
        NotEnoughClips: fewer windows than `protocol.clips.least`.
    """
    world = world or World()
    report = progress or _silent
    chosen = batches(batch_size)
    tables = measures.tables(store)
    counts = store.table("frame-count@2")
    order = clip_order([clip.id for clip in source.clips], protocol.seed, protocol.windows.order)
    limit = getattr(protocol.clips, side)
    wanted = len(order) if limit == "all" else int(limit)
    selection = _Selection(source, side, protocol, order, wanted)
    computed: set[bytes] = set()
    while True:
        while (chunk := selection.next_to_inspect()) and not selection.is_full:
            report(f"{side}: reading clips", selection.inspected, min(wanted, len(order)))
            share = chunk[world.rank :: world.size]
            found = dict(zip(share, _inspect(source, share, counts, workers), strict=True))
            for part in gather(found, world):
                selection.add(part)
        selection.require_enough()  # before hours of extraction, and again when clips prove damaged
        windows = selection.windows()
        keys = [window_key(selection.fingerprint(w), w.frames, protocol.resize) for w in windows]
        window_of = dict(zip(keys, windows, strict=True))  # equal clips are measured once
        missing = [
            (key, window)
            for key, window in window_of.items()
            if any(key not in table for table in tables.values())
        ]
        if world.size > 1:  # ranks may see different stores; all must agree on what is missing
            anywhere = set().union(*gather({key for key, _ in missing}, world))
            missing = [(key, window) for key, window in window_of.items() if key in anywhere]
        share_missing = missing[world.rank :: world.size]
        clip_of = {key: window.clip for key, window in share_missing}
        bad: list[tuple[int, str]] = []
        results = _extract(source, share_missing, protocol.resize, measures, tables, chosen, workers)
        report(f"{side}: extracting", len(windows) - len(missing), len(windows))
        done = 0
        try:
            for key, outcome in results:
                done += 1
                if isinstance(outcome, str):
                    bad.append((clip_of[key], outcome))
                else:
                    for name, row in outcome.items():
                        if key not in tables[name]:
                            tables[name].put(key, row)
                    computed.add(key)
                report(
                    f"{side}: extracting",
                    len(windows) - len(missing) + min(done * world.size, len(missing)),
                    len(windows),
                )
        finally:
            for table in (*tables.values(), counts):
                table.flush()
        _share_rows(computed, tables, world)
        all_bad = sorted({entry for part in gather(bad, world) for entry in part})
        if not all_bad:
            break
        for clip, reason in all_bad:
            selection.reject(clip, reason)
    return _collect(selection, windows, keys, tables, measures, computed)


def _silent(stage: str, done: int, total: int) -> None:
    pass


class _Selection:
    """Which clips were looked at so far, which are usable, and the windows that follow from that."""

    def __init__(
        self, source: ClipSource, side: Side, protocol: Protocol, order: Sequence[int], wanted: int
    ) -> None:
        self.source, self.side, self.protocol, self.order, self.wanted = source, side, protocol, order, wanted
        self.inspected = 0
        self.skipped: list[Skipped] = list(source.skipped)
        self._starts: dict[int, list[int]] = {}
        self._fingerprints: dict[int, str] = {}

    @property
    def is_full(self) -> bool:
        return len(self._starts) >= self.wanted

    def next_to_inspect(self) -> Sequence[int]:
        lacking = max(self.wanted - len(self._starts), 0)
        return self.order[self.inspected : self.inspected + lacking]

    def add(self, found: dict[int, tuple[str, int] | str]) -> None:
        """Take in what `_inspect` said of some clips: (fingerprint, frames), or why it is unusable."""
        windows = self.protocol.windows
        for clip, outcome in found.items():
            self.inspected += 1
            if isinstance(outcome, str):
                self.reject(clip, outcome)
                continue
            fingerprint, n_frames = outcome
            clip_id = self.source.clips[clip].id
            rule = self.protocol.start_for(self.side)
            starts = window_starts(n_frames, windows, rule, self.protocol.seed, clip_id)
            if starts:
                self._starts[clip] = starts
                self._fingerprints[clip] = fingerprint
            else:
                self.reject(clip, f"has {n_frames} frames, {windows.offset + windows.span} are needed")

    def reject(self, clip: int, reason: str) -> None:
        self._starts.pop(clip, None)
        self.skipped.append(Skipped(self.source.clips[clip].id, reason))

    def fingerprint(self, window: Window) -> str:
        return self._fingerprints[window.clip]

    def windows(self) -> list[Window]:
        return choose_windows(self.order, self._starts, self.wanted, self.protocol.windows)

    def require_enough(self) -> None:
        got, least = len(self.windows()), self.protocol.clips.least_for(self.side)
        if got >= least:
            return
        reasons = "".join(f"\n  skipped {s.path}: {s.reason}" for s in self.skipped[:5])
        more = len(self.skipped) - 5
        reasons += f"\n  … and {more} more" if more > 0 else ""
        raise NotEnoughClips(
            f"{self.source.name}: {got} usable windows of {self.protocol.windows.frames} frames in "
            f"{len(self.source.clips)} clips, protocol '{self.protocol.name}' needs {least}{reasons}",
            f"add clips, or change the protocol: --set clips.least={max(got, 2)} (or windows.frames, "
            "windows.per_clip); the signature will say so",
        )


def _inspect(
    source: ClipSource, clips: Sequence[int], counts: Table, workers: int
) -> Iterator[tuple[str, int] | str]:
    """Yield (fingerprint, frames) of each clip, or the reason why it is unusable."""
    inspected = chain.from_iterable(_loader(_Inspection(source, clips, counts), _INSPECTED, workers))
    for position, (fingerprint, n_frames, reason) in zip(clips, inspected, strict=True):
        if reason is not None:
            yield reason
            continue
        key = _length_key(source.clips[position], fingerprint)
        if key not in counts:
            counts.put(key, {"frames": np.array(n_frames, dtype=np.int64)})
        yield fingerprint, n_frames


def _length_key(clip: Clip, fingerprint: str) -> bytes:
    return hashlib.sha256(clip.length_key(fingerprint).encode()).digest()


class _Inspection(Dataset[tuple[str, int, str | None]]):
    def __init__(self, source: ClipSource, clips: Sequence[int], counts: Table) -> None:
        self.source, self.clips, self.counts = source, clips, counts

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> tuple[str, int, str | None]:
        clip = self.source.clips[self.clips[position]]
        try:
            fingerprint = clip.fingerprint()
            known = self.counts.get(_length_key(clip, fingerprint))
            n_frames = clip.count_frames() if known is None else int(known["frames"])
        except BadClip as error:
            return "", 0, error.reason
        return fingerprint, n_frames, None


def _extract(
    source: ClipSource,
    missing: Sequence[tuple[bytes, Window]],
    policy: Resize,
    measures: Measures,
    tables: dict[str, Table],
    chosen: Batches,
    workers: int,
) -> Iterator[tuple[bytes, dict[str, Row] | str]]:
    """Yield (key, rows by table) for every missing window, or (key, reason) where it does not decode.

    A batch's features are read when the next batch is on its way, so that a GPU never waits for this process.
    """
    needed = tuple(
        metric
        for metric in measures.clip_metrics
        if any(key not in tables[metric.name] for key, _ in missing)
    )
    run_extractor = EXTRACTOR in tables and any(key not in tables[EXTRACTOR] for key, _ in missing)
    network = measures.extractor if run_extractor else None
    dataset = _Decoding(source, [window for _, window in missing], policy, needed)
    at_once = _DECODED_FOR_TRIALS if chosen.trying else min(chosen.size, _DECODED)
    decoded = chain.from_iterable(_loader(dataset, at_once, workers))
    waiting = iter([key for key, _ in missing])
    before: _Batch = {}, []
    while keys := list(islice(waiting, chosen.size)):
        rows: dict[bytes, dict[str, Row]] = {}
        pixels: list[tuple[bytes, torch.Tensor]] = []
        for key, (frames, values, reason) in zip(keys, islice(decoded, len(keys)), strict=True):
            if reason is not None:
                yield key, reason
                continue
            rows[key] = {n: {"value": np.array(v, dtype=np.float64)} for n, v in values.items()}
            pixels.append((key, frames))
        parts = [] if network is None else _run(network, pixels, chosen)
        yield from _read(before)
        before = rows, parts
    yield from _read(before)


_Part = tuple[list[bytes], Extracted]
_Batch = tuple[dict[bytes, dict[str, Row]], list[_Part]]


def _run(network: Extractor, pixels: list[tuple[bytes, torch.Tensor]], chosen: Batches) -> list[_Part]:
    """Hand windows to the extractor; those of unequal size (protocols that keep the native one) apart."""
    parts = []
    for _, same in groupby(sorted(pixels, key=_shape), key=_shape):
        keys, frames = zip(*same, strict=True)
        parts.append((list(keys), chosen.run(network, torch.stack(frames))))
    return parts


def _read(batch: _Batch) -> Iterator[tuple[bytes, dict[str, Row]]]:
    """Wait for the features of a batch and yield all that was measured on its windows."""
    rows, parts = batch
    for keys, extracted in parts:
        for key, row in zip(keys, _feature_rows(extracted), strict=True):
            rows[key][EXTRACTOR] = row
    yield from rows.items()


def _feature_rows(extracted: Extracted) -> Iterator[Row]:
    """Yield the row of each clip.

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


def _shape(entry: tuple[bytes, torch.Tensor]) -> tuple[int, ...]:
    return tuple(entry[1].shape)


_Decoded = tuple[torch.Tensor, dict[str, float | npt.NDArray[np.float64]], str | None]


class _Decoding(Dataset[_Decoded]):
    """Decode, resize and measure pixels; runs in the workers."""

    def __init__(
        self,
        source: ClipSource,
        windows: Sequence[Window],
        policy: Resize,
        clip_metrics: Sequence[PixelMetric],
    ) -> None:
        self.source, self.windows, self.policy, self.clip_metrics = source, windows, policy, clip_metrics

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, position: int) -> _Decoded:
        window = self.windows[position]
        try:
            frames: Frames = resize(self.source.clips[window.clip].read(window.frames), self.policy)
        except BadClip as error:
            return torch.empty(0), {}, error.reason
        values = {metric.name: metric.measure(frames) for metric in self.clip_metrics}
        return torch.from_numpy(np.ascontiguousarray(frames)), values, None


def _loader(dataset: Dataset[T], batch_size: int, workers: int) -> Iterable[list[T]]:
    """Yield items in order, in lists; queues are bounded: at most two batches wait per worker."""
    return DataLoader(
        dataset,
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=_as_list,
        prefetch_factor=2 if workers else None,
    )


def _as_list(batch: list[T]) -> list[T]:
    return batch


def _share_rows(computed: set[bytes], tables: dict[str, Table], world: World) -> None:
    """Make every rank's new entries known to all, also where ranks do not share a disk."""
    if world.size == 1:
        return
    mine = {
        name: {key: row for key in computed if (row := table.get(key)) is not None}
        for name, table in tables.items()
    }
    for part in gather(mine, world):
        for name, rows in part.items():
            tables[name].refresh()
            for key, row in rows.items():
                if key not in tables[name]:
                    tables[name].put(key, row)
            tables[name].flush()


def _collect(
    selection: _Selection,
    windows: Sequence[Window],
    keys: Sequence[bytes],
    tables: dict[str, Table],
    measures: Measures,
    computed: set[bytes],
) -> Measured:
    clips = selection.source.clips
    rows = {name: [_row(table, key) for key in keys] for name, table in tables.items()}
    # Numbered by first use, since a clip's position in a listing must not matter.
    origins = [clips[window.clip].origin for window in windows]
    number = {origin: k for k, origin in enumerate(dict.fromkeys(origins))}
    groups = np.array([number[origin] for origin in origins], dtype=np.int64)
    used = tuple(
        UsedWindow(clips[w.clip].id, clips[w.clip].label, selection.fingerprint(w), w) for w in windows
    )
    samples = None
    if EXTRACTOR in rows:
        columns: dict[str, Any] = {
            name: np.stack([row[name] for row in rows[EXTRACTOR]]) for name in rows[EXTRACTOR][0]
        }
        samples = Samples(columns["features"], columns.get("logits"), groups, columns.get("frames"))
        samples = label_samples(samples, used)
    return Measured(
        source=selection.source.name,
        found=len(clips),
        windows=used,
        groups=groups,
        samples=samples,
        clip_values={
            m.name: np.stack([row["value"].astype(np.float64) for row in rows[m.name]])
            for m in measures.clip_metrics
        },
        skipped=tuple(sorted(selection.skipped, key=lambda entry: entry.path)),
        computed=len(computed),
        reused=len(set(keys) - computed),
    )


def _row(table: Table, key: bytes) -> Row:
    row = table.get(key)
    if row is None:
        raise VgbenchError(
            f"feature store: entry {key.hex()[:12]} vanished while it was in use",
            "was the store pruned meanwhile? run the same command again",
        )
    return row
