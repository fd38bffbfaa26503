"""Animated thumbnails for the page: read from beside the records, checked, and limited to a budget."""

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
"""Bytes of thumbnails in one page; base64 adds a third, which keeps the page below 5 MB."""

LARGEST_SIDE = 1024

PICKS = ("nearest", "farthest")
"""Thumbnails that are named after the rule that chose them; all others are numbered."""

_WHICH = "|".join(("[0-9]{1,9}", *PICKS))


@dataclass(frozen=True)
class Thumbnail:
    """One thumbnail as data URIs.

    Attributes:
        animated: the animated image.
        first_frame: its first frame, for readers who want nothing to move.
        width, height: in pixels.
        pick: "nearest" or "farthest" for a clip that was chosen by its distance from the real mean, else "".
        size: bytes of both images.
    """

    animated: str
    first_frame: str
    width: int
    height: int
    pick: str
    size: int


@dataclass
class Album:
    """Thumbnails of a report.

    Attributes:
        generated: (group, model) -> thumbnails of its clips; the group is the short hash of its signature.
        real: group -> thumbnails of its real clips.
        over_budget: number of thumbnails that were left out because the page would become too large.
        unusable: number of thumbnails that are missing, changed since the record was made, or not WebP.
    """

    generated: dict[tuple[str, str], list[Thumbnail]] = field(default_factory=lambda: defaultdict(list))
    real: dict[str, list[Thumbnail]] = field(default_factory=lambda: defaultdict(list))
    over_budget: int = 0
    unusable: int = 0


def own_names(record: Record) -> re.Pattern[str]:
    """Match the names of a record's own thumbnails; any other name could be a file of another record."""
    folder = f"({re.escape(record.stem)}|{re.escape(record.older_stem)})"
    return re.compile(rf"{folder}\.clips/(generated|real)-({_WHICH})\.webp")


def collect(groups: Sequence[Group], budget: int = BUDGET) -> Album:
    """Read thumbnails until the budget is used up: one of every model before a second of any, and so on."""
    shelves: list[list[tuple[list[Thumbnail], Path, str, str]]] = []
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
            thumbnail = read_thumbnail(folder, name, sha256)
            if thumbnail is None:
                album.unusable += 1
            elif thumbnail.size > budget:
                album.over_budget += 1
            else:
                budget -= thumbnail.size
                shelf.append(thumbnail)
    return album


def _listed(row: Row, side: str) -> list[tuple[Path, str, str]]:
    """(folder, relative path, sha256) of one side's thumbnails: by number, then those chosen by distance."""
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


def read_thumbnail(folder: Path, name: str, sha256: str) -> Thumbnail | None:
    """Read one thumbnail; None if it cannot be read or trusted."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        return None
    try:
        data = (folder / relative).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != sha256:
        return None
    first = _first_frame(data)
    if first is None:
        return None
    first_frame, width, height = first
    rule = relative.stem.rpartition("-")[2]
    pick = rule if rule in PICKS else ""
    return Thumbnail(_uri(data), _uri(first_frame), width, height, pick, len(data) + len(first_frame))


def _first_frame(data: bytes) -> tuple[bytes, int, int] | None:
    from PIL import Image

    from vgbench.clips.files import DAMAGE
    from vgbench.clips.images import PILLOW_DAMAGE

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow only warns about most decompression bombs
            with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
                if max(image.size) > LARGEST_SIDE:
                    return None
                first = io.BytesIO()
                image.convert("RGB").save(first, "WEBP", quality=60)
                return first.getvalue(), image.width, image.height
    except (*DAMAGE, *PILLOW_DAMAGE, Warning, Image.DecompressionBombError):
        return None


def _uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"
