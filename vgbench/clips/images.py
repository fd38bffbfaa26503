"""Clips that Pillow decodes: frame folders, frame strips, and animated GIF, WebP and PNG."""

from __future__ import annotations

import functools
import hashlib
import importlib
import itertools
import struct
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from vgbench.clips.alpha import flatten_alpha
from vgbench.clips.apng import apng_frames
from vgbench.clips.clip import Clip, Frames, pixel_hash
from vgbench.clips.file_clip import FileClip
from vgbench.clips.files import StoredFile, bad_clip_on_error
from vgbench.clips.limits import check_frame_count, check_frame_size, check_time
from vgbench.clips.pixel_checksums import PixelChecksums, of_pixels
from vgbench.clips.suffixes import IMAGES_OF, LOSSY_IMAGES, PLUGINS
from vgbench.clips.tiff import declared_images, frame_pages
from vgbench.clips.truncation import is_cut_off
from vgbench.errors import BadClip

if TYPE_CHECKING:
    from PIL.Image import Image

ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")
"""Formats whose images may have several frames; the further pages of TIFF and JPEG are not frames."""

_DESCRIPTION = 270  # tag ImageDescription of TIFF 6.0

LEAST_STRIP_FRAMES = 4
"""An image whose width is a whole multiple of its height, at least this many times, is a frame strip."""

ImageKind = Literal["frame", "strip", "animation", "stack"]

PILLOW_DAMAGE = (LookupError, TypeError, AttributeError, ArithmeticError)
"""Raised by Pillow's parsers on damaged headers, besides `DAMAGE`: they use values before checking them."""


@contextmanager
def open_image(file: StoredFile) -> Iterator[Image]:
    """Open an image; pixels are not decoded yet.

    Raises:
        BadClip: the file is not an image, is damaged, or is larger than Pillow allows (also inside the `with`
            block).
    """
    import PIL.Image

    with bad_clip_on_error(file.name, *PILLOW_DAMAGE), file.open() as stream:
        try:
            with warnings.catch_warnings():
                # Long strips exceed the size at which Pillow warns; its hard limit, an error, still applies.
                warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
                warnings.simplefilter(
                    "ignore", UserWarning
                )  # about damaged EXIF data, on which no pixel depends
                with PIL.Image.open(stream, formats=_readable_formats()) as image:
                    yield image
        except PIL.UnidentifiedImageError as error:
            raise BadClip(file.name, _why_unknown(file.name)) from error
        except PIL.Image.DecompressionBombError as error:
            raise BadClip(file.name, str(error)) from error


@functools.cache
def _readable_formats() -> tuple[str, ...]:
    """Formats that the installed Pillow reads, with its plugins for those of `PLUGINS`."""
    import PIL.Image

    PIL.Image.init()
    for name, (module, register, _) in PLUGINS.items():
        if name not in PIL.Image.OPEN:
            with suppress(ImportError):
                plugin = importlib.import_module(module)
                if register is not None:
                    getattr(plugin, register)()
    return tuple(name for name in (*IMAGES_OF, "GIF") if name in PIL.Image.OPEN)


def _why_unknown(name: str) -> str:
    for kind, (_, _, package) in PLUGINS.items():
        if name.lower().endswith(IMAGES_OF[kind]) and kind not in _readable_formats():
            return f"Pillow reads {kind} only with a plugin: pip install {package}"
    return "not an image, or cut off in its header"


def image_kind(file: StoredFile) -> ImageKind:
    """Determine from its header what an image holds; see `LEAST_STRIP_FRAMES`.

    Raises:
        BadClip: not an image.
    """
    with open_image(file) as image:
        if _is_animation(image) or (image.format == "WEBP" and _announces_animation(file)):
            return "animation"
        if _is_stack(image, file) or declared_images(description_of(image)) > 1:
            return "stack"
        width, height = image.size
        return "strip" if width % height == 0 and width // height >= LEAST_STRIP_FRAMES else "frame"


def _announces_animation(webp: StoredFile) -> bool:
    """Whether the animation flag of RFC 9649, section 2.7, is set; an animation of one frame also has it."""
    head = webp.read_range(0, 21)
    return head[12:16] == b"VP8X" and bool(head[20] & 0x02)


def _is_animation(image: Image) -> bool:
    """Whether an image has several frames; the further images of a JPEG file are not frames."""
    return image.format in ANIMATED and getattr(image, "n_frames", 1) > 1


def _is_stack(image: Image, file: StoredFile) -> bool:
    """Whether a TIFF file has several pages that are frames."""
    if image.format != "TIFF" or not getattr(image, "is_animated", False):
        return False
    with file.open() as stream:
        return len(frame_pages(stream)) > 1


def description_of(image: Image) -> str:
    """Return the description in a TIFF file's first page; "" in other images."""
    return str(getattr(image, "tag_v2", {}).get(_DESCRIPTION, ""))


def to_rgb(image: Image) -> npt.NDArray[np.uint8]:
    """Decode to uint8 [H, W, 3].

    Transparent areas become black, as in an empty frame buffer; grey and palette images become RGB; 16-bit
    grey is scaled from 0..65535 to 0..255.

    Raises:
        ValueError: the mode has no defined range (32-bit float, or integers beyond 16 bits).
    """
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        if wide.min() < 0 or wide.max() > 65535:
            raise ValueError("grey values beyond 16 bits")
        grey = ((wide * 255 + 32767) // 65535).astype(np.uint8)
        if isinstance(hidden := image.info.get("transparency"), int):  # one level of a PNG
            grey[wide == hidden] = 0
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("float pixels have no defined range")
    if image.mode in ("RGBA", "LA", "La", "PA", "RGBa") or "transparency" in image.info:
        return flatten_alpha(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def as_the_camera_was_held(image: Image) -> Image:
    """Turn and mirror an image as its EXIF orientation says; damaged EXIF data say nothing."""
    import PIL.ImageOps

    try:
        return PIL.ImageOps.exif_transpose(image)
    except (*PILLOW_DAMAGE, ValueError, SyntaxError, struct.error):
        return image


def check_indices(name: str, indices: Sequence[int], count: int) -> None:
    """Check that no index lies past the end.

    Raises:
        BadClip: the last index is not below `count`.
    """
    if len(indices) and max(indices) >= count:
        raise BadClip(name, f"frame {max(indices)} was requested, but there are {count} frames")


def is_lossy_image(name: str) -> bool:
    """Whether an image is lossy by its suffix."""
    return name.lower().endswith(LOSSY_IMAGES)


@dataclass(frozen=True)
class FrameFolderClip(Clip):
    """A folder with one image per frame, or one series of such images in a folder.

    Attributes:
        files: the frames, in their order.
        folder: path of the folder or pattern of the series, for messages.
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

    def is_lossless(self) -> bool:
        return not any(is_lossy_image(file.name) for file in self.files)

    def first_frame_hash(self) -> str:
        if is_lossy_image(self.files[0].name):
            with bad_clip_on_error(self.folder):
                return self.files[0].sha256()
        return pixel_hash(self.read((0,)))

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
        if file.size == 0:
            raise BadClip(file.name, "zero bytes")
        with open_image(file) as image:
            check_frame_size(file.name, *image.size)
            if _is_animation(image):
                raise BadClip(file.name, "an animation where a single frame was expected")
            if _is_stack(image, file):
                raise BadClip(file.name, "a stack of several pages where a single frame was expected")
            written = PixelChecksums.parse("png", image.info.get("Comment"))
            if written is not None:
                written.require_shape(file.name, 1, image.size)
            pixels = to_rgb(as_the_camera_was_held(image))
        if written is not None:
            written.require(file.name, 0, of_pixels(pixels))
        return pixels


@dataclass(frozen=True)
class StripClip(FileClip):
    """Square frames side by side in one image, the format of MoCoGAN. Its height is the side of a frame."""

    def fingerprint(self) -> str:
        digest = super().fingerprint()
        with open_image(self.file) as image:  # as an animation or stack, the same bytes have other frames
            has_other_frames = _is_animation(image) or _is_stack(image, self.file)
            return hashlib.sha256(f"{digest}|strip".encode()).hexdigest() if has_other_frames else digest

    def stamp(self) -> str:
        return f"{super().stamp()}|strip"

    def is_lossless(self) -> bool:
        return not is_lossy_image(self.file.name)

    def count_frames(self) -> int:
        with open_image(self.file) as image:
            return self._count(*image.size)

    def read(self, indices: Sequence[int]) -> Frames:
        with open_image(self.file) as image:
            count = self._count(*image.size)
            written = PixelChecksums.parse("strip", image.info.get("Comment"))
            if written is not None:
                written.require_shape(self.file.name, count, (image.height, image.height))
            strip = to_rgb(image)
        check_indices(self.file.name, indices, count)
        side = strip.shape[0]
        frames = strip.reshape(side, count, side, 3).swapaxes(0, 1)
        if written is not None:
            for index in set(indices):
                written.require(self.file.name, index, of_pixels(frames[index]))
        return np.ascontiguousarray(frames[list(indices)])

    def _count(self, width: int, height: int) -> int:
        if width % height:
            raise BadClip(self.file.name, f"a strip of {width}×{height} cannot be divided into square frames")
        check_frame_size(self.file.name, height, height)
        return width // height


@dataclass(frozen=True)
class AnimationClip(FileClip):
    """Animated GIF, WebP or PNG. Its frames are those that are stored, however long each of them is shown.

    Writers such as Pillow merge identical consecutive frames into one that is shown longer. Durations cannot
    undo that reliably, because a last frame that is held for a second is usual. To compare clips by time, use
    `windows.fps`.
    """

    def count_frames(self) -> int:
        return len(self._durations())

    def read(self, indices: Sequence[int]) -> Frames:
        wanted = set(indices)
        pixels = {}
        seen = 0
        for position, frame in enumerate(self._frames()):
            if position in wanted:
                pixels[position] = frame
            seen = position + 1
            if seen > indices[-1]:
                break
        check_indices(self.file.name, indices, seen)
        if len({frame.shape for frame in pixels.values()}) > 1:
            raise BadClip(self.file.name, "the frame size changes within the clip")
        return np.stack([pixels[index] for index in indices])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return itertools.islice(self._frames(), count)

    def _frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Decode all frames from the first one on, because each may be drawn over the one before."""
        self._require_whole()
        with open_image(self.file) as image:
            check_frame_size(self.file.name, *image.size)
            if image.format == "PNG":
                yield from apng_frames(self.file)
                return
            written = _checksums_in(image)
            if written is not None:
                written.require_shape(self.file.name, getattr(image, "n_frames", 1), image.size)
            for position in _positions(image, self.file.name):
                pixels = to_rgb(image)
                if written is not None:
                    written.require(self.file.name, position, of_pixels(pixels))
                yield pixels

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        durations = self._durations()
        if min(durations) <= 0:  # the speed is left to the player
            return None
        return np.append(0.0, np.cumsum(durations)) / 1000

    def _durations(self) -> list[int]:
        """Return the duration of every frame in milliseconds; 0 if the file states none."""
        durations = []
        self._require_whole()
        with open_image(self.file) as image:
            check_frame_size(self.file.name, *image.size)
            for position in _positions(image, self.file.name):
                check_frame_count(self.file.name, position + 1)
                image.load()
                durations.append(round(image.info.get("duration", 0)))
        return durations

    def _require_whole(self) -> None:
        with bad_clip_on_error(self.file.name), self.file.open() as data:
            if is_cut_off(data):
                raise BadClip(self.file.name, "cut off: shorter than its header says")


def _checksums_in(image: Image) -> PixelChecksums | None:
    """Return the checksums of a GIF, or of a WebP, where they are its description."""
    if image.format == "WEBP":
        from PIL.ExifTags import Base

        return PixelChecksums.parse("webp", image.getexif().get(Base.ImageDescription))
    written = PixelChecksums.parse("gif", image.info.get("comment"))
    # Pillow keeps the comment of a GIF that it saves in another size.
    return written if written is not None and written.size == image.size else None


def _positions(image: Image, name: str) -> Iterator[int]:
    """Seek through the frames one after the other, yielding 0, 1, …"""
    began = time.monotonic()
    first = 1 if getattr(image, "default_image", False) else 0  # a PNG's default image is not a frame
    for position in range(first, getattr(image, "n_frames", 1)):
        image.seek(position)
        check_time(name, began)
        yield position - first
