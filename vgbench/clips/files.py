"""Stored files: a local file, a URL, or a member of an archive, all opened in the same way.

A stored file is a small, frozen object that can be pickled, so that decoding workers can open it themselves.
When opened, it is always a seekable binary stream. Nothing is ever unpacked to disk.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from vgbench.errors import BadClip, VgbenchError

WHOLE_DOWNLOAD_BYTES = 2**26
"""Remote files up to this size are fetched with one request; larger ones are read in blocks."""

CHECKED_BYTES = 2**26
"""Members of a zip up to this size are compared with their checksum when a process first opens them."""

CHECKPOINT_BYTES = 2**24
"""Distance in bytes between saved states of the decompressor, which allow random access to a member."""


class StoredFile(ABC):
    """Bytes that can be opened again and again, in any process.

    Attributes:
        size: length in bytes.
    """

    size: int

    @property
    @abstractmethod
    def name(self) -> str:
        """What the user would look for: a path, a URL, or archive/member."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open for reading, seekable.

        Raises:
            OSError: the file is gone or not readable.
        """

    def sha256(self) -> str:
        """Hex digest of all bytes."""
        with self.open() as stream:
            return hashlib.file_digest(cast(Any, stream), "sha256").hexdigest()

    @abstractmethod
    def stamp(self) -> str:
        """Text that changes whenever the bytes may have changed, without reading them.

        Raises:
            OSError: the file is gone or not readable.
        """

    def read_range(self, start: int, length: int) -> bytes:
        """Read exactly `length` bytes from `start`.

        Raises:
            EOFError: the file ends earlier.
        """
        with self.open() as stream:
            stream.seek(start)
            return _checked(stream.read(length), length)


def _checked(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise EOFError(f"ends {length - len(data)} bytes too early")
    return data


@dataclass(frozen=True)
class LocalFile(StoredFile):
    """A file below a local folder, whose path is kept apart so that a million files share one string."""

    folder: str
    relative: str
    size: int

    @property
    def name(self) -> str:
        return os.path.join(self.folder, self.relative)  # noqa: PTH118 - a million of these

    def open(self) -> BinaryIO:
        return open(self.name, "rb")  # noqa: PTH123

    def stamp(self) -> str:
        status = os.stat(self.name)  # noqa: PTH116
        return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


@dataclass(frozen=True)
class LostFile(StoredFile):
    """A file of which only the name is left, such as a broken link.

    Attributes:
        path: what the user would look for.
        reason: why it cannot be read.
    """

    path: str
    reason: str
    size: int = 0

    @property
    def name(self) -> str:
        return self.path

    def open(self) -> BinaryIO:
        raise OSError(self.reason)

    def stamp(self) -> str:
        raise OSError(self.reason)


@dataclass(frozen=True)
class RemoteFile(StoredFile):
    """A file that is read through fsspec.

    Attributes:
        root: URL of the folder that was listed.
        relative: path below it; "" when the URL is the file itself.
        size: in bytes, as the server reports it.
        version: ETag or time of change where the server gives one, so that an outdated cached copy is not
            used.
    """

    root: str
    relative: str
    size: int
    version: str = ""

    @property
    def name(self) -> str:
        return f"{self.root.rstrip('/')}/{self.relative}" if self.relative else self.root

    def stamp(self) -> str:
        return f"{self.name}:{self.size}:{self.version}"

    def open(self) -> BinaryIO:
        if self.size <= WHOLE_DOWNLOAD_BYTES:
            return io.BytesIO(_download(self, 0, self.size))
        file_system, path = file_system_of(self.name)
        with _backend_errors():
            return cast(BinaryIO, file_system.open(path, "rb"))

    def read_range(self, start: int, length: int) -> bytes:
        if self.size <= WHOLE_DOWNLOAD_BYTES:
            data = _download(self, 0, self.size)[start : start + length]
        else:
            data = _download(self, start, start + length)
        return _checked(data, length)


@functools.lru_cache(maxsize=2)
def _download(file: RemoteFile, start: int, end: int) -> bytes:
    # A clip is fingerprinted, counted and read in succession; the small cache turns three requests into one.
    file_system, path = file_system_of(file.name)
    with _backend_errors():
        return cast(bytes, file_system.cat_file(path, start=start, end=end))


@contextmanager
def _backend_errors() -> Iterator[None]:
    """Turn the errors of each protocol's package, which have no common base, into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def file_system_of(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for `url`, and the path within it.

    Raises:
        VgbenchError: the protocol is unknown, or the package for it is not installed.
    """
    import fsspec

    try:
        return cast(tuple[Any, str], fsspec.core.url_to_fs(url))
    except ValueError as error:
        raise VgbenchError(
            f"{url}: {error}",
            "use a local path or a protocol of fsspec, such as s3://, gs://, hf:// or https://",
        ) from error
    except ImportError as error:
        raise VgbenchError(f"{url}: {error}", "install the package for this protocol") from error
    except Exception as error:  # file systems that need more than an address raise all kinds of errors
        raise VgbenchError(
            f"{url}: cannot be opened ({type(error).__name__}: {error})", "check the URL and its protocol"
        ) from error


@dataclass(frozen=True)
class StoredMember(StoredFile):
    """An uncompressed member of an archive: of a tar, or of a zip with method "stored".

    Attributes:
        archive: the file that holds it.
        member: name inside the archive; used as a label and never as a path to write to.
        offset: where its bytes begin; in a zip, where its local header begins (the data follow it).
        size: in bytes.
        in_zip: whether a zip local header lies at `offset`.
        crc: checksum in the zip; None in a tar, and for writers that leave it out, as torch can be told to.
    """

    archive: StoredFile
    member: str
    offset: int
    size: int
    in_zip: bool = False
    crc: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return f"{self.archive.name}/{self.member}"

    def stamp(self) -> str:
        return f"{self.archive.stamp()}:{self.offset}"

    def open(self) -> BinaryIO:
        _require_checksum(self)
        return _span(self.archive, self._start(), self.size)

    def read_range(self, start: int, length: int) -> bytes:
        _require_checksum(self)
        return self.archive.read_range(self._start() + start, max(0, min(length, self.size - start)))

    def _start(self) -> int:
        return _zip_data_offset(self.archive, self.offset) if self.in_zip else self.offset


@dataclass(frozen=True)
class DeflatedMember(StoredFile):
    """A compressed member of a zip, inflated while it is read; it is seekable and never wholly in memory."""

    archive: StoredFile
    member: str
    offset: int
    compressed_size: int
    size: int
    crc: int = field(compare=False)

    @property
    def name(self) -> str:
        return f"{self.archive.name}/{self.member}"

    def stamp(self) -> str:
        return f"{self.archive.stamp()}:{self.offset}"

    def open(self) -> BinaryIO:
        compressed = _span(self.archive, _zip_data_offset(self.archive, self.offset), self.compressed_size)
        return cast(BinaryIO, io.BufferedReader(_Inflating(compressed, self, _checkpoints(self))))

    def read_range(self, start: int, length: int) -> bytes:
        _require_checksum(self)  # `_Inflating` notices damage when it is read to the end
        return super().read_range(start, length)


def _require_checksum(member: StoredMember | DeflatedMember) -> None:
    """Compare a member of a zip with its checksum, once in a process as long as the archive does not change.

    Raises:
        OSError: the member is damaged, or the archive is gone.
    """
    if member.crc is not None and member.size <= CHECKED_BYTES:
        _check_member(member, member.archive.stamp())


@functools.lru_cache(maxsize=4096)
def _check_member(member: StoredMember | DeflatedMember, stamp: str) -> None:  # noqa: ARG001 - the cache's key
    if isinstance(member, DeflatedMember):
        stream = member.open()
    else:
        stream = _span(member.archive, member._start(), member.size)
    crc = 0
    with stream:
        while block := stream.read(2**20):
            crc = zlib.crc32(block, crc)
    if crc != member.crc:
        raise OSError("the checksum in the archive does not match")


def _span(file: StoredFile, start: int, size: int) -> BinaryIO:
    """Open a part of a file as a stream; a remote part that is not large is fetched with one request."""
    if isinstance(file, RemoteFile) and size <= WHOLE_DOWNLOAD_BYTES:
        return io.BytesIO(file.read_range(start, size))
    return cast(BinaryIO, io.BufferedReader(_Slice(file.open(), start, size)))


def _zip_data_offset(archive: StoredFile, header_offset: int) -> int:
    """Find the data after a zip local file header, whose length may differ from that in the directory."""
    header = archive.read_range(header_offset, 30)
    if header[:4] != b"PK\x03\x04":
        raise OSError("the zip archive is damaged here")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    return header_offset + 30 + int(name_length) + int(extra_length)


class _View(io.RawIOBase):
    """A seekable stream of `size` bytes that are made from another stream."""

    def __init__(self, base: BinaryIO, size: int) -> None:
        self._base, self._size, self._position = base, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise OSError("seek before the beginning")
        self._position = start + offset
        return self._position

    def close(self) -> None:
        self._base.close()
        super().close()


class _Slice(_View):
    """Bytes [start, start + size) of another stream, as a stream."""

    def __init__(self, base: BinaryIO, start: int, size: int) -> None:
        super().__init__(base, size)
        self._start = start

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._position))
        self._base.seek(self._start + self._position)
        data = self._base.read(wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@dataclass(frozen=True)
class _Checkpoint:
    inflated: int  # bytes that came out so far
    consumed: int  # compressed bytes that went in so far
    state: Any  # zlib decompressor, to be copied before use


@functools.lru_cache(maxsize=8)
def _checkpoints(member: DeflatedMember) -> list[_Checkpoint]:  # noqa: ARG001 - the cache's key
    return [_Checkpoint(0, 0, zlib.decompressobj(-zlib.MAX_WBITS))]


class _Inflating(_View):
    """A deflate stream that can be read from any position: it restarts at the nearest earlier checkpoint."""

    def __init__(self, compressed: BinaryIO, member: DeflatedMember, checkpoints: list[_Checkpoint]) -> None:
        super().__init__(compressed, member.size)
        self._member, self._checkpoints = member, checkpoints
        self._restart(checkpoints[0])

    def _restart(self, checkpoint: _Checkpoint) -> None:
        self._state = checkpoint.state.copy()
        self._inflated, self._consumed = checkpoint.inflated, checkpoint.consumed
        self._ready = b""  # inflated bytes that end at self._inflated
        self._crc: int | None = 0 if checkpoint.inflated == 0 else None

    def readinto(self, buffer: Any) -> int:
        if self._position >= self._size:
            return 0
        if self._position < self._inflated - len(self._ready):
            self._restart(self._nearest())
        elif self._position >= self._inflated:
            nearest = self._nearest()
            if nearest.inflated > self._inflated:
                self._restart(nearest)
        while self._position >= self._inflated:
            self._inflate_more()
        at = self._position - (self._inflated - len(self._ready))
        data = self._ready[at : at + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _nearest(self) -> _Checkpoint:
        before = [point for point in self._checkpoints if point.inflated <= self._position]
        return max(before, key=lambda point: point.inflated)

    def _inflate_more(self) -> None:
        self._base.seek(self._consumed)
        chunk = self._base.read(2**16)
        self._ready = self._state.decompress(chunk, 2**20)
        self._consumed += len(chunk) - len(self._state.unconsumed_tail)
        if not self._ready and (not chunk or self._state.eof):
            raise EOFError("the compressed data ends too early")
        self._inflated += len(self._ready)
        if self._inflated > self._size:
            raise OSError("unpacks to more bytes than the archive declares")
        if self._crc is not None:
            self._crc = zlib.crc32(self._ready, self._crc)
            if self._inflated == self._size and self._crc != self._member.crc:
                raise OSError("the checksum in the archive does not match")
        if self._inflated >= self._checkpoints[-1].inflated + CHECKPOINT_BYTES:
            self._checkpoints.append(_Checkpoint(self._inflated, self._consumed, self._state.copy()))


DAMAGE = (OSError, EOFError, ValueError, SyntaxError, MemoryError, OverflowError, struct.error, zlib.error)
"""Raised by readers on damaged, missing or huge files; Pillow reports broken PNG chunks as SyntaxError."""


@contextmanager
def bad_clip_on_error(name: str, *also: type[Exception]) -> Iterator[None]:
    """Turn errors of readers on damaged or missing files, and those in `also`, into `BadClip`."""
    errors: tuple[type[Exception], ...] = (*DAMAGE, *also)
    try:
        yield
    except errors as error:
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        raise BadClip(name, reason.splitlines()[0].rstrip(".")) from error
