"""Manifests: a CSV or JSON-lines file that names clips, their labels and, optionally, a window of each.

Columns: `path` (relative to the manifest, absolute, or a URL), and optionally `start` (first frame), `frames`
(their number), `label`, `group` (a name that clips share which are not independent, such as the video that
they were cut from), and `fps`, the frame rate of a clip that does not state one itself, such as a folder of
frames.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from vgbench.clips.clip import Clip, Frames
from vgbench.clips.files import StoredFile
from vgbench.clips.images import check_indices
from vgbench.config import Config, parse
from vgbench.errors import BadClip, ConfigError

MANIFESTS = (".csv", ".jsonl", ".ndjson")


class Row(Config):
    """One line of a manifest."""

    path: str = Field(min_length=1)
    start: int = Field(default=0, ge=0)
    frames: int | None = Field(default=None, gt=0)
    label: str | None = None
    group: str | None = Field(default=None, min_length=1)
    fps: float | None = Field(default=None, gt=0)

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

    def read(self, indices: Sequence[int]) -> Frames:
        if self.frames is not None:
            check_indices(self.id, indices, self.frames)
        return self.clip.read([index + self.start for index in indices])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return itertools.islice(self.clip.each_frame(self.start + count), self.start, None)


def read_manifest(file: StoredFile) -> list[Row]:
    """Read and check all lines.

    Raises:
        ConfigError: a line is not allowed, or names a window for the second time; the message says which.
    """
    with file.open() as stream:
        data = stream.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file.name}: not UTF-8 text") from error
    records = (
        _csv_records(text, file.name)
        if file.name.lower().endswith(".csv")
        else _json_records(text, file.name)
    )
    rows: dict[str, Row] = {}
    for line, record in records:
        row = parse(Row, record, f"{file.name}, line {line}")
        if row.id in rows:
            raise ConfigError(
                f"{file.name}, line {line}: '{row.id}' is named twice", "remove one of the two lines"
            )
        rows[row.id] = row
    if not rows:
        raise ConfigError(f"{file.name}: names no clip", "give it a 'path' column and at least one line")
    return list(rows.values())


def _csv_records(text: str, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="(beyond the last column)")
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
        numbers = {key: str(record[key]) for key in ("label", "group") if isinstance(record.get(key), int)}
        yield line, record | numbers
