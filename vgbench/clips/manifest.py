"""Manifests: a CSV or JSON-lines file that names clips, their labels and, optionally, a window of each.

Columns: `path` (relative to the manifest, absolute, or a URL), and optionally `start` (first frame), `frames`
(their number), `label`, `group` (a name that clips share which are not independent, such as the video that
they were cut from), `fps`, the frame rate of a clip that does not state one itself, such as a folder of
frames, and `value_range` and `axes` of arrays. Other usual names of these columns are known as well.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vgbench.clips.axes import GivenAxes
from vgbench.clips.clip import Clip, Frames
from vgbench.clips.files import StoredFile
from vgbench.clips.images import check_indices
from vgbench.clips.lists import is_list, list_records
from vgbench.clips.suffixes import LISTS
from vgbench.clips.value_range import GivenRange, ValueUse
from vgbench.config import Config, parse
from vgbench.errors import BadClip, ConfigError

COLUMNS = {
    "path": (
        *("path", "file", "filename", "file_name", "filepath", "file_path"),
        *("video", "video_path", "video_file", "clip", "clip_path"),
    ),
    "label": ("label", "class", "category", "class_name", "label_name", "action"),
    "group": ("group", "group_id"),
    "start": ("start", "start_frame"),
    "frames": ("frames",),
    "fps": ("fps", "frame_rate"),
    "value_range": ("value_range",),
    "axes": ("axes",),
}
"""What each column of a manifest may be called. The first name counts if there are several."""

CUTS = frozenset(
    (
        *("end", "end_frame", "stop", "stop_frame", "duration", "start_time", "end_time"),
        *("time_start", "time_end", "start_sec", "end_sec", "t_start", "t_end"),
    )
)
"""Columns that cut clips in ways of their own, so that a manifest with them must not be read without them."""


_ALL_NAMES = [name for names in COLUMNS.values() for name in names]
BEYOND = "(beyond the last column)"


class Row(Config):
    """One line of a manifest."""

    path: str = Field(min_length=1)
    start: int = Field(default=0, ge=0)
    frames: int | None = Field(default=None, gt=0)
    label: str | None = None
    group: str | None = Field(default=None, min_length=1)
    fps: float | None = Field(default=None, gt=0)
    value_range: GivenRange = None
    axes: GivenAxes | None = None

    @property
    def id(self) -> str:
        """`path`, or `path@start+frames` for a window."""
        if self.start == 0 and self.frames is None:
            return self.path
        return f"{self.path}@{self.start}" + ("" if self.frames is None else f"+{self.frames}")


@dataclass(frozen=True)
class WindowClip(Clip):
    """Frames [start, start + frames) of another clip; where `frames` is None, up to its end."""

    clip: Clip
    start: int
    frames: int | None

    def fingerprint(self) -> str:
        # Frame indices count from the window's start, so equal features need an equal start.
        whole = self.clip.fingerprint()
        return hashlib.sha256(f"{whole}@{self.start}".encode()).hexdigest() if self.start else whole

    def stamp(self) -> str:
        return f"{self.clip.stamp()}@{self.start}+{self.frames}"

    def length_key(self, fingerprint: str) -> str:
        return f"{self.clip.length_key(fingerprint)}+{self.frames}"

    @property
    def origin(self) -> str:
        return self.clip.origin

    def count_frames(self) -> int:
        left = self.clip.count_frames() - self.start
        if left < (self.frames or 1):
            raise BadClip(self.id, f"the window ends after the last frame (the clip has {self.start + left})")
        return self.frames or left

    def frame_times(self) -> npt.NDArray[np.float64] | None:
        times = self.clip.frame_times()
        if times is None:
            return None
        kept = times[self.start : self.start + self.count_frames() + 1]
        return np.asarray(kept - kept[0])

    def frame_rate(self) -> float | None:
        return self.clip.frame_rate()

    def value_use(self) -> ValueUse | None:
        return self.clip.value_use()

    def read(self, indices: Sequence[int]) -> Frames:
        if self.frames is not None:
            check_indices(self.id, indices, self.frames)
        return self.clip.read([index + self.start for index in indices])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return itertools.islice(self.clip.each_frame(self.start + count), self.start, None)


@dataclass(frozen=True)
class Manifest:
    """The lines of a manifest.

    Attributes:
        rows: one for each line.
        unused: names of the columns that mean nothing to vgbench.
    """

    rows: list[Row]
    unused: tuple[str, ...] = ()


def read_manifest(file: StoredFile, exists: Callable[[str], bool] = lambda _: False) -> Manifest:
    """Read and check all lines of a manifest or of a list.

    Args:
        file: one of `vgbench.clips.suffixes.MANIFESTS` or `LISTS`.
        exists: whether a path is there, for lists; see `list_records`.

    Raises:
        ConfigError: a line is not allowed, or names a window for the second time; the message says which.
    """
    with file.open() as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name}: not UTF-8 text") from error
    unused: dict[str, None] = {}
    rows: dict[str, Row] = {}
    for line, record in _records(text, file.name, exists):
        row = parse(Row, _renamed(record, unused, f"{file.name}, line {line}"), f"{file.name}, line {line}")
        if row.id in rows:
            raise ConfigError(
                f"{file.name}, line {line}: '{row.id}' is named twice", "remove one of the two lines"
            )
        rows[row.id] = row
    if not rows:
        raise ConfigError(f"{file.name}: names no clip", "give it a 'path' column and at least one line")
    return Manifest(list(rows.values()), tuple(unused))


def _records(text: str, name: str, exists: Callable[[str], bool]) -> Iterator[tuple[int, dict[str, Any]]]:
    suffix = name.lower()
    if suffix.endswith(LISTS):
        return list_records(text, exists)
    if not suffix.endswith((".csv", ".tsv")):
        return _json_records(text, name)
    if is_list(text):
        return list_records(text, exists)
    return _csv_records(text, name)


def _renamed(record: Mapping[str, Any], unused: dict[str, None], where: str) -> dict[str, Any]:
    """Return a line with the names of columns that `Row` has; add those of other columns to `unused`.

    Raises:
        ConfigError: two columns may mean the same, a name looks like a misspelt one, or cuts clips.
    """
    names = {key: re.sub(r"[\s-]+", "_", key.strip().lower()) for key in record}
    found: dict[str, Any] = {}
    used: set[str] = set()
    for column, known in COLUMNS.items():
        keys = [key for key in record if names[key] in known]
        first = [key for key in keys if names[key] == column] or keys
        if len(first) > 1:
            raise ConfigError(
                f"{where}: {' and '.join(map(repr, first))} may both be the {column}",
                f"rename the one to use to '{column}'",
            )
        if first:
            found[column] = record[first[0]]
            used.add(first[0])
    for key, name in names.items():
        if key in used:
            continue
        alike = difflib.get_close_matches(name, _ALL_NAMES, 1, 0.8) if name not in _ALL_NAMES else []
        if alike or key == BEYOND:
            hint = f"did you mean '{alike[0]}'?" if alike else "give every column a name in the first line"
            raise ConfigError(f"{where}: unknown key '{key}'", hint)
        if name in CUTS:
            raise ConfigError(
                f"{where}: '{key}' is not read, so clips would be longer than the file says",
                "state windows by 'start' (first frame) and 'frames' (their number), or remove the column",
            )
        unused[key] = None
    return found


def _csv_records(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    header = text.partition("\n")[0]
    delimiter = next((one for one in ",;\t" if one in header), ",")
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=BEYOND, delimiter=delimiter)
    try:
        for record in reader:
            yield (
                reader.line_num,
                {key.strip(): value for key, value in record.items() if value not in ("", None)},
            )
    except csv.Error as error:
        raise ConfigError(f"{name}, line {reader.line_num}: not CSV: {error}") from error


def _json_records(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{name}, line {line}: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise ConfigError(f"{name}, line {line}: must be an object with a 'path'")
        named = {*COLUMNS["label"], *COLUMNS["group"]}
        yield (
            line,
            {k: str(v) if k.lower() in named and isinstance(v, int) else v for k, v in record.items()},
        )
