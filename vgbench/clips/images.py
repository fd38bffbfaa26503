"""Clips that Pillow decodes: frame folders, frame strips, and animated GIF, WebP and PNG."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Clip, Frames
from vgbench.clips.files import StoredFile, bad_clip_on_error
from vgbench.clips.limits import check_frame_count, check_frame_size, check_time
from vgbench.clips.truncation import is_cut_off
from vgbench.errors import BadClip

if TYPE_CHECKING:
    from PIL.Image import Image

STILLS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
ANIMATIONS = (".gif", ".apng")
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "PPM", "TIFF")

LEAST_STRIP_FRAMES = 4
"""An image this many times as wide as high, and a whole multiple, is taken for a frame strip."""

ImageKind = Literal["frame", "strip", "animation"]

PILLOW_DAMAGE = (LookupError, TypeError, AttributeError, ArithmeticError)
"""What Pillow's parsers raise on damaged headers besides `DAMAGE`: they use values before checking them."""


@contextmanager
def open_image(file: StoredFile) -> Iterator[Image]:
    """Open an image; pixels are not decoded yet.

    Raises:
        BadClip: not an image, damaged, or larger than Pillow allows (also inside the `with` block).
    """
    import PIL.Image

    with bad_clip_on_error(file.name, *PILLOW_DAMAGE), file.open() as stream:
        try:
            with warnings.catch_warnings():
                # Long strips pass Pillow's advice on size; its hard limit, an error, still holds.
                warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
                warnings.simplefilter("ignore", UserWarning)  # damaged EXIF, which no pixel depends on
                with PIL.Image.open(stream, formats=FORMATS) as image:
                    yield image
        except PIL.UnidentifiedImageError as error:
            raise BadClip(file.name, "not an image, or cut off in its header") from error
        except PIL.Image.DecompressionBombError as error:
            raise BadClip(file.name, str(error)) from error


def image_kind(file: StoredFile) -> ImageKind:
    """Tell from the header what an image holds; see `LEAST_STRIP_FRAMES`.

    Raises:
        BadClip: not an image.
    """
    with open_image(file) as image:
        if _is_animation(image) or (image.format == "WEBP" and _announces_animation(file)):
            return "animation"
        width, height = image.size
        return "strip" if width % height == 0 and width // height >= LEAST_STRIP_FRAMES else "frame"


def _announces_animation(webp: StoredFile) -> bool:
    """The animation flag of RFC 9649, section 2.7, which also an animation of one frame carries."""
    head = webp.read_range(0, 21)
    return head[12:16] == b"VP8X" and bool(head[20] & 0x02)


def _is_animation(image: Image) -> bool:
    """Not asked of TIFF and JPEG, whose further pages are no frames."""
    return image.format in ("PNG", "WEBP", "GIF") and getattr(image, "n_frames", 1) > 1


def to_rgb(image: Image) -> npt.NDArray[np.uint8]:
    """Decode to uint8 [H, W, 3].

    Transparency shows black, as in an empty frame buffer; grey and palette become RGB; 16-bit grey is scaled
    from 0..65535 to 0..255.

    Raises:
        ValueError: a mode without a defined range (32-bit float, or integers beyond 16 bits).
    """
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError("grey values beyond 16 bits")
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("float pixels have no defined range")
    if image.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info:
        return flatten_alpha(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def flatten_alpha(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Lay uint8 [..., 4] over black: round(colour × alpha / 255), uint8 [..., 3]."""
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    if alpha.min(initial=255) == 255:  # nearly every file that has an alpha channel at all
        return np.ascontiguousarray(colour)
    product = colour.astype(np.uint16) * alpha.astype(np.uint16)
    return ((product + np.uint16(127)) // np.uint16(255)).astype(np.uint8)


def check_indices(name: str, indices: Sequence[int], count: int) -> None:
    """Refuse indices past the end.

    Raises:
        BadClip: the last index is not below `count`.
    """
    if len(indices) and max(indices) >= count:
        raise BadClip(name, f"frame {max(indices)} asked, but there are {count}")


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key that puts frame2 before frame10; equal numbers fall back to the plain name."""
    parts = re.split(r"([0-9]+)", name)
    return (*((int(part), "") if part.isdecimal() else (-1, part) for part in parts), (-1, name))


@dataclass(frozen=True)
class FrameFolderClip(Clip):
    """One image a frame, in natural order of their names.

    Attributes:
        files: the frames, sorted.
        folder: for messages.
    """

    files: tuple[StoredFile, ...]
    folder: str

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{len(self.files)} frames\n".encode())
        with bad_clip_on_error(self.folder):
            for file in self.files:
                digest.update(bytes.fromhex(file.sha256()))
        return digest.hexdigest()

    def stamp(self) -> str:
        with bad_clip_on_error(self.folder):
            return hashlib.sha256("\n".join(file.stamp() for file in self.files).encode()).hexdigest()

    def count_frames(self) -> int:
        check_frame_count(self.folder, len(self.files))
        for file in self.files:
            if file.size == 0:
                raise BadClip(file.name, "zero bytes")
        with open_image(self.files[0]):
            return len(self.files)

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.folder, indices, len(self.files))
        frames: list[npt.NDArray[np.uint8]] = []
        for index in indices:
            frame = self._frame(self.files[index])
            if frames and frame.shape != frames[0].shape:
                raise BadClip(self.files[index].name, "differs in size from the frames before it")
            frames.append(frame)
        return np.stack(frames)

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return map(self._frame, self.files[:count])

    def _frame(self, file: StoredFile) -> npt.NDArray[np.uint8]:
        with open_image(file) as image:
            check_frame_size(file.name, *image.size)
            if _is_animation(image):
                raise BadClip(file.name, "an animation where a frame was expected")
            return to_rgb(image)


@dataclass(frozen=True)
class StripClip(Clip):
    """Square frames side by side in one image: MoCoGAN's format. The height is the side of a frame."""

    file: StoredFile

    def fingerprint(self) -> str:
        with bad_clip_on_error(self.file.name):
            digest = self.file.sha256()
        with open_image(self.file) as image:  # an animation read as a strip has other frames than as itself
            return hashlib.sha256(f"{digest}|strip".encode()).hexdigest() if _is_animation(image) else digest

    def stamp(self) -> str:
        with bad_clip_on_error(self.file.name):
            return self.file.stamp()

    def count_frames(self) -> int:
        with open_image(self.file) as image:
            return self._count(*image.size)

    def read(self, indices: Sequence[int]) -> Frames:
        with open_image(self.file) as image:
            count = self._count(*image.size)
            strip = to_rgb(image)
        check_indices(self.file.name, indices, count)
        side = strip.shape[0]
        frames = strip.reshape(side, count, side, 3).swapaxes(0, 1)
        return np.ascontiguousarray(frames[list(indices)])

    def _count(self, width: int, height: int) -> int:
        if width % height:
            raise BadClip(self.file.name, f"a strip of {width}×{height} does not divide into square frames")
        check_frame_size(self.file.name, height, height)
        return width // height


@dataclass(frozen=True)
class AnimationClip(Clip):
    """Animated GIF, WebP or PNG.

    Writers merge identical consecutive frames into one that lasts longer. They are told apart again by their
    durations: where all are whole multiples of a base duration, a frame counts once per base. The base is the
    shortest duration if it divides all others, else their greatest common divisor from 20 ms up; below that
    the durations are only rounding (30 fps as 30, 30, 40 ms), and every stored frame counts once.
    """

    file: StoredFile

    def fingerprint(self) -> str:
        with bad_clip_on_error(self.file.name):
            return self.file.sha256()

    def stamp(self) -> str:
        with bad_clip_on_error(self.file.name):
            return self.file.stamp()

    def count_frames(self) -> int:
        return sum(self._repeats())

    def read(self, indices: Sequence[int]) -> Frames:
        repeats = self._repeats()
        check_indices(self.file.name, indices, sum(repeats))
        stored = np.repeat(np.arange(len(repeats)), repeats)[list(indices)]
        wanted = set(stored.tolist())
        pixels: dict[int, npt.NDArray[np.uint8]] = {}
        with open_image(self.file) as image:
            for position in _positions(image, self.file.name):
                if position in wanted:
                    pixels[position] = to_rgb(image)
        if len({frame.shape for frame in pixels.values()}) > 1:
            raise BadClip(self.file.name, "the frame size changes within the clip")
        return np.stack([pixels[position] for position in stored.tolist()])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return itertools.islice(self._frames(), count)

    def _frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        repeats = self._repeats()
        with open_image(self.file) as image:
            for position in _positions(image, self.file.name):
                yield from itertools.repeat(to_rgb(image), repeats[position])

    def _repeats(self) -> list[int]:
        durations = []
        with bad_clip_on_error(self.file.name), self.file.open() as data:
            if is_cut_off(data):
                raise BadClip(self.file.name, "cut off: shorter than its header says")
        with open_image(self.file) as image:
            check_frame_size(self.file.name, *image.size)
            for _ in _positions(image, self.file.name):
                image.load()
                durations.append(round(image.info.get("duration", 0)))
        repeats = repeats_of(durations)
        check_frame_count(self.file.name, sum(repeats))
        return repeats


def _positions(image: Image, name: str) -> Iterator[int]:
    """Seek through the frames one after the other, yielding 0, 1, …"""
    began = time.monotonic()
    first = 1 if getattr(image, "default_image", False) else 0  # a PNG's still stand-in is no frame
    for position in range(first, getattr(image, "n_frames", 1)):
        image.seek(position)
        check_time(name, began)
        yield position - first


def repeats_of(durations: Sequence[int]) -> list[int]:
    """How many frames each stored frame stands for; see `AnimationClip`.

    Args:
        durations: of the stored frames, in milliseconds.
    """
    if not durations or min(durations) <= 0:
        return [1] * len(durations)
    common = math.gcd(*durations)
    if common != min(durations) and common < 20:
        return [1] * len(durations)
    return [duration // common for duration in durations]
