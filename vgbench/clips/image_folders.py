"""Clips made of images: folders of frames, several series in one folder, strips, animations and stacks."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from vgbench.clips.clip import Clip, Skipped
from vgbench.clips.files import LostFile
from vgbench.clips.image_names import natural_key
from vgbench.clips.images import AnimationClip, FrameFolderClip, ImageKind, StripClip, image_kind
from vgbench.clips.layout import Layout
from vgbench.clips.listing import Entry, class_of, folder_of, webdataset_key
from vgbench.clips.series import Reading, Series, in_order_of_names, read_as_one, read_as_series, read_names
from vgbench.clips.stacks import StackClip
from vgbench.errors import BadClip

HEADERS_AT_ONCE = 16

FORCED: dict[str, Callable[[Sequence[str]], Reading]] = {
    "frames": read_as_one,
    "series": read_as_series,
    "sorted": in_order_of_names,
}
"""Kind of layout -> reader of names; "auto" also compares folders with each other."""

CLIP_OF: dict[ImageKind, type[StripClip | AnimationClip | StackClip]] = {
    "strip": StripClip,
    "animation": AnimationClip,
    "stack": StackClip,
}


@dataclass
class ImageFolders:
    """Sorts the images of a source into clips, once all of them are known.

    Attributes:
        root: path or URL of the source, for messages.
        layout: what the images of a folder are.
        clips: what was found.
        skipped: images and folders that cannot be used.
    """

    root: str
    layout: Layout
    clips: list[Clip] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, images: Iterable[Entry], beside: Collection[str]) -> None:
        """Add the clips of all images of a source.

        Args:
            images: in any order.
            beside: folders that hold clips of other kinds.
        """
        by_suffix: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for image in images:
            if self.layout.takes(_name(image)):
                by_suffix[image.folder, image.path.rpartition(".")[2].lower()].append(image)
        for members in by_suffix.values():
            members.sort(key=lambda entry: natural_key(entry.path))
        frames: dict[str, list[Entry]] = defaultdict(list)
        with_clips = set(beside)
        kinds = self._kinds(list(by_suffix.values()))
        for ((folder, _), members), kind in zip(by_suffix.items(), kinds, strict=True):
            if kind == "frame":
                frames[folder] += members
            else:
                self._add_files(members, kind)
                with_clips.add(folder)
        self._add_frames(frames, with_clips)

    def _kinds(self, images: Sequence[Sequence[Entry]]) -> list[ImageKind]:
        """Read one header of each list, several at a time because each may be remote."""
        # Warning filters are shared by all threads; this block restores them once the threads are done.
        with warnings.catch_warnings(), ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            return list(pool.map(self._kind, images))

    def _kind(self, images: Sequence[Entry]) -> ImageKind:
        if self.layout.kind == "strips":
            return "strip"
        if self.layout.kind != "auto":
            return "frame"
        for entry in images:
            try:
                return image_kind(entry.file)
            except BadClip:
                continue  # the next image of the folder decides; this one is reported when it is read
        return "frame"

    def _add_files(self, images: Iterable[Entry], kind: ImageKind) -> None:
        """Add images that are clips of their own."""
        for entry in images:
            if isinstance(entry.file, LostFile):
                self.skipped.append(Skipped(entry.file.name, entry.file.reason))
            elif entry.file.size == 0:
                self.skipped.append(Skipped(entry.file.name, "zero bytes"))
            else:
                self.clips.append(CLIP_OF[kind](entry.path, entry.class_name, entry.file, group=entry.group))

    def _add_frames(self, folders: dict[str, list[Entry]], with_clips: Collection[str]) -> None:
        """Add the clips of images that are frames.

        Args:
            folders: folder -> its images.
            with_clips: folders that hold clips besides.
        """
        if self.layout.kind == "auto":
            for folder in sorted(folders.keys() & with_clips):
                reason = f"{len(folders.pop(folder))} images beside clips are not used as frames of a clip"
                self.skipped.append(Skipped(self._where(folder), f"{reason}; --layout frames uses them"))
        folders = _by_sample(folders)
        for folder, reading in sorted(self._read(folders).items()):
            images = folders[folder]
            if reading.doubt:
                reason = f"{len(images)} images that can be read in more than one way: {reading.doubt}"
                self.skipped.append(Skipped(self._where(folder), reason))
            if reading.left_out and reading.series:
                first = _name(images[reading.left_out[0]])
                count = f"{len(reading.left_out)} images are" if len(reading.left_out) > 1 else "1 image is"
                reason = f"{count} not numbered as the frames are and left out, such as {first}"
                remedy = "--layout frames uses all images"
                self.skipped.append(Skipped(self._where(folder), f"{reason}; {remedy}"))
            for series in reading.series:
                self._add_series(folder, images, series, folders)

    def _read(self, folders: dict[str, list[Entry]]) -> dict[str, Reading]:
        """Read the names of each folder's images."""
        names = {folder: [_name(image) for image in images] for folder, images in folders.items()}
        if (read := FORCED.get(self.layout.kind)) is not None:
            return {folder: read(found) for folder, found in names.items()}
        readings = {folder: read_names(found) for folder, found in names.items()}
        split = Counter(reading.template for reading in readings.values() if reading.is_split)
        whole = Counter(reading.template for reading in readings.values() if not reading.is_split)
        flat = {template for template, count in split.items() if count >= whole[template]}
        return {
            folder: read_names(names[folder], flat) if reading.template in flat else reading
            for folder, reading in readings.items()
        }

    def _add_series(
        self, folder: str, images: Sequence[Entry], series: Series, folders: Collection[str]
    ) -> None:
        """Add the clip that a folder is, or one of several in it; its id is none of `folders`."""
        entries = [images[position] for position in series.members]
        first, where = entries[0], self._where(folder)
        if series.name:
            path = f"{folder}/{series.name}".removeprefix("/")
            path = f"{folder}/{series.pattern}".removeprefix("/") if path in folders else path
            label, where = first.class_name, f"{where.rstrip('/')}/{series.pattern}"
        else:
            path, label = folder or ".", first.label or class_of(folder_of(folder), first.shard)
        broken = next((entry for entry in entries if isinstance(entry.file, LostFile)), None)
        if broken is not None and isinstance(broken.file, LostFile):
            self.skipped.append(Skipped(where, f"{_name(broken)}: {broken.file.reason}"))
        elif any(entry.is_cut for entry in entries):
            self.skipped.append(Skipped(where, "frames may be missing: its archive is damaged"))
        elif series.gap:
            remedy = "--layout sorted reads the frames that are there"
            self.skipped.append(Skipped(where, f"{series.gap}; {remedy}"))
        else:
            files = tuple(entry.file for entry in entries)
            self.clips.append(FrameFolderClip(path, label, files, where, group=first.group))

    def _where(self, folder: str) -> str:
        return f"{self.root.rstrip('/')}/{folder}" if folder else self.root


def _by_sample(folders: dict[str, list[Entry]]) -> dict[str, list[Entry]]:
    """Take each sample of a WebDataset for a folder, where samples have labels and several images."""
    parted: dict[str, list[Entry]] = {}
    for folder, images in folders.items():
        samples: dict[str, list[Entry]] = defaultdict(list)
        if any(image.label is not None or image.group is not None for image in images):
            for image in images:
                samples[webdataset_key(image.path).removeprefix("/")].append(image)
        parted |= samples if 0 < len(samples) < len(images) else {folder: images}
    return parted


def _name(image: Entry) -> str:
    return image.path.rpartition("/")[2]
