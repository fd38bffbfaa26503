"""Clips that are arrays: in memory, or stored in `.npy`, `.npz` and `.pt` files.

A stored array is described by its header (where the data begin, shape, type) and each clip reads its own
bytes, so memory stays flat whatever the size, and the file may lie anywhere. Nothing is ever unpickled.
"""

from __future__ import annotations

import functools
import hashlib
import math
import pickle
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import limits
from vgbench.clips.clip import Clip, Frames, blocks, read_in_steps
from vgbench.clips.files import LocalFile, StoredFile, bad_clip_on_error
from vgbench.clips.images import check_indices
from vgbench.clips.listing import list_archive
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
"""What torch raises, besides `DAMAGE`, on damaged files and on tensors that numpy cannot hold."""

MAX_LABELS_BYTES = 2**26
"""Bytes that the labels of one `.npz` may have, all together."""

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
    return _fingerprint(frames.shape, [frames])


def _fingerprint(shape: Sequence[int], parts: Iterable[Frames]) -> str:
    digest = hashlib.sha256(f"uint8 {list(shape)}\n".encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _frames_shape(shape: Sequence[int], axis: int) -> tuple[int, int, int, int]:
    """Shape [T,H,W,3] that a clip of `shape` with its colours at `axis` gives."""
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
        shape = _frames_shape(self.header.shape[1:], self.header.axis)
        return _fingerprint(shape, blocks(self, shape[0]))

    def stamp(self) -> str:
        with bad_clip_on_error(self.id):
            return f"{self.file.stamp()}:{self.index}"

    def count_frames(self) -> int:
        return _frames_shape(self.header.shape[1:], self.header.axis)[0]

    def read(self, indices: Sequence[int]) -> Frames:
        count = self.count_frames()
        check_indices(self.id, indices, count)
        header, shape = self.header, list(self.header.shape[1:])
        dtype = np.dtype(header.dtype)
        clip_bytes = dtype.itemsize * math.prod(shape)
        # Only the bytes from the first to the last frame asked, of each colour where colours come first.
        colours = shape[0] if header.axis == 0 else 1
        colour_bytes, frame_bytes = clip_bytes // colours, clip_bytes // colours // count
        first, asked = indices[0], indices[-1] + 1 - indices[0]
        start = header.offset + self.index * clip_bytes + first * frame_bytes
        shape[1 if header.axis == 0 else 0] = asked
        with bad_clip_on_error(self.id):
            parts = [
                self.file.read_range(start + colour * colour_bytes, asked * frame_bytes)
                for colour in range(colours)
            ]
            data = np.frombuffer(parts[0] if colours == 1 else b"".join(parts), dtype).reshape(shape)
            frames = to_frames(data, header.axis, self.value_range)
            return np.ascontiguousarray(frames[[index - first for index in indices]])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        clip_bytes = np.dtype(self.header.dtype).itemsize * math.prod(self.header.shape[1:])
        return read_in_steps(self, count, clip_bytes // self.count_frames())


@dataclass(frozen=True)
class StoredTensorClip(Clip):
    """Clip number `index` of a tensor in a `.pt` file."""

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
            return f"{self.file.stamp()}:{self.index}"

    def count_frames(self) -> int:
        return _frames_shape(self.shape[1:], self.axis)[0]

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
    with bad_clip_on_error(file.name, *TORCH_DAMAGE):
        if path.lower().endswith(".pt"):
            tensor, labels = _load_tensor(file)
            shape, axis = _batched(_numpy_type(tensor), tuple(tensor.shape), value_range)
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
    length = dtype.itemsize * math.prod(shape)
    if length > MAX_LABELS_BYTES:
        raise ValueError(f"labels of more than {MAX_LABELS_BYTES} bytes")
    data = labels.read_range(offset, length)
    try:
        return clips, [str(label) for label in np.frombuffer(data, dtype)]
    except SystemError as error:  # NumPy's, for numbers beyond the last code point
        raise ValueError("its labels are not text") from error


def _load_tensor(file: StoredFile) -> tuple[Any, list[str] | None]:
    """What a tensor file holds; loaded once, as long as it stays the same file."""
    state = Path(file.name).stat() if isinstance(file, LocalFile) else None
    return _loaded_tensor(file, state and (state.st_ino, state.st_mtime_ns))


@functools.lru_cache(maxsize=4)
def _loaded_tensor(
    file: StoredFile,
    state: tuple[int, int] | None,  # noqa: ARG001
) -> tuple[Any, list[str] | None]:
    """Load without running code; a local file is mapped, not read."""
    import torch

    _check_nothing_is_compressed(file)
    try:
        if isinstance(file, LocalFile):
            try:
                loaded = torch.load(file.name, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # written in the format from before torch 1.6, which cannot be mapped
                loaded = torch.load(file.name, map_location="cpu", weights_only=True)
        else:
            with file.open() as stream:
                loaded = torch.load(stream, map_location="cpu", weights_only=True)
    except TORCH_DAMAGE as error:
        raise ValueError("not a tensor file, or one that holds more than tensors") from error
    labels = None
    if isinstance(loaded, dict):
        if "clips" not in loaded:
            raise ValueError(f"holds {sorted(map(str, loaded))}; the tensor to use must be named 'clips'")
        if loaded.get("labels") is not None:
            if isinstance(loaded["labels"], torch.Tensor):
                _check_storage(loaded["labels"])
            labels = [str(label) for label in _plain(loaded["labels"])]
        loaded = loaded["clips"]
    if not isinstance(loaded, torch.Tensor):
        raise ValueError(f"holds a {type(loaded).__name__}, not a tensor")
    _check_storage(loaded)
    return loaded.detach(), labels


def _check_nothing_is_compressed(file: StoredFile) -> None:
    """Refuse a `.pt` that would unpack to more bytes than it has; `torch.save` never compresses.

    Raises:
        ValueError: a record is compressed.
    """
    with file.open() as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                packed = any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist())
        except (zipfile.BadZipFile, NotImplementedError):
            return  # the format from before torch 1.6, or damaged, which torch says
    if packed:
        raise ValueError("a compressed tensor file; torch.save writes them uncompressed")


def _check_storage(tensor: Any) -> None:
    """Refuse tensors whose elements do not lie in memory one by one, whatever their shape claims.

    Raises:
        ValueError: sparse, without data, or with fewer bytes than its shape needs, as `expand` makes it.
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
    """Type of a tensor's elements once they are numpy's, which lacks bfloat16.

    Raises:
        ValueError: a type without an agreed range, such as a quantised one.
    """
    import torch

    if tensor.dtype == torch.bfloat16:
        return np.dtype(np.float32)
    name = str(tensor.dtype).removeprefix("torch.")
    try:
        return np.dtype(name)
    except TypeError as error:
        raise ValueError(f"{name} values have no agreed range; store uint8") from error


def _to_numpy(tensor: Any) -> npt.NDArray[Any]:
    return np.asarray(tensor.float() if _numpy_type(tensor) == np.float32 else tensor)


def _plain(labels: Any) -> list[Any]:
    """Labels as a list.

    Raises:
        ValueError: a single number, or anything else that is no sequence.
    """
    try:
        return list(labels.tolist() if hasattr(labels, "tolist") else labels)
    except TypeError as error:
        raise ValueError(f"labels must be a list with one of each clip, not {labels!r:.80}") from error


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
    _check_dense(tensor)
    _numpy_type(tensor)
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float() if tensor.dtype.is_floating_point else tensor)
