"""`open_source` makes a `ClipSource` from whatever the user names."""

from __future__ import annotations

import math
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from vgbench.clips.arrays import ARRAYS, ValueRange, is_array, memory_clips, stored_array_clips
from vgbench.clips.clip import Clip, ClipSource, Skipped, printable
from vgbench.clips.files import LocalFile, StoredFile
from vgbench.clips.images import (
    ANIMATIONS,
    IMAGES,
    AnimationClip,
    FrameFolderClip,
    ImageKind,
    StripClip,
    image_kind,
    natural_key,
)
from vgbench.clips.listing import (
    ARCHIVES,
    COMPRESSED_TARS,
    Entry,
    is_hidden,
    list_archive,
    list_local,
    list_remote,
)
from vgbench.clips.manifest import MANIFESTS, WindowClip, read_manifest
from vgbench.clips.rates import RatedClip, with_rate
from vgbench.clips.video import VIDEOS, VideoClip
from vgbench.errors import BadClip, VgbenchError
from vgbench.named import import_object, load_target

Layout = Literal["auto", "frames", "strips"]
HEADERS_AT_ONCE = 16
LEAST_SPAN = 1e-300
"""A smaller range of floats cannot be divided into 256 levels."""
LAYOUTS = ("auto", "frames", "strips")

PRETRAINED = "vgbench.reference_models.pretrained_clips:open_pretrained"
"""Opens `pretrained:NAME`. It is named and not imported, because clips are read without torch."""
OWN_DATA = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""`package.module:object`; after a drive letter or in a URL, a slash follows the colon."""

LOOKED_FOR = (
    f"videos ({' '.join(VIDEOS)}), animations ({' '.join(ANIMATIONS)} .webp .png), "
    f"folders of frames or frame strips ({' '.join(IMAGES)}), arrays ({' '.join(ARRAYS)}), "
    f"archives ({' '.join(ARCHIVES)})"
)


def open_source(
    spec: Any,
    *,
    layout: Layout = "auto",
    default_split: str = "train",
    value_range: ValueRange | None = None,
    fps: float | None = None,
) -> ClipSource:
    """Find all clips of what the user named, without decoding them.

    Args:
        spec: one of

            - a folder or file: videos, GIF/WebP/APNG, folders of frames, frame strips, `.npz`/`.npy`/`.pt`,
              zip or tar (WebDataset), or a `.csv`/`.jsonl` manifest. Sub-folders are class labels;
            - the URL of the same, for any protocol of fsspec (`s3://bucket/folder`, `hf://…`, `memory://…`);
            - `package.module:object`, importable from the working directory: any of the things below, or a
              function without arguments that returns one;
            - `builtin:NAME[/SPLIT][?key=value&…]`, see `vgbench.clips.builtin`;
            - `distort:NAME=STRENGTH:SPEC`, any of these distorted, see `vgbench.clips.distortions`;
            - a numpy array or torch tensor, uint8 [N,T,H,W,3] or [T,H,W,3];
            - an iterable, generator, data set or data loader that yields clips [T,H,W,3] or batches
              [B,T,H,W,3], alone, as (clip, label) or (clip, label, group), or as a mapping with the keys
              "clip" and perhaps "label" and "group"; of a batch, labels and groups are sequences, and any of
              them may be None. It is read to its end and its pixels stay in memory;
            - a `ClipSource`, returned as it is.
        layout: what a folder of images holds. "strips": every image is a clip of square frames side by side;
            "frames": the images are the frames of one clip; "auto" decides by each folder's first image (the
            width of a strip is a whole multiple of its height, at least 4 times).
        default_split: for a `builtin:` name without a split.
        value_range: range of float arrays, such as (0, 1); without it only uint8 is accepted.
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
        source = open_source(spec, layout=layout, default_split=default_split, value_range=value_range)
        return with_rate(source, fps)
    if layout not in LAYOUTS:
        raise VgbenchError(f"unknown layout '{layout}'", f"known: {', '.join(LAYOUTS)}")
    if value_range is not None and not value_range[0] < value_range[1]:
        raise VgbenchError(f"value_range {value_range} is empty", "give (low, high), such as (0, 1)")
    if value_range is not None and not LEAST_SPAN < value_range[1] - value_range[0] < math.inf:
        raise VgbenchError(
            f"value_range {value_range} is too narrow or not finite", "give (low, high), such as (0, 1)"
        )
    if isinstance(spec, ClipSource):
        return spec
    if isinstance(spec, str | Path):
        text = str(spec)
        if text.startswith("builtin:"):
            from vgbench.clips.builtin import open_builtin

            return open_builtin(text, default_split)
        if text.startswith("pretrained:"):
            return cast(ClipSource, load_target(PRETRAINED)(text))
        if text.startswith("distort:"):
            from vgbench.clips.distortions import distort, parse_distortion

            name, strength, inner = parse_distortion(text)
            options: dict[str, Any] = {"default_split": default_split, "value_range": value_range}
            return distort(open_source(inner, layout=layout, **options), name, strength)
        if OWN_DATA.fullmatch(text) and not Path(text).exists():
            return _own_data(text, layout, default_split, value_range)
        return _Opener(text, layout, value_range).open()
    if is_array(spec):
        return ClipSource("array", memory_clips([spec], value_range, copy=False))
    if not isinstance(spec, Iterable) and hasattr(spec, "__getitem__") and hasattr(spec, "__len__"):
        spec = map(spec.__getitem__, range(len(spec)))  # a map-style data set
    if isinstance(spec, Iterable):
        clips = memory_clips(spec, value_range, copy=True)
        if not clips:
            raise VgbenchError(
                "the iterable gave no clip", "if it is a generator that was used before, make a new one"
            )
        return ClipSource("iterable", clips)
    raise VgbenchError(
        f"a {type(spec).__name__} is not a source of clips",
        "give a path, URL, builtin:NAME, array or iterable",
    )


def _own_data(name: str, layout: Layout, default_split: str, value_range: ValueRange | None) -> ClipSource:
    found = import_object(name)
    found = found() if callable(found) else found
    if isinstance(found, str) and OWN_DATA.fullmatch(found):
        raise VgbenchError(f"{name}: returns another name, {found}", "return a path or clips instead")
    source = open_source(found, layout=layout, default_split=default_split, value_range=value_range)
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

    def __init__(
        self, spec: str, layout: Layout, value_range: ValueRange | None, *, in_manifest: bool = False
    ) -> None:
        self.spec, self.layout, self.value_range = spec, layout, value_range
        self.in_manifest = in_manifest
        self.clips: list[Clip] = []
        self.skipped: list[Skipped] = []

    def open(self) -> ClipSource:
        entries = self._entries()
        single = entries[0] if len(entries) == 1 and self._is_file(entries[0]) else None
        if single and single.path.lower().endswith(MANIFESTS):
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
        return ClipSource(self.spec, self.clips, tuple(self.skipped))

    def _entries(self) -> list[Entry]:
        if _is_url(self.spec):
            entries, skipped = list_remote(self.spec)
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
        return entry.file.name == self.spec or Path(self.spec).is_file()

    def _nothing_found(self, files: int) -> VgbenchError:
        if self.skipped:
            reasons = "; ".join(f"{skipped.path}: {skipped.reason}" for skipped in self.skipped[:3])
            return VgbenchError(
                f"{self.spec}: none of its files can be used ({reasons})", f"expected {LOOKED_FOR}"
            )
        return VgbenchError(
            f"{self.spec}: nothing here looks like a clip ({files} files)", f"looked for {LOOKED_FOR}"
        )

    def _add(self, entries: Iterable[Entry], *, nested: bool = True) -> None:
        """Sort entries by kind; images wait until all of their folder is known."""
        images_of: dict[str, list[Entry]] = defaultdict(list)
        others: set[str] = set()
        for entry in entries:
            suffix = entry.path.lower()
            if suffix.endswith(IMAGES):
                images_of[_folder(entry.path)].append(entry)
                continue
            if suffix.endswith(COMPRESSED_TARS):
                self._skip(entry, "a compressed tar has no random access; store it as plain .tar or as .zip")
            elif not suffix.endswith((*VIDEOS, *ANIMATIONS, *ARRAYS, *ARCHIVES)):
                continue
            elif entry.file.size == 0:
                self._skip(entry, "zero bytes")
            elif suffix.endswith(VIDEOS):
                self.clips.append(VideoClip(entry.path, _label(entry), entry.file, group=entry.group))
            elif suffix.endswith(ANIMATIONS):
                self.clips.append(AnimationClip(entry.path, _label(entry), entry.file, group=entry.group))
            elif suffix.endswith(ARRAYS):
                self._add_arrays(entry)
            elif nested:
                self._add(self._members(entry.file, shard=entry.path), nested=False)
            else:
                self._skip(entry, "an archive inside an archive")
            others.add(_folder(entry.path))
        for images in images_of.values():
            images.sort(key=lambda entry: natural_key(entry.path))
        for (folder, images), kind in zip(
            images_of.items(), self._image_kinds(images_of.values()), strict=True
        ):
            self._add_images(folder, images, kind, beside_clips=folder in others)

    def _add_images(self, folder: str, images: list[Entry], kind: ImageKind, *, beside_clips: bool) -> None:
        if kind == "frame":
            where = f"{self.spec.rstrip('/')}/{folder}" if folder else self.spec
            if beside_clips and self.layout == "auto":
                reason = f"{len(images)} images beside clips are not used as frames of a clip"
                self.skipped.append(Skipped(where, f"{reason}; layout='frames' uses them"))
                return
            path = folder or "."
            label = images[0].label or _class(_folder(folder), images[0].shard)
            files, group = tuple(image.file for image in images), images[0].group
            self.clips.append(FrameFolderClip(path, label, files, where, group=group))
            return
        make = StripClip if kind == "strip" else AnimationClip
        for entry in images:
            if entry.file.size == 0:
                self._skip(entry, "zero bytes")
            else:
                self.clips.append(make(entry.path, _label(entry), entry.file, group=entry.group))

    def _image_kinds(self, folders: Collection[list[Entry]]) -> list[ImageKind]:
        """Read one header per folder, several at a time because each may be remote."""
        # Warning filters are shared by all threads; this block restores them once the threads are done.
        with warnings.catch_warnings(), ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            return list(pool.map(self._image_kind, folders))

    def _image_kind(self, images: list[Entry]) -> ImageKind:
        if self.layout == "strips":
            return "strip"
        if self.layout == "frames":
            return "frame"
        for entry in images:
            try:
                return image_kind(entry.file)
            except BadClip:
                continue  # the next image of the folder decides; this one is reported when it is read
        return "frame"

    def _add_arrays(self, entry: Entry) -> None:
        try:
            clips = stored_array_clips(entry.path, entry.file, _label(entry), self.value_range)
            self.clips += [replace(c, group=entry.group) for c in clips] if entry.group else clips
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

    def _add_manifest(self, file: StoredFile) -> None:
        base = file.name.replace("\\", "/").rpartition("/")[0]
        for row in read_manifest(file):
            path = row.path if _is_url(row.path) or row.path.startswith("/") else f"{base or '.'}/{row.path}"
            try:
                inner = _Opener(path, self.layout, self.value_range, in_manifest=True).open()
            except VgbenchError as error:
                self.skipped.append(Skipped(path, error.message.removeprefix(f"{path}: ")))
                continue
            except OSError as error:  # a name that is too long, a folder that may not be entered
                self.skipped.append(Skipped(path, error.strerror or str(error)))
                continue
            if len(inner.clips) != 1:
                self.skipped.append(
                    Skipped(path, f"a line must name one clip; this path holds {len(inner.clips)}")
                )
                continue
            group = inner.clips[0].group if row.group is None else row.group
            clip = replace(inner.clips[0], id=row.path, label=row.label, group=group)
            if row.fps is not None:
                clip = RatedClip(row.path, row.label, clip, row.fps)
            if row.start > 0 or row.frames is not None:
                clip = WindowClip(row.id, row.label, clip, row.start, row.frames, group=group)
            self.clips.append(clip)

    def _skip(self, entry: Entry, reason: str) -> None:
        self.skipped.append(Skipped(entry.file.name, reason))


def _is_url(spec: str) -> bool:
    return "://" in spec


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _label(entry: Entry) -> str | None:
    return entry.label or _class(_folder(entry.path), entry.shard)


def _class(folder: str, shard: str) -> str | None:
    """Class of a file: its folder inside the shard, or without one, the folder that holds the shard."""
    inside = folder.removeprefix(shard).removeprefix("/") if shard else folder
    label = inside or _folder(shard)
    return sys.intern(label) if label else None  # a million clips share their few labels
