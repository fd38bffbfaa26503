"""Which tensors a file of `torch.save` holds, and where their bytes are; it is never unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

from vgbench.clips import plain_pickle
from vgbench.clips.array_members import CLIPS, GROUPS, LABELS, MOST_SHOWN, UNNAMED, Names, NoClips
from vgbench.clips.files import StoredFile
from vgbench.clips.listing import list_archive
from vgbench.clips.plain_pickle import Call, Global, Persistent, read_plain_pickle
from vgbench.clips.stored_array import BFLOAT16, PlainArray, StoredArray, StridedArray, span_of

KINDS = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "i2",
    "Int": "i4",
    "Long": "i8",
    "Half": "f2",
    "Float": "f4",
    "Double": "f8",
    "Bool": "?",
    "BFloat16": BFLOAT16,
    "ComplexFloat": "c8",
    "ComplexDouble": "c16",
}
"""Storages of torch, without "Storage" -> type of their elements."""

MAGIC = 0x1950A86A20F9469CFC6C
"""What files from before torch 1.6 begin with."""

MAX_ARRAYS = 2**17
"""Most tensors that a list in a file may have."""

NOT_TENSORS = "not a tensor file, or one that holds more than tensors"


def tensors_of(file: StoredFile) -> dict[str, StoredArray | Names | None]:
    """Return the tensors and lists of names in a file of `torch.save`, by name.

    A single tensor is "clips". Of a list, they are named by their place; pairs of a tensor and a label give
    "labels" as well.

    Raises:
        ValueError: damaged, or something else than tensors of ordinary types.
    """
    with file.open() as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    holder = _Zip(file) if is_zip else _Legacy(file)
    return _members(holder.content, holder)


class _Holder:
    """A file of `torch.save`: what it holds, and where the bytes of its storages are."""

    content: Any

    def storage(self, key: str) -> tuple[StoredFile, int, int]:
        """Return the file of a storage, and where in it the storage begins and how many bytes it has."""
        raise NotImplementedError


class _Zip(_Holder):
    """The format since torch 1.6: an archive without compression."""

    def __init__(self, file: StoredFile) -> None:
        with file.open() as stream:
            try:
                with zipfile.ZipFile(stream) as archive:
                    packed = any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist())
            except (zipfile.BadZipFile, NotImplementedError) as error:
                raise ValueError(NOT_TENSORS) from error
        if packed:  # it could unpack to far more bytes than it has
            raise ValueError("a compressed tensor file; save it uncompressed, as torch.save does")
        entries, _ = list_archive(file)
        self._files = {entry.path: entry.file for entry in entries}
        pickles = [path for path in self._files if path.endswith("data.pkl")]
        if not pickles:
            raise ValueError(NOT_TENSORS)
        self._root = pickles[0].removesuffix("data.pkl")
        order = self._files.get(f"{self._root}byteorder")
        if order is not None and order.read_range(0, min(order.size, 8)) != b"little":
            raise ValueError("its numbers are big-endian; save it on a little-endian machine")
        self.content = read_plain_pickle(_head(self._files[pickles[0]]))

    def storage(self, key: str) -> tuple[StoredFile, int, int]:
        file = self._files.get(f"{self._root}data/{key}")
        if file is None:
            raise ValueError("ends before the last tensor")
        return file, 0, file.size


class _Legacy(_Holder):
    """The format from before torch 1.6: pickles one after the other, and then the storages."""

    def __init__(self, file: StoredFile) -> None:
        stream = _head(file, cut=True)
        if read_plain_pickle(stream) != MAGIC:
            raise ValueError(NOT_TENSORS)
        read_plain_pickle(stream)  # version of the protocol
        about = read_plain_pickle(stream)
        if not isinstance(about, Mapping) or about.get("little_endian") is not True:
            raise ValueError("its numbers are big-endian; save it on a little-endian machine")
        self.content = read_plain_pickle(stream)
        keys = read_plain_pickle(stream)
        self._file, self._at, self._sizes = file, stream.tell(), _storage_sizes(self.content)
        self._keys = [str(key) for key in keys] if isinstance(keys, list) else []

    def storage(self, key: str) -> tuple[StoredFile, int, int]:
        at = self._at
        for one in self._keys:
            size = self._sizes.get(one, 0)
            if one == key:
                return self._file, at + 8, min(size, max(self._file.size - at - 8, 0))
            at += 8 + size  # the number of its elements, and then the elements
        raise ValueError("ends before the last tensor")


def _head(file: StoredFile, *, cut: bool = False) -> io.BytesIO:
    if file.size > plain_pickle.MAX_BYTES and not cut:
        raise ValueError(f"lists of more than {plain_pickle.MAX_BYTES} bytes beside its tensors")
    return io.BytesIO(file.read_range(0, min(file.size, plain_pickle.MAX_BYTES)))


def _storage_sizes(content: Any) -> dict[str, int]:
    """Bytes of each storage that the content refers to, by key."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    pending = [content]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Persistent):
            _, kind, key, count = _reference(one)
            sizes[key] = max(sizes.get(key, 0), count * (_itemsize(kind) or 1))
        elif isinstance(one, Call):
            pending += [one.function, one.arguments]
        elif isinstance(one, Mapping):
            pending += one.values()
        elif isinstance(one, list | tuple):
            pending += one
    return sizes


def _members(content: Any, holder: _Holder) -> dict[str, StoredArray | Names | None]:
    content = _unwrapped(content)
    if isinstance(content, Mapping):
        return _of_dict({str(name): _unwrapped(value) for name, value in content.items()}, holder)
    if isinstance(content, Call):
        return {CLIPS: _tensor(content, holder)}
    if isinstance(content, list | tuple) and content:
        return _of_list([_unwrapped(item) for item in content[: MAX_ARRAYS + 1]], holder)
    raise ValueError(f"holds a {type(content).__name__}, not a tensor")


def _of_dict(found: Mapping[str, Any], holder: _Holder) -> dict[str, StoredArray | Names | None]:
    members: dict[str, StoredArray | Names | None] = {}
    unfit: list[ValueError] = []
    for name, value in found.items():
        if isinstance(value, Call):
            try:
                members[name] = _tensor(value, holder)
            except ValueError as error:
                if name in (CLIPS, *LABELS, *GROUPS):
                    raise
                unfit.append(error)
        elif name in (*LABELS, *GROUPS):
            members[name] = value
    if not any(isinstance(value, StoredArray) for value in members.values()):
        raise unfit[0] if unfit else NoClips(f"holds {sorted(found)[:MOST_SHOWN]}, and no tensor")
    return members


def _of_list(items: list[Any], holder: _Holder) -> dict[str, StoredArray | Names | None]:
    if len(items) > MAX_ARRAYS:
        raise ValueError(f"a list of more than {MAX_ARRAYS} tensors")
    if all(isinstance(item, list | tuple) and len(item) == 2 for item in items):
        pairs = [(_unwrapped(clip), label) for clip, label in items]
        found = _of_list([clip for clip, _ in pairs], holder)
        return {**found, "labels": [label for _, label in pairs]}
    if not all(isinstance(item, Call) for item in items):
        kinds = sorted({type(item).__name__ for item in items if not isinstance(item, Call)})
        raise ValueError(f"holds a list of {', '.join(kinds)}, not of tensors")
    return {f"{UNNAMED}{place}": _tensor(item, holder) for place, item in enumerate(items)}


def _unwrapped(value: Any) -> Any:
    """A parameter as the tensor that it holds."""
    if _name(value) in ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state"):
        return value.arguments[0]
    return value


def _tensor(value: Call, holder: _Holder) -> StoredArray:
    """Find the bytes of a tensor.

    Raises:
        ValueError: not an ordinary tensor, or one that does not store every element of its shape.
    """
    name, arguments = _name(value), value.arguments
    if name == "torch._utils._rebuild_sparse_tensor":
        raise ValueError("a sparse_coo tensor or another sparse one; save an ordinary, dense one")
    if name == "torch._utils._rebuild_meta_tensor_no_storage":
        raise ValueError("a meta tensor; save an ordinary, dense one")
    if name not in ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3"):
        raise ValueError(f"holds a {name or 'call'}, not a tensor; objects are never unpickled")
    try:
        reference, offset, shape, strides, *rest = arguments
        where, kind, key, _ = _reference(reference)
    except (TypeError, ValueError) as error:
        raise ValueError(NOT_TENSORS) from error
    if name.endswith("_v3"):
        kind = rest[2].name if len(rest) > 2 and isinstance(rest[2], Global) else kind
    numbers = (offset, *shape, *strides) if isinstance(shape, tuple) and isinstance(strides, tuple) else ()
    if where != "storage" or not numbers or len(shape) != len(strides):
        raise ValueError(NOT_TENSORS)
    if any(type(number) is not int or not 0 <= number < 2**62 for number in numbers):
        raise ValueError("a tensor with a damaged shape")
    itemsize = _itemsize(kind)
    if not itemsize:
        shown = kind.removeprefix("torch.").removesuffix("Storage")
        raise ValueError(f"{shown} values have no standard range; store uint8")
    kind = KINDS[kind.removeprefix("torch.").removesuffix("Storage")]
    file, start, size = holder.storage(key)
    if 0 not in shape:
        needed = max(math.prod(shape), span_of(shape, strides) + offset) * itemsize
        if needed > size:
            raise ValueError(f"stores {size} bytes for a shape of {shape}; save clips.contiguous()")
    plain = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    at = start + offset * itemsize
    if strides == plain:
        return PlainArray(file, kind, shape, at)
    return StridedArray(file, kind, shape, at, strides)


def _reference(value: Any) -> tuple[str, str, str, int]:
    """Return ("storage", type, key, number of elements) of what stands for a storage in a pickle."""
    about = value.about if isinstance(value, Persistent) else None
    if not isinstance(about, tuple) or len(about) < 5 or not isinstance(about[1], Global):
        raise ValueError(NOT_TENSORS)
    where, kind, key, _, count, *view = about
    if type(count) is not int or count < 0 or any(one is not None for one in view):
        raise ValueError(NOT_TENSORS)
    return str(where), kind.name, str(key), count


def _itemsize(kind: str) -> int:
    """Bytes of an element of a storage; 0 if its type is none of `KINDS`."""
    known = KINDS.get(kind.removeprefix("torch.").removesuffix("Storage"))
    if known is None:
        return 0
    return 2 if known == BFLOAT16 else int(known[1:] or 1)


def _name(value: Any) -> str:
    is_named = isinstance(value, Call) and isinstance(value.function, Global)
    return value.function.name if is_named else ""
