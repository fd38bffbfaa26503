"""Clip: one video that a source offers. It knows where the pixels are and does not hold them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vgbench.clips.value_range import ValueUse
from vgbench.errors import BadClip

Frames = npt.NDArray[np.uint8]
"""Decoded pixels: uint8 [T, H, W, 3], RGB, sRGB."""

BLOCK_BYTES = 2**24
"""Bytes of pixels that `blocks` decodes at once."""


def printable(name: str) -> str:
    """Write what UTF-8 cannot encode as backslash escapes, so that records can hold it.

    Such are the bytes of a file name that is not UTF-8, and halves of surrogate pairs in a label.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace").decode()
    return name  # the same object, because a million clips share their few labels


@dataclass(frozen=True)
class Clip(ABC):
    """One clip: a small, frozen object, which is sent to decoding workers by pickle.

    Attributes:
        id: stable name inside its source (relative POSIX path, plus the position inside an archive or array).
            It seeds the sampling, so it must not depend on the order of the listing or the place of the
            source.
        label: class name from the sub-folder, manifest or generator; None without classes.
        group: name that clips share which are not independent, although they are files of their own: pieces
            of one video, or mirrored copies. None if the source declares none.
    """

    id: str
    label: str | None
    group: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        # Names, labels and groups come from files, archives, manifests and arrays; all pass through here.
        object.__setattr__(self, "id", printable(self.id))
        if self.label is not None:
            object.__setattr__(self, "label", printable(self.label))
        if self.group is not None:
            object.__setattr__(self, "group", printable(self.group))

    @abstractmethod
    def fingerprint(self) -> str:
        """Sha256 (hex) of the stored bytes; equal bytes give equal features.

        Raises:
            BadClip: the bytes cannot be read.
        """

    def stamp(self) -> str:
        """Text that changes whenever the frames may have changed, and is cheaper than hashing the bytes.

        It therefore also says how the bytes are turned into frames, where that can differ for one file. For
        files on a disk it is made of size, time of change and inode. Clips without these return their
        fingerprint.

        Raises:
            BadClip: the bytes cannot be reached.
        """
        return self.fingerprint()

    def length_key(self, fingerprint: str) -> str:
        """Key under which the number of frames may be kept, made from the clip's own fingerprint."""
        return fingerprint

    @property
    def origin(self) -> str:
        """Id of the clip that the frames come from: windows of one file are not independent."""
        return self.id

    @property
    def recording(self) -> str:
        """Name that all clips share which are not independent: the declared group, or else `origin`."""
        return self.origin if self.group is None else self.group

    @abstractmethod
    def count_frames(self) -> int:
        """Count coded frames exactly, from the data and not from the header.

        Raises:
            BadClip: the clip is damaged, empty, or of an unknown format.
        """

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        """Return when each frame is shown, in seconds from the first one, and when the last one ends.

        Returns:
            float64 [T + 1], ascending from 0; None if the clip does not state its speed.

        Raises:
            BadClip: the clip is damaged.
        """
        return None

    def frame_rate(self) -> float | None:
        """Return the mean number of frames per second; None if the clip does not state its speed.

        Clips whose header states it do not read further.

        Raises:
            BadClip: the clip is damaged.
        """
        times = self.frame_times()
        return None if times is None else float((len(times) - 1) / times[-1])

    @abstractmethod
    def read(self, indices: Sequence[int]) -> Frames:
        """Decode the frames at `indices` (ascending, 0-based); other frames are not kept in memory.

        An index may occur several times.

        Returns:
            uint8 [len(indices), H, W, 3].

        Raises:
            BadClip: the clip is damaged, or an index lies past the last frame that can be decoded.
        """

    def value_use(self) -> ValueUse | None:
        """Return how the stored floats become bytes; None if the clip is not stored as floats.

        Raises:
            BadClip: the clip is damaged.
        """
        return None

    def is_lossless(self) -> bool:
        """Whether the pixels are stored as they are, so that every decoder finds the same.

        The content of such a clip is its pixels, whatever the container is. Decoders may differ in lossy
        clips, whose content is therefore their coded bytes.

        Raises:
            BadClip: the clip is damaged.
        """
        return True

    def first_frame_hash(self) -> str:
        """Return a sha256 (hex) of the first frame: of its pixels, or of its coded bytes if it is lossy.

        Raises:
            BadClip: the frame cannot be read.
        """
        return pixel_hash(self.read((0,))) if self.is_lossless() else self.fingerprint()

    def content_hash(self) -> str:
        """Return a sha256 (hex) of all frames: of their pixels, or of the coded bytes if the clip is lossy.

        Raises:
            BadClip: the clip is damaged.
        """
        if not self.is_lossless():
            return self.fingerprint()
        digest = hashlib.sha256()
        for block in blocks(self, self.count_frames()):
            for frame in block:
                digest.update(bytes.fromhex(pixel_hash(frame)))
        return digest.hexdigest()

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Decode the first `count` frames one by one, each uint8 [H, W, 3], equal to those of `read`.

        Clips whose files can be decoded frame by frame do so, and keep no earlier frame in memory.

        Raises:
            BadClip: the clip is damaged.
        """
        yield from self.read(range(count))


def pixel_hash(frames: Frames) -> str:
    """Sha256 (hex) of pixels and their shape."""
    shape = f"{frames.shape}\n".encode()
    return hashlib.sha256(shape + np.ascontiguousarray(frames).tobytes()).hexdigest()


def read_in_steps(clip: Clip, count: int, frame_bytes: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode frames as `each_frame` does, for a clip that can read any range of frames cheaply.

    Args:
        clip: read by its method `read`.
        count: number of frames, from the first on.
        frame_bytes: bytes of one frame as it is stored.
    """
    step = max(BLOCK_BYTES // frame_bytes, 1)
    for first in range(0, count, step):
        yield from clip.read(range(first, min(first + step, count)))


def blocks(clip: Clip, count: int) -> Iterator[Frames]:
    """Decode the first `count` frames of a clip, a few at a time, so that long clips need no more memory.

    Yields:
        uint8 [t, H, W, 3] of about `BLOCK_BYTES`, at least one frame.

    Raises:
        BadClip: the clip is damaged, shorter than `count`, or its frames differ in size.
    """
    seen = 0
    shape: tuple[int, ...] | None = None
    block: list[npt.NDArray[np.uint8]] = []
    for frame in clip.each_frame(count):
        if frame.shape != (shape or frame.shape):
            raise BadClip(clip.id, "the frame size changes within the clip")
        shape = frame.shape
        block.append(frame)
        seen += 1
        if len(block) * frame.nbytes >= BLOCK_BYTES:
            yield np.stack(block)
            block = []
    if seen < count:
        raise BadClip(clip.id, f"frame {count - 1} was requested, but there are {seen} frames")
    if block:
        yield np.stack(block)


@dataclass(frozen=True)
class DerivedClip(Clip):
    """Base of clips that change or rename another clip; by default, its frames and group are passed on.

    Attributes:
        inner: the other clip.
    """

    inner: Clip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group is None:
            object.__setattr__(self, "group", self.inner.group)

    def fingerprint(self) -> str:
        return self.inner.fingerprint()

    def stamp(self) -> str:
        return self.inner.stamp()

    def length_key(self, fingerprint: str) -> str:
        return self.inner.length_key(fingerprint)

    @property
    def origin(self) -> str:
        return self.inner.origin

    def count_frames(self) -> int:
        return self.inner.count_frames()

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        return self.inner.frame_times()

    def frame_rate(self) -> float | None:
        return self.inner.frame_rate()

    def value_use(self) -> ValueUse | None:
        return self.inner.value_use()

    def is_lossless(self) -> bool:
        return self.inner.is_lossless()

    def read(self, indices: Sequence[int]) -> Frames:
        return self.inner.read(indices)


@dataclass(frozen=True)
class SameFramesClip(DerivedClip):
    """Base of derived clips with the frames of the other clip, such as one under another name."""

    def first_frame_hash(self) -> str:
        return self.inner.first_frame_hash()

    def content_hash(self) -> str:
        return self.inner.content_hash()

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return self.inner.each_frame(count)


@dataclass(frozen=True)
class Skipped:
    """A file that looked like a clip and could not be used."""

    path: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", printable(self.path))
        object.__setattr__(self, "reason", printable(self.reason))


@dataclass(frozen=True)
class ClipSource:
    """All clips of one folder, archive, URL, array or generator.

    Attributes:
        name: how the user named it (path, URL, `builtin:NAME`), for records.
        clips: sorted by id.
        skipped: files that could not even be listed as clips, with the reason.
        layout: what the user said about folders of images; see `vgbench.clips.layout`.
        left_out: suffix -> number of files that are not read because of it.
        notes: what else a user should know of how the source was read, one sentence each.
    """

    name: str
    clips: Sequence[Clip]
    skipped: Sequence[Skipped] = ()
    layout: str = "auto"
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
