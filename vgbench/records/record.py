"""Record: everything that one evaluation found and how it was done, as one versioned JSON file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from vgbench.clips.clip import printable
from vgbench.config import Config
from vgbench.errors import VgbenchError
from vgbench.metrics.direction import direction
from vgbench.metrics.score import Score
from vgbench.records.consistency import contradictions
from vgbench.records.signature import Signature
from vgbench.storage import atomic
from vgbench.storage.writing import writing_to

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
HASH = "sha256"
"""Key of a record's hash of itself in its JSON."""
LARGEST_RECORD = 64 * 2**20
"""Number of bytes of a JSON file that are read to find out whether it is a record."""
NOT_COMPARABLE = "not-comparable"
"""Warning code: no published scores were made with the extractor of the record."""
BELOW_REAL = "below-real"
"""Warning code: the interval of a score lies below the real clips' value; the sentence has both."""
DAMAGED_STORE = "damaged-store"
"""Warning code: stored features were damaged; no score is based on them."""
CHANGED = "changed-record"
"""Warning code: the content of the record is not what was written."""
COLLAPSED = "collapsed-set"
"""Warning code: all windows of a side are the same."""
DEPENDENT = "dependent-sets"
"""Warning code: generated windows are windows of the real set."""
INCONSISTENT = "impossible-score"
"""Warning code: numbers of the record contradict each other."""
CLAMPED = "clamped-values"
"""Warning code: floats of a side lie slightly outside of the range that was stated."""
OTHER_FILES = "other-files"
"""Warning code: files were left out because of their suffix that may be clips."""
VALUE_RANGE = "value-range"
"""Warning code: the values of a side use so little of their range that it cannot be right."""
OTHER_CLASSES = "other-classes"
"""Warning code: the classes behind the Inception Score are not those of the clips."""
ALTERED = frozenset({CHANGED, INCONSISTENT})
"""Warning codes of records that no evaluation wrote so; `submit`, `verify` and `gate` refuse them."""
UNRANKED = frozenset({COLLAPSED, DEPENDENT}) | ALTERED
"""Warning codes of records whose scores say nothing about a model; tables show them without a rank."""
UNRANKED_SCORES = {OTHER_CLASSES: frozenset({"is", "is_infinite"})}
"""Warning code -> scores that say nothing about a model, and have no rank, in a record with that warning."""


class ClipUse(Config):
    """One window that was scored: the clip it was cut from, the hash of its bytes, its frames, its class."""

    id: str
    sha256: str
    frames: tuple[int, ...]
    label: str | None = None


class SkippedClip(Config):
    """One clip that was not scored, and the reason."""

    path: str
    reason: str


class ClipSet(Config):
    """The clips of one side.

    Attributes:
        source: path, URL or `builtin:NAME`, as the user gave it.
        layout: what the user said about folders of images; "auto" in older records, too.
        used: number of windows that were scored.
        clips: number of clips that they were cut from.
        groups: number of groups that depend on each other: windows of one clip, clips of one declared group,
            and copies are in one group; None in older records.
        found: number of clips in the source.
        manifest_hash: see the function `manifest_hash`.
        skipped: clips that could not be used.
        left_out: suffix -> number of files that were not read because of it.
        value_range: the range that all clips, as floats, were read with; None for bytes.
        clamped: number of values outside of it, which were clamped.
        windows: the windows, in sampling order.
    """

    source: str
    layout: str = "auto"
    used: int
    clips: int
    groups: int | None = None
    found: int
    manifest_hash: str
    skipped: tuple[SkippedClip, ...] = ()
    left_out: dict[str, int] = Field(default_factory=dict)
    value_range: tuple[float, float] | None = None
    clamped: int = 0
    windows: tuple[ClipUse, ...] = ()


class ExtractorUse(Config):
    """The network that the scores are based on."""

    id: str
    weights: str
    licence: str
    comparable_with: str


class Clips(Config):
    """Both sides of an evaluation."""

    generated: ClipSet
    real: ClipSet


class Record(Config):
    """One evaluation of one model. Records are never changed: a later evaluation is another file.

    Attributes:
        model: name in tables.
        signature: how the scores were made; two records are comparable only if this line is equal.
        signature_fields: the same line as (key, value) pairs, so that no code has to parse the text.
        protocol: the resolved protocol with all its settings.
        scores: metric name -> score.
        signatures: metric name -> the part of the signature that this metric depends on.
        extractor: the network behind the scores; None if no metric needs one.
        clips: manifests of both sides.
        environment: versions, platform, threads.
        seconds: wall-clock time of each stage.
        warnings: (warning code, sentence) pairs about anything that weakens the scores.
        created: ISO 8601, UTC.
        thumbnails: path relative to the record's folder -> sha256 of a small animated WebP image:
            `<stem>.clips/generated-0.webp`, `<stem>.clips/real-0.webp` and so on, and
            `generated-nearest.webp`, `generated-farthest.webp` by distance from the mean of the real
            features.
        details: further facts about the run, by name (training cost, curves). `evaluate` adds "picks":
            thumbnail -> the rule that chose it ("seeded", "sorted", "nearest", "farthest"), and "better":
            score -> direction, for metrics that vgbench does not ship; and "differs": score -> how it differs
            from the number that publications print under its name, where it does.
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
        """Write the record to a file, or as `stem` to a folder, where it never replaces another record.

        Raises:
            VgbenchError: nothing can be written there, or another record has that name.
        """
        path, text = Path(path), self.to_json()
        with writing_to(path):
            if path.suffix == ".json":
                atomic.write_text(path, text)
                return path
            path = path / f"{self.stem}.json"
            try:
                atomic.write_new(path, text.encode())
            except FileExistsError as error:
                if not path.is_file():  # one of its folders is a file
                    raise
                if path.read_text(encoding="utf-8") != text:
                    raise VgbenchError(
                        f"{path}: another record already exists",
                        "records are never overwritten; evaluate again",
                    ) from error
        return path

    def to_frame(self) -> pd.DataFrame:
        """Put the scores into a pandas data frame, one row per score.

        The columns, each of one type:

        - `model`, `protocol`, `extractor`, `metric`, `method`, `signature` (string): `signature` is that of
          the score, and `extractor` is missing if no metric needed one.
        - `created` (datetime64, UTC): missing if the text is not a date.
        - `better` (string): "lower", "higher" or "real".
        - `value`, `debiased`, `estimate`, `standard_error`, `low`, `high`, `real`, `real_error` (float64):
          the attributes of `Score`; `estimate` is its best estimate, and `low` and `high` are the ends of its
          95 % interval. Missing numbers are NaN.
        - `n` (Int64): number of windows.

        Frames of several records can be joined by `pandas.concat`.
        """
        import pandas as pd

        scores = list(self.scores.values())
        intervals = [score.interval or (None, None) for score in scores]
        texts: dict[str, Any] = {
            "model": self.model,
            "protocol": str(self.protocol.get("name", "")),
            "extractor": self.extractor.id if self.extractor else None,
            "metric": list(self.scores),
            "better": [direction(name, self.details) for name in self.scores],
            "method": [score.method for score in scores],
            "signature": [self.signatures.get(name, self.signature) for name in self.scores],
        }
        numbers: dict[str, Any] = {
            "value": [score.value for score in scores],
            "debiased": [score.debiased for score in scores],
            "estimate": [score.best_estimate for score in scores],
            "standard_error": [score.standard_error for score in scores],
            "low": [low for low, _ in intervals],
            "high": [high for _, high in intervals],
            "real": [score.real for score in scores],
            "real_error": [score.real_error for score in scores],
        }
        index = pd.RangeIndex(len(scores))
        created = pd.to_datetime(pd.Series(self.created, index), errors="coerce", utc=True, format="ISO8601")
        return pd.concat(
            [
                pd.DataFrame(texts, index).astype("string"),
                pd.DataFrame({"created": created}, index),
                pd.DataFrame(numbers, index, dtype="float64"),
                pd.DataFrame({"n": pd.array([score.n for score in scores], dtype="Int64")}, index),
            ],
            axis="columns",
        )

    @property
    def stem(self) -> str:
        """File name without suffix: model, short signature, time to the millisecond, and eight hex digits.

        The digits are a hash of the model, the signature, both manifests, the time and the durations, so two
        evaluations never share a name. Whatever may be added to a finished record is not part of the hash.
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
        """The `stem` of records from before it ended in a hash; their thumbnails have this name."""
        return self._stem(19)

    def _stem(self, digits: int) -> str:
        short = Signature(self.signature_fields).short_hash
        return f"{file_name(self.model)}-{short}-{re.sub('[^0-9T]', '', self.created[:digits])}"


def file_name(name: str, longest: int | None = 80) -> str:
    """Turn a name into one that is safe as a file name on every system; different names may become equal."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:longest] or "model"


def model_name(source: str) -> str:
    """Name a model after the last part of the path or URL of its clips, without its query."""
    return printable(PurePosixPath(source.split("?")[0].rstrip("/")).name or source)


def manifest_hash(windows: Iterable[tuple[str, Iterable[int]]]) -> str:
    """Sha256 (hex) over (content hash, frame indices) of every window, in sampling order."""
    digest = hashlib.sha256()
    for sha256, frames in windows:
        digest.update(f"{sha256}|{','.join(map(str, frames))}\n".encode())
    return digest.hexdigest()


def load_record(path: str | Path) -> Record:
    """Read one record.

    Raises:
        VgbenchError: the file cannot be read, or `parse_record` refuses its content.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise VgbenchError(f"{path}: cannot be read ({error})") from error
    return parse_record(data, str(path))


def parse_record(data: bytes, where: str) -> Record:
    """Make a record from its JSON.

    If the content is not what was written (its `sha256` differs or is gone, because of an edit or a damaged
    disk), the record gets the warning `CHANGED`. If its numbers contradict each other, whatever its hash is,
    it gets the warning `INCONSISTENT`. Every command that shows such a record says so, tables do not rank it,
    and `submit`, `verify` and `gate` refuse it.

    Args:
        data: the JSON, UTF-8.
        where: path for messages.

    Raises:
        VgbenchError: not JSON, or not a record of a schema that this version reads; the message says what is
            wrong.
    """
    try:
        values = json.loads(data.decode())
        json.dumps(values, ensure_ascii=False).encode()  # JSON can spell half a character, which is not text
    except (ValueError, RecursionError) as error:
        raise VgbenchError(
            f"{where}: not valid JSON ({error})", "the file is damaged; evaluate again"
        ) from error
    if not isinstance(values, dict) or "schema" not in values:
        raise VgbenchError(f"{where}: not a vgbench record", "records are written by `vgbench eval`")
    if values["schema"] != SCHEMA:
        raise VgbenchError(
            f"{where}: record schema {values['schema']!r}, but this version reads {SCHEMA}", "update vgbench"
        )
    content = {key: value for key, value in values.items() if key != HASH}
    try:
        record = Record.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise VgbenchError(f"{where}: damaged record: '{key}': {first['msg']}") from error
    name = PurePath(where).name  # without its folders, because the sentences are published
    found = []
    if values.get(HASH) != content_hash(content):
        what = "its sha256 differs" if HASH in values else "its sha256 is gone"
        found.append((CHANGED, f"{name} was changed after it was written: {what}; evaluate again"))
    found += [
        (INCONSISTENT, f"{name} states what cannot be: {what}; evaluate again")
        for what in contradictions(record.scores, record.created)
    ]
    return record.model_copy(update={"warnings": (*record.warnings, *found)}) if found else record


def require_unchanged(record: Record) -> None:
    """Refuse a record that is not what an evaluation wrote.

    Raises:
        VgbenchError: it was changed, or its numbers contradict each other; the message names its file.
    """
    for code, sentence in record.warnings:
        if code in ALTERED:
            raise VgbenchError(sentence)


def content_hash(values: Mapping[str, Any]) -> str:
    """Sha256 (hex) over JSON values, independent of the layout of the JSON."""
    plain = json.loads(json.dumps(values))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def find_records(paths: Iterable[str | Path]) -> list[Path]:
    """List record files, sorted and each once: files as given, and folders searched recursively for `*.json`.

    Raises:
        VgbenchError: a path does not exist, or there are no records.
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
    """Distinguish records from other JSON in a results folder, such as audits, by how they begin.

    If another program changed the layout, for example by sorting the keys, the content decides.

    Raises:
        VgbenchError: the file cannot be read.
    """
    if not path.is_file():  # a folder of that name, a broken link, or a pipe that nobody writes to
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
    """The current time as records write it: UTC, to the millisecond, such as 2026-01-02T03:04:05.678Z."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Describe the software and hardware behind the scores, without host or user names."""
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
