"""A submission: one record with its thumbnails and hashes in one zip, for whoever keeps a leaderboard."""

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

MANIFEST = "manifest.json"
RECORD = "record.json"
ENVIRONMENT = "environment.json"
LARGEST_FILE = 64 * 2**20
LARGEST_PACK = 256 * 2**20
MOST_FILES = 1000
MADE_BY = "packs are made by `vgbench submit`"


class Manifest(Config):
    """What a pack holds: file name -> sha256 of its bytes, for every file but the manifest itself."""

    pack: Literal[1] = 1
    model: str
    signature: str
    created: str
    files: dict[str, str] = Field(max_length=MOST_FILES)


def pack(record_path: str | Path, output: str | Path) -> Path:
    """Write a record, its thumbnails and its environment into one zip. Equal input gives equal bytes.

    Args:
        record_path: a record; its thumbnails lie beside it.
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
    try:
        atomic.write_bytes(target, _zip(first | dict(sorted(contents.items()))))
    except OSError as error:
        raise VgbenchError(
            f"{target}: cannot write the pack ({error.strerror})",
            "free space there, or choose another folder",
        ) from error
    return target


def read_checked(pack_path: str | Path) -> tuple[Record, dict[str, bytes]]:
    """Check every byte of a pack; return its record and its files by name.

    No name leads out of a folder, no file is missing, unlisted or too large, every hash agrees, the record is
    valid, and its signature line is the one its fields spell. Whether the scores are true is for
    `verification.verify` to find out from the clips.

    Raises:
        VgbenchError: names the file and what is wrong with it.
    """
    pack_path = Path(pack_path)
    contents = _read(pack_path)
    manifest = _manifest(pack_path, contents)
    record = _record(pack_path, contents[RECORD])
    _agree(pack_path, manifest, record, contents)
    require_unchanged(record)
    return record, contents


def unpack_checked(pack_path: str | Path, folder: str | Path) -> Path:
    """Check a pack with `read_checked`, then write its record and thumbnails into `folder`.

    Nothing is written unless everything holds.

    Returns:
        Path of the record; its thumbnails lie beside it as after `vgbench eval`.

    Raises:
        VgbenchError: names the file and what is wrong with it.
    """
    folder = Path(folder)
    record, contents = read_checked(pack_path)
    target = folder / f"{record.stem}.json"
    if target.exists() and target.read_bytes() != contents[RECORD]:
        raise VgbenchError(f"{target}: another record is there already", "records are never overwritten")
    try:
        for name in record.thumbnails:
            atomic.write_bytes(folder / name, contents[name])
        atomic.write_bytes(target, contents[RECORD])  # last, so that a record never points at nothing
    except OSError as error:
        raise VgbenchError(
            f"{folder}: cannot be written to ({error.strerror})", "free space there, or choose another folder"
        ) from error
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
    """Read every member, refusing what a careful sender would not send."""
    contents: dict[str, bytes] = {}
    folded: set[str] = set()
    room = LARGEST_PACK
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_FILES:
                raise VgbenchError(f"{path}: {len(entries)} files, at most {MOST_FILES} are read")
            for entry in entries:
                _require_safe(entry.filename, str(path))
                kind = stat.S_IFMT(entry.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise VgbenchError(f"{path}: {entry.filename} is not a plain file")
                if entry.filename.casefold() in folded:
                    raise VgbenchError(f"{path}: {entry.filename} is there twice")
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise VgbenchError(f"{path}: {entry.filename} is compressed by other means than deflate")
                folded.add(entry.filename.casefold())
                with archive.open(entry) as member:  # the header's size is a claim; count what comes out
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
        raise VgbenchError(f"{path}: not a readable pack ({error})", MADE_BY) from error
    return contents


def _manifest(path: Path, contents: Mapping[str, bytes]) -> Manifest:
    """Read the manifest and hold every file against it."""
    if MANIFEST not in contents or RECORD not in contents:
        raise VgbenchError(
            f"{path}: not a pack: no {MANIFEST if MANIFEST not in contents else RECORD}", MADE_BY
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
            raise VgbenchError(f"{path}: {name} has been changed: its hash is not the manifest's")
    return manifest


def _record(path: Path, data: bytes) -> Record:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise VgbenchError(f"{path}: damaged record: {error}") from error
    if not isinstance(values, dict):
        raise VgbenchError(f"{path}: damaged record: not an object")
    return parse_record(values, f"{path}/{RECORD}")


def _agree(path: Path, manifest: Manifest, record: Record, contents: Mapping[str, bytes]) -> None:
    """Hold the record against the manifest, its own signature fields, and the thumbnails."""
    if (manifest.model, manifest.signature, manifest.created) != (
        record.model,
        record.signature,
        record.created,
    ):
        raise VgbenchError(f"{path}: the manifest speaks of another record")
    if str(Signature(record.signature_fields)) != record.signature:
        raise VgbenchError(f"{path}: the record's signature line is not what its fields spell")
    if set(contents) - {MANIFEST, RECORD, ENVIRONMENT} != set(record.thumbnails):
        raise VgbenchError(f"{path}: the thumbnails are not those that the record names")
    own = own_names(record)
    for name, sha256 in record.thumbnails.items():
        if not own.fullmatch(name):  # it could take the place of another record's file
            raise VgbenchError(f"{path}: {name} is not where this record's thumbnails lie")
        if _sha256(contents[name]) != sha256:
            raise VgbenchError(f"{path}: {name} is not the thumbnail that the record names")


def _require_safe(name: str, where: str) -> None:
    """Refuse a name that could lead out of the folder it is unpacked into, on any system."""
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
