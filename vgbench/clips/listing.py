"""List the files below a folder or a URL, or inside an archive, with their names. Opens archives only."""

from __future__ import annotations

import glob
import itertools
import json
import os
import posixpath
import stat
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import IO, Any

from vgbench.clips.clip import Skipped, printable
from vgbench.clips.dataset_labels import NAME as DATASET_LABELS
from vgbench.clips.files import (
    DAMAGE,
    DeflatedMember,
    LocalFile,
    LostFile,
    RemoteFile,
    StoredFile,
    StoredMember,
    file_system_of,
)
from vgbench.clips.suffixes import IMAGES
from vgbench.errors import BadClip, VgbenchError

LABEL_FILES = (".cls", ".json")

MAX_MEMBERS = 10_000_000
"""Most members that one archive may have."""

MAX_SKIPPED = 10_000
"""Members of one archive that are named as skipped; the rest are counted."""

MAX_UNPACKED_BYTES = 2**33
"""Most bytes that one archive member may have once inflated (8 GiB)."""

MAX_RATIO = 200
"""Largest ratio of inflated to stored bytes, for members that inflate to more than `RATIO_FREE_BYTES`."""

RATIO_FREE_BYTES = 2**26
"""Smaller members may have any ratio: black frames compress a thousandfold and are harmless."""

MAX_LABEL_BYTES = 2**16
"""Longer `.cls` and `.json` members are not read for a label."""

MAX_LINK_BYTES = 2**12
"""Longer targets of links are not followed."""

SYSTEM_FOLDERS = frozenset(
    (
        "__macosx",  # archives made by macOS
        "$recycle.bin",  # Windows
        "system volume information",
        "lost+found",  # Linux
        "@eadir",  # Synology
        "#recycle",
        "#snapshot",
        "@recycle",  # QNAP
        "@recently-snapshot",
    )
)
"""Folders, in lower case, that operating systems and network drives keep beside the user's files."""


@dataclass(frozen=True)
class Entry:
    """One stored file and its position in the source.

    Attributes:
        path: relative POSIX path, which becomes the clip's id.
        file: its bytes.
        label: class from a `.cls` or `.json` file beside it in an archive; None means that the folder
            decides.
        group: group from such a `.json` file; None if it names none.
        shard: path of the archive that contains it, where the source is a folder of archives.
        is_cut: whether its archive is damaged right after it, so that a frame folder may lack frames.
    """

    path: str
    file: StoredFile
    label: str | None = None
    group: str | None = None
    shard: str = ""
    is_cut: bool = False

    @property
    def folder(self) -> str:
        """Path of the folder that holds the file."""
        return folder_of(self.path)

    @property
    def class_name(self) -> str | None:
        """Class of a clip that is this file."""
        return self.label or class_of(self.folder, self.shard)


Listed = tuple[list[Entry], list[Skipped]]


def folder_of(path: str) -> str:
    """Return the folder of a relative POSIX path; "" at the top."""
    return path.rpartition("/")[0]


def class_of(folder: str, shard: str) -> str | None:
    """Class of what lies in a folder: its path inside the shard, or else the path of the shard's folder."""
    inside = folder.removeprefix(shard).removeprefix("/") if shard else folder
    label = inside or folder_of(shard)
    return sys.intern(label) if label else None  # a million clips share their few labels


def lost(path: str, name: str, reason: str) -> Entry | Skipped:
    """Describe a file that cannot be read. An image stays in the list, because its clip lacks a frame."""
    if path.lower().endswith(IMAGES):
        return Entry(printable(path), LostFile(name, reason))
    return Skipped(name, reason)


def is_hidden(path: str) -> bool:
    """Whether any part of a relative path is hidden, or one of `SYSTEM_FOLDERS`."""
    return any(part.startswith(".") or part.lower() in SYSTEM_FOLDERS for part in path.split("/"))


def list_local(folder: str) -> Listed:
    """List all files below a local folder.

    Symbolic links are followed, but no folder is entered twice, so loops end. Real folders come before linked
    ones, so that a clip's id does not depend on the order of the directory.
    """
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    seen: set[tuple[int, int]] = set()
    linked: list[str] = []
    pending = [""]
    while pending or linked:
        here = pending.pop() if pending else linked.pop(0)
        absolute = os.path.join(folder, here) if here else folder  # noqa: PTH118 - os.scandir is 3 x faster
        try:
            status = os.stat(absolute)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(absolute) as children:
                found = sorted(children, key=lambda child: child.name)
        except OSError as error:
            skipped.append(Skipped(absolute, error.strerror or str(error)))
            continue
        for child in found:
            path = f"{here}/{child.name}" if here else child.name
            if is_hidden(child.name):
                continue
            try:
                if child.is_dir():
                    (linked if child.is_symlink() else pending).append(path)
                elif child.is_file():
                    entries.append(Entry(printable(path), LocalFile(folder, path, child.stat().st_size)))
                else:
                    reason = "broken link" if child.is_symlink() else "not a plain file"
                    _set_aside(lost(path, child.path, reason), entries, skipped)
            except OSError as error:
                _set_aside(lost(path, child.path, error.strerror or str(error)), entries, skipped)
    return entries, skipped


def _set_aside(one: Entry | Skipped, entries: list[Entry], skipped: list[Skipped]) -> None:
    if isinstance(one, Entry):
        entries.append(one)
    else:
        skipped.append(one)


def is_pattern(path: str) -> bool:
    """Whether a path stands for all that it matches, and for nothing of this very name."""
    return any(mark in path for mark in "*?[") and not os.path.lexists(path)


def list_matches(pattern: str) -> Listed:
    """List the files that match a local pattern, and all files below the folders that do.

    Paths begin after the last folder that the pattern names without a wildcard, which therefore is what the
    user would have named to get all of them.

    Raises:
        VgbenchError: nothing matches.
    """
    parts = PurePosixPath(pattern.replace(os.sep, "/")).parts
    fixed = list(itertools.takewhile(lambda part: not any(mark in part for mark in "*?["), parts))
    folder = os.path.join(*fixed) if fixed else "."  # noqa: PTH118
    entries: list[Entry] = []
    skipped: list[Skipped] = []
    inner = "/".join(parts[len(fixed) :])
    found = sorted(glob.glob(inner, root_dir=folder, recursive=True))  # noqa: PTH207 - takes a root
    if not found:
        raise VgbenchError(
            f"{pattern}: no file or folder matches", "check the pattern, and quote it in a shell"
        )
    for path in (one.rstrip("/") for one in found):
        absolute = os.path.join(folder, path)  # noqa: PTH118
        try:
            if os.path.isdir(absolute):  # noqa: PTH112
                inside, broken = list_local(absolute)
                skipped += broken
                entries += [replace(entry, path=f"{printable(path)}/{entry.path}") for entry in inside]
            else:
                entries.append(Entry(printable(path), LocalFile(folder, path, os.stat(absolute).st_size)))  # noqa: PTH116
        except OSError as error:
            _set_aside(lost(path, absolute, error.strerror or str(error)), entries, skipped)
    return list({entry.path: entry for entry in entries}.values()), skipped  # `**` matches twice


def list_remote(url: str) -> Listed:
    """List all files below a URL, or those that a pattern with `*` matches, with one request where possible.

    Raises:
        VgbenchError: the protocol is unknown, nothing is there, or the server refuses.
    """
    first, *chained = url.split("::")
    if chained and "://" in first:
        raise VgbenchError(
            f"{url}: this chain of file systems is not supported",
            "give the archive itself, such as s3://bucket/clips.zip; simplecache::s3://bucket/folder works",
        )
    base = url if "*" not in url else url[: url.rindex("/", 0, url.index("*"))]
    if base.endswith(":/"):
        raise VgbenchError(f"{url}: names no folder before its first *", "such as s3://bucket/clips/*.mp4")
    file_system, root = file_system_of(base)
    try:
        if base == url:
            itself = file_system.info(root)
            if itself["type"] == "file":
                name = root.rstrip("/").rsplit("/", 1)[-1]
                return [
                    Entry(name, RemoteFile(url, "", _size(file_system, root, itself), _version(itself)))
                ], []
            found: dict[str, dict[str, Any]] = file_system.find(root, detail=True)
        else:
            found = _remote_matches(file_system, file_system_of(url)[1])
    except Exception as error:  # each protocol's package raises errors of its own
        raise VgbenchError(
            f"{url}: cannot be listed ({error})", "check the URL and the credentials"
        ) from error
    entries = []
    prefix = root.rstrip("/") + "/"
    for path, info in found.items():
        relative = path.removeprefix(prefix)
        file = RemoteFile(base, relative, _size(file_system, path, info), _version(info))
        entries.append(Entry(relative, file))
    return entries, []


def _remote_matches(file_system: Any, pattern: str) -> dict[str, dict[str, Any]]:
    """Files that match a pattern, and files below the folders that do."""
    found: dict[str, dict[str, Any]] = {}
    for path, info in file_system.glob(pattern, detail=True).items():
        found |= {path: info} if info["type"] == "file" else file_system.find(path, detail=True)
    return found


def _size(file_system: Any, path: str, info: dict[str, Any]) -> int:
    size = info.get("size")
    return len(file_system.cat_file(path)) if size is None else int(size)  # some web servers do not tell


def _version(info: dict[str, Any]) -> str:
    for key in ("ETag", "etag", "generation", "LastModified", "last_modified", "mtime", "created"):
        if info.get(key):
            return str(info[key])
    return ""


def list_archive(file: StoredFile) -> Listed:
    """List the members of a zip or of an uncompressed tar; nothing is unpacked.

    A link to another member is that member under another name, as on a disk.

    In the WebDataset layout, `key.mp4` takes its label from `key.cls` (text) or `key.json` (its "label"), and
    its group from the "group" of `key.json`.

    Raises:
        BadClip: the file is not an archive, or is damaged before the first member.
    """
    read = _tar_members if file.name.lower().endswith(".tar") else _zip_members
    entries: dict[str, Entry] = {}
    labels: dict[str, str] = {}
    groups: dict[str, str] = {}
    links: dict[str, _Link] = {}
    skipped: list[Skipped] = []
    unnamed = 0

    def add(found: Entry | Skipped) -> None:
        nonlocal unnamed
        if isinstance(found, Entry) and found.path in entries:
            found = Skipped(found.file.name, "a second member of the same name")
        if isinstance(found, Entry):
            entries[found.path] = found
        elif len(skipped) < MAX_SKIPPED:
            skipped.append(found)
        else:
            unnamed += 1

    try:
        for count, found in enumerate(read(file)):
            if count >= MAX_MEMBERS:
                skipped.append(Skipped(file.name, f"more than {MAX_MEMBERS} members; the rest are left out"))
                break
            if isinstance(found, _Labels):
                labels |= {} if found.label is None else {found.key: found.label}
                groups |= {} if found.group is None else {found.key: found.group}
            elif isinstance(found, _Link):
                links[found.path] = found
            else:
                add(found)
    except (*DAMAGE, zipfile.BadZipFile, tarfile.TarError, RuntimeError, LookupError) as error:
        if not entries:
            raise BadClip(file.name, f"not a readable archive: {error}") from error
        skipped.append(Skipped(file.name, f"damaged after member {len(entries)}: {error}"))
        last = next(reversed(entries))
        entries[last] = replace(entries[last], is_cut=True)
    for link in links.values():
        add(_linked(link, links, entries))
    if unnamed:
        skipped.append(Skipped(file.name, f"{unnamed} more members that cannot be used"))
    keys = [webdataset_key(path) for path in entries]
    return [
        replace(entry, label=labels.get(key), group=groups.get(key))
        for entry, key in zip(entries.values(), keys, strict=True)
    ], skipped


@dataclass(frozen=True)
class _Labels:
    key: str
    label: str | None
    group: str | None


@dataclass(frozen=True)
class _Link:
    path: str
    target: str
    name: str


def _linked(link: _Link, links: Mapping[str, _Link], entries: Mapping[str, Entry]) -> Entry | Skipped:
    """Find the member that a link leads to, perhaps over other links; what is not a member is not found."""
    target, followed = link.target, {link.path}
    while target in links and target not in entries and target not in followed:
        followed.add(target)
        target = links[target].target
    found = entries.get(target)
    if found is None or not isinstance(found.file, StoredMember | DeflatedMember):
        return lost(link.path, link.name, "a link inside an archive")
    return Entry(link.path, replace(found.file, member=link.path))


def _symlink(path: str, target: str, name: str) -> _Link:
    inside = posixpath.normpath(posixpath.join(folder_of(path), target))
    return _Link(path, printable(inside), name)


Member = Entry | Skipped | _Labels | _Link


def _zip_members(file: StoredFile) -> Iterator[Member]:
    with file.open() as stream, zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            path = _tidy(info.filename)
            if info.is_dir() or not path:
                continue
            where = f"{file.name}/{path}"
            if info.flag_bits & 1:
                yield lost(path, where, "encrypted")
            elif info.file_size > MAX_UNPACKED_BYTES:
                yield lost(path, where, f"unpacks to more than {MAX_UNPACKED_BYTES} bytes")
            elif info.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size):
                yield lost(path, where, f"unpacks to more than {MAX_RATIO} times its stored size")
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                yield lost(path, where, "compressed by a method other than deflate")
            elif stat.S_ISLNK(info.external_attr >> 16):
                target = archive.read(info) if info.file_size <= MAX_LINK_BYTES else b""
                yield _symlink(path, target.decode("utf-8", "surrogateescape"), where)
            elif _is_label(path, info.file_size):
                yield from _labels(path, archive.read(info))
            elif info.compress_type == zipfile.ZIP_STORED:
                place = (info.header_offset, info.file_size)
                yield Entry(path, StoredMember(file, path, *place, in_zip=True, crc=info.CRC or None))
            else:
                sizes = (info.header_offset, info.compress_size, info.file_size)
                yield Entry(path, DeflatedMember(file, path, *sizes, crc=info.CRC))


def _tar_members(file: StoredFile) -> Iterator[Member]:
    with file.open() as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        end = 0
        for info in archive:
            archive.members = []  # type: ignore[attr-defined] # else tarfile keeps every header in memory
            # A negative size would lead back to an earlier header and never end.
            if info.size < 0 or archive.offset <= end:
                raise tarfile.ReadError("a member of negative size")
            end = archive.offset
            path = _tidy(info.name)
            if info.isdir() or not path:
                continue
            where = f"{file.name}/{path}"
            if info.issym():
                yield _symlink(path, info.linkname, where)
            elif info.islnk():  # a hard link: the same bytes were stored before under another name
                yield _Link(path, _tidy(info.linkname), where)
            elif not info.isreg() or info.issparse():
                yield lost(path, where, "not a plain file inside the archive")
            elif info.offset_data + info.size > file.size:
                yield lost(path, where, "the archive ends before this member does")
            elif _is_label(path, info.size):
                yield from _labels(path, _read(archive.extractfile(info)))
            else:
                yield Entry(path, StoredMember(file, path, info.offset_data, info.size))
        stream.seek(archive.offset)
        if end and stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end mark follows, so it may be cut off")


def _tidy(name: str) -> str:
    """Turn a member's name into an id without a leading slash or dots; it is never used as a path."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return printable("/".join(part for part in parts if part not in ("/", ".", "..")))


def webdataset_key(path: str) -> str:
    """WebDataset key of a path: its folder, and its name up to the first dot."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.split('.', 1)[0]}"


def _is_label(path: str, size: int) -> bool:
    is_data_set = path.rpartition("/")[2] == DATASET_LABELS
    return path.lower().endswith(LABEL_FILES) and size <= MAX_LABEL_BYTES and not is_data_set


def _read(stream: IO[bytes] | None) -> bytes:
    return stream.read() if stream else b""


def _labels(path: str, data: bytes) -> Sequence[_Labels]:
    try:
        text = data.decode()
        given = json.loads(text) if path.lower().endswith(".json") else {"label": text.strip()}
        label, group = given.get("label"), given.get("group")
    except (ValueError, AttributeError, RecursionError):  # not UTF-8, not JSON, or not a mapping: no label
        return []
    return [
        _Labels(
            webdataset_key(path), *(None if value in (None, "") else str(value) for value in (label, group))
        )
    ]
