"""Animated thumbnails for the page: read beside the records, checked, and kept within a budget."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from vgbench.leaderboard.ranking import Group, Row
from vgbench.records.record import Record

BUDGET = 3_300_000
"""Bytes of pictures in one page; base64 makes a third more of them, which keeps the page under 5 MB."""

LARGEST_SIDE = 1024

PICKS = ("nearest", "farthest")
"""Thumbnails that are named by how they were chosen; all others are numbered."""

_WHICH = "|".join(("[0-9]{1,9}", *PICKS))


@dataclass(frozen=True)
class Picture:
    """One thumbnail as data URIs: animated, and its first frame for readers who want nothing to move.

    `pick` is "nearest" or "farthest" for a clip that was chosen by its distance to the real mean, else "".
    """

    animated: str
    still: str
    width: int
    height: int
    pick: str = ""


@dataclass
class Album:
    """Pictures of a report.

    Attributes:
        generated: (group, model) -> pictures of its clips; a group goes by its signature's short hash.
        real: group -> pictures of its real clips.
        over_budget: pictures left out because the page would grow too large.
        unusable: pictures that are missing, changed since the record was made, or not WebP.
    """

    generated: dict[tuple[str, str], list[Picture]] = field(default_factory=lambda: defaultdict(list))
    real: dict[str, list[Picture]] = field(default_factory=lambda: defaultdict(list))
    over_budget: int = 0
    unusable: int = 0


def own_names(record: Record) -> re.Pattern[str]:
    """Match the names that a record's own thumbnails have; any other could be a file of someone else."""
    folder = f"({re.escape(record.stem)}|{re.escape(record.older_stem)})"
    return re.compile(rf"{folder}\.clips/(generated|real)-({_WHICH})\.webp")


def collect(groups: Sequence[Group], budget: int = BUDGET) -> Album:
    """Read thumbnails in turns, one of every model before the second of any, until the budget is spent."""
    shelves: list[list[tuple[list[Picture], Path, str, str]]] = []
    album = Album()
    for group in groups:
        key = group.signature.short_hash
        real_shown = False
        for row in group.rows:
            generated, real = _listed(row, "generated"), _listed(row, "real")
            shelves.append([(album.generated[key, row.model], *entry) for entry in generated])
            if real and not real_shown:  # one group has one set of real clips
                shelves.append([(album.real[key], *entry) for entry in real])
                real_shown = True
    for turn in zip_longest(*shelves):
        for shelf, folder, name, sha256 in filter(None, turn):
            picture, size = _read(folder, name, sha256)
            if picture is None:
                album.unusable += 1
            elif size > budget:
                album.over_budget += 1
            else:
                budget -= size
                shelf.append(picture)
    return album


def _listed(row: Row, side: str) -> list[tuple[Path, str, str]]:
    """(folder, relative path, sha256) of one side's thumbnails: by number, then those picked by distance."""
    if row.path is None:
        return []
    pattern = re.compile(rf"{side}-({_WHICH})\.webp")
    found = []
    for name, sha256 in row.record.thumbnails.items():
        match = pattern.fullmatch(PurePosixPath(name).name)
        if match:
            place = (1, PICKS.index(match[1])) if match[1] in PICKS else (0, int(match[1]))
            found.append((place, name, sha256))
    return [(row.path.parent, name, sha256) for _, name, sha256 in sorted(found)]


def _read(folder: Path, name: str, sha256: str) -> tuple[Picture | None, int]:
    """Return the picture and its bytes in the page; None where it cannot be trusted or read."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        return None, 0
    try:
        data = (folder / relative).read_bytes()
    except OSError:
        return None, 0
    if hashlib.sha256(data).hexdigest() != sha256:
        return None, 0
    first = _first_frame(data)
    if first is None:
        return None, 0
    still, width, height = first
    word = relative.stem.rpartition("-")[2]
    pick = word if word in PICKS else ""
    return Picture(_uri(data), _uri(still), width, height, pick), len(data) + len(still)


def _first_frame(data: bytes) -> tuple[bytes, int, int] | None:
    from PIL import Image

    from vgbench.clips.files import DAMAGE
    from vgbench.clips.images import PILLOW_DAMAGE

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow only warns of most decompression bombs
            with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
                if max(image.size) > LARGEST_SIDE:
                    return None
                still = io.BytesIO()
                image.convert("RGB").save(still, "WEBP", quality=60)
                return still.getvalue(), image.width, image.height
    except (*DAMAGE, *PILLOW_DAMAGE, Warning, Image.DecompressionBombError):
        return None


def _uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
