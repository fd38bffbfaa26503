"""A downloaded data set → checked counts and two manifests; nothing is converted or copied."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vgbench.clips.clip import printable
from vgbench.clips.listing import ARCHIVES, COMPRESSED_TARS
from vgbench.datasets.known import KNOWN, KnownSet
from vgbench.errors import VgbenchError
from vgbench.named import lookup
from vgbench.storage import atomic


@dataclass(frozen=True)
class Prepared:
    """What was found.

    Attributes:
        name: of the data set.
        counts: side -> clips found.
        expected: side -> clips that the whole set has.
        classes: number of classes found.
        problems: what differs from the published set, one sentence each; empty for a whole copy.
        manifests: side -> the file that was written.
    """

    name: str
    counts: dict[str, int]
    expected: dict[str, int]
    classes: int
    problems: tuple[str, ...]
    manifests: dict[str, Path]


def prepare(name: str, folder: str | Path, output: str | Path | None = None, split: int = 1) -> Prepared:
    """Check a downloaded data set and write `train.csv` and `test.csv`, which every command takes as clips.

    Args:
        name: key of `KNOWN`.
        folder: where the unpacked files are, at any depth.
        output: folder for the manifests; `folder` unless given.
        split: official split, for sets that have several.

    Raises:
        ConfigError: unknown name.
        VgbenchError: nothing of the set is there (says where to get it), or the output cannot be written.
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
        rows = ((_reference(path, place), label) for path, label in clips)
        manifests[side] = place / f"{side}.csv"
        try:
            atomic.write_text(manifests[side], _table(rows))
        except OSError as error:
            raise VgbenchError(
                f"{place}: cannot be written to ({error.strerror})", "give another folder with --output"
            ) from error
    classes = len({label for clips in found.values() for _, label in clips if label is not None})
    counts = {side: len(clips) for side, clips in found.items()}
    return Prepared(
        name, counts, expected, classes, tuple(_problems(known, counts, expected, classes)), manifests
    )


def _problems(
    known: KnownSet, counts: dict[str, int], expected: dict[str, int], classes: int
) -> Iterator[str]:
    for side, count in counts.items():
        if count != expected[side]:
            why = f"; {known.fewer}" if known.fewer and count < expected[side] else ""
            yield f"{side}: {count} clips, where the set has {expected[side]} ({known.source}){why}"
    if classes != known.classes:
        yield f"{classes} classes, where the set has {known.classes}"


def _nothing(known: KnownSet, folder: Path) -> VgbenchError:
    packed = (*ARCHIVES, *COMPRESSED_TARS, ".rar", ".7z")
    archives = [path.name for path in sorted(folder.iterdir()) if path.name.lower().endswith(packed)]
    if archives:
        return VgbenchError(f"{folder}: only archives are here, such as {archives[0]}", "unpack them first")
    return VgbenchError(
        f"{folder}: nothing here is of {known.title}; looked for {known.layout}", f"get it from {known.where}"
    )


def _reference(path: Path, place: Path) -> str:
    """Relative where the clip lies below the manifest, so that the folder can move; absolute otherwise.

    Raises:
        VgbenchError: the name is no text.
    """
    whole, base = path.resolve(), place.resolve()
    name = whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)
    if printable(name) != name:
        raise VgbenchError(f"{printable(str(path))}: not UTF-8, so a manifest cannot name it", "rename it")
    return name


def _table(rows: Iterator[tuple[str, str | None]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=os.linesep)
    writer.writerow(("path", "label"))
    writer.writerows((path, label or "") for path, label in rows)
    return text.getvalue()
