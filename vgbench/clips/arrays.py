"""Clips that are arrays: in memory, or stored in `.npy`, `.npz` and `.pt` files.

A stored array is described by its header (where the data begin, shape, type) and each clip reads its own
bytes, so memory stays flat whatever the size, and the file may lie anywhere. Nothing is ever unpickled.
"""

from __future__ import annotations

import functools
import hashlib
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import limits
from vgbench.clips.clip import Clip, Frames
from vgbench.clips.files import LocalFile, StoredFile, bad_clip_on_error
from vgbench.clips.images import check_indices
from vgbench.clips.listing import list_archive
from vgbench.errors import VgbenchError

ARRAYS = (".npy", ".npz", ".pt")

ValueRange = tuple[float, float]

EXPECTED = "uint8 [N,T,H,W,3] or [T,H,W,3] (channels may also come before or after the time axis)"


def channel_axis(shape: Sequence[int]) -> int:
    """Find the colour axis of one clip: 3 of [T,H,W,C], 1 of [T,C,H,W], 0 of [C,T,H,W].

    It is the one of size 3, or of size 1 (grey) when none has size 3. A last axis of that size always wins,
    since nobody stores frames that are 3 pixels wide.

    Raises:
        ValueError: none, or more than one.
    """
    for size in (3, 1):
        found = [axis for axis in (3, 1, 0) if shape[axis] == size]
        if found and (found[0] == 3 or len(found) == 1):
            return found[0]
        if found:
            raise ValueError(f"axes {found[::-1]} of a clip of shape {tuple(shape)} could both be colour")
    raise ValueError(f"no colour axis of size 3 or 1 in a clip of shape {tuple(shape)}")


def to_frames(clip: npt.NDArray[Any], axis: int, value_range: ValueRange | None) -> Frames:
    """Bring one clip of any accepted layout to uint8 [T,H,W,3].

    Floats are mapped from `value_range` to 0..255, rounded to the nearest.

    Raises:
        ValueError: a float is NaN, infinite or outside of `value_range`.
    """
    frames = np.moveaxis(clip, axis, -1)
    if frames.dtype.kind == "f":
        assert value_range is not None
        low, high = value_range
        wide = frames.astype(np.float64)
        if not np.isfinite(wide).all():
            raise ValueError("holds NaN or infinite values")
        if wide.min() < low or wide.max() > high:
            raise ValueError(f"values {wide.min():g}..{wide.max():g} leave the range {low:g}..{high:g}")
        frames = np.rint((wide - low) * (255.0 / (high - low))).astype(np.uint8)
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    return frames


def check_kind(dtype: np.dtype[Any], shape: Sequence[int], value_range: ValueRange | None) -> None:
    """Refuse arrays that are not clips, and floats whose range nobody gave.

    Raises:
        ValueError: wrong number of axes, empty, or a type that has no agreed range.
    """
    if len(shape) not in (4, 5) or 0 in shape:
        raise ValueError(f"shape {tuple(shape)} is not {EXPECTED}")
    if dtype == np.uint8 or (dtype.kind == "f" and value_range is not None):
        return
    if dtype.kind == "f":
        span = "value_range (--value-range), such as 0,1 or -1,1"
        raise ValueError(f"{dtype} values need {span}; it is never guessed")
    raise ValueError(f"{dtype} values have no agreed range; store uint8")


def array_fingerprint(frames: Frames) -> str:
    """Sha256 over type, shape and bytes of uint8 [T,H,W,3]: equal pixels, equal fingerprint."""
    digest = hashlib.sha256(f"uint8 {list(frames.shape)}\n".encode())
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


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
class _Header:
    """Where and how an array of clips [N, …] lies in a file."""

    offset: int
    dtype: str
    shape: tuple[int, ...]
    axis: int


@dataclass(frozen=True)
class StoredArrayClip(Clip):
    """Clip number `index` of an array in a `.npy` file or `.npz` member."""

    file: StoredFile
    header: _Header
    index: int
    value_range: ValueRange | None

    def fingerprint(self) -> str:
        return array_fingerprint(self.read(range(self.count_frames())))

    def count_frames(self) -> int:
        return self.header.shape[1:][1 if self.header.axis == 0 else 0]

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, self.count_frames())
        header, shape = self.header, self.header.shape[1:]
        dtype = np.dtype(header.dtype)
        clip_bytes = dtype.itemsize * int(np.prod(shape))
        start, length = header.offset + self.index * clip_bytes, clip_bytes
        indices = list(indices)
        if header.axis != 0:  # time comes first: only the bytes from the first to the last frame asked
            frame_bytes = clip_bytes // shape[0]
            first, last = indices[0], indices[-1]
            start, length = start + first * frame_bytes, (last + 1 - first) * frame_bytes
            shape, indices = (last + 1 - first, *shape[1:]), [index - first for index in indices]
        with bad_clip_on_error(self.id):
            data = np.frombuffer(self.file.read_range(start, length), dtype).reshape(shape)
            return np.ascontiguousarray(to_frames(data, header.axis, self.value_range)[indices])


@dataclass(frozen=True)
class StoredTensorClip(Clip):
    """Clip number `index` of a tensor in a `.pt` file."""

    file: StoredFile
    shape: tuple[int, ...]
    axis: int
    index: int
    value_range: ValueRange | None

    def fingerprint(self) -> str:
        return array_fingerprint(self.read(range(self.count_frames())))

    def count_frames(self) -> int:
        return self.shape[1:][1 if self.axis == 0 else 0]

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, self.count_frames())
        with bad_clip_on_error(self.id):
            tensor, _ = _load_tensor(self.file)
            clip = tensor.reshape(self.shape)[self.index].numpy()
            return np.ascontiguousarray(to_frames(clip, self.axis, self.value_range)[list(indices)])


def stored_array_clips(
    path: str, file: StoredFile, label: str | None, value_range: ValueRange | None
) -> list[Clip]:
    """List the clips of one array file; in an array of many, `path#000007` is the id of the eighth.

    Args:
        path: id of the file inside its source.
        file: `.npy`, `.npz` (one array, or `clips` and perhaps `labels`) or `.pt` (a tensor, or a dict of the
            same two names).
        label: of the folder; an array's own labels take its place.
        value_range: what the floats span; None accepts uint8 only.

    Raises:
        BadClip: not such a file, or an array that is not clips.
    """
    with bad_clip_on_error(file.name):
        if path.lower().endswith(".pt"):
            tensor, labels = _load_tensor(file)
            dtype = np.dtype(str(tensor.dtype).removeprefix("torch."))
            shape, axis = _batched(dtype, tuple(tensor.shape), value_range)
            tensors = [
                StoredTensorClip(name, label, file, shape, axis, index, value_range)
                for index, name in enumerate(_ids(path, tensor.ndim, shape[0]))
            ]
            return _labelled(tensors, labels)
        member, labels = _npz_member(file) if path.lower().endswith(".npz") else (file, None)
        dtype, stored_shape, offset = _npy_header(member)
        shape, axis = _batched(dtype, stored_shape, value_range)
        header = _Header(offset, dtype.str, shape, axis)
        arrays = [
            StoredArrayClip(name, label, member, header, index, value_range)
            for index, name in enumerate(_ids(path, len(stored_shape), shape[0]))
        ]
        return _labelled(arrays, labels)


def _batched(
    dtype: np.dtype[Any], shape: tuple[int, ...], value_range: ValueRange | None
) -> tuple[tuple[int, ...], int]:
    check_kind(dtype, shape, value_range)
    shape = shape if len(shape) == 5 else (1, *shape)
    axis = channel_axis(shape[1:])
    time_length, height, width = (length for at, length in enumerate(shape[1:]) if at != axis)
    if height * width > limits.MAX_FRAME_PIXELS or time_length > limits.MAX_FRAMES:
        raise ValueError(f"shape {shape} exceeds the limits (VGBENCH_MAX_PIXELS, VGBENCH_MAX_FRAMES)")
    return shape, axis


def _ids(path: str, axes: int, count: int) -> list[str]:
    return [path] if axes == 4 else [_numbered(path, index) for index in range(count)]


def _numbered(path: str, index: int) -> str:
    """Padded, so that plain sorting keeps the array's order up to a million clips."""
    return f"{path}#{index:06d}"


def _labelled(clips: Sequence[Clip], labels: Sequence[str] | None) -> list[Clip]:
    if labels is None:
        return list(clips)
    if len(labels) != len(clips):
        raise ValueError(f"{len(labels)} labels for {len(clips)} clips")
    return [replace(clip, label=label) for clip, label in zip(clips, labels, strict=True)]


def _npy_header(file: StoredFile) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    with file.open() as stream:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"npy format {version} holds no plain numbers")
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


def _npz_member(file: StoredFile) -> tuple[StoredFile, list[str] | None]:
    entries, _ = list_archive(file)
    members = {entry.path.removesuffix(".npy"): entry.file for entry in entries}
    labels = members.pop("labels", None)
    if "clips" not in members and len(members) != 1:
        raise ValueError(f"holds the arrays {sorted(members)}; name the one to use 'clips'")
    clips = members.get("clips") or next(iter(members.values()))
    if labels is None:
        return clips, None
    dtype, shape, offset = _npy_header(labels)
    data = labels.read_range(offset, dtype.itemsize * math.prod(shape))
    try:
        return clips, [str(label) for label in np.frombuffer(data, dtype)]
    except SystemError as error:  # NumPy's, for numbers beyond the last code point
        raise ValueError("its labels are not text") from error


@functools.lru_cache(maxsize=4)
def _load_tensor(file: StoredFile) -> tuple[Any, list[str] | None]:
    """Load without running code; a local file is mapped, not read."""
    import pickle

    import torch

    try:
        if isinstance(file, LocalFile):
            try:
                loaded = torch.load(file.name, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # written in the format from before torch 1.6, which cannot be mapped
                loaded = torch.load(file.name, map_location="cpu", weights_only=True)
        else:
            with file.open() as stream:
                loaded = torch.load(stream, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError("not a tensor file, or one that holds more than tensors") from error
    labels = None
    if isinstance(loaded, dict):
        if "clips" not in loaded:
            raise ValueError(f"holds {sorted(map(str, loaded))}; the tensor to use must be named 'clips'")
        labels = [str(label) for label in _plain(loaded["labels"])] if "labels" in loaded else None
        loaded = loaded["clips"]
    if not isinstance(loaded, torch.Tensor):
        raise ValueError(f"holds a {type(loaded).__name__}, not a tensor")
    if loaded.dtype == torch.bfloat16:  # which numpy lacks
        loaded = loaded.float()
    return loaded, labels


def _plain(labels: Any) -> list[Any]:
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def is_array(value: object) -> bool:
    """Whether `value` is a numpy array or a torch tensor; imports no torch to find out."""
    torch = sys.modules.get("torch")
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def memory_clips(items: Iterable[Any], value_range: ValueRange | None, *, copy: bool) -> list[Clip]:
    """Take clips from an iterable, numbered in its order.

    Args:
        items: each one clip [T,H,W,3], a batch [B,T,H,W,3], or a pair (clip, label) or (batch, labels).
        value_range: what floats span; None accepts uint8 only.
        copy: keep own pixels, because a generator may hand out the same buffer again and again.

    Raises:
        VgbenchError: an item is none of these.
    """
    clips: list[Clip] = []
    for position, item in enumerate(items):
        try:
            for frames, label in _clips_of_item(item, value_range):
                pixels = np.array(frames, order="C") if copy else frames
                clips.append(MemoryClip(_numbered("", len(clips)), label, pixels))
        except ValueError as error:
            raise VgbenchError(f"item {position}: {error}", f"give {EXPECTED}") from error
    return clips


def _clips_of_item(item: Any, value_range: ValueRange | None) -> Iterator[tuple[Frames, str | None]]:
    array, label = item if isinstance(item, tuple | list) and len(item) == 2 else (item, None)
    if not is_array(array):
        raise ValueError(f"a {type(array).__name__} is not a clip")
    array = array if isinstance(array, np.ndarray) else _tensor_to_numpy(array)
    check_kind(array.dtype, array.shape, value_range)
    if array.ndim == 4:
        yield (
            to_frames(array, channel_axis(array.shape), value_range),
            None if label is None else str(_one(label)),
        )
        return
    labels = [None] * len(array) if label is None else [str(value) for value in _plain(label)]
    if len(labels) != len(array):
        raise ValueError(f"{len(labels)} labels for {len(array)} clips")
    axis = channel_axis(array.shape[1:])
    for clip, name in zip(array, labels, strict=True):
        yield to_frames(clip, axis, value_range), name


def _one(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _tensor_to_numpy(tensor: Any) -> npt.NDArray[Any]:
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if tensor.dtype.is_floating_point else tensor)
