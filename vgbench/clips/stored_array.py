"""Arrays in files, of which any part can be read without the rest."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips.files import StoredFile

BFLOAT16 = "bfloat16"
"""The upper half of a float32, which numpy does not know."""

Part = tuple[int, int]
"""First index along an axis, and number of indices."""


@dataclass(frozen=True)
class StoredArray(ABC):
    """An array in a file.

    Attributes:
        file: holds the array.
        kind: type of its elements, as numpy spells it, or `BFLOAT16`.
        shape: lengths of its axes.
    """

    file: StoredFile
    kind: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements that `part` returns."""
        return np.dtype(np.float32 if self.kind == BFLOAT16 else self.kind)

    @property
    def itemsize(self) -> int:
        """Bytes of an element in the file."""
        return 2 if self.kind == BFLOAT16 else np.dtype(self.kind).itemsize

    @abstractmethod
    def part(self, parts: Sequence[Part]) -> npt.NDArray[Any]:
        """Read the box that `parts` names, one for each axis.

        Raises:
            EOFError: the file is too short.
            OSError: it cannot be read.
        """

    def whole(self) -> npt.NDArray[Any]:
        """Read all of the array."""
        return self.part([(0, length) for length in self.shape])

    def elements(self, data: bytes) -> npt.NDArray[Any]:
        """Bytes from the file as elements, in one dimension."""
        if self.kind != BFLOAT16:
            return np.frombuffer(data, self.kind)
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


@dataclass(frozen=True)
class PlainArray(StoredArray):
    """An array whose elements follow each other in the file, the last axis fastest.

    Attributes:
        offset: where its bytes begin.
    """

    offset: int

    def part(self, parts: Sequence[Part]) -> npt.NDArray[Any]:
        sizes = [count for _, count in parts]
        # The axes after the last incomplete one are read together with it, in one go.
        last = max((a for a, (_, n) in enumerate(parts) if n != self.shape[a]), default=0)
        strides = [math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape))]
        outer = (range(first, first + count) for first, count in parts[:last])
        run = math.prod(sizes[last:]) * self.itemsize
        begin = parts[last][0] * strides[last] if parts else 0
        data = [
            self.file.read_range(
                self.offset
                + (begin + sum(i * s for i, s in zip(index, strides, strict=False))) * self.itemsize,
                run,
            )
            for index in itertools.product(*outer)
        ]
        return self.elements(data[0] if len(data) == 1 else b"".join(data)).reshape(sizes)


@dataclass(frozen=True)
class StridedArray(StoredArray):
    """An array with any order of its elements in the file, as tensors have it after `permute`.

    Attributes:
        offset: where its first element begins, in bytes.
        strides: distance of neighbours along each axis, in elements.
    """

    offset: int
    strides: tuple[int, ...]

    def part(self, parts: Sequence[Part]) -> npt.NDArray[Any]:
        sizes = [count for _, count in parts]
        first = sum(at * stride for (at, _), stride in zip(parts, self.strides, strict=True))
        span = span_of(sizes, self.strides)
        data = self.file.read_range(self.offset + first * self.itemsize, span * self.itemsize)
        elements = self.elements(data)
        steps = [stride * elements.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(elements, sizes, steps, writeable=False)


def span_of(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Number of elements from the first to the last one of an array that is not empty."""
    return 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
