"""Check a downloaded data set and write two manifests; nothing is converted or copied."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vgbench.clips import open_source
from vgbench.clips.clip import printable
from vgbench.clips.suffixes import ARCHIVES, COMPRESSED_TARS
from vgbench.datasets.known import KNOWN, KnownSet
from vgbench.errors import ConfigError, VgbenchError
from vgbench.named import lookup
from vgbench.storage import atomic
from vgbench.storage.writing import writing_to

MOST_NAMED = 5
"""Unusable clips of a split that are named; the others are counted."""


@dataclass(frozen=True)
class Prepared:
    """What was found.

    Attributes:
        name: name of the data set.
        counts: split -> number of clips that were found.
        expected: split -> number of clips in the complete set.
        classes: number of classes that were found.
        problems: how the copy differs from the published set, one sentence each; empty for a complete copy.
        manifests: split -> the manifest that was written.
    """

    name: str
    counts: dict[str, int]
    expected: dict[str, int]
    classes: int
    problems: tuple[str, ...]
    manifests: dict[str, Path]


def prepare(name: str, folder: str | Path, output: str | Path | None = None, split: int = 1) -> Prepared:
    """Check a downloaded data set and write `train.csv` and `test.csv`, which every command accepts as clips.

    Where the names of files state which video a clip was cut from, the manifests have a column `group`.

    Args:
        name: key of `KNOWN`.
        folder: folder with the unpacked files, at any depth.
        output: folder for the manifests; by default `folder`.
        split: number of the official split, for sets with several.

    Raises:
        ConfigError: the name is unknown.
        VgbenchError: nothing of the set was found (the message says where to get it), or the manifests cannot
            be written.
    """
    known = lookup("data set", name, KNOWN)
    folder = Path(folder)
    if not folder.is_dir():
        raise VgbenchError(f"{folder}: no such folder", f"get {known.title} from {known.where}")
    expected = dict(known.expected(split))
    found = known.find(folder, split)
    if not any(found.values()):
        raise _nothing(known, folder)
    place = Path(output) if output is not None else folder
    manifests = {}
    for side, clips in found.items():
        rows = [(_reference(clip.path, place), clip.label, clip.group) for clip in clips]
        manifests[side] = place / f"{side}.csv"
        with writing_to(place, "give another folder with --output"):
            atomic.write_text(manifests[side], _table(rows))
    unusable = [problem for side, path in manifests.items() for problem in _unusable(side, path)]
    classes = len({clip.label for clips in found.values() for clip in clips if clip.label is not None})
    counts = {side: len(clips) for side, clips in found.items()}
    problems = (*_problems(known, counts, expected, classes), *unusable)
    return Prepared(name, counts, expected, classes, problems, manifests)


def _problems(
    known: KnownSet, counts: dict[str, int], expected: dict[str, int], classes: int
) -> Iterator[str]:
    for side, count in counts.items():
        if count != expected[side]:
            why = f"; {known.fewer}" if known.fewer and count < expected[side] else ""
            yield f"{side}: {count} clips, but the set has {expected[side]} ({known.source}){why}"
    if classes != known.classes:
        yield f"{classes} classes, but the set has {known.classes}"


def _unusable(side: str, manifest: Path) -> Iterator[str]:
    """Name the clips of a manifest that cannot be used, such as folders that lack a frame."""
    try:
        skipped = open_source(manifest).skipped
    except ConfigError:  # it names no clip, which the counts say
        return
    except VgbenchError as error:
        yield f"{side}: {error.message}"
        return
    for entry in skipped[:MOST_NAMED]:
        yield f"{side}: {entry.path}: {entry.reason}"
    if len(skipped) > MOST_NAMED:
        yield f"{side}: {len(skipped) - MOST_NAMED} more clips cannot be used"


def _nothing(known: KnownSet, folder: Path) -> VgbenchError:
    packed = (*ARCHIVES, *COMPRESSED_TARS, ".rar", ".7z")
    archives = [path.name for path in sorted(folder.iterdir()) if path.name.lower().endswith(packed)]
    if archives:
        return VgbenchError(f"{folder}: contains only archives, such as {archives[0]}", "unpack them first")
    return VgbenchError(
        f"{folder}: contains nothing of {known.title}, which has {known.layout}", f"get it from {known.where}"
    )


def _reference(path: Path, place: Path) -> str:
    """Path of a clip in the manifest: relative if the clip is in its folder, which can then be moved.

    Raises:
        VgbenchError: the name is not UTF-8.
    """
    whole, base = path.resolve(), place.resolve()
    name = whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)
    if printable(name) != name:
        raise VgbenchError(
            f"{printable(str(path))}: the name is not UTF-8, so a manifest cannot contain it", "rename it"
        )
    return name


def _table(rows: Sequence[tuple[str, str | None, str | None]]) -> str:
    """Lines of a manifest; without groups, it has no column for them."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=os.linesep)
    columns = 3 if any(group is not None for _, _, group in rows) else 2
    writer.writerow(("path", "label", "group")[:columns])
    writer.writerows([value or "" for value in row[:columns]] for row in rows)
    return text.getvalue()
