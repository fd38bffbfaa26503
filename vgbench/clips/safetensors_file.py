"""Which tensors a safetensors file holds, and where their bytes are."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from vgbench.clips.files import StoredFile
from vgbench.clips.stored_array import BFLOAT16, PlainArray

KINDS = {"U8": "u1", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": BFLOAT16}
OTHER_KINDS = {"I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "BOOL": "?"}
"""Types of elements, of clips and of labels, as numpy spells them."""
MAX_HEADER_BYTES = 2**24
MAX_TENSORS = 2**17
METADATA = "__metadata__"


def tensors_of(file: StoredFile) -> dict[str, PlainArray]:
    """Return the tensors of a file by name; those whose type numpy lacks are left out.

    Raises:
        ValueError: damaged.
        EOFError: cut off.
    """
    header, begin = read_header(file)
    names = [name for name in header if name != METADATA]
    if len(names) > MAX_TENSORS:
        raise ValueError(f"more than {MAX_TENSORS} tensors")
    found: dict[str, PlainArray] = {}
    for name in names:
        try:
            about = header[name]
            kind = (KINDS | OTHER_KINDS).get(about["dtype"])
            shape = tuple(about["shape"])
            first, end = about["data_offsets"]
            sound = all(type(number) is int and number >= 0 for number in (*shape, first, end))
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError("the header is damaged") from error
        if not sound:
            raise ValueError("the header is damaged")
        if kind is None:
            continue
        array = PlainArray(file, kind, shape, begin + first)
        if math.prod(shape) * array.itemsize != end - first or begin + end > file.size:
            raise ValueError("ends before the last clip, or the header is damaged")
        found[name] = array
    return found


def read_header(file: StoredFile) -> tuple[Mapping[str, Any], int]:
    """Return the header of a file, and where its tensors begin.

    Raises:
        ValueError: not a safetensors file, or damaged.
        EOFError: cut off.
    """
    length = int.from_bytes(file.read_range(0, 8), "little")
    if length > MAX_HEADER_BYTES:
        raise ValueError("not a safetensors file, or its header is damaged")
    try:
        header = json.loads(file.read_range(8, length))
    except RecursionError as error:
        raise ValueError("the header is damaged") from error
    if not isinstance(header, dict):
        raise ValueError("the header is damaged")
    return header, 8 + length
