"""A submission: one record with its thumbnails and hashes in one zip, for whoever maintains a leaderboard."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, ValidationError

from vgbench.config import Config
from vgbench.errors import VgbenchError
from vgbench.leaderboard.thumbnails import own_names
from vgbench.records.record import Record, load_record, parse_record, require_unchanged
from vgbench.records.signature import Signature
from vgbench.storage import atomic
from vgbench.storage.writing import writing_to

MANIFEST = "manifest.json"
RECORD = "record.json"
ENVIRONMENT = "environment.json"
LARGEST_FILE = 64 * 2**20
LARGEST_SUBMISSION = 256 * 2**20
MOST_FILES = 1000
MADE_BY = "submissions are made by `vgbench submit`"


class Manifest(Config):
    """Contents of a submission: file name -> sha256 of its bytes, for every file except the manifest itself.

    `pack` is the version of the format, under the name that the format has for it.
    """

    pack: Literal[1] = 1
    model: str
    signature: str
    created: str
    files: dict[str, str] = Field(max_length=MOST_FILES)


def write_submission(record_path: str | Path, output: str | Path) -> Path:
    """Write a record, its thumbnails and its environment into one zip. Equal input gives equal bytes.

    Args:
        record_path: a record, with its thumbnails beside it.
        output: the zip, or a folder for `<record>.zip`.

    Raises:
        VgbenchError: the record is damaged, a thumbnail is missing or changed, or nothing can be written.
    """
    record_path, output = Path(record_path), Path(output)
    record = load_record(record_path)
    require_unchanged(record)
    target = output if output.suffix == ".zip" else output / f"{record.stem}.zip"
    contents = {
        RECORD: record.to_json().encode(),
        ENVIRONMENT: (json.dumps(record.environment, indent=1, sort_keys=True) + "\n").encode(),
    }
    for name, sha256 in record.thumbnails.items():
        _require_safe(name, str(record_path))
        try:
            contents[name] = (record_path.parent / name).read_bytes()
        except OSError as error:
            raise VgbenchError(
                f"{record_path}: thumbnail {name} cannot be read ({error.strerror})"
            ) from error
        if _sha256(contents[name]) != sha256:
            raise VgbenchError(
                f"{record_path}: thumbnail {name} has changed since the record was made", "evaluate again"
            )
    manifest = Manifest(
        model=record.model,
        signature=record.signature,
        created=record.created,
        files={name: _sha256(data) for name, data in sorted(contents.items())},
    )
    first = {MANIFEST: (manifest.model_dump_json(indent=1) + "\n").encode()}
    with writing_to(target):
        atomic.write_bytes(target, _zip(first | dict(sorted(contents.items()))))
    return target


def read_submission(path: str | Path) -> tuple[Record, dict[str, bytes]]:
    """Check every byte of a submission, and return its record and its files by name.

    The checks are: no name leads out of the folder; no file is missing, unlisted or too large; every hash
    matches; the record is valid; and its signature line agrees with its fields. Whether the scores are
    correct can only be found out from the clips, with `verification.verify`.

    Raises:
        VgbenchError: a check failed; the message names the file and the problem.
    """
    path = Path(path)
    contents = _read(path)
    manifest = _manifest(path, contents)
    record = parse_record(contents[RECORD], f"{path}/{RECORD}")
    _require_agreement(path, manifest, record, contents)
    require_unchanged(record)
    return record, contents


def read_submitted(path: str | Path) -> Record:
    """Read the record of a submission, with every byte checked, or a record file as it is.

    Raises:
        VgbenchError: the file does not exist, is damaged, or was changed since it was submitted.
    """
    if not Path(path).is_file():
        raise VgbenchError(f"{path}: no such file")
    return load_record(path) if Path(path).suffix == ".json" else read_submission(path)[0]


def unpack_submission(path: str | Path, folder: str | Path) -> Path:
    """Check a submission like `read_submission`, and then write its record and thumbnails into `folder`.

    Nothing is written unless every check passes.

    Returns:
        Path of the record; its thumbnails lie beside it as after `vgbench eval`.

    Raises:
        VgbenchError: a check failed; the message names the file and the problem.
    """
    folder = Path(folder)
    record, contents = read_submission(path)
    target = folder / f"{record.stem}.json"
    if target.exists() and target.read_bytes() != contents[RECORD]:
        raise VgbenchError(f"{target}: another record already exists", "records are never overwritten")
    with writing_to(folder):
        for name in record.thumbnails:
            atomic.write_bytes(folder / name, contents[name])
        atomic.write_bytes(target, contents[RECORD])  # last, so that no record lacks its thumbnails
    return target


def _zip(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return buffer.getvalue()


def _read(path: Path) -> dict[str, bytes]:
    """Read every member, and refuse what an honest sender would not send."""
    contents: dict[str, bytes] = {}
    folded: set[str] = set()
    room = LARGEST_SUBMISSION
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_FILES:
                raise VgbenchError(f"{path}: {len(entries)} files, but at most {MOST_FILES} are read")
            for entry in entries:
                _require_safe(entry.filename, str(path))
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise VgbenchError(f"{path}: {entry.filename} is not a plain file")
                if entry.filename.casefold() in folded:
                    raise VgbenchError(f"{path}: {entry.filename} occurs twice")
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise VgbenchError(f"{path}: {entry.filename} is not compressed by deflate")
                folded.add(entry.filename.casefold())
                with archive.open(entry) as member:  # the size in the header is a claim, so count the bytes
                    data = member.read(min(LARGEST_FILE, room) + 1)
                if len(data) > min(LARGEST_FILE, room):
                    raise VgbenchError(f"{path}: {entry.filename} is too large")
                room -= len(data)
                contents[entry.filename] = data
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        RuntimeError,
        struct.error,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise VgbenchError(f"{path}: not a readable submission ({error})", MADE_BY) from error
    return contents


def _manifest(path: Path, contents: Mapping[str, bytes]) -> Manifest:
    """Read the manifest and compare every file with it."""
    if MANIFEST not in contents or RECORD not in contents:
        raise VgbenchError(
            f"{path}: not a submission, because it has no {MANIFEST if MANIFEST not in contents else RECORD}",
            MADE_BY,
        )
    try:
        manifest = Manifest.model_validate_json(contents[MANIFEST])
    except ValidationError as error:
        raise VgbenchError(
            f"{path}: damaged manifest: {error.errors(include_url=False)[0]['msg']}"
        ) from error
    held = set(contents) - {MANIFEST}
    for name in sorted(held ^ set(manifest.files)):
        raise VgbenchError(f"{path}: {name} is {'not in the manifest' if name in held else 'missing'}")
    for name, sha256 in manifest.files.items():
        if _sha256(contents[name]) != sha256:
            raise VgbenchError(f"{path}: {name} has been changed: its hash is not that of the manifest")
    return manifest


def _require_agreement(path: Path, manifest: Manifest, record: Record, contents: Mapping[str, bytes]) -> None:
    """Compare the record with the manifest, with its own signature fields, and with the thumbnails."""
    if (manifest.model, manifest.signature, manifest.created) != (
        record.model,
        record.signature,
        record.created,
    ):
        raise VgbenchError(f"{path}: the manifest describes another record")
    if str(Signature(record.signature_fields)) != record.signature:
        raise VgbenchError(f"{path}: the signature line of the record does not agree with its fields")
    if set(contents) - {MANIFEST, RECORD, ENVIRONMENT} != set(record.thumbnails):
        raise VgbenchError(f"{path}: the thumbnails are not those that the record names")
    own = own_names(record)
    for name, sha256 in record.thumbnails.items():
        if not own.fullmatch(name):  # it could replace a file of another record
            raise VgbenchError(f"{path}: {name} is not where thumbnails of this record belong")
        if _sha256(contents[name]) != sha256:
            raise VgbenchError(f"{path}: {name} is not the thumbnail that the record names")


def _require_safe(name: str, where: str) -> None:
    """Refuse a name that could lead out of the folder into which it is unpacked, on any system."""
    path = PurePosixPath(name)
    if (
        not name
        or path.is_absolute()
        or ".." in path.parts
        or any(char in name for char in '\\:*?"<>|\0')
        or str(path) != name
    ):
        raise VgbenchError(f"{where}: {name!r} is not a safe file name")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
