"""Feature store: results of extractors and clip metrics on disk, so that they are computed only once.

The key of an entry hashes the clip's bytes, the frame indices and the resize policy; the name of its table
hashes what produced it (extractor id, weights, preprocessing, precision). Entries are appended in segment
files whose names are the sha256 of their bytes, so that
- processes never write to the same file and need no locks;
- a killed run loses at most the entries since its last flush;
- a damaged segment is noticed when it is read, and its entries are computed again; it is removed at the next
  flush. A segment that only cannot be read at the moment (another user's, too many open files) is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from vgbench.clips.reader_version import READER_VERSION
from vgbench.environment import positive_number
from vgbench.protocol.pixels import Resize
from vgbench.storage import atomic
from vgbench.storage.cache_folder import cache_folder
from vgbench.storage.writing import writing_to

Row = dict[str, npt.NDArray[np.generic]]
"""Results of one producer for one window: name -> array of a fixed shape."""

LIMIT = "VGBENCH_STORE_GIGABYTES"
FORMAT = 2
"""Version of what a key stands for; rows of other versions are never read."""
_KEY_BYTES = 32
_FLUSH_ROWS = 1024
_FLUSH_SECONDS = 20.0
_STALE_SECONDS = 86400.0  # no process needs a day to write a segment


def limit_bytes() -> int:
    """Largest size of the store in bytes: 20 GiB, or `VGBENCH_STORE_GIGABYTES`.

    Raises:
        ConfigError: the variable is not a positive number.
    """
    return int(positive_number(LIMIT, 20.0, "a positive number of GiB") * 2**30)


def window_key(fingerprint: str, frames: Sequence[int], resize: Resize) -> bytes:
    """Key of one window: clip bytes, version of the readers, frame indices, spatial policy."""
    indices = ",".join(map(str, frames))
    text = f"{fingerprint}|reader {READER_VERSION}|{indices}|{resize.describe()}"
    return hashlib.sha256(text.encode()).digest()


@dataclass
class FeatureStore:
    """A folder of tables, which several processes may share.

    Args:
        folder: its path; the cache folder by default.
        limit_bytes: largest size in bytes, which `prune` enforces.

    Attributes:
        pruned: numbers of (files, bytes) that `prune` has removed so far.
        damaged: names of the damaged segments that its tables have found.
    """

    folder: Path = field(default_factory=lambda: cache_folder("features"))
    limit_bytes: int = field(default_factory=limit_bytes)
    pruned: tuple[int, int] = field(default=(0, 0), init=False)
    damaged: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def table(self, producer: str) -> Table:
        """Open the table of one producer, such as `i3d-k400@2a5c|tf1|float32` or `warping_error@1`.

        Raises:
            VgbenchError: the folder cannot be written to.
        """
        producer = f"format {FORMAT}|{producer}"
        name = hashlib.sha256(producer.encode()).hexdigest()[:32]
        folder = self.folder / name
        remedy = "set VGBENCH_CACHE to a folder that can be written to, or pass --no-store"
        with writing_to(f"feature store {self.folder}", remedy):
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "producer.txt").exists():
                atomic.write_text(folder / "producer.txt", producer + "\n")
        return Table(folder, producer, self.damaged)

    def older_tables(self) -> int:
        """Count the tables of older formats, which are kept and never read."""
        count = 0
        for path in self.folder.glob("*/producer.txt"):
            with contextlib.suppress(OSError):
                count += not path.read_text(encoding="utf-8").startswith(f"format {FORMAT}|")
        return count

    def segments(self) -> list[tuple[Path, int, float]]:
        """List (file, bytes, time of last use) of segments and frame indices, least recently used first."""
        found = []
        for path in (*self.folder.glob("*/*.safetensors"), *self.folder.glob("frame-index/*.npz")):
            if atomic.is_temporary(path):  # another process is writing it
                continue
            try:
                status = path.stat()
            except FileNotFoundError:  # pruned by another process meanwhile
                continue
            found.append((path, status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: entry[2])

    def prune(self, limit_bytes: int | None = None) -> tuple[int, int]:
        """Remove the least recently used segments until the store is within its limit.

        A reader that has indexed a removed segment computes its entries again; there is no other effect.

        Returns:
            (files removed, bytes removed).
        """
        for table in self.folder.glob("*"):
            atomic.remove_leftovers(table, _STALE_SECONDS)
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        segments = self.segments()
        total = sum(size for _, size, _ in segments)
        files = freed = 0
        for path, size, _ in segments:
            if total - freed <= limit:
                break
            path.unlink(missing_ok=True)
            files, freed = files + 1, freed + size
        self.pruned = (self.pruned[0] + files, self.pruned[1] + freed)
        return files, freed


class Table:
    """Entries of one producer. Reads are verified; writes are buffered until `flush`."""

    def __init__(self, folder: Path, producer: str, damaged: list[str]) -> None:
        self.folder = folder
        self.producer = producer
        self._all_damaged = damaged
        self._to_remove: list[str] = []
        self._index: dict[bytes, tuple[str, int]] = {}
        self._segments: dict[str, Mapping[str, npt.NDArray[np.generic]] | None] = {}
        self._listed: set[str] = set()
        self._pending: dict[bytes, Row] = {}
        self._last_flush = time.monotonic()
        self.refresh()

    def refresh(self) -> None:
        """Index the segments that other processes have written since the last call."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name in self._listed or atomic.is_temporary(path):
                continue
            self._listed.add(path.name)
            try:
                with safetensors.safe_open(path, framework="numpy") as file:
                    keys = file.get_tensor("keys")
            except (OSError, safetensors.SafetensorError):
                self._load(path.name)  # distinguishes damage from what cannot be read at the moment
                continue
            for row, key in enumerate(keys):
                self._index.setdefault(key.tobytes(), (path.name, row))

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __len__(self) -> int:
        return len(self._index.keys() | self._pending.keys())

    def get(self, key: bytes) -> Row | None:
        """Return the entry, or None when it is not there or its segment is damaged."""
        if key in self._pending:
            return self._pending[key]
        place = self._index.get(key)
        if place is None:
            return None
        name, row = place
        arrays = self._load(name)
        if arrays is None:
            return None
        return {field: values[row] for field, values in arrays.items() if field != "keys"}

    def put(self, key: bytes, row: Row) -> None:
        """Add an entry; it is written at the next flush, which happens automatically every few seconds."""
        self._pending[key] = row
        due = time.monotonic() - self._last_flush > _FLUSH_SECONDS
        if due or len(self._pending) >= _FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the pending entries atomically, as one segment.

        Raises:
            VgbenchError: the disk is full or cannot be written to.
        """
        self._last_flush = time.monotonic()
        self._remove_damaged()
        if not self._pending:
            return
        keys = np.frombuffer(b"".join(self._pending), dtype=np.uint8).reshape(-1, _KEY_BYTES)
        names = next(iter(self._pending.values())).keys()
        arrays = {name: np.stack([row[name] for row in self._pending.values()]) for name in names}
        data = safetensors.numpy.save({"keys": keys, **arrays}, {"producer": self.producer})
        name = f"{hashlib.sha256(data).hexdigest()}.safetensors"
        remedy = "free space with `vgbench cache prune --all`, or pass --no-store"
        with writing_to(f"feature store {self.folder}", remedy):
            atomic.write_bytes(self.folder / name, data)
        for row, key in enumerate(self._pending):
            self._index[key] = (name, row)
        self._segments[name] = {"keys": keys, **arrays}
        self._listed.add(name)
        self._pending = {}

    def _load(self, name: str) -> Mapping[str, npt.NDArray[np.generic]] | None:
        if name not in self._segments:
            path = self.folder / name
            self._segments[name] = None
            try:
                data = path.read_bytes()
                if _is_whole(data, name):
                    self._segments[name] = safetensors.numpy.load(data)
            except OSError:  # pruned meanwhile, or unreadable at the moment, which is not damage
                self._forget(name)
                return None
            except safetensors.SafetensorError:
                pass
            if self._segments[name] is None:
                self._forget(name)
                self._to_remove.append(name)
                self._all_damaged.append(name)
            else:
                with contextlib.suppress(OSError):  # the store may be shared read-only
                    path.touch()  # `prune` removes the least recently used
        return self._segments[name]

    def _forget(self, name: str) -> None:
        """Remove a segment from the index, so that its entries are computed again."""
        self._index = {key: place for key, place in self._index.items() if place[0] != name}

    def _remove_damaged(self) -> None:
        """Remove damaged segments, unless another process has written them again.

        Only a process that writes does this, because a decoding worker could not report the damage.
        """
        for name in self._to_remove:
            path = self.folder / name
            with contextlib.suppress(OSError):  # removed already, or the store is shared read-only
                if not _is_whole(path.read_bytes(), name):
                    path.unlink()
        self._to_remove = []


def _is_whole(data: bytes, name: str) -> bool:
    """Whether a segment's bytes are those from which its name was made."""
    return hashlib.sha256(data).hexdigest() == Path(name).stem
