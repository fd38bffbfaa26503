"""Distortions of known kind and strength, which `vgbench audit` and control rows score.

A distortion of frames takes uint8 [T, H, W, 3], a strength in [0, 1] and a random generator, and returns
frames of the same shape; strength 0 changes nothing. Lengths scale with the frame's height, so that the same
strength looks alike at every resolution. The set of distortions follows the studies of Unterthiner et al.
2018 (noise, blur, swaps, interlacing) and Ge et al. 2024 (spatial against temporal damage), extended by
distortions of whole sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Clip, ClipSource, DerivedClip, Frames, SameFramesClip
from vgbench.clips.rates import times_of_stamps
from vgbench.errors import ConfigError
from vgbench.named import unknown_name

Distort = Callable[[Frames, float, np.random.Generator], Frames]


def noise(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Gaussian noise, independent in every frame; standard deviation 100 at full strength."""
    noisy = frames + rng.normal(0, 100 * strength, frames.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def blur(frames: Frames, strength: float, _: np.random.Generator) -> Frames:
    """Gaussian blur in space; standard deviation 1/16 of the height at full strength."""
    from scipy.ndimage import gaussian_filter

    sigma = strength * frames.shape[1] / 16
    blurred: Frames = gaussian_filter(frames, sigma=(0, sigma, sigma, 0))
    return blurred


def salt_and_pepper(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Pixels that turn black or white; half of all at full strength."""
    draw = rng.random(frames.shape[:3])
    result = frames.copy()
    result[draw < strength / 4] = 0
    result[draw > 1 - strength / 4] = 255
    return result


def local_swap(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Square patches swap places, equally in every frame; all patches of an 8 × 8 grid at full strength."""
    side = max(frames.shape[1] // 8, 1)
    rows, columns = frames.shape[1] // side, frames.shape[2] // side
    cells = np.arange(rows * columns)
    moved = rng.permutation(len(cells))[: round(strength * len(cells))]
    cells[np.sort(moved)] = moved
    result = frames.copy()
    for target, origin in enumerate(cells):
        (ty, tx), (oy, ox) = divmod(target, columns), divmod(int(origin), columns)
        result[:, ty * side : (ty + 1) * side, tx * side : (tx + 1) * side] = frames[
            :, oy * side : (oy + 1) * side, ox * side : (ox + 1) * side
        ]
    return result


def freeze(frames: Frames, strength: float, _: np.random.Generator) -> Frames:
    """The video freezes after the first (1 − strength) of its frames; at full strength it never moves."""
    moving = max(round((1 - strength) * len(frames)), 1)
    return frames[np.minimum(np.arange(len(frames)), moving - 1)]


def drop(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """Each frame is lost with a probability equal to the strength, and the frame before it is repeated."""
    lost = rng.random(len(frames)) < strength
    lost[0] = False
    shown = np.maximum.accumulate(np.where(lost, 0, np.arange(len(frames))))
    return frames[shown]


def shuffle(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """A share of the frames, equal to the strength, swap places."""
    order = np.arange(len(frames))
    moved = np.sort(rng.permutation(len(frames))[: round(strength * len(frames))])
    order[moved] = rng.permutation(moved)
    return frames[order]


def reverse(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    """A share of the clips, equal to the strength, run backwards."""
    return frames[::-1] if rng.random() < strength else frames


FRAME_DISTORTIONS: dict[str, Distort] = {
    "noise": noise,
    "blur": blur,
    "salt-and-pepper": salt_and_pepper,
    "local-swap": local_swap,
    "freeze": freeze,
    "drop": drop,
    "shuffle": shuffle,
    "reverse": reverse,
}
SPATIAL = ("noise", "blur", "salt-and-pepper", "local-swap")
TEMPORAL = ("freeze", "drop", "shuffle", "reverse", "speed-up")
SET_LEVEL = ("mode-drop", "duplicate")
DISTORTIONS = (*SPATIAL, *TEMPORAL, *SET_LEVEL)


@dataclass(frozen=True)
class DistortedClip(DerivedClip):
    """A clip whose frames are distorted when they are read; the clip's id seeds the distortion."""

    name: str
    strength: float

    def fingerprint(self) -> str:
        text = f"{self.inner.fingerprint()}|{self.name}={self.strength:g}|{self.id}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def stamp(self) -> str:
        return f"{self.inner.stamp()}|{self.name}={self.strength:g}"

    # Each window is damaged on its own, so the clip has no frames of its own before its windows are chosen.
    # It is known by the clip that it damages, and damage moves no window.
    def first_frame_hash(self) -> str:
        return self.inner.first_frame_hash()

    def content_hash(self) -> str:
        return self.inner.content_hash()

    def read(self, indices: Sequence[int]) -> Frames:
        digest = hashlib.sha256(f"{self.name}|{self.id}".encode("utf-8", "surrogateescape")).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return FRAME_DISTORTIONS[self.name](self.inner.read(indices), self.strength, rng)


@dataclass(frozen=True)
class FasterClip(DerivedClip):
    """A clip played faster: its frame t is the original's frame t · speed, rounded."""

    speed: float

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{self.inner.fingerprint()}|speed={self.speed:g}".encode()).hexdigest()

    def stamp(self) -> str:
        return f"{self.inner.stamp()}|speed={self.speed:g}"

    def count_frames(self) -> int:
        return int((self.inner.count_frames() - 1) / self.speed) + 1

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        times = self.inner.frame_times()
        if times is None:
            return None
        places = np.arange(self.count_frames()) * self.speed
        return times_of_stamps(np.interp(places, np.arange(len(times)), times) / self.speed)

    def frame_rate(self) -> float | None:
        return self.inner.frame_rate()

    def read(self, indices: Sequence[int]) -> Frames:
        return self.inner.read([round(index * self.speed) for index in indices])


@dataclass(frozen=True)
class RepeatedClip(SameFramesClip):
    """The same clip under another id, which counts as a recording of its own."""

    def __post_init__(self) -> None:
        Clip.__post_init__(self)  # it is of no group, unlike other derived clips

    @property
    def origin(self) -> str:
        return self.id


def distort(source: ClipSource, name: str, strength: float) -> ClipSource:
    """Distort every clip of a source, or the set as a whole.

    Args:
        source: the undistorted clips.
        name: one of `DISTORTIONS`. "speed-up" plays up to twice as fast; "mode-drop" removes a share of
            the classes, or of the clips where there are no classes; "duplicate" replaces a share of the clips
            by copies of the others. That share is the strength, and at least one class or clip remains.
        strength: in [0, 1].

    Raises:
        ConfigError: unknown name, or a strength outside [0, 1].
    """
    if name not in DISTORTIONS:
        raise unknown_name("distortion", name, DISTORTIONS)
    if not 0 <= strength <= 1:
        raise ConfigError(f"distortion {name} = {strength}: must lie in [0, 1]")
    clips = list(source.clips)
    if name in FRAME_DISTORTIONS:
        clips = [DistortedClip(c.id, c.label, c, name, strength) for c in clips]
    elif name == "speed-up":
        clips = [FasterClip(c.id, c.label, c, 1 + strength) for c in clips]
    elif name == "mode-drop":
        clips = _drop_modes(clips, strength)
    else:
        clips = _duplicate(clips, strength)
    return replace(source, name=f"distort:{name}={strength:g}:{source.name}", clips=clips)


def _drop_modes(clips: Sequence[Clip], strength: float) -> list[Clip]:
    labels = sorted({clip.label or "" for clip in clips})
    if len(labels) > 1:
        kept = set(labels[: max(len(labels) - round(strength * len(labels)), 1)])
        return [clip for clip in clips if (clip.label or "") in kept]
    ranked = sorted(clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
    return ranked[: max(len(clips) - round(strength * len(clips)), 1)]


def _duplicate(clips: Sequence[Clip], strength: float) -> list[Clip]:
    ranked = sorted(clips, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
    kept = ranked[: max(len(clips) - round(strength * len(clips)), 1)]
    copies = (
        RepeatedClip(clip.id, kept[k % len(kept)].label, kept[k % len(kept)])
        for k, clip in enumerate(ranked[len(kept) :])
    )
    return [*kept, *copies]


def parse_distortion(spec: str) -> tuple[str, float, str]:
    """Split `distort:NAME=STRENGTH:SOURCE` into its three parts.

    Raises:
        ConfigError: not of that form.
    """
    name, _, rest = spec.removeprefix("distort:").partition("=")
    strength, _, inner = rest.partition(":")
    try:
        if inner:
            return name, float(strength), inner
    except ValueError:
        pass  # the strength is not a number, which has the same remedy
    raise ConfigError(f"'{spec}' is not distort:NAME=STRENGTH:SOURCE", "for example distort:freeze=1:clips/")
