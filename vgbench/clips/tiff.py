"""Pages of a TIFF file: which of them are frames, without decoding them.

Pillow takes the end of a file that was cut off for the end of the list of pages, so the list is read here.
"""

from __future__ import annotations

import io
import re
import struct
from typing import BinaryIO

from vgbench.clips.limits import MAX_FRAMES

_SUBFILE_TYPE = 254  # tag NewSubfileType of TIFF 6.0
_REDUCED_OR_MASK = 0b101
_SHORT = 3


def frame_pages(stream: BinaryIO) -> list[int]:
    """Return the positions of the pages that are no thumbnails and no transparency masks.

    Raises:
        EOFError: the file ends before its list of pages does.
        ValueError: not a TIFF file, or one of more than `MAX_FRAMES` pages.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 16:
        raise ValueError("not a TIFF file")
    is_big = struct.unpack(order + "H", head[2:4])[0] == 43
    count_of, next_of = (struct.Struct(order + code) for code in ("QQ" if is_big else "HI"))
    entry_size = 20 if is_big else 12
    (offset,) = next_of.unpack_from(head, 8 if is_big else 4)
    pages: list[int] = []
    seen: set[int] = set()
    while offset and offset not in seen:
        if len(seen) > MAX_FRAMES:
            raise ValueError(f"more than {MAX_FRAMES} pages (VGBENCH_MAX_FRAMES)")
        stream.seek(offset)
        (count,) = count_of.unpack(_exactly(stream, count_of.size, size))
        entries = _exactly(stream, count * entry_size, size)
        if not _subfile_type(entries, entry_size, order) & _REDUCED_OR_MASK:
            pages.append(len(seen))
        seen.add(offset)
        (offset,) = next_of.unpack(_exactly(stream, next_of.size, size))
    return pages


def _exactly(stream: BinaryIO, length: int, size: int) -> bytes:
    if stream.tell() + length > size:
        raise EOFError("cut off: its list of pages is not complete")
    return stream.read(length)


def _subfile_type(entries: bytes, entry_size: int, order: str) -> int:
    for start in range(0, len(entries), entry_size):
        tag, kind = struct.unpack_from(order + "HH", entries, start)
        if tag == _SUBFILE_TYPE:
            value_at = start + (8 if entry_size == 12 else 12)
            return int(struct.unpack_from(order + ("H" if kind == _SHORT else "I"), entries, value_at)[0])
    return 0


def declared_images(description: str) -> int:
    """Return how many images ImageJ says that a file holds; 1 if the description is not ImageJ's.

    ImageJ writes stacks of more than 4 GiB with one page only, and the other images after it.
    """
    return _imagej(description).get("images", 1)


def other_axes(description: str, samples: int) -> str:
    """Say which axes the pages have besides one of frames; "" if their order is that of the frames.

    Args:
        description: of the first page; ImageJ and OME write there what pages are.
        samples: values of one pixel.
    """
    axes = _ome(description, samples) or _imagej(description)
    sizes = {name: axes.get(name, 1) for name in ("channels", "slices", "frames")}
    if sizes["channels"] == 1 and min(sizes["slices"], sizes["frames"]) == 1:
        return ""
    return ", ".join(f"{size} {name}" for name, size in sizes.items() if size > 1)


def _imagej(description: str) -> dict[str, int]:
    if not description.startswith("ImageJ="):
        return {}
    return {
        name: int(size)
        for name, size in re.findall(r"^(images|channels|slices|frames)=(\d+)", description, re.M)
    }


def _ome(description: str, samples: int) -> dict[str, int]:
    if "<OME" not in description:
        return {}
    names = {"C": "channels", "Z": "slices", "T": "frames"}
    found = {names[axis]: int(size) for axis, size in re.findall(r'\bSize([CZT])="(\d+)"', description)[::-1]}
    return found | {"channels": max(found.get("channels", 1) // samples, 1)}
