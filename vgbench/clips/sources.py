"""`open_source` makes a `ClipSource` from whatever the user names."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from vgbench.clips.arrays import HoldsNoClips, is_array, memory_clips, stored_array_clips
from vgbench.clips.axes import check_axes
from vgbench.clips.clip import Clip, ClipSource, Skipped, printable
from vgbench.clips.dataset_labels import NAME as DATASET_LABELS
from vgbench.clips.dataset_labels import label_of, read_dataset_labels
from vgbench.clips.files import LocalFile, StoredFile
from vgbench.clips.image_folders import ImageFolders
from vgbench.clips.images import AnimationClip
from vgbench.clips.layout import PREFIX, Layout, parse_layout, split_layout
from vgbench.clips.listing import (
    Entry,
    is_hidden,
    is_pattern,
    list_archive,
    list_local,
    list_matches,
    list_remote,
)
from vgbench.clips.manifest import Row, WindowClip, read_manifest
from vgbench.clips.rates import RatedClip, with_rate
from vgbench.clips.suffixes import (
    ANIMATIONS,
    ARCHIVES,
    ARRAYS,
    COMPRESSED_TARS,
    IMAGES,
    LISTS,
    MANIFESTS,
    SYSTEM_FILES,
    VIDEOS,
    WITHOUT_CLIPS,
    describe,
    suffix_of,
    total,
)
from vgbench.clips.value_range import ValueRange, check_range
from vgbench.clips.video import VideoClip
from vgbench.errors import BadClip, VgbenchError
from vgbench.named import import_object, load_target

PRETRAINED = "vgbench.reference_models.pretrained_clips:open_pretrained"
"""Opens `pretrained:NAME`. It is named and not imported, because clips are read without torch."""
OWN_DATA = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""`package.module:object`; after a drive letter or in a URL, a slash follows the colon."""

LOOKED_FOR = (
    "videos (.mp4 .mov .mkv .webm .avi .wmv .mpg .ts …), animations (.gif .apng .webp .png), folders of "
    f"frames or frame strips (.png .jpg .bmp .tif .webp …), arrays ({' '.join(ARRAYS)}), archives "
    f"({' '.join(ARCHIVES)}), and, if named themselves, manifests ({' '.join(MANIFESTS)}) and lists "
    f"({' '.join(LISTS)}); docs/clips.md has them all"
)


@dataclass(frozen=True)
class Reading:
    """How files are read where they do not say it themselves; see `open_source`."""

    layout: Layout = field(default_factory=Layout)
    value_range: ValueRange | None = None
    axes: str | None = None


def open_source(
    spec: Any,
    *,
    layout: str | Layout = "auto",
    default_split: str = "train",
    value_range: ValueRange | None = None,
    axes: str | None = None,
    fps: float | None = None,
) -> ClipSource:
    """Find all clips of what the user named, without decoding them.

    Args:
        spec: one of

            - a folder or file: videos, GIF/WebP/APNG, folders of frames, frame strips, arrays of NumPy,
              PyTorch, safetensors or HDF5, zip or tar (WebDataset), or a manifest (`.csv`, `.jsonl`) or list
              (`.txt`). Sub-folders are class labels. `~` is the home folder, and `*`, `?`, `[…]` and `**`
              stand for parts of names;
            - the URL of the same, for any protocol of fsspec (`s3://bucket/folder`, `hf://…`, `memory://…`);
            - `package.module:object`, importable from the working directory: any of the things below, or a
              function without arguments that returns one;
            - `builtin:NAME[/SPLIT][?key=value&…]`, see `vgbench.clips.builtin`;
            - `layout:LAYOUT:SPEC`, any of these with another layout than `layout`;
            - `distort:NAME=STRENGTH:SPEC`, any of these distorted, see `vgbench.clips.distortions`;
            - a numpy array or torch tensor, uint8 [N,T,H,W,3] or [T,H,W,3];
            - an iterable, generator, data set or data loader that yields clips [T,H,W,3] or batches
              [B,T,H,W,3], alone, as (clip, label) or (clip, label, group), or as a mapping with the keys
              "clip" and perhaps "label" and "group"; of a batch, labels and groups are sequences, and any of
              them may be None. It is read to its end and its pixels stay in memory;
            - a `ClipSource`, returned as it is.
        layout: what the images of a folder are: "auto", "frames", "series", "sorted" or "strips", and perhaps
            for the names of which images, such as "auto=*.color.png"; see `vgbench.clips.layout`. "auto"
            tells strips by each folder's first image: their width is a whole multiple of their height, at
            least 4 times.
        default_split: for a `builtin:` name without a split.
        value_range: range of float arrays, such as (0, 1); without it only uint8 is accepted.
        axes: names of the axes of arrays with as many of them, such as "TNHW"; see `vgbench.clips.axes`.
        fps: frame rate of the clips that do not state it, such as arrays and folders of frames. It is used if
            frames are chosen by time (`windows.fps`), and to notice that two sets differ in speed.

    Raises:
        VgbenchError: the path does not exist or holds nothing that looks like a clip, the protocol is
            unknown, or an array does not hold clips.
        ConfigError: unknown builtin name or option, or a manifest that cannot be read.
    """
    if fps is not None:
        if not 0 < fps < math.inf:
            raise VgbenchError(f"fps = {fps}: a frame rate is a positive number")
        source = open_source(
            spec, layout=layout, default_split=default_split, value_range=value_range, axes=axes
        )
        return with_rate(source, fps)
    value_range = None if value_range is None else check_range(value_range)
    axes = None if axes is None else check_axes(axes)
    reading = Reading(parse_layout(layout), value_range, axes)
    if isinstance(spec, ClipSource):
        return spec
    if isinstance(spec, str | Path):
        text = str(spec)
        if text.startswith("builtin:"):
            from vgbench.clips.builtin import open_builtin

            return open_builtin(text, default_split)
        if text.startswith(PREFIX):
            images, inner = split_layout(text)
            reading = replace(reading, layout=images)
            return open_source(inner, default_split=default_split, **vars(reading))
        if text.startswith("pretrained:"):
            return cast(ClipSource, load_target(PRETRAINED)(text))
        if text.startswith("distort:"):
            from vgbench.clips.distortions import distort, parse_distortion

            name, strength, inner = parse_distortion(text)
            options: dict[str, Any] = {"default_split": default_split, **vars(reading)}
            return distort(open_source(inner, **options), name, strength)
        if OWN_DATA.fullmatch(text) and not Path(text).exists():
            return _own_data(text, default_split, reading)
        return _Opener(os.path.expanduser(text), reading).open()  # noqa: PTH111 - URLs pass as well
    if is_array(spec):
        return _in_memory("array", *memory_clips([spec], value_range, axes, copy=False))
    if not isinstance(spec, Iterable) and hasattr(spec, "__getitem__") and hasattr(spec, "__len__"):
        spec = map(spec.__getitem__, range(len(spec)))  # a map-style data set
    if isinstance(spec, Iterable):
        clips, skipped = memory_clips(spec, value_range, axes, copy=True)
        if not clips and not skipped:
            raise VgbenchError(
                "the iterable gave no clip", "if it is a generator that was used before, make a new one"
            )
        return _in_memory("iterable", clips, skipped)
    raise VgbenchError(
        f"a {type(spec).__name__} is not a source of clips",
        "give a path, URL, builtin:NAME, array or iterable",
    )


def _in_memory(name: str, clips: list[Clip], skipped: list[Skipped]) -> ClipSource:
    if not clips:
        raise VgbenchError(f"none of the {len(skipped)} clips can be used: {skipped[0].reason}")
    return ClipSource(name, clips, tuple(skipped))


def _own_data(name: str, default_split: str, reading: Reading) -> ClipSource:
    found = import_object(name)
    found = found() if callable(found) else found
    if isinstance(found, str) and OWN_DATA.fullmatch(found):
        raise VgbenchError(f"{name}: returns another name, {found}", "return a path or clips instead")
    source = open_source(found, default_split=default_split, **vars(reading))
    return replace(source, name=name)


def subset(source: ClipSource, predicate: Callable[[Clip], bool]) -> ClipSource:
    """Keep the clips that `predicate` accepts; the name and the skipped files do not change."""
    return replace(source, clips=[clip for clip in source.clips if predicate(clip)])


def stem(clip_id: str) -> str:
    """Return a clip's id without the suffix of its file: `a/b.mp4` -> `a/b`, `c.npy#000007` -> `c#000007`."""
    path, mark, index = clip_id.partition("#")
    for suffix in (*VIDEOS, *ANIMATIONS, *IMAGES, *ARRAYS):
        if path.lower().endswith(suffix):
            path = path[: -len(suffix)]
            break
    return path + mark + index


class _Opener:
    """Makes clips from the files below one path or URL."""

    def __init__(self, spec: str, reading: Reading, *, in_manifest: bool = False) -> None:
        self.spec, self.reading, self.layout = spec, reading, reading.layout
        self.in_manifest = in_manifest
        self.clips: list[Clip] = []
        self.skipped: list[Skipped] = []
        self.left_out: dict[str, int] = {}
        self.without_clips: list[Skipped] = []
        self.notes: list[str] = []

    def open(self) -> ClipSource:
        entries = self._entries()
        single = entries[0] if len(entries) == 1 and self._is_file(entries[0]) else None
        if single and single.path.lower().endswith((*MANIFESTS, *LISTS)):
            if self.in_manifest:  # a manifest may name itself
                raise VgbenchError(f"{self.spec}: a manifest inside a manifest", "name only clips in it")
            self._add_manifest(single.file)
        elif single and single.path.lower().endswith(ARCHIVES):
            self._add(self._members(single.file, shard=""), nested=False)
        else:
            self._add(entries)
        if not self.clips:
            raise self._nothing_found(len(entries))
        self.clips.sort(key=lambda clip: clip.id)
        return ClipSource(
            self.spec,
            self.clips,
            tuple(self.skipped),
            layout=str(self.layout),
            left_out=self.left_out,
            notes=tuple(self.notes),
        )

    def _entries(self) -> list[Entry]:
        if _is_url(self.spec):
            entries, skipped = list_remote(self.spec)
        elif is_pattern(self.spec):
            entries, skipped = list_matches(self.spec)
        else:
            path = Path(self.spec)
            if path.is_file():
                size = path.stat().st_size
                return [Entry(printable(path.name), LocalFile(str(path.parent), path.name, size))]
            if not path.is_dir():
                raise VgbenchError(f"{self.spec}: no such file or folder", f"looked for {LOOKED_FOR}")
            entries, skipped = list_local(str(path))
        self.skipped += skipped
        return [entry for entry in entries if not is_hidden(entry.path)]

    def _is_file(self, entry: Entry) -> bool:
        """Whether the user named this very file, and not a folder that holds only this file."""
        named = entry.file.name == self.spec or Path(self.spec).is_file()
        return named or (is_pattern(self.spec) and "/" not in entry.path)

    def _nothing_found(self, files: int) -> VgbenchError:
        if unusable := [*self.skipped, *self.without_clips]:
            reasons = "; ".join(_by_reason(unusable)[:3])
            choice = "choose what its images are by --layout, as described in docs/clips.md"
            return VgbenchError(
                f"{self.spec}: none of its files can be used ({reasons})",
                choice if "--layout" in reasons else f"expected {LOOKED_FOR}",
            )
        if self.layout.pattern != "*":
            return VgbenchError(
                f"{self.spec}: no clip here, and no image whose name matches {self.layout.pattern}",
                f"--layout is for both sides; {PREFIX}{self.layout}:CLIPS is for one of them",
            )
        named = f": {describe(self.left_out)}" if self.left_out else f" ({files} files)"
        return VgbenchError(f"{self.spec}: nothing here looks like a clip{named}", f"looked for {LOOKED_FOR}")

    def _add(self, entries: Iterable[Entry], *, nested: bool = True) -> None:
        """Add the clips of all entries; images wait until all of them are known."""
        folders = ImageFolders(self.spec, self.layout)
        images: list[Entry] = []
        others: set[str] = set()
        self._sort(entries, images, others, nested=nested)
        folders.add(images, others)
        self.clips += folders.clips
        self.skipped += folders.skipped

    def _sort(self, entries: Iterable[Entry], images: list[Entry], others: set[str], *, nested: bool) -> None:
        """Sort entries by kind: add images to `images`, and the folders that hold other clips to `others`."""
        for entry in self._labelled(entries):
            suffix, before = entry.path.lower(), len(self.clips) + len(images)
            if suffix.endswith(IMAGES):
                images.append(entry)
                continue
            if suffix.endswith(COMPRESSED_TARS):
                self._skip(entry, "a compressed tar has no random access; store it as plain .tar or as .zip")
            elif not suffix.endswith((*VIDEOS, *ANIMATIONS, *ARRAYS, *ARCHIVES)):
                self._leave_out(entry)
                continue
            elif entry.file.size == 0:
                self._skip(entry, "zero bytes")
            elif suffix.endswith(VIDEOS):
                self.clips.append(VideoClip(entry.path, entry.class_name, entry.file, group=entry.group))
            elif suffix.endswith(ANIMATIONS):
                self.clips.append(AnimationClip(entry.path, entry.class_name, entry.file, group=entry.group))
            elif suffix.endswith(ARRAYS):
                self._add_arrays(entry)
            elif nested:
                self._sort(self._members(entry.file, shard=entry.path), images, others, nested=False)
            else:
                self._skip(entry, "an archive inside an archive")
            if len(self.clips) + len(images) > before:
                others.add(entry.folder)

    def _add_arrays(self, entry: Entry) -> None:
        try:
            span, axes = self.reading.value_range, self.reading.axes
            clips = stored_array_clips(entry.path, entry.file, entry.class_name, span, axes)
            self.clips += [replace(c, group=entry.group) for c in clips] if entry.group else clips
        except HoldsNoClips as other:
            self._leave_out(entry, WITHOUT_CLIPS)
            self.without_clips.append(Skipped(other.path, other.reason))
        except BadClip as bad:
            self._skip(entry, bad.reason)

    def _members(self, archive: StoredFile, shard: str) -> Iterator[Entry]:
        try:
            entries, skipped = list_archive(archive)
        except BadClip as bad:
            self.skipped.append(Skipped(bad.path, bad.reason))
            return
        self.skipped += skipped
        for entry in entries:
            if is_hidden(entry.path):
                continue
            yield replace(entry, path=f"{shard}/{entry.path}", shard=shard) if shard else entry

    def _labelled(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Give entries the labels of the `dataset.json` above them."""
        entries = list(entries)
        given: dict[str, str] = {}
        for entry in entries:
            if entry.path.rpartition("/")[2] == DATASET_LABELS:
                folder = entry.folder
                try:
                    found = read_dataset_labels(entry.file)
                except BadClip as bad:
                    self._skip(entry, bad.reason)
                    continue
                given |= {f"{folder}/{path}" if folder else path: label for path, label in found.items()}
        for entry in entries:
            if given and entry.label is None:
                entry = replace(entry, label=label_of(entry.path, given))
            yield entry

    def _add_manifest(self, file: StoredFile) -> None:
        base = file.name.replace("\\", "/").rpartition("/")[0] or "."
        is_local = not _is_url(file.name)
        manifest = read_manifest(file, lambda path: is_local and (Path(base) / path).exists())
        if manifest.unused:
            listed = ", ".join(manifest.unused)
            self.notes.append(f"{file.name}: these columns are not used: {listed}")
        taken: set[str] = set()
        for row in manifest.rows:
            is_complete = _is_url(row.path) or row.path.startswith(("/", "~")) or Path(row.path).is_absolute()
            path = os.path.expanduser(row.path) if is_complete else f"{base}/{row.path}"  # noqa: PTH111
            try:
                reading = self._reading_of(row)
                inner = _Opener(path, reading, in_manifest=True).open()
            except VgbenchError as error:
                self.skipped.append(Skipped(path, error.message.removeprefix(f"{path}: ")))
                continue
            except OSError as error:  # a name that is too long, a folder that may not be entered
                self.skipped.append(Skipped(path, error.strerror or str(error)))
                continue
            self.skipped += inner.skipped
            self.left_out = total((self.left_out, inner.left_out))
            for clip in _clips_of_row(row, inner.clips):
                if clip.id in taken:
                    self.skipped.append(Skipped(clip.id, "another line names this clip as well"))
                else:
                    taken.add(clip.id)
                    self.clips.append(clip)

    def _reading_of(self, row: Row) -> Reading:
        """How the clip of a line is read: as the line says, or else as the user says."""
        span = self.reading.value_range if row.value_range is None else row.value_range
        axes = self.reading.axes if row.axes is None else row.axes
        return replace(self.reading, value_range=span, axes=axes)

    def _leave_out(self, entry: Entry, why: str = "") -> None:
        """Count a file that is not read because of its suffix or, if that says why, its content."""
        name = entry.path.rpartition("/")[2]
        if name.lower() not in SYSTEM_FILES:
            suffix = suffix_of(name) + why
            self.left_out[suffix] = self.left_out.get(suffix, 0) + 1

    def _skip(self, entry: Entry, reason: str) -> None:
        self.skipped.append(Skipped(entry.file.name, reason))


def _clips_of_row(row: Row, found: Sequence[Clip]) -> Iterator[Clip]:
    """The clips that a line of a manifest names, with what the line says about them."""
    for inner in found:
        name, label = row.path, row.label
        if len(found) > 1:
            name = _id_of_one(row.path, inner.id)
            label = inner.label if row.label is None else row.label
        group = inner.group if row.group is None else row.group
        clip = replace(inner, id=name, label=label, group=group)
        if row.fps is not None:
            clip = RatedClip(name, label, clip, row.fps)
        if row.start > 0 or row.frames is not None:
            clip = WindowClip(
                f"{name}{row.id.removeprefix(row.path)}", label, clip, row.start, row.frames, group=group
            )
        yield clip


def _id_of_one(path: str, inner: str) -> str:
    """Id of one of several clips that a path holds: an array, an archive, or a folder of clips."""
    file, mark, index = inner.rpartition("#")
    if mark and file == path.replace("\\", "/").rpartition("/")[2]:
        return f"{path}#{index}"
    return f"{path.rstrip('/')}/{inner}"


def _by_reason(skipped: Iterable[Skipped]) -> list[str]:
    """Name each reason once, with the first path that it holds for and the number of the others."""
    paths: dict[str, list[str]] = defaultdict(list)
    for entry in skipped:
        paths[entry.reason].append(entry.path)
    return [
        f"{first}{f' and {len(others)} more' if others else ''}: {reason}"
        for reason, (first, *others) in paths.items()
    ]


def _is_url(spec: str) -> bool:
    return "://" in spec
