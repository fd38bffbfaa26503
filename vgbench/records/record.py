"""Record: everything that one evaluation found and how it was done, as one schema-versioned JSON file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from vgbench.config import Config
from vgbench.errors import VgbenchError
from vgbench.metrics.score import Score
from vgbench.records.signature import Signature
from vgbench.storage import atomic

SCHEMA = 1
HASH = "sha256"
"""Key of a record's own hash in its JSON."""
LARGEST_RECORD = 64 * 2**20
"""Bytes of a JSON file in a folder that are looked at to tell whether it is a record."""
NOT_COMPARABLE = "not-comparable"
"""Code of the warning that no published scores were made with a record's extractor."""
BELOW_REAL = "below-real"
"""Code of the warning that a score's interval lies below the real clips' value; the sentence has both."""
DAMAGED_STORE = "damaged-store"
"""Code of the warning that stored features were damaged; no score rests on them."""
CHANGED = "changed-record"
"""Code of the warning on a record whose content is not what was written."""


class ClipUse(Config):
    """One clip that was scored: where it came from, which bytes, which frames."""

    id: str
    sha256: str
    frames: tuple[int, ...]
    label: str | None = None


class SkippedClip(Config):
    """One clip that was not scored, and why."""

    path: str
    reason: str


class ClipSet(Config):
    """The clips of one side.

    Attributes:
        source: path, URL or `builtin:NAME`, as the user gave it.
        used: number of windows scored.
        clips: number of source clips they were cut from.
        found: number of clips in the source.
        manifest_hash: sha256 over every window's content hash and frame indices, in sampling order.
        skipped: clips that could not be used.
        windows: the windows themselves, in sampling order.
    """

    source: str
    used: int
    clips: int
    found: int
    manifest_hash: str
    skipped: tuple[SkippedClip, ...] = ()
    windows: tuple[ClipUse, ...] = ()


class ExtractorUse(Config):
    """The network that the scores rest on."""

    id: str
    weights: str
    licence: str
    comparable_with: str


class Clips(Config):
    """Both sides of a comparison."""

    generated: ClipSet
    real: ClipSet


class Record(Config):
    """One evaluation of one model. Append-only: a later evaluation is another file.

    Attributes:
        model: name shown in tables.
        signature: how the scores were made; two records compare only if this line is equal.
        signature_fields: the same line as (key, value) pairs, so that nothing parses the text.
        protocol: the resolved protocol, every choice spelled out.
        scores: metric name -> score.
        signatures: metric name -> the part of the signature that this metric depends on.
        clips: manifests of both sides.
        environment: versions, platform, threads.
        seconds: wall time of each stage.
        warnings: (code, sentence) pairs about anything that weakens the scores.
        created: ISO 8601, UTC.
        thumbnails: path relative to the record's folder -> sha256 of a small animated WebP picture, named
            `<stem>.clips/generated-0.webp`, `<stem>.clips/real-0.webp` and so on, and
            `generated-nearest.webp`, `generated-farthest.webp` by distance to the mean of the real features.
        details: what the run wants to keep beside the scores (training cost, curves), by name. `evaluate`
            adds "picks", thumbnail -> the rule that chose it ("seeded", "sorted", "nearest", "farthest"), and
            "better", score -> direction, for metrics that vgbench does not ship.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants"
    )

    schema_version: Literal[1] = Field(default=1, alias="schema")
    model: str
    signature: str
    signature_fields: tuple[tuple[str, str], ...] = Field(min_length=1)
    protocol: dict[str, Any]
    scores: dict[str, Score]
    signatures: dict[str, str]
    extractor: ExtractorUse | None
    clips: Clips
    environment: dict[str, str]
    seconds: dict[str, float]
    warnings: tuple[tuple[str, str], ...] = ()
    created: str
    thumbnails: dict[str, str] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)

    def to_json(self) -> str:
        """Return the record as indented JSON with a trailing newline."""
        values = self.model_dump(mode="json", by_alias=True)
        return json.dumps({**values, HASH: content_hash(values)}, indent=1, ensure_ascii=False) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write to `path`: a file, or a folder, where the name is `stem` and no other record is replaced.

        Raises:
            VgbenchError: the place cannot be written to, or holds another record of that name.
        """
        path, text = Path(path), self.to_json()
        try:
            if path.suffix == ".json":
                atomic.write_text(path, text)
            else:
                path = path / f"{self.stem}.json"
                atomic.write_new(path, text.encode())
        except OSError as error:
            if isinstance(error, FileExistsError) and path.is_file():
                if path.read_text(encoding="utf-8") == text:
                    return path
                raise VgbenchError(
                    f"{path}: another record is there already",
                    "records are never overwritten; evaluate again",
                ) from error
            raise VgbenchError(
                f"{path}: cannot write the record ({error.strerror})",
                "free space there, or choose another folder",
            ) from error
        return path

    @property
    def stem(self) -> str:
        """File name without suffix: model, short signature, time to the millisecond, and eight hex digits.

        The digits are a hash of model, signature, both manifests, time and durations, so that two evaluations
        never share a name, and of nothing that may be added to a record once it is made.
        """
        made = {
            "model": self.model,
            "signature": self.signature,
            "manifests": [self.clips.generated.manifest_hash, self.clips.real.manifest_hash],
            "created": self.created,
            "seconds": self.seconds,
        }
        return f"{self._stem(23)}-{content_hash(made)[:8]}"

    @property
    def older_stem(self) -> str:
        """`stem` as it was before it ended in a hash; thumbnails of such records lie there."""
        return self._stem(19)

    def _stem(self, digits: int) -> str:
        model = re.sub(r"[^A-Za-z0-9._-]+", "-", self.model).strip(".-")[:80] or "model"
        short = Signature(self.signature_fields).short_hash
        return f"{model}-{short}-{re.sub('[^0-9T]', '', self.created[:digits])}"


def load_record(path: str | Path) -> Record:
    """Read one record.

    Raises:
        VgbenchError: not there, not JSON, or not a record of a schema that this version reads.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(values, ensure_ascii=False).encode()  # half a character, as JSON may spell it, is no text
    except (OSError, UnicodeDecodeError) as error:
        raise VgbenchError(f"{path}: cannot be read ({error})") from error
    except (ValueError, RecursionError) as error:
        raise VgbenchError(
            f"{path}: not valid JSON ({error})", "the file is damaged; evaluate again"
        ) from error
    if not isinstance(values, dict) or "schema" not in values:
        raise VgbenchError(f"{path}: not a vgbench record", "records are written by `vgbench eval`")
    if values["schema"] != SCHEMA:
        raise VgbenchError(
            f"{path}: record schema {values['schema']!r}, this version reads {SCHEMA}", "update vgbench"
        )
    return parse_record(values, str(path))


def parse_record(values: Mapping[str, Any], where: str) -> Record:
    """Make a record of what its JSON holds.

    Content that is not what was written (its `sha256` differs: an edit, or a damaged disk) becomes a warning
    of the record, `CHANGED`; every command that shows the record says so, and `submit`, `verify` and `gate`
    refuse it.

    Raises:
        VgbenchError: not a record; names `where`, the key and what is wrong.
    """
    content = {key: value for key, value in values.items() if key != HASH}
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise VgbenchError(f"{where}: damaged record: '{key}': {first['msg']}") from error
    if HASH in values and values[HASH] != content_hash(content):
        name = PurePath(where).name  # the sentence is published
        changed = (CHANGED, f"{name} was changed after it was written: its sha256 differs; evaluate again")
        record = record.model_copy(update={"warnings": (*record.warnings, changed)})
    return record


def require_unchanged(record: Record) -> None:
    """Refuse a record whose content is not what was written.

    Raises:
        VgbenchError: it was changed; names its file.
    """
    for code, sentence in record.warnings:
        if code == CHANGED:
            raise VgbenchError(sentence)


def content_hash(values: Mapping[str, Any]) -> str:
    """Sha256 over the content of a record, however its JSON is laid out."""
    plain = json.loads(json.dumps(values))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def find_records(paths: Iterable[str | Path]) -> list[Path]:
    """List record files: files as given, folders searched recursively for `*.json`, sorted, each once.

    Raises:
        VgbenchError: a path does not exist, or nothing was found.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            candidates = (p for p in path.rglob("*.json") if not p.name.startswith("."))
            found.update(dict.fromkeys(sorted(p for p in candidates if _is_record(p))))
        elif path.is_file():
            found[path] = None
        else:
            raise VgbenchError(f"{path}: no such file or folder")
    if not found:
        raise VgbenchError(
            f"no records under {', '.join(map(str, paths))}",
            "make one with `vgbench eval … --results FOLDER`",
        )
    return list(found)


def _is_record(path: Path) -> bool:
    """Tell records from other JSON in a results folder, such as audits, by how they begin.

    One that another program laid out anew, such as with sorted keys, is told by what it holds.

    Raises:
        VgbenchError: it cannot be read.
    """
    if not path.is_file():  # a folder of that name, a link to nothing, a pipe that nobody writes to
        return False
    try:
        with path.open("rb") as file:
            start = file.read(64)
            if b'"schema"' in start and b'"model"' in start:
                return True
            text = start + file.read(LARGEST_RECORD)
    except OSError as error:
        raise VgbenchError(f"{path}: cannot be read ({error.strerror})") from error
    if b'"schema"' not in text or b'"signature_fields"' not in text:
        return False
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and {"schema", "model", "signature_fields"} <= set(values)


def now() -> str:
    """The time as records write it: UTC, to the millisecond, such as 2026-01-02T03:04:05.678Z."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Describe what the scores were computed with: versions, platform, threads. No host or user names."""
    packages = ("vgbench", "torch", "numpy", "scipy", "av", "pillow", "opencv-python-headless")
    versions = {name: _version(name) for name in packages}
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        **versions,
        **(extra or {}),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
