"""Frame rates: which frames a clip shows at a given rate, and the rate of clips that do not state one.

Counting frames compares clips of different rates at different speeds: sixteen frames are two seconds of a
clip with 8 frames per second, and half a second of one with 30.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import ClipSource, DerivedClip, Frames, SameFramesClip

SLACK = 0.25
"""Share of a frame's duration by which its time stamp may be off."""


def constant_times(count: int, rate: float) -> npt.NDArray[np.float64]:
    """Return the `Clip.frame_times` of `count` frames at a constant rate, float64 [count + 1]."""
    return np.arange(count + 1) / rate


def times_of_stamps(stamps: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Turn the time stamps of two or more frames, in seconds, into `Clip.frame_times`.

    The last frame is taken to last as long as the median of the others.

    Returns:
        float64 [T + 1]; None if there are fewer than two stamps, or if they do not rise.
    """
    starts = np.array(stamps, dtype=np.float64)
    intervals = np.diff(starts)
    if len(starts) < 2 or not (intervals > 0).all():
        return None
    return np.append(starts - starts[0], starts[-1] - starts[0] + np.median(intervals))


def constant_rate(times: npt.NDArray[np.float64]) -> float | None:
    """Return the rate of a clip, unless it varies: unless a frame is shown a quarter of a frame off the beat.

    Args:
        times: `Clip.frame_times`, float64 [T + 1].
    """
    count = len(times) - 1
    rate = float(count / times[-1])
    off_beat = np.abs(times * rate - np.arange(count + 1)).max()
    return rate if off_beat < SLACK else None


def frames_at(times: npt.NDArray[np.float64], fps: float) -> npt.NDArray[np.int64]:
    """Return the index of the frame that is shown at 0, 1 / fps, 2 / fps, … seconds until the clip ends.

    A frame is shown from its time stamp on until the next one. Containers round time stamps (to 1 ms in
    Matroska, 10 ms in GIF), so a frame counts as shown `SLACK` median intervals earlier; a clip of constant
    rate then gives exactly its own frames at its own rate.

    Args:
        times: `Clip.frame_times`, float64 [T + 1].
        fps: moments per second. Above the clip's own rate, frames are repeated.

    Returns:
        int64 [K], ascending.
    """
    slack = SLACK * float(np.median(np.diff(times)))
    count = max(math.ceil((times[-1] - slack) * fps), 1)
    shown = np.searchsorted(times[:-1], np.arange(count) / fps + slack, side="right") - 1
    return shown.astype(np.int64)


@dataclass(frozen=True)
class RatedClip(SameFramesClip):
    """A clip whose rate was stated elsewhere, as in a manifest; its own time stamps take precedence."""

    fps: float

    def length_key(self, fingerprint: str) -> str:
        return f"{self.inner.length_key(fingerprint)}|{self.fps:g} fps"

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        own = self.inner.frame_times()
        return constant_times(self.inner.count_frames(), self.fps) if own is None else own

    def frame_rate(self) -> float | None:
        own = self.inner.frame_rate()
        return self.fps if own is None else own


@dataclass(frozen=True)
class StridedClip(DerivedClip):
    """Every `step`-th frame of a clip."""

    step: int

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.inner.fingerprint()}|step={self.step}".encode()).hexdigest()

    def stamp(self) -> str:
        return f"{self.inner.stamp()}|step={self.step}"

    def count_frames(self) -> int:
        return -(-self.inner.count_frames() // self.step)

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        times = self.inner.frame_times()
        return None if times is None else np.append(times[: -1 : self.step], times[-1])

    def frame_rate(self) -> float | None:
        rate = self.inner.frame_rate()
        return None if rate is None else rate / self.step

    def read(self, indices: Sequence[int]) -> Frames:
        return self.inner.read([index * self.step for index in indices])


def every_nth_frame(source: ClipSource, step: int) -> ClipSource:
    """Keep every `step`-th frame of all clips, from the first one on."""
    return replace(source, clips=[StridedClip(clip.id, clip.label, clip, step) for clip in source.clips])


def with_rate(source: ClipSource, fps: float) -> ClipSource:
    """State the rate of those clips of a source that do not state it themselves."""
    return replace(source, clips=[RatedClip(clip.id, clip.label, clip, fps) for clip in source.clips])
