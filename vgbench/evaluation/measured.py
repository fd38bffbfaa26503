"""What is measured on every window, and what was found on one side of a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Skipped
from vgbench.clips.value_range import ValueUse
from vgbench.evaluation.feature_store import FeatureStore, Table
from vgbench.extractors.extractor import Extractor, ExtractorSpec
from vgbench.metrics import Metric, Samples
from vgbench.own_code import Source
from vgbench.protocol.sampler import Window
from vgbench.records.record import manifest_hash

Side = Literal["generated", "real"]
SIDES: tuple[Side, ...] = ("real", "generated")

EXTRACTOR = "extractor"
"""Key of the extractor's output; the other keys are names of metrics that see pixels or motion."""
CONTENT = "content"
"""Key of the hash of each window's pixels, as the metrics and the extractor see them."""
PIXELS = "pixels"
"""Key of the hash of each window's pixels as stored."""
LEVELS = "levels"
"""Key of the lowest and the highest value of each window as it is stored, uint8 [2]."""
SIZE = "size"
"""Key of the height and width of each window as it is stored, before the protocol resizes it."""


@dataclass(frozen=True)
class Measures:
    """What is measured on every window.

    Attributes:
        extractor: network that computes features, or None if no metric needs it.
        metrics: the metrics that measure the window itself.
        spec: description of the extractor; it shows whether the weights were changed after loading.
        state: hash of the extractor's parameters and buffers.
        origins: where the user's own metrics come from: name -> "package.module:sharpness".
        sources: source code of the user's own parts, by the name of a metric or `EXTRACTOR`.
    """

    extractor: Extractor | None
    metrics: tuple[Metric, ...]
    spec: ExtractorSpec | None = None
    state: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def version_of(self, metric: Metric) -> str:
        """Return a metric's version; for the user's own, with its origin, because two may share a name."""
        origin = self.origins.get(metric.name)
        if origin is None:
            return metric.version
        return f"{origin}@{metric.version}#{self.sources[metric.name].key}"

    def tables(self, store: FeatureStore) -> dict[str, Table]:
        """Open one table of the store for each measure."""
        tables = {m.name: store.table(f"{m.name}@{self.version_of(m)}") for m in self.metrics}
        tables[CONTENT] = store.table("content@1")
        tables[SIZE] = store.table("size@1")
        tables[LEVELS] = store.table("levels@1")
        tables[PIXELS] = store.table("pixels@1")
        if (spec := self.spec) is not None:
            code = self.sources[EXTRACTOR].key if EXTRACTOR in self.sources else "shipped"
            producer = f"{spec.id}@{spec.weights}|{spec.preprocessing}|float32|{self.state}|{code}"
            tables[EXTRACTOR] = store.table(f"{producer}|frames" if spec.per_frame else producer)
        return tables


@dataclass(frozen=True)
class UsedWindow:
    """One window that was measured.

    Attributes:
        id: name of its clip.
        label: class of its clip; None if it has none.
        fingerprint: hash of the clip's bytes.
        window: which frames.
        stamp: `Clip.stamp` from when the bytes were hashed; "" if there is no clip to read again.
        content: sha256 of the pixels after resizing, whatever file they came from; "" if unknown.
        rate: mean frames per second of its clip, as stored; None if the clip does not state it.
        size: height and width of its frames as stored; None if unknown.
        pixels: sha256 of its pixels as stored, if the protocol draws by content and the clip is lossless; ""
            otherwise.
        levels: the lowest and the highest value of its pixels as stored; None if unknown.
        use: how the floats of its clip became bytes; None if they were bytes.
    """

    id: str
    label: str | None
    fingerprint: str
    window: Window
    stamp: str = ""
    content: str = ""
    rate: float | None = None
    size: tuple[int, int] | None = None
    pixels: str = ""
    levels: tuple[int, int] | None = None
    use: ValueUse | None = None

    @property
    def known_by(self) -> str:
        """The hash that records and signatures name the window's content by: of its pixels or its bytes."""
        return self.pixels or self.fingerprint

    def __str__(self) -> str:
        return f"{self.id} from frame {self.window.frames[0]}"


@dataclass(frozen=True)
class Measured:
    """What was measured on one side of a comparison.

    Attributes:
        source: the source's name, as the user gave it.
        found: number of clips in the source.
        clips: number of source clips that the windows were cut from.
        windows: the N windows that were measured, in the protocol's order.
        recordings: int64 [N], number of each window's recording: its clip, or the group of clips that the
            source declares.
        groups: int64 [N], see `independent_groups`.
        samples: under `EXTRACTOR`, the extractor's output for the N windows; under the name of each metric
            that measures the window itself, the numbers that it gave, as features.
        skipped: clips that could not be used.
        left_out: suffix -> number of files that were not read because of it.
        layout: what the user said about folders of images.
    """

    source: str
    found: int
    clips: int
    windows: tuple[UsedWindow, ...]
    recordings: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    samples: Mapping[str, Samples]
    skipped: tuple[Skipped, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    layout: str = "auto"

    @property
    def recording_count(self) -> int:
        """Number of recordings; fewer than `clips` if the source declares groups of clips."""
        return len(np.unique(self.recordings))

    @property
    def group_count(self) -> int:
        """Number of groups of windows that depend on each other."""
        return len(np.unique(self.groups))

    @property
    def manifest_hash(self) -> str:
        """Sha256 over every window's content hash and frame indices, in order."""
        return manifest_hash((used.known_by, used.window.frames) for used in self.windows)

    def samples_for(self, metric: Metric) -> Samples:
        """Return the samples of this side that a metric compares."""
        return self.samples[EXTRACTOR if metric.needs_extractor else metric.name]


def independent_groups(
    recordings: npt.NDArray[np.int64], windows: Sequence[UsedWindow]
) -> npt.NDArray[np.int64]:
    """Number the groups of windows that depend on each other, and return the group of each, int64 [N].

    Windows of one recording are not independent, and neither are copies, which are windows with equal pixels
    from whatever files. Windows that are linked through a chain of such relations form one group. Groups are
    numbered in the order in which they first occur.
    """
    group_of = {number: number for number in recordings.tolist()}

    def root(number: int) -> int:
        while group_of[number] != number:
            number = group_of[number]
        return number

    first: dict[str, int] = {}
    for number, used in zip(recordings.tolist(), windows, strict=True):
        if used.content:
            group_of[root(number)] = root(first.setdefault(used.content, number))
    roots = [root(number) for number in recordings.tolist()]
    order = {number: k for k, number in enumerate(dict.fromkeys(roots))}
    return np.array([order[number] for number in roots], dtype=np.int64)


def describe_samples(
    samples: Samples, windows: Sequence[UsedWindow], recordings: npt.NDArray[np.int64]
) -> Samples:
    """Add the class labels, names and recordings of the windows to their samples."""
    labels, names = tuple(used.label for used in windows), tuple(map(str, windows))
    return dataclasses.replace(samples, labels=labels, names=names, recordings=recordings)


def are_identical(measured: Mapping[Side, Measured]) -> bool:
    """Whether both sides consist of the same windows, regardless of their order and names."""
    real, generated = (
        sorted((used.known_by, used.window.frames) for used in measured[side].windows) for side in SIDES
    )
    return real == generated
