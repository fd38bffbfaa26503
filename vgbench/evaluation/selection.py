"""Finds the usable clips of a source, and the windows that the protocol chooses from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from vgbench.clips.clip import Clip, ClipSource, Skipped
from vgbench.errors import BadClip, NotEnoughClips
from vgbench.evaluation.feature_store import Table
from vgbench.evaluation.loading import load_in_order, require_same_bytes
from vgbench.evaluation.measured import Side
from vgbench.protocol import Protocol
from vgbench.protocol.sampler import Window, choose_windows, clip_order, window_starts

FRAME_COUNTS = "frame-count@2"
"""Table of the feature store that keeps the lengths of clips."""
_AT_ONCE = 16  # clips that a worker reports together


class Inspected(NamedTuple):
    """A usable clip.

    Attributes:
        fingerprint: hash of its bytes.
        frames: its length.
        stamp: `Clip.stamp` from before the bytes were hashed.
    """

    fingerprint: str
    frames: int
    stamp: str


class Selection:
    """The clips of one source that have been inspected so far, and the windows chosen from them.

    Clips are inspected in the protocol's order until enough of them are usable. A clip that later turns out
    to be damaged is rejected, and the next clip in the order takes its place. The outcome therefore depends
    neither on the number of workers nor on the number of ranks.

    Args:
        source: the clips.
        side: "generated" or "real"; some protocols treat them differently.
        protocol: what to choose.

    Attributes:
        looked_at: number of clips that have been inspected.
        skipped: clips that cannot be used.
        wanted: number of windows that the protocol asks for.
    """

    def __init__(self, source: ClipSource, side: Side, protocol: Protocol) -> None:
        self.source, self.side, self.protocol = source, side, protocol
        self.looked_at = 0
        self.skipped: list[Skipped] = list(source.skipped)
        self._order = clip_order([clip.id for clip in source.clips], protocol.seed, protocol.windows.order)
        limit = getattr(protocol.clips, side)
        self.wanted = len(self._order) if limit == "all" else int(limit)
        self._starts: dict[int, list[int]] = {}
        self._inspected: dict[int, Inspected] = {}

    @property
    def goal(self) -> int:
        """Number of clips to inspect if all are usable; progress is shown against it."""
        return min(self.wanted, len(self._order))

    def next_clips(self) -> Sequence[int]:
        """Return the positions of the clips to inspect next; an empty sequence if enough are usable."""
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
            clip_id = self.source.clips[clip].id
            rule = self.protocol.start_for(self.side)
            starts = window_starts(outcome.frames, windows, rule, self.protocol.seed, clip_id)
            if starts:
                self._starts[clip] = starts
                self._inspected[clip] = outcome
            else:
                needed = windows.offset + windows.span
                self.reject(clip, f"has {outcome.frames} frames, {needed} are needed")

    def reject(self, clip: int, reason: str) -> None:
        """Leave a clip out, and note the reason."""
        self._starts.pop(clip, None)
        self.skipped.append(Skipped(self.source.clips[clip].id, reason))

    def inspected(self, window: Window) -> Inspected:
        """Return what `inspect` found about the clip of a window."""
        return self._inspected[window.clip]

    def to_read(self, window: Window) -> tuple[Window, str, str]:
        """Return a window with the fingerprint and the stamp of its clip, for `DecodedWindows`."""
        found = self._inspected[window.clip]
        return window, found.fingerprint, found.stamp

    def windows(self) -> list[Window]:
        """Return the windows that the protocol chooses from the clips that are usable so far."""
        return choose_windows(self._order, self._starts, self.wanted, self.protocol.windows_for(self.side))

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
    source: ClipSource, clips: Sequence[int], counts: Table, workers: int
) -> Iterator[Inspected | str]:
    """Yield the length and hash of each clip, or the reason why it is unusable.

    Args:
        source: the clips.
        clips: positions of those to inspect.
        counts: table of known lengths, to which new ones are added.
        workers: processes that read the clips.
    """
    found = load_in_order(_Inspection(source, clips, counts), _AT_ONCE, workers)
    for position, outcome in zip(clips, found, strict=True):
        if isinstance(outcome, Inspected):
            key = _length_key(source.clips[position], outcome.fingerprint)
            if key not in counts:
                counts.put(key, {"frames": np.array(outcome.frames, dtype=np.int64)})
        yield outcome


def _length_key(clip: Clip, fingerprint: str) -> bytes:
    return hashlib.sha256(clip.length_key(fingerprint).encode()).digest()


class _Inspection(Dataset[Inspected | str]):
    def __init__(self, source: ClipSource, clips: Sequence[int], counts: Table) -> None:
        self.source, self.clips, self.counts = source, clips, counts

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> Inspected | str:
        clip = self.source.clips[self.clips[position]]
        try:
            stamp = clip.stamp()
            fingerprint = clip.fingerprint()
            known = self.counts.get(_length_key(clip, fingerprint))
            frames = clip.count_frames() if known is None else int(known["frames"])
            require_same_bytes(clip, fingerprint, stamp)
        except BadClip as error:
            return error.reason
        return Inspected(fingerprint, frames, stamp)
