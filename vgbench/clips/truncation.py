"""Detect files that were cut off from the sizes that containers record, without decoding.

Decoders do not always report it: FFmpeg reads a cut Matroska file up to its last complete frame and treats
that as the end. MPEG transport and program streams, Ogg, FLV and raw streams record no size; for them, only
the decoder can tell.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_ISO_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot"}
"""Boxes that a file may begin with."""
_LATER_BOXES = {
    b"mfra",
    b"sidx",
    b"ssix",
    b"prft",
    b"emsg",
    b"meta",
    b"meco",
    b"udta",
    b"uuid",
    b"pdin",
    b"junk",
}
"""Further boxes at the top level (ISO/IEC 14496-12, table 1, and QuickTime)."""
_ASF_HEADER = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C")
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_LEAST = 50  # bytes of an object of data without packets
_MXF_PARTITION = bytes.fromhex("060E2B34020501010D01020101")
_MXF_LONGEST = 2**16
_UNKNOWN_SIZE = 0xFFFFFFFF
"""Of a RIFF file whose writer could not go back to the beginning, such as one that wrote to a pipe."""


def is_cut_off(stream: BinaryIO) -> bool:
    """Whether a file ends earlier than its headers say.

    MP4/MOV, Matroska/WebM, AVI, ASF/WMV, MXF, Y4M, WebP and GIF say it.

    Args:
        stream: the file, seekable; its position is at the beginning afterwards.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(16)
    end = 0
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        end = _chunks_end(stream, size)
    elif head[:4] == b"RIFF":
        end = 8 + int.from_bytes(head[4:8], "little")
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        end = _segment_end(stream)
    elif head[4:8] in _ISO_BOXES:
        end = _boxes_end(stream, size)
    elif head == _ASF_HEADER:
        end = _asf_end(stream)
    elif head[:13] == _MXF_PARTITION:
        end = _mxf_end(stream)
    elif head[:10] == b"YUV4MPEG2 ":
        end = _y4m_end(stream, size)
    elif head[:3] == b"GIF":
        stream.seek(max(0, size - 64))
        end = size if b";" in stream.read() else size + 1  # the trailer; some writers add padding after it
    stream.seek(0)
    return end > size


def _chunks_end(stream: BinaryIO, file_size: int) -> int:
    """Where the last chunk of an AVI file ends that has to be there.

    The size of the whole file is not asked: writers count it from different places, and cameras leave it out.
    """
    position = 12
    while position + 8 <= file_size:
        stream.seek(position)
        header = stream.read(8)
        size = int.from_bytes(header[4:], "little")
        if header[:4] not in (b"LIST", b"idx1", b"JUNK", b"RIFF"):
            break  # bytes that were appended
        if size in (0, _UNKNOWN_SIZE):
            return file_size
        position += 8 + size + size % 2
    return position - 1 if position == file_size + 1 else position  # the last byte may only fill up


def _asf_end(stream: BinaryIO) -> int:
    """Where the data of an ASF file end; 0 for a live stream, whose size is unknown."""
    header_size = int.from_bytes(stream.read(8), "little")
    stream.seek(header_size)
    data = stream.read(24)
    size = int.from_bytes(data[16:24], "little")
    return header_size + size if data[:16] == _ASF_DATA and size >= _ASF_LEAST else 0


def _mxf_end(stream: BinaryIO) -> int:
    """Where the last partition of an MXF file ends (SMPTE ST 377-1, section 7.1); 0 if that is not known."""
    stream.seek(0)
    pack = _mxf_partition(stream)
    footer = int.from_bytes(pack[24:32], "big")
    if footer == 0:
        return 0
    stream.seek(footer)
    pack = _mxf_partition(stream)
    if len(pack) < 48:
        return footer + 20
    return stream.tell() + int.from_bytes(pack[32:40], "big") + int.from_bytes(pack[40:48], "big")


def _mxf_partition(stream: BinaryIO) -> bytes:
    """The content of the partition pack at the position of a stream; empty if there is none."""
    if stream.read(16)[:13] != _MXF_PARTITION:
        return b""
    first = stream.read(1)
    length = first[0] if first else 0
    if length & 0x80:
        length = int.from_bytes(stream.read(min(length & 0x7F, 8)), "big")
    return stream.read(length) if length <= _MXF_LONGEST else b""


def _y4m_end(stream: BinaryIO, file_size: int) -> int:
    """Where the last frame of a YUV4MPEG2 file ends; 0 if its format is not known."""
    stream.seek(0)
    words = stream.readline(256).decode("latin-1").split()
    tags = {word[0]: word[1:] for word in words[1:]}
    frame = _y4m_frame(tags.get("W", ""), tags.get("H", ""), tags.get("C", "420"))
    position = stream.tell()
    if frame == 0 or (file_size - position) % (len(b"FRAME\n") + frame) == 0:
        return 0
    while position < file_size:
        stream.seek(position)
        line = stream.readline(256)
        if not line.startswith(b"FRAME"):
            return position + (len(b"FRAME\n") if b"FRAME\n".startswith(line) else 0)
        position += len(line) + frame
    return position


def _y4m_frame(width: str, height: str, chroma: str) -> int:
    """Bytes of a frame."""
    if not (width.isdecimal() and height.isdecimal() and max(len(width), len(height)) < 9):
        return 0
    w, h = int(width), int(height)
    found = re.fullmatch(r"(420|411|422|444|444alpha|mono)(jpeg|mpeg2|paldv|p?(?:9|1[0-6]))?", chroma)
    if found is None:
        return 0
    kind, rest = found.groups()
    wide = rest is not None and rest not in ("jpeg", "mpeg2", "paldv")
    halves = {
        "420": 2 * ((w + 1) // 2) * ((h + 1) // 2),
        "411": 2 * ((w + 3) // 4) * h,
        "422": 2 * ((w + 1) // 2) * h,
        "444": 2 * w * h,
        "444alpha": 3 * w * h,
        "mono": 0,
    }
    return (w * h + halves[kind]) * (2 if wide else 1)


def _segment_end(stream: BinaryIO) -> int:
    """Where the first Matroska segment ends; 0 when it is a live stream, whose size is unknown."""
    stream.seek(4)
    header_size = _ebml_size(stream) or 0
    stream.seek(header_size, 1)
    if stream.read(4) != b"\x18\x53\x80\x67":
        return 0
    size = _ebml_size(stream)
    return 0 if size is None else stream.tell() + size


def _ebml_size(stream: BinaryIO) -> int | None:
    """Read a number whose leading zero bits give its length (RFC 8794, section 4); None for "unknown"."""
    first = stream.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    marker = 1 << (7 * length)
    value = int.from_bytes(first + stream.read(length - 1), "big") ^ marker
    return None if value == marker - 1 else value


def _boxes_end(stream: BinaryIO, file_size: int) -> int:
    """Where the last top-level box of an ISO base media file ends (ISO/IEC 14496-12, section 4.2)."""
    position = 0
    seen: set[bytes] = set()
    while position < file_size:
        stream.seek(position)
        header = stream.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if kind not in _ISO_BOXES | _LATER_BOXES and {b"moov", b"mdat"} <= seen:
            return position  # bytes that were appended, as cameras and downloads do
        seen.add(kind)
        if size == 0:  # the box extends to the end of the file
            return file_size
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8:
            return position
        position += size
    return position
