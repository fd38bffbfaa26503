"""Clips that are arrays: in memory, or stored in the files of NumPy, PyTorch, safetensors and HDF5.

A stored array is described by its header (place of the data, shape, type) and each clip reads its own bytes,
so memory use does not grow with the file, and the file may be local or remote. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from tokenize import TokenError
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import hdf5_file, limits, safetensors_file, torch_file
from vgbench.clips.array_members import (
    CLIPS,
    GROUPS,
    LABELS,
    Names,
    NoClips,
    choose_members,
    count_clips,
    ids_of,
    in_order,
    numbered,
)
from vgbench.clips.axes import EXPECTED, axes_of
from vgbench.clips.clip import BLOCK_BYTES, Clip, Frames, Skipped, blocks, read_in_steps
from vgbench.clips.files import StoredFile, bad_clip_on_error
from vgbench.clips.images import check_indices
from vgbench.clips.listing import list_archive
from vgbench.clips.pixel_checksums import PixelChecksums, of_pixels
from vgbench.clips.stored_array import PlainArray, StoredArray, StridedArray, span_of
from vgbench.clips.suffixes import HDF5, SAFETENSORS, TENSORS
from vgbench.clips.value_range import ValueRange, ValueUse, count_outside, to_bytes
from vgbench.errors import BadClip, VgbenchError

MAX_LABELS_BYTES = 2**26
"""Most bytes that all labels, or all groups, of one file may have together."""

ITEM = ("clip", "label", "group")
"""Keys of an item that is a mapping."""
_MAPPING = 'its keys must be "clip" and perhaps "label" and "group"'


def to_frames(clip: npt.NDArray[Any], axes: str, value_range: ValueRange | None) -> Frames:
    """Convert one clip of any accepted layout to uint8 [T,H,W,3].

    Args:
        clip: uint8, or floats, which are mapped from `value_range` to 0..255.
        axes: what its axes are; see `vgbench.clips.axes`. Without colours, the clip is grey.
        value_range: the range of floats.

    Raises:
        ValueError: a float is NaN, infinite or clearly outside `value_range`.
    """
    frames = clip.transpose([axes.index(axis) for axis in "THWC" if axis in axes])
    if "C" not in axes:
        frames = frames[..., None]
    if frames.dtype.kind == "f":
        assert value_range is not None
        frames = to_bytes(frames, value_range)
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    return frames


def check_kind(dtype: np.dtype[Any], value_range: ValueRange | None) -> None:
    """Refuse elements other than bytes and floats, and floats without a given range.

    Raises:
        ValueError: a type without a standard range.
    """
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


@dataclass(frozen=True, eq=False)
class MemoryClip(Clip):
    """A clip whose pixels are already in memory, uint8 [T,H,W,3].

    Attributes:
        frames: the pixels.
        use: how they were made of floats; None if they were bytes.
    """

    frames: Frames
    use: ValueUse | None = None

    def fingerprint(self) -> str:
        return array_fingerprint(self.frames)

    def count_frames(self) -> int:
        return len(self.frames)

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, len(self.frames))
        return np.ascontiguousarray(self.frames[list(indices)])

    def value_use(self) -> ValueUse | None:
        return self.use


@dataclass(frozen=True)
class StoredArrayClip(Clip):
    """Clip number `index` of an array of clips in a file.

    Attributes:
        array: the array.
        axes: what its axes are; see `vgbench.clips.axes`.
        index: position of the clip in the array.
        value_range: the range of floats; None for uint8.
        written: checksums of its frames, if the file states them.
    """

    array: StoredArray
    axes: str
    index: int
    value_range: ValueRange | None
    written: PixelChecksums | None = None

    @property
    def file(self) -> StoredFile:
        """The file that holds the array."""
        return self.array.file

    def fingerprint(self) -> str:
        count, height, width = (self._length(axis) for axis in "THW")
        return _fingerprint((count, height, width, 3), blocks(self, count))

    def stamp(self) -> str:
        with bad_clip_on_error(self.id):
            return f"{self.file.stamp()}:{self.index}:{self.axes}:{self.value_range}"

    def count_frames(self) -> int:
        return self._length("T")

    def read(self, indices: Sequence[int]) -> Frames:
        check_indices(self.id, indices, self.count_frames())
        first = indices[0]
        with bad_clip_on_error(self.id):
            stored = self._stored(first, indices[-1] + 1 - first)
            frames = to_frames(stored, self.axes.replace("N", ""), self.value_range)
        if self.written is not None:
            _, height, width, _ = frames.shape
            self.written.require_shape(self.id, self.count_frames(), (width, height))
            for index in set(indices):
                self.written.require(self.id, index, of_pixels(frames[index - first]))
        return np.ascontiguousarray(frames[[index - first for index in indices]])

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return read_in_steps(self, count, self._frame_bytes())

    def value_use(self) -> ValueUse | None:
        if self.value_range is None:
            return None
        count, clamped = self.count_frames(), 0
        step = max(BLOCK_BYTES // self._frame_bytes(), 1)
        with bad_clip_on_error(self.id):
            for first in range(0, count, step):
                stored = self._stored(first, min(step, count - first))
                clamped += count_outside(stored, self.value_range)
        return ValueUse(self.value_range, clamped)

    def _length(self, axis: str) -> int:
        return self.array.shape[self.axes.index(axis)]

    def _frame_bytes(self) -> int:
        """Bytes that decoding a frame takes: floats are mapped to bytes in double precision."""
        elements = math.prod(self._length(axis) for axis in "HWC" if axis in self.axes)
        return elements * (1 if self.value_range is None else 8)

    def _stored(self, first: int, count: int) -> npt.NDArray[Any]:
        """Read consecutive frames as they are stored, without the axis of clips."""
        parts = [(0, length) for length in self.array.shape]
        parts[self.axes.index("T")] = (first, count)
        if "N" not in self.axes:
            return self.array.part(parts)
        clips = self.axes.index("N")
        parts[clips] = (self.index, 1)
        return self.array.part(parts).squeeze(clips)


class HoldsNoClips(BadClip):
    """Raised for array files that hold no clips, but something that is usual beside clips."""


def stored_array_clips(
    path: str, file: StoredFile, label: str | None, value_range: ValueRange | None, axes: str | None = None
) -> list[Clip]:
    """List the clips of one array file; in an array of several clips, the eighth has the id `path#000007`.

    Args:
        path: id of the file inside its source.
        file: one of `vgbench.clips.suffixes.ARRAYS`, with one array of clips, or with several arrays, among
            which `choose_members` finds the clips, their labels and their groups.
        label: class name from the folder; labels inside the file override it.
        value_range: the range of floats; None accepts uint8 only.
        axes: names of the axes of arrays with as many of them; see `vgbench.clips.axes`.

    Raises:
        HoldsNoClips: the file is sound, and holds something else.
        BadClip: the file is not of that kind, or its arrays cannot be read as clips.
    """
    with bad_clip_on_error(file.name):
        try:
            members = _members_of(path, file)
            chosen = choose_members(members, axes)
        except NoClips as error:
            raise HoldsNoClips(file.name, str(error)) from error
        names = {kind: _texts(kind, getattr(chosen, kind)) for kind in ("labels", "groups")}
        arrays = in_order(chosen.clips)
        clips: list[StoredArrayClip] = []
        for ids, array in zip(ids_of(path, arrays, axes), arrays.values(), strict=True):
            letters = _checked_axes(array, value_range, axes)
            span = None if array.dtype == np.uint8 else value_range
            clips += [StoredArrayClip(name, label, array, letters, k, span) for k, name in enumerate(ids)]
        written = _checksums_in(members) if path.lower().endswith(".npz") and len(clips) == 1 else None
        return _named([replace(clip, written=written) for clip in clips] if written else clips, names)


def _members_of(path: str, file: StoredFile) -> Mapping[str, StoredArray | Names | None]:
    """All arrays of a file, by name."""
    suffix = path.lower()
    if suffix.endswith(TENSORS):
        return torch_file.tensors_of(file)
    if suffix.endswith(SAFETENSORS):
        return safetensors_file.tensors_of(file)
    if suffix.endswith(HDF5):
        return hdf5_file.data_sets_of(file)
    if suffix.endswith(".npz"):
        entries, _ = list_archive(file)
        arrays = {entry.path.removesuffix(".npy"): entry.file for entry in entries}
        return {name: array for name, one in arrays.items() if (array := _npy_or_none(one, name))}
    return {path: _npy(file)}


def _checked_axes(array: StoredArray, value_range: ValueRange | None, given: str | None) -> str:
    """Name the axes of an array of clips.

    Raises:
        ValueError: it cannot be one, or exceeds the limits.
    """
    axes, shape = axes_of(array.shape, given), array.shape
    check_kind(array.dtype, value_range)
    time_length, height, width = (shape[axes.index(axis)] for axis in "THW")
    count = count_clips(shape, given)
    if height * width > limits.MAX_FRAME_PIXELS or time_length > limits.MAX_FRAMES:
        raise ValueError(f"shape {shape} exceeds the limits (VGBENCH_MAX_PIXELS, VGBENCH_MAX_FRAMES)")
    if _clip_bytes(array, axes) > limits.MAX_CLIP_BYTES:
        raise ValueError(f"clips of more than {limits.MAX_CLIP_BYTES} bytes (VGBENCH_MAX_CLIP_BYTES)")
    if count > limits.MAX_ARRAY_CLIPS:
        raise ValueError(f"more than {limits.MAX_ARRAY_CLIPS} clips (VGBENCH_MAX_ARRAY_CLIPS)")
    return axes


def _clip_bytes(array: StoredArray, axes: str) -> int:
    """Bytes between the first and the last element of a clip."""
    sizes = [1 if axis == "N" else length for axis, length in zip(axes, array.shape, strict=True)]
    elements = span_of(sizes, array.strides) if isinstance(array, StridedArray) else math.prod(sizes)
    return elements * array.itemsize


def _named(clips: Sequence[Clip], names: Mapping[str, list[str] | None]) -> list[Clip]:
    """Give clips the labels and groups of their file."""
    labels, groups = names["labels"], names["groups"]
    for kind, given in names.items():
        if given is not None and len(given) != len(clips):
            raise ValueError(f"{len(given)} {kind} for {len(clips)} clips")
    return [
        replace(
            clip,
            label=labels[index] if labels else clip.label,
            group=groups[index] if groups else clip.group,
        )
        for index, clip in enumerate(clips)
    ]


def _npy_or_none(file: StoredFile, name: str) -> PlainArray | None:
    """An array of a `.npz` file; None for Python objects beside clips."""
    try:
        return _npy(file)
    except ValueError as error:
        if name in (CLIPS, *LABELS, *GROUPS) or "never unpickled" not in str(error):
            raise
        return None


def _npy(file: StoredFile) -> PlainArray:
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
    if fortran_order and len(shape) > 1:
        raise ValueError("stored in Fortran order; save numpy.ascontiguousarray(clips)")
    if dtype.hasobject:
        raise ValueError("holds Python objects, which are never unpickled")
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError("the header is damaged")
    if file.size < offset + dtype.itemsize * math.prod(shape):  # Python's integers do not wrap around
        raise ValueError("ends before the last clip")
    return PlainArray(file, dtype.str, shape, offset)


def _checksums_in(members: Mapping[str, StoredArray | Names | None]) -> PixelChecksums | None:
    """Checksums of the frames, which `write_clips` stores as a comment."""
    comment = members.get("comment")
    if not isinstance(comment, StoredArray) or CLIPS not in members:
        return None
    texts = _texts("comment", comment)
    return PixelChecksums.parse("npz", texts[0]) if texts else None


def _texts(kind: str, given: StoredArray | Names | None) -> list[str] | None:
    """Labels or groups as text.

    Raises:
        ValueError: too many bytes, not text, or not one for each clip.
    """
    if given is None:
        return None
    if not isinstance(given, StoredArray):
        return [str(name) for name in _plain(given, kind)]
    if given.itemsize * math.prod(given.shape) > MAX_LABELS_BYTES:
        raise ValueError(f"{kind} of more than {MAX_LABELS_BYTES} bytes")
    try:
        return [
            text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else str(text)
            for text in given.whole().reshape(-1)
        ]
    except SystemError as error:  # NumPy's, for numbers beyond the last code point
        raise ValueError(f"its {kind} are not text") from error


def _check_dense(tensor: Any) -> None:
    import torch

    if tensor.layout != torch.strided or tensor.device.type == "meta":
        what = "meta" if tensor.device.type == "meta" else str(tensor.layout).removeprefix("torch.")
        raise ValueError(f"a {what} tensor; save an ordinary, dense one")


def _to_numpy(tensor: Any) -> npt.NDArray[Any]:
    """Convert a dense tensor on any device; bfloat16, which numpy lacks, becomes float32.

    Raises:
        ValueError: the tensor is not dense, or its type has no standard range, such as a quantised one.
    """
    import torch

    _check_dense(tensor)
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float32):
        return np.asarray(tensor.float())
    name = str(tensor.dtype).removeprefix("torch.")
    try:
        np.dtype(name)
    except TypeError as error:
        raise ValueError(f"{name} values have no standard range; store uint8") from error
    return np.asarray(tensor)


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


def memory_clips(
    items: Iterable[Any], value_range: ValueRange | None, axes: str | None = None, *, copy: bool
) -> tuple[list[Clip], list[Skipped]]:
    """Take clips from an iterable and number them in its order.

    Args:
        items: each one clip [T,H,W,3] or a batch [B,T,H,W,3], alone, in a tuple (clip, label) or
            (clip, label, group), or in a mapping with the keys "clip" and perhaps "label" and "group". Labels
            and groups of a batch are sequences.
        value_range: the range of floats; None accepts uint8 only.
        axes: names of the axes of arrays with as many of them; see `vgbench.clips.axes`.
        copy: whether to copy the pixels, because a generator may reuse one buffer for all its clips.

    Returns:
        The clips, and those whose values are not finite or clearly outside the range.

    Raises:
        VgbenchError: an item is none of these.
    """
    clips: list[Clip] = []
    skipped: list[Skipped] = []
    for position, item in enumerate(items):
        try:
            for stored, letters, label, group in _clips_of_item(item, axes):
                name = numbered("", len(clips) + len(skipped))
                check_kind(stored.dtype, value_range)
                try:
                    frames = to_frames(stored, letters, value_range)
                except ValueError as error:
                    skipped.append(Skipped(name, str(error)))
                    continue
                use = None
                if value_range is not None and stored.dtype.kind == "f":
                    use = ValueUse(value_range, count_outside(stored, value_range))
                pixels = np.array(frames, order="C") if copy else frames
                clips.append(MemoryClip(name, label, pixels, use, group=group))
        except ValueError as error:
            raise VgbenchError(f"item {position}: {error}", f"give {EXPECTED}") from error
    return clips, skipped


def _clips_of_item(
    item: Any, given: str | None
) -> Iterator[tuple[npt.NDArray[Any], str, str | None, str | None]]:
    """Yield (clip, names of its axes, label, group) of each clip of an item."""
    array, label, group = _parts(item)
    if not is_array(array):
        raise ValueError(f"a {type(array).__name__} is not a clip")
    array = array if isinstance(array, np.ndarray) else _to_numpy(array)
    axes = axes_of(array.shape, given)
    if "N" not in axes:
        yield array, axes, _name(label), _name(group)
        return
    batch = np.moveaxis(array, axes.index("N"), 0)
    labels = _names_of_batch(label, "labels", len(batch))
    groups = _names_of_batch(group, "groups", len(batch))
    for clip, *names in zip(batch, labels, groups, strict=True):
        yield clip, axes.replace("N", ""), names[0], names[1]


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
