"""Index of the frames of a video: where decoding may begin, and what it must give.

Few containers say truly at which frame a decoder may begin, and few codecs keep to it: open groups of
pictures, intra refresh, edit lists, streams without time stamps. An index that was made while the whole file
was decoded therefore keeps a checksum of every frame. A window that was decoded from somewhere else is used
only if its frames have these checksums; otherwise the file is decoded from the beginning.

Such indices are kept beside the features in the cache folder, under the hash of the file's bytes, the version
of the readers and that of FFmpeg.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vgbench.clips.files import StoredFile
from vgbench.clips.pixel_checksums import of_planes
from vgbench.clips.reader_version import READER_VERSION
from vgbench.storage import atomic
from vgbench.storage.cache_folder import cache_folder

if TYPE_CHECKING:
    from av import VideoFrame

WORTH_SEEKING = 48
"""Frames that a seek must save to be worth it; for fewer, decoding from the start is as fast. Frames before
it need no checksum, and shorter clips no index."""

NO_STAMP = -(2**63)
"""Stands for the time stamp of a frame that has none, as in FFmpeg."""

FOLDER = "VGBENCH_FRAME_INDEX"
"""Variable that names another folder for the indices."""

_REMEMBERED = 32  # indices of as many long clips stay in memory
_recent: OrderedDict[tuple[StoredFile, str], FrameIndex] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class FrameIndex:
    """The frames of a file, in the order in which they are shown.

    Attributes:
        stamps: time stamps in the unit of the stream, int64 [T]; `NO_STAMP` where there is none.
        keys: whether a frame is marked as one to begin at, bool [T].
        checksums: `checksum` of each frame after `WORTH_SEEKING`, uint32 [T]; None if the packets were only
            listed.
    """

    stamps: npt.NDArray[np.int64]
    keys: npt.NDArray[np.bool_]
    checksums: npt.NDArray[np.uint32] | None = None

    def __len__(self) -> int:
        return len(self.stamps)

    def positions(self) -> dict[int, int]:
        """Map each time stamp that only one frame has to the position of that frame."""
        stamps, first, counts = np.unique(self.stamps, return_index=True, return_counts=True)
        once = (counts == 1) & (stamps != NO_STAMP)
        return dict(zip(stamps[once].tolist(), first[once].tolist(), strict=True))

    def starts(self, frame: int) -> list[int]:
        """Return the keyframes from which `frame` may be reached, the nearest first.

        Some decoders, such as libvpx, mark none; the container then has to know the one before `frame`.
        """
        if not self.keys.any():
            return [frame]
        return [int(key) for key in np.flatnonzero(self.keys[: frame + 1])[::-1]]

    def stamp_before(self, frame: int) -> int | None:
        """Return the stamp of a frame, or else that of the nearest one before it that has one."""
        known = np.flatnonzero(self.stamps[: frame + 1] != NO_STAMP)
        return int(self.stamps[known[-1]]) if len(known) else None


class IndexBuilder:
    """Collects the index of a file while its frames are decoded from the first to the last."""

    def __init__(self) -> None:
        self._stamps: list[int] = []
        self._keys: list[bool] = []
        self._checksums: list[int] = []

    def add(self, frame: VideoFrame) -> None:
        """Add the next frame."""
        worth_it = len(self._stamps) > WORTH_SEEKING
        self._stamps.append(NO_STAMP if frame.pts is None else frame.pts)
        self._keys.append(bool(frame.key_frame))
        self._checksums.append(checksum(frame) if worth_it else 0)

    def index(self) -> FrameIndex:
        """Return the index of the frames so far."""
        return FrameIndex(
            np.array(self._stamps, dtype=np.int64),
            np.array(self._keys, dtype=np.bool_),
            np.array(self._checksums, dtype=np.uint32),
        )


def checksum(frame: VideoFrame) -> int:
    """Return a CRC-32 of a decoded frame and of what else its RGB values depend on."""
    about = (frame.format.name, frame.width, frame.height, int(frame.color_range), int(frame.colorspace))
    start = zlib.crc32(repr(about).encode())
    value = of_planes(frame, start)
    if value is None:
        return zlib.crc32(np.ascontiguousarray(frame.to_ndarray(format="rgba")).data, start)
    return value


def recall(file: StoredFile) -> FrameIndex | None:
    """Return the index of a file that this process has seen, unless the file may have changed since.

    Raises:
        OSError: the file is gone.
    """
    with _lock:
        return _recent.get((file, file.stamp()))


def remember(file: StoredFile, index: FrameIndex) -> None:
    """Keep the index of a long clip in memory.

    Raises:
        OSError: the file is gone.
    """
    if len(index) <= WORTH_SEEKING:
        return
    with _lock:
        _recent[file, file.stamp()] = index
        while len(_recent) > _REMEMBERED:
            _recent.popitem(last=False)


def load(file: StoredFile) -> FrameIndex | None:
    """Read the index of a file from the cache folder; None if there is none, or if it is damaged.

    Raises:
        OSError: the file is gone.
    """
    path = _path(file)
    try:
        data = io.BytesIO(path.read_bytes())
        with np.load(data, allow_pickle=False) as stored:  # which checks its checksums
            index = FrameIndex(stored["stamps"], stored["keys"], stored["checksums"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    with contextlib.suppress(OSError):  # the folder may be shared read-only
        path.touch()  # the least recently used files are removed first
    return index


def save(file: StoredFile, index: FrameIndex) -> None:
    """Write the index of a long clip, with its checksums, to the cache folder, if that can be written to.

    Raises:
        OSError: the file is gone.
    """
    if len(index) <= WORTH_SEEKING or index.checksums is None:
        return
    data = io.BytesIO()
    np.savez_compressed(data, stamps=index.stamps, keys=index.keys, checksums=index.checksums)
    path = _path(file)
    with contextlib.suppress(OSError):  # it only saves time
        atomic.write_bytes(path, data.getvalue())


def _path(file: StoredFile) -> Path:
    import av

    text = f"{_hash(file, file.stamp())}|reader {READER_VERSION}|{sorted(av.library_versions.items())}"
    return folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.npz"


@functools.lru_cache(maxsize=1024)
def _hash(file: StoredFile, stamp: str) -> str:  # noqa: ARG001 - a part of the cache's key
    return file.sha256()


def folder() -> Path:
    """Return the folder of the indices; it is not created."""
    elsewhere = os.environ.get(FOLDER)
    return Path(elsewhere) if elsewhere else cache_folder("features") / "frame-index"


@contextmanager
def kept_in(place: Path) -> Iterator[None]:
    """Keep the indices elsewhere within the `with` block, in decoding processes as well."""
    before = os.environ.get(FOLDER)
    os.environ[FOLDER] = str(place)
    try:
        yield
    finally:
        if before is None:
            del os.environ[FOLDER]
        else:
            os.environ[FOLDER] = before
