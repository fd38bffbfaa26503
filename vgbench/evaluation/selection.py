"""Finds the usable clips of a source, and the windows that the protocol chooses from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from vgbench.clips.clip import Clip, ClipSource, Skipped
from vgbench.clips.rates import constant_rate, constant_times, frames_at
from vgbench.clips.reader_version import READER_VERSION
from vgbench.clips.value_range import ValueUse
from vgbench.errors import BadClip, NotEnoughClips
from vgbench.evaluation.content_seeds import Seed, as_texts
from vgbench.evaluation.feature_store import Row, Table
from vgbench.evaluation.loading import load_in_order, require_same_bytes
from vgbench.evaluation.measured import Side
from vgbench.protocol import Protocol
from vgbench.protocol.sampler import Window, choose_among_all, choose_windows, clip_order, window_starts

FRAME_COUNTS = f"frame-count@3, reader {READER_VERSION}"
FRAME_TIMES = f"frame-times@1, reader {READER_VERSION}"
"""Tables of the feature store that keep the lengths and the frame rates of clips.

The first has mean rates, as headers state them, and 0 for clips that state none. The second, which serves
`windows.fps`, has exact rates, and 0 for clips whose rate varies.
"""
_AT_ONCE = 16  # clips that a worker reports together


class Inspected(NamedTuple):
    """A usable clip.

    Attributes:
        fingerprint: hash of its bytes.
        frames: its length, as stored.
        stamp: `Clip.stamp` from before the bytes were hashed.
        rate: its mean number of frames per second; None if it does not state it.
        varies: whether its rate is known to vary.
        shown: under `windows.fps`, the index of the frame that is shown at each moment, int64 [K].
        use: how its floats become bytes; None if it is stored as bytes.
    """

    fingerprint: str
    frames: int
    stamp: str
    rate: float | None = None
    varies: bool = False
    shown: npt.NDArray[np.int64] | None = None
    use: ValueUse | None = None

    @property
    def length(self) -> int:
        """Number of frames that windows are chosen from."""
        return self.frames if self.shown is None else len(self.shown)


class Selection:
    """The clips of one source that have been inspected so far, and the windows chosen from them.

    Clips are inspected in the protocol's order until enough of them are usable. A clip that later turns out
    to be damaged is rejected, and the next clip in the order takes its place. The outcome therefore depends
    neither on the number of workers nor on the number of ranks.

    Args:
        source: the clips.
        side: "generated" or "real"; some protocols treat them differently.
        protocol: what to choose.
        seeds: for a protocol that draws by content, the seed of each clip, or why it is unusable.

    Attributes:
        looked_at: number of clips that have been inspected.
        skipped: clips that cannot be used.
        wanted: number of windows that the protocol asks for.
    """

    def __init__(
        self,
        source: ClipSource,
        side: Side,
        protocol: Protocol,
        seeds: Mapping[int, Seed | str] | None = None,
    ) -> None:
        self.source, self.side, self.protocol, self.seeds = source, side, protocol, seeds
        self.looked_at = 0
        self.skipped: list[Skipped] = list(source.skipped)
        self._starts: dict[int, list[int]] = {}
        self._inspected: dict[int, Inspected] = {}
        ids = [clip.id for clip in source.clips]
        self._texts = dict(enumerate(ids)) if seeds is None else as_texts(seeds)
        texts = None if seeds is None else self._texts
        self._order = clip_order(ids, protocol.seed, protocol.windows.order, texts)
        for clip, seed in (seeds or {}).items():
            if isinstance(seed, str):
                self.reject(clip, seed)
        limit = getattr(protocol.clips, side)
        self.wanted = len(source.clips) if limit == "all" else int(limit)

    @property
    def goal(self) -> int:
        """Number of clips to inspect if all are usable; progress is shown against it."""
        return len(self._order) if self._draws_among_all else min(self.wanted, len(self._order))

    @property
    def _draws_among_all(self) -> bool:
        return self.protocol.windows.order == "windows"

    def next_clips(self) -> Sequence[int]:
        """Return the positions of the clips to inspect next; an empty sequence if enough are usable."""
        if self._draws_among_all:
            return self._order[self.looked_at :]
        lacking = max(self.wanted - len(self._starts), 0)
        return self._order[self.looked_at : self.looked_at + lacking]

    def add(self, found: Mapping[int, Inspected | str]) -> None:
        """Add results of `inspect`: what it found about usable clips, and why others are unusable."""
        windows = self.protocol.windows_for(self.side)
        for clip, outcome in found.items():
            self.looked_at += 1
            if isinstance(outcome, str):
                self.reject(clip, outcome)
                continue
            rule = self.protocol.start_for(self.side)
            starts = window_starts(outcome.length, windows, rule, self.protocol.seed, self._texts[clip])
            if starts:
                self._starts[clip] = starts
                self._inspected[clip] = outcome
            else:
                needed = windows.offset + windows.span
                at_rate = "" if windows.fps is None else f" at {windows.fps:g} frames per second"
                self.reject(clip, f"has {outcome.length} frames{at_rate}, {needed} are needed")

    def reject(self, clip: int, reason: str) -> None:
        """Leave a clip out, and note the reason."""
        self._starts.pop(clip, None)
        self.skipped.append(Skipped(self.source.clips[clip].id, reason))

    def inspected(self, window: Window) -> Inspected:
        """Return what `inspect` found about the clip of a window."""
        return self._inspected[window.clip]

    def is_known_by_pixels(self, window: Window) -> bool:
        """Whether a record names a window by its pixels, because neither name nor container matter."""
        seed = None if self.seeds is None else self.seeds[window.clip]
        return isinstance(seed, Seed) and seed.lossless

    def to_read(self, window: Window) -> tuple[Window, str, str]:
        """Return a window with the fingerprint and the stamp of its clip, for `DecodedWindows`."""
        found = self._inspected[window.clip]
        return window, found.fingerprint, found.stamp

    def windows(self) -> list[Window]:
        """Return the windows that the protocol chooses from the clips that are usable so far."""
        windows, seed = self.protocol.windows_for(self.side), self.protocol.seed
        if self._draws_among_all:
            lengths = {clip: self._inspected[clip].length for clip in self._order if clip in self._starts}
            chosen = choose_among_all(lengths, self._texts, self.wanted, windows, seed)
        else:
            chosen = choose_windows(self._order, self._starts, self.wanted, windows)
        return [self._as_stored(one) for one in chosen]

    def _as_stored(self, window: Window) -> Window:
        """Translate moments of a window, under `windows.fps`, into indices of the clip's own frames."""
        shown = self._inspected[window.clip].shown
        return window if shown is None else Window(window.clip, tuple(shown[list(window.frames)].tolist()))

    def require_enough(self) -> None:
        """Refuse a source that gives fewer windows than the protocol needs.

        Raises:
            NotEnoughClips: names the first clips that were skipped.
        """
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


def inspect(
    source: ClipSource, clips: Sequence[int], counts: Table, workers: int, fps: float | None = None
) -> Iterator[Inspected | str]:
    """Yield the length and hash of each clip, or the reason why it is unusable.

    Args:
        source: the clips.
        clips: positions of those to inspect.
        counts: table of known lengths and rates, to which new ones are added.
        workers: processes that read the clips.
        fps: `windows.fps` of the protocol.
    """
    found = load_in_order(_Inspection(source, clips, counts, fps), _AT_ONCE, workers)
    for position, outcome in zip(clips, found, strict=True):
        if isinstance(outcome, Inspected):
            key = _length_key(source.clips[position], outcome.fingerprint)
            if key not in counts:
                rate = 0.0 if outcome.varies else outcome.rate or 0.0
                frames = np.array(outcome.frames, dtype=np.int64)
                counts.put(key, {"frames": frames, "rate": np.array(rate)})
        yield outcome


def _length_key(clip: Clip, fingerprint: str) -> bytes:
    return hashlib.sha256(clip.length_key(fingerprint).encode()).digest()


class _Inspection(Dataset[Inspected | str]):
    def __init__(self, source: ClipSource, clips: Sequence[int], counts: Table, fps: float | None) -> None:
        self.source, self.clips, self.counts, self.fps = source, clips, counts, fps

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> Inspected | str:
        clip = self.source.clips[self.clips[position]]
        try:
            stamp = clip.stamp()
            fingerprint = clip.fingerprint()
            known = self.counts.get(_length_key(clip, fingerprint))
            if self.fps is not None:
                found = _inspect_times(clip, fingerprint, stamp, self.fps, known)
            elif known is None:
                found = Inspected(fingerprint, clip.count_frames(), stamp, clip.frame_rate())
            else:
                found = Inspected(fingerprint, int(known["frames"]), stamp, float(known["rate"]) or None)
            found = found._replace(use=clip.value_use())
            require_same_bytes(clip, fingerprint, stamp)
        except BadClip as error:
            return error.reason
        return found


def _inspect_times(clip: Clip, fingerprint: str, stamp: str, fps: float, known: Row | None) -> Inspected:
    """Find the frames of a clip that are shown at `fps` moments a second.

    Args:
        clip: the clip.
        fingerprint: of its bytes.
        stamp: of its file.
        fps: moments per second.
        known: its entry in `FRAME_TIMES`. Only clips of varying rate are read again.

    Raises:
        BadClip: the clip is damaged, or does not state its speed.
    """
    if known is not None and float(known["rate"]) > 0:
        count, rate = int(known["frames"]), float(known["rate"])
        return Inspected(fingerprint, count, stamp, rate, shown=frames_at(constant_times(count, rate), fps))
    times = clip.frame_times()
    if times is None:
        raise BadClip(
            clip.id,
            "states no frame rate, which windows.fps needs (give --fps, or a manifest with a column fps)",
        )
    count, constant = len(times) - 1, constant_rate(times)
    if constant is not None:  # then exactly as when the entry is known
        times = constant_times(count, constant)
    mean = float(count / times[-1])
    return Inspected(fingerprint, count, stamp, constant or mean, constant is None, frames_at(times, fps))
