"""Clips that are arrays: in memory, or stored in `.npy`, `.npz` and `.pt` files.

A stored array is described by its header (offset of the data, shape, type) and each clip reads its own bytes,
so memory use does not grow with the file, and the file may be local or remote. Nothing is ever unpickled.
"""

from __future__ import annotations

import functools
import hashlib
import math
import pickle
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import limits
from vgbench.clips.clip import Clip, Frames, blocks, read_in_steps
from vgbench.clips.files import CHECKED_BYTES, LocalFile, StoredFile, bad_clip_on_error
from vgbench.clips.images import check_indices
from vgbench.clips.listing import list_archive
from vgbench.clips.pixel_checksums import PixelChecksums, of_pixels
from vgbench.errors import VgbenchError

ARRAYS = (".npy", ".npz", ".pt")

ValueRange = tuple[float, float]

TORCH_DAMAGE = (
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    pickle.UnpicklingError,
)
"""Raised by torch, besides `DAMAGE`, on damaged files and on tensors that numpy cannot hold."""

MAX_LABELS_BYTES = 2**26
"""Most bytes that all labels, or all groups, of one `.npz` file may have together."""

NAMES = ("labels", "groups")
"""What a file may hold beside `clips`, one name for each clip."""

Names = dict[str, list[str]]
"""Those of `NAMES` that a file holds."""

EXPECTED = "uint8 [N,T,H,W,3] or [T,H,W,3] (channels may also come before or after the time axis)"


ITEM = ("clip", "label", "group")
"""Keys of an item that is a mapping."""
_MAPPING = 'its keys must be "clip" and perhaps "label" and "group"'


def channel_axis(shape: Sequence[int]) -> int:
    """Find the colour axis of one clip: 3 of [T,H,W,C], 1 of [T,C,H,W], 0 of [C,T,H,W].

    It is the axis of size 3, or of size 1 (grey) when none has size 3. A last axis of that size always takes
    precedence, because frames that are 3 pixels wide do not occur in practice.

    Raises:
        ValueError: there is no such axis, or more than one.
    """
    for size in (3, 1):
        found = [axis for axis in (3, 1, 0) if shape[axis] == size]
        if found and (found[0] == 3 or len(found) == 1):
            return found[0]
        if found:
            raise ValueError(
                f"axes {found[::-1]} of a clip of shape {tuple(shape)} could both be the colours"
            )
    raise ValueError(f"no colour axis of size 3 or 1 in a clip of shape {tuple(shape)}")


def to_frames(clip: npt.NDArray[Any], axis: int, value_range: ValueRange | None) -> Frames:
    """Convert one clip of any accepted layout to uint8 [T,H,W,3].

    Floats are mapped from `value_range` to 0..255 and rounded to the nearest integer.

    Raises:
        ValueError: a float is NaN, infinite or outside `value_range`.
    """
    frames = np.moveaxis(clip, axis, -1)
    if frames.dtype.kind == "f":
        assert value_range is not None
        low, high = value_range
        wide = frames.astype(np.float64)
        if not np.isfinite(wide).all():
            raise ValueError("holds NaN or infinite values")
        if wide.min() < low or wide.max() > high:
            raise ValueError(f"values {wide.min():g}..{wide.max():g} are outside the range {low:g}..{high:g}")
        frames = np.rint((wide - low) * (255.0 / (high - low))).astype(np.uint8)
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    return frames


def check_kind(dtype: np.dtype[Any], shape: Sequence[int], value_range: ValueRange | None) -> None:
    """Refuse arrays that are not clips, and floats without a given range.

    Raises:
        ValueError: wrong number of axes, no elements, or a type without a standard range.
    """
    if len(shape) not in (4, 5) or 0 in shape:
        raise ValueError(f"shape {tuple(shape)} is not {EXPECTED}")
    if dtype == np.uint8 or (dtype.kind == "f" and value_range is not None):
        return
    if dtype.kind == "f":
        span = "value_range (--value-range), such as 0,1 or -1,1"
        raise ValueError(f"{dtype} values need {span}; the range is never guessed")
    raise ValueError(f"{dtype} values have no standard range; store uint8")


def array_fingerprint(frames: Frames) -> str:
    """Sha256 over type, shape and bytes of uint8 [T,H,W,3]: equal pixels, equal fingerprint."""
    return _fingerprint(frames.shape, [frames])


def _fingerprint(shape: Sequence[int], parts: Iterable[Frames]) -> str:
    digest = hashlib.sha256(f"uint8 {list(shape)}\n".encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _frames_shape(shape: Sequence[int], axis: int) -> tuple[int, int, int, int]:
    """Shape [T,H,W,3] of the frames of a clip of `shape` with its colours at `axis`."""
    time_length, height, width = (length for at, length in enumerate(shape) if at != axis)
    return time_length, height, width, 3


@dataclass(frozen=True, eq=False)
class MemoryClip(Clip):
    """A clip whose pixels are already in memory, uint8 [T,H,W,3]."""

    frames: Frames

    def fingerprint(self) -> str:
        return array_fingerprint(self.frames)

    def count_frames(self) -> int:
        return len(self.frames)

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, len(self.frames))
        return np.ascontiguousarray(self.frames[list(indices)])


@dataclass(frozen=True)
class StoredClip(Clip):
    """Clip number `index` of an array of clips in a file.

    Attributes:
        file: holds the array.
        shape: of the whole array, [N, …].
        axis: of the colours in one clip; see `channel_axis`.
        index: position of the clip in the array.
        value_range: the range of floats; None for uint8.
    """

    file: StoredFile
    shape: tuple[int, ...]
    axis: int
    index: int
    value_range: ValueRange | None

    def fingerprint(self) -> str:
        shape = _frames_shape(self.shape[1:], self.axis)
        return _fingerprint(shape, blocks(self, shape[0]))

    def stamp(self) -> str:
        with bad_clip_on_error(self.id):
            return f"{self.file.stamp()}:{self.index}:{self.value_range}"

    def count_frames(self) -> int:
        return _frames_shape(self.shape[1:], self.axis)[0]


@dataclass(frozen=True)
class StoredArrayClip(StoredClip):
    """One clip of a numpy array in a `.npy` file or `.npz` member.

    Attributes:
        dtype: of the elements, as numpy spells it.
        offset: where the array's bytes begin in the file.
        written: checksums of its frames, if the file states them.
    """

    dtype: str
    offset: int
    written: PixelChecksums | None = None

    def read(self, indices: Sequence[int]) -> Frames:
        count = self.count_frames()
        check_indices(self.id, indices, count)
        shape = list(self.shape[1:])
        dtype = np.dtype(self.dtype)
        clip_bytes = dtype.itemsize * math.prod(shape)
        # Only the bytes from the first to the last requested frame, for each colour where colours come first.
        colours = shape[0] if self.axis == 0 else 1
        colour_bytes, frame_bytes = clip_bytes // colours, clip_bytes // colours // count
        first, asked = indices[0], indices[-1] + 1 - indices[0]
        start = self.offset + self.index * clip_bytes + first * frame_bytes
        shape[1 if self.axis == 0 else 0] = asked
        with bad_clip_on_error(self.id):
            parts = [
                self.file.read_range(start + colour * colour_bytes, asked * frame_bytes)
                for colour in range(colours)
            ]
            data = np.frombuffer(parts[0] if colours == 1 else b"".join(parts), dtype).reshape(shape)
            frames = to_frames(data, self.axis, self.value_range)
        if self.written is not None:
            _, height, width, _ = frames.shape
            self.written.require_shape(self.id, count, (width, height))
            for index in set(indices):
                self.written.require(self.id, index, of_pixels(frames[index - first]))
        return np.ascontiguousarray(frames[[index - first for index in indices]])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        clip_bytes = np.dtype(self.dtype).itemsize * math.prod(self.shape[1:])
        return read_in_steps(self, count, clip_bytes // self.count_frames())


@dataclass(frozen=True)
class StoredTensorClip(StoredClip):
    """One clip of a tensor in a `.pt` file."""

    def read(self, indices: Sequence[int]) -> Frames:
        import torch

        check_indices(self.id, indices, self.count_frames())
        with bad_clip_on_error(self.id, *TORCH_DAMAGE):
            tensor, _ = _load_tensor(self.file)
            time_axis = 1 if self.axis == 0 else 0
            clip = tensor.reshape(self.shape)[self.index]
            clip = clip.index_select(time_axis, torch.tensor(list(indices)))
            return np.ascontiguousarray(to_frames(_to_numpy(clip), self.axis, self.value_range))

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        widest = 8 * math.prod(self.shape[1:])  # floats are mapped to bytes in double precision
        return read_in_steps(self, count, widest // self.count_frames())


def stored_array_clips(
    path: str, file: StoredFile, label: str | None, value_range: ValueRange | None
) -> list[Clip]:
    """List the clips of one array file; in an array of several clips, the eighth has the id `path#000007`.

    Args:
        path: id of the file inside its source.
        file: `.npy`, `.npz` (one array, or `clips` and perhaps `labels` and `groups`) or `.pt` (a tensor, or
            a dict of the same names).
        label: class name from the folder; labels inside the file override it.
        value_range: the range of floats; None accepts uint8 only.

    Raises:
        BadClip: the file is not of that kind, or its array does not hold clips.
    """
    with bad_clip_on_error(file.name, *TORCH_DAMAGE):
        if path.lower().endswith(".pt"):
            tensor, names = _load_tensor(file)
            shape, axis = _batched(_numpy_type(tensor), tuple(tensor.shape), value_range)
            tensors = [
                StoredTensorClip(name, label, file, shape, axis, index, value_range)
                for index, name in enumerate(_ids(path, tensor.ndim, shape[0]))
            ]
            return _named(tensors, names)
        member, names, comment = _npz_member(file) if path.lower().endswith(".npz") else (file, {}, None)
        dtype, stored_shape, offset = _npy_header(member)
        shape, axis = _batched(dtype, stored_shape, value_range)
        written = PixelChecksums.parse("npz", comment) if shape[0] == 1 else None
        arrays = [
            StoredArrayClip(name, label, member, shape, axis, index, value_range, dtype.str, offset, written)
            for index, name in enumerate(_ids(path, len(stored_shape), shape[0]))
        ]
        return _named(arrays, names)


def _batched(
    dtype: np.dtype[Any], shape: tuple[int, ...], value_range: ValueRange | None
) -> tuple[tuple[int, ...], int]:
    check_kind(dtype, shape, value_range)
    shape = shape if len(shape) == 5 else (1, *shape)
    axis = channel_axis(shape[1:])
    time_length, height, width, _ = _frames_shape(shape[1:], axis)
    if height * width > limits.MAX_FRAME_PIXELS or time_length > limits.MAX_FRAMES:
        raise ValueError(f"shape {shape} exceeds the limits (VGBENCH_MAX_PIXELS, VGBENCH_MAX_FRAMES)")
    if dtype.itemsize * math.prod(shape[1:]) > limits.MAX_CLIP_BYTES:
        raise ValueError(f"clips of more than {limits.MAX_CLIP_BYTES} bytes (VGBENCH_MAX_CLIP_BYTES)")
    if shape[0] > limits.MAX_ARRAY_CLIPS:
        raise ValueError(f"more than {limits.MAX_ARRAY_CLIPS} clips (VGBENCH_MAX_ARRAY_CLIPS)")
    return shape, axis


def _ids(path: str, axes: int, count: int) -> list[str]:
    return [path] if axes == 4 else [_numbered(path, index) for index in range(count)]


def _numbered(path: str, index: int) -> str:
    """Id of a clip in an array, padded so that sorting keeps the array's order up to a million clips."""
    return f"{path}#{index:06d}"


def _named(clips: Sequence[Clip], names: Names) -> list[Clip]:
    for kind, given in names.items():
        if len(given) != len(clips):
            raise ValueError(f"{len(given)} {kind} for {len(clips)} clips")
    labels, groups = (names.get(kind) for kind in NAMES)
    return [
        replace(
            clip,
            label=labels[index] if labels else clip.label,
            group=groups[index] if groups else clip.group,
        )
        for index, clip in enumerate(clips)
    ]


def _npy_header(file: StoredFile) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    with file.open() as stream:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"npy format {version} is not supported")
        try:
            shape, fortran_order, dtype = read(stream)
        except (TokenError, TypeError, KeyError) as error:  # NumPy parses the header as Python text
            raise ValueError("the header is damaged") from error
        offset = stream.tell()
    if fortran_order:
        raise ValueError("stored in Fortran order; save numpy.ascontiguousarray(clips)")
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never unpickled")
    if any(length < 0 for length in shape):
        raise ValueError("the header is damaged")
    if file.size < offset + dtype.itemsize * math.prod(shape):  # Python's integers do not wrap around
        raise ValueError("ends before the last clip")
    return dtype, shape, offset


def _npz_member(file: StoredFile) -> tuple[StoredFile, Names, str | None]:
    """Find the member with the clips, the labels and groups, and the comment of a writer."""
    entries, _ = list_archive(file)
    members = {entry.path.removesuffix(".npy"): entry.file for entry in entries}
    named = {kind: members.pop(kind) for kind in NAMES if kind in members}
    if "clips" not in members and len(members) != 1:
        raise ValueError(f"holds the arrays {sorted(members)}; the one to use must be named 'clips'")
    clips = members.get("clips") or next(iter(members.values()))
    comment = (
        _texts("comment", members["comment"])[0] if "clips" in members and "comment" in members else None
    )
    return clips, {kind: _texts(kind, member) for kind, member in named.items()}, comment


def _texts(kind: str, file: StoredFile) -> list[str]:
    dtype, shape, offset = _npy_header(file)
    length = dtype.itemsize * math.prod(shape)
    if length > MAX_LABELS_BYTES:
        raise ValueError(f"{kind} of more than {MAX_LABELS_BYTES} bytes")
    data = file.read_range(offset, length)
    try:
        return [str(text) for text in np.frombuffer(data, dtype)]
    except SystemError as error:  # NumPy's, for numbers beyond the last code point
        raise ValueError(f"its {kind} are not text") from error


def _load_tensor(file: StoredFile) -> tuple[Any, Names]:
    """Load the tensor and the names of a file once, as long as the file does not change."""
    state = Path(file.name).stat() if isinstance(file, LocalFile) else None
    return _loaded_tensor(file, state and (state.st_ino, state.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _loaded_tensor(
    file: StoredFile,
    state: tuple[int, int] | None,  # noqa: ARG001
) -> tuple[Any, Names]:
    """Load without running code; a local file is memory-mapped, not read."""
    import torch

    _check_records(file)
    try:
        if isinstance(file, LocalFile):
            try:
                loaded = torch.load(file.name, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # the format from before torch 1.6, which cannot be mapped
                loaded = torch.load(file.name, map_location="cpu", weights_only=True)
        else:
            with file.open() as stream:
                loaded = torch.load(stream, map_location="cpu", weights_only=True)
    except TORCH_DAMAGE as error:
        raise ValueError("not a tensor file, or one that holds more than tensors") from error
    names: Names = {}
    if isinstance(loaded, dict):
        if "clips" not in loaded:
            raise ValueError(f"holds {sorted(map(str, loaded))}; the tensor to use must be named 'clips'")
        for kind in NAMES:
            if (given := loaded.get(kind)) is None:
                continue
            if isinstance(given, torch.Tensor):
                _check_storage(given)
            names[kind] = [str(name) for name in _plain(given, kind)]
        loaded = loaded["clips"]
    if not isinstance(loaded, torch.Tensor):
        raise ValueError(f"holds a {type(loaded).__name__}, not a tensor")
    _check_storage(loaded)
    return loaded.detach(), names


def _check_records(file: StoredFile) -> None:
    """Refuse a damaged `.pt` file, and a compressed one, which could unpack to far more bytes than it has.

    `torch.save` never compresses. Files up to `CHECKED_BYTES` are compared with the checksums of their
    records, because torch does not do so.

    Raises:
        ValueError: a record is compressed, or is damaged.
    """
    with file.open() as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError):
            return  # the format from before torch 1.6, or a damaged file, which torch reports
        records = archive.infolist()
        if any(info.compress_type != zipfile.ZIP_STORED for info in records):
            raise ValueError("a compressed tensor file; save it uncompressed, as torch.save does")
        if file.size > CHECKED_BYTES or not all(info.CRC for info in records if info.file_size):
            return  # torch can be told to write no checksums
        if damaged := _first_damaged(archive):
            raise ValueError(f"its record {damaged} is damaged, because its checksum does not match")


def _first_damaged(archive: zipfile.ZipFile) -> str | None:
    try:
        return archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        return "header"


def _check_storage(tensor: Any) -> None:
    """Refuse tensors that do not store every element of their shape.

    Raises:
        ValueError: the tensor is sparse, has no data, or has fewer bytes than its shape needs, as after
            `expand`.
    """
    _check_dense(tensor)
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise ValueError(
            f"stores {tensor.untyped_storage().nbytes()} bytes for a shape of {tuple(tensor.shape)}; "
            "save clips.contiguous()"
        )


def _check_dense(tensor: Any) -> None:
    import torch

    if tensor.layout != torch.strided or tensor.device.type == "meta":
        what = "meta" if tensor.device.type == "meta" else str(tensor.layout).removeprefix("torch.")
        raise ValueError(f"a {what} tensor; save an ordinary, dense one")


def _numpy_type(tensor: Any) -> np.dtype[Any]:
    """Type of a tensor's elements in numpy; bfloat16, which numpy lacks, becomes float32.

    Raises:
        ValueError: the type has no standard range, such as a quantised one.
    """
    import torch

    if tensor.dtype == torch.bfloat16:
        return np.dtype(np.float32)
    name = str(tensor.dtype).removeprefix("torch.")
    try:
        return np.dtype(name)
    except TypeError as error:
        raise ValueError(f"{name} values have no standard range; store uint8") from error


def _to_numpy(tensor: Any) -> npt.NDArray[Any]:
    """Convert a dense tensor on any device.

    Raises:
        ValueError: the tensor is not dense, or its type has no standard range.
    """
    _check_dense(tensor)
    as_float32 = _numpy_type(tensor) == np.float32
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if as_float32 else tensor)


def _plain(names: Any, kind: str) -> list[Any]:
    """Convert labels or groups to a list.

    Raises:
        ValueError: a single number, or anything else that is not a sequence.
    """
    try:
        return list(names.tolist() if hasattr(names, "tolist") else names)
    except TypeError as error:
        one = kind.removesuffix("s")
        raise ValueError(f"{kind} must be a list with one {one} per clip, not {names!r:.80}") from error


def is_array(value: object) -> bool:
    """Whether `value` is a numpy array or a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def memory_clips(items: Iterable[Any], value_range: ValueRange | None, *, copy: bool) -> list[Clip]:
    """Take clips from an iterable and number them in its order.

    Args:
        items: each one clip [T,H,W,3] or a batch [B,T,H,W,3], alone, in a tuple (clip, label) or
            (clip, label, group), or in a mapping with the keys "clip" and perhaps "label" and "group". Labels
            and groups of a batch are sequences.
        value_range: the range of floats; None accepts uint8 only.
        copy: whether to copy the pixels, because a generator may reuse one buffer for all its clips.

    Raises:
        VgbenchError: an item is none of these.
    """
    clips: list[Clip] = []
    for position, item in enumerate(items):
        try:
            for frames, label, group in _clips_of_item(item, value_range):
                pixels = np.array(frames, order="C") if copy else frames
                clips.append(MemoryClip(_numbered("", len(clips)), label, pixels, group=group))
        except ValueError as error:
            raise VgbenchError(f"item {position}: {error}", f"give {EXPECTED}") from error
    return clips


def _clips_of_item(
    item: Any, value_range: ValueRange | None
) -> Iterator[tuple[Frames, str | None, str | None]]:
    """Yield (frames, label, group) of each clip of an item."""
    array, label, group = _parts(item)
    if not is_array(array):
        raise ValueError(f"a {type(array).__name__} is not a clip")
    array = array if isinstance(array, np.ndarray) else _to_numpy(array)
    check_kind(array.dtype, array.shape, value_range)
    if array.ndim == 4:
        yield to_frames(array, channel_axis(array.shape), value_range), _name(label), _name(group)
        return
    labels = _names_of_batch(label, "labels", len(array))
    groups = _names_of_batch(group, "groups", len(array))
    axis = channel_axis(array.shape[1:])
    for clip, *names in zip(array, labels, groups, strict=True):
        yield to_frames(clip, axis, value_range), names[0], names[1]


def _parts(item: Any) -> tuple[Any, Any, Any]:
    """Split an item into its pixels, label and group."""
    if isinstance(item, Mapping):
        if "clip" not in item or not set(item) <= set(ITEM):
            raise ValueError(f"a mapping with the keys {sorted(map(str, item))} is not a clip: {_MAPPING}")
        return item["clip"], item.get("label"), item.get("group")
    if isinstance(item, tuple | list) and len(item) in (2, 3):
        return item[0], item[1], item[2] if len(item) == 3 else None
    return item, None, None


def _names_of_batch(given: Any, kind: str, count: int) -> Sequence[str | None]:
    names = [None] * count if given is None else [_name(name) for name in _plain(given, kind)]
    if len(names) != count:
        raise ValueError(f"{len(names)} {kind} for {count} clips")
    return names


def _name(value: Any) -> str | None:
    return None if value is None else str(value.item() if hasattr(value, "item") else value)
