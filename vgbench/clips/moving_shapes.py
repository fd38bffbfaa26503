"""Procedural clips of one moving shape: a data set that needs no download and whose classes are known.

A class is a shape and a motion ("square, circle"). Colours, size, position, speed, phase and tilt vary freely
within a class. Everything is drawn in coordinates from −1 to 1 with analytic edges, so that motion is smooth
to fractions of a pixel and an index looks alike at every size; a longer clip continues a shorter one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from vgbench.errors import ConfigError
from vgbench.named import lookup

VERSION = "2"
"""Changes whenever the pixels of any index change: scores on different versions are not comparable."""

Background = Literal["plain", "texture"]
Floats = npt.NDArray[np.float32]

SPLITS = {"train": 0, "test": 1, "extractor": 2}
"""Disjoint random streams; only the training of the embedded extractor uses "extractor"."""


@dataclass(frozen=True)
class Options:
    """Appearance of a set of moving shapes.

    Attributes:
        size: side of the square frame in pixels, at least 8.
        frames: length of each clip.
        seed: another seed gives another set from the same distribution.
        background: "plain" is one dark colour; "texture" is a static pattern of gratings.

    Raises:
        ConfigError: a value out of range.
    """

    size: int = 64
    frames: int = 16
    seed: int = 0
    background: Background = "plain"

    def __post_init__(self) -> None:
        for name, least in (("size", 8), ("frames", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"moving-shapes: {name} = {getattr(self, name)}", f"at least {least}")
        if self.background not in get_args(Background):
            raise ConfigError(
                f"moving-shapes: background = {self.background!r}",
                f"one of {', '.join(get_args(Background))}",
            )


# Signed distance to the outline of a shape of unit circumradius, negative inside. It is exact near straight
# edges, which suffices for smoothing edges over one pixel. u runs right and v down, in the shape's
# coordinates.


def _square(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(u), np.abs(v)) - np.float32(np.sqrt(0.5))


def _triangle(u: Floats, v: Floats) -> Floats:
    slope = np.float32(np.sqrt(0.75)) * np.abs(u) - np.float32(0.5) * v
    return np.maximum(slope, v) - np.float32(0.5)


def _cross(u: Floats, v: Floats) -> Floats:
    long, short = np.float32(0.95), np.float32(0.31)
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.maximum(u, v) - long, np.minimum(u, v) - short)


def _half_disc(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.sqrt(u * u + v * v) - np.float32(1), v)


SHAPES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "half-disc": _half_disc,
}
"""No shape is round, so that spinning is visible for each of them."""


@dataclass(frozen=True)
class _Path:
    """The shape in each frame: centre, circumradius and rotation in radians, float64 [T]."""

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    radius: npt.NDArray[np.float64]
    turn: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Start:
    """The free variables of a motion, drawn once per clip."""

    x: float
    y: float
    radius: float
    tilt: float
    direction: float


Cycles = npt.NDArray[np.float64]
"""Time in cycles of the motion, float64 [T], starting at a random phase."""


def _there_and_back(cycles: Cycles) -> npt.NDArray[np.float64]:
    """Constant speed between two walls, from −1 to 1 and back in one cycle."""
    return np.asarray(4 * np.abs(cycles - np.floor(cycles + 0.5)) - 1)


def _left_right(s: _Start, cycles: Cycles) -> _Path:
    return _path(s, cycles, x=(0.9 - s.radius) * _there_and_back(cycles))


def _up_down(s: _Start, cycles: Cycles) -> _Path:
    return _path(s, cycles, y=(0.9 - s.radius) * _there_and_back(cycles))


def _diagonal(s: _Start, cycles: Cycles) -> _Path:
    along = (0.9 - s.radius) * _there_and_back(cycles)
    return _path(s, cycles, x=along, y=s.direction * along)


def _circle(s: _Start, cycles: Cycles) -> _Path:
    angle = 2 * np.pi * s.direction * cycles
    reach = 0.85 - s.radius
    return _path(s, cycles, x=reach * np.cos(angle), y=reach * np.sin(angle))


def _pulse(s: _Start, cycles: Cycles) -> _Path:
    return _path(s, cycles, radius=s.radius * (1.1 + 0.6 * np.sin(2 * np.pi * cycles)))


def _spin(s: _Start, cycles: Cycles) -> _Path:
    return _path(s, cycles, radius=np.full_like(cycles, 1.3 * s.radius), turn=np.pi * s.direction * cycles)


def _path(s: _Start, cycles: Cycles, **moving: npt.NDArray[np.float64]) -> _Path:
    resting = {"x": s.x, "y": s.y, "radius": s.radius, "turn": 0.0}
    path = {name: moving.get(name, np.full_like(cycles, value)) for name, value in resting.items()}
    return _Path(path["x"], path["y"], path["radius"], path["turn"] + s.tilt)


MOTIONS: dict[str, Callable[[_Start, Cycles], _Path]] = {
    "left-right": _left_right,
    "up-down": _up_down,
    "diagonal": _diagonal,
    "circle": _circle,
    "pulse": _pulse,
    "spin": _spin,
}

CLASSES: tuple[str, ...] = tuple(f"{shape}, {motion}" for shape in SHAPES for motion in MOTIONS)
"""Class names in the order of the embedded extractor's logits: every shape with every motion."""


def label(options: Options, split: str, index: int) -> str:
    """Class of a clip, drawn uniformly.

    Classes are not assigned in turn: two sets made like that would be closer to each other than independent
    samples are, and intervals that assume independent clips would be wrong.
    """
    rng = np.random.default_rng([options.seed, lookup("split", split, SPLITS), index, 1])
    return CLASSES[int(rng.integers(len(CLASSES)))]


def render(options: Options, split: str, index: int) -> npt.NDArray[np.uint8]:
    """Draw one clip; the same arguments give the same pixels in any order and process.

    Args:
        options: size, frames, seed and background.
        split: a key of `SPLITS`.
        index: 0 or more, without an upper limit.

    Returns:
        uint8 [frames, size, size, 3], RGB.

    Raises:
        ConfigError: unknown split.
    """
    rng = np.random.default_rng([options.seed, lookup("split", split, SPLITS), index])
    shape, motion = label(options, split, index).split(", ")
    # Every class makes every draw, so that a new class does not change the random numbers of the others.
    start = _Start(
        x=rng.uniform(-0.4, 0.4),
        y=rng.uniform(-0.4, 0.4),
        radius=rng.uniform(0.26, 0.42),
        tilt=rng.uniform(-0.35, 0.35),
        direction=rng.choice((-1.0, 1.0)),
    )
    frames_per_cycle, phase = rng.uniform(12, 20), rng.uniform()
    foreground = _colour(rng, saturation=(0.35, 1.0), value=(0.75, 1.0))
    background = _background(options, rng)

    path = MOTIONS[motion](start, phase + np.arange(options.frames) / frames_per_cycle)
    cover = _coverage(SHAPES[shape], path, options.size)[..., None]
    pixels = background + cover * (foreground - background)
    return (pixels * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _coverage(shape: Callable[[Floats, Floats], Floats], path: _Path, size: int) -> Floats:
    """Share of each pixel that the shape covers: float32 [T, size, size]."""
    centres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / size) - np.float32(1)
    x, y, radius, turn = (
        values.astype(np.float32)[:, None, None] for values in (path.x, path.y, path.radius, path.turn)
    )
    dx, dy = (centres[None, None, :] - x) / radius, (centres[None, :, None] - y) / radius
    cos, sin = np.cos(turn), np.sin(turn)
    distance: Floats = shape(cos * dx + sin * dy, cos * dy - sin * dx) * radius
    cover: Floats = np.clip(np.float32(0.5) - distance * np.float32(size / 2), np.float32(0), np.float32(1))
    return cover


def _background(options: Options, rng: np.random.Generator) -> Floats:
    """Float32, [3] for a plain colour or [size, size, 3] for a texture; values in 0..1, mostly dark."""
    colours = [_colour(rng, saturation=(0.0, 0.6), value=(0.0, 0.3)) for _ in range(2)]
    if options.background == "plain":
        return colours[0]
    centres = (np.arange(options.size) + 0.5) * (2 / options.size) - 1
    waves = np.zeros((options.size, options.size))
    for frequency, angle, phase in rng.uniform((1, 0, 0), (3, np.pi, 1), size=(4, 3)):
        along = np.cos(angle) * centres[None, :] + np.sin(angle) * centres[:, None]
        waves += np.sin(2 * np.pi * (frequency * along + phase)) / 4
    mix = (0.5 + 0.5 * np.clip(2 * waves, -1, 1)).astype(np.float32)[..., None]
    return colours[0] + mix * (colours[1] + np.float32(0.25) - colours[0])


def _colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Floats:
    """Random hue with bounded saturation and value (HSV): float32 [3] in 0..1."""
    hue, s, v = rng.uniform(0, 6), rng.uniform(*saturation), rng.uniform(*value)
    k = (np.array((5.0, 3.0, 1.0)) + hue) % 6
    return (v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)).astype(np.float32)
