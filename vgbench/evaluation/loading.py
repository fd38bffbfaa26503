"""From clips to pixels: worker processes decode and resize windows, and measure the pixels for metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from vgbench.clips.clip import Clip, ClipSource, Frames, pixel_hash
from vgbench.errors import BadClip
from vgbench.evaluation.measured import CONTENT, LEVELS, PIXELS, SIZE
from vgbench.metrics import ClipView, Metric
from vgbench.protocol.pixels import Resize, resize
from vgbench.protocol.sampler import Window

T = TypeVar("T")


class Decoded(NamedTuple):
    """One window after decoding.

    Attributes:
        frames: uint8 [T, H, W, 3] after the protocol's resizing; empty if the clip cannot be decoded.
        values: metric name -> float64 [D], for each metric that sees pixels or motion; under `CONTENT`, the
            sha256 of the frames, uint8 [32]; under `PIXELS`, the same before resizing; under `SIZE`, their
            height and width before resizing, int32 [2]; under `LEVELS`, their lowest and highest value before
            resizing, uint8 [2].
        reason: why the window could not be decoded; None if it was.
    """

    frames: torch.Tensor
    values: dict[str, npt.NDArray[Any]]
    reason: str | None


class DecodedWindows(Dataset[Decoded]):
    """Windows of one source, decoded on access.

    Args:
        source: the clips.
        windows: the windows, in order, each with the fingerprint and the stamp of its clip.
        policy: how frames are resized.
        metrics: those that measure each window.
    """

    def __init__(
        self,
        source: ClipSource,
        windows: Sequence[tuple[Window, str, str]],
        policy: Resize,
        metrics: Sequence[Metric],
    ) -> None:
        self.source, self.windows, self.policy, self.metrics = source, windows, policy, metrics

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, position: int) -> Decoded:
        window, fingerprint, stamp = self.windows[position]
        try:
            stored = read_window(self.source.clips[window.clip], window, fingerprint, stamp)
            frames = resize(stored, self.policy)
        except BadClip as error:
            return Decoded(torch.empty(0), {}, error.reason)
        view = ClipView(frames)
        values: dict[str, npt.NDArray[Any]] = {
            metric.name: measure_window(metric, view) for metric in self.metrics
        }
        values[CONTENT] = hash_row(pixel_hash(frames))
        values[PIXELS] = values[CONTENT] if frames is stored else hash_row(pixel_hash(stored))
        values[LEVELS] = np.array([stored.min(), stored.max()], dtype=np.uint8)
        values[SIZE] = np.array(stored.shape[1:3], dtype=np.int32)
        return Decoded(torch.from_numpy(np.ascontiguousarray(frames)), values, None)


def read_window(clip: Clip, window: Window, fingerprint: str, stamp: str) -> Frames:
    """Decode a window, and make sure that it comes from the bytes that were hashed.

    Args:
        clip: the window's clip.
        window: which frames.
        fingerprint: `Clip.fingerprint` from when the clip was inspected.
        stamp: `Clip.stamp` from before the clip was hashed.

    Raises:
        BadClip: the window cannot be decoded, or the clip was replaced after it was inspected.
    """
    decoded = clip.read(window.frames)
    require_same_bytes(clip, fingerprint, stamp)
    return decoded


def require_same_bytes(clip: Clip, fingerprint: str, stamp: str) -> None:
    """Refuse a clip whose bytes are not those that were hashed.

    Raises:
        BadClip: it was replaced after it was inspected, or another rank has a different clip of that name.
    """
    if clip.stamp() != stamp and clip.fingerprint() != fingerprint:
        raise BadClip(clip.id, "changed while it was read")


def hash_row(sha256: str) -> npt.NDArray[np.uint8]:
    """Turn a hash (hex) into a row of a table: uint8 [32]."""
    return np.frombuffer(bytearray.fromhex(sha256), dtype=np.uint8)


def measure_window(metric: Metric, view: ClipView) -> npt.NDArray[np.float64]:
    """Measure one window by a metric that sees pixels or motion; float64 [D], or [] for a single number."""
    if metric.measure is None:
        raise AssertionError(f"{metric.name} measures no windows")
    return np.array(metric.measure(view if metric.sees == "motion" else view.frames), dtype=np.float64)


def load_in_order(dataset: Dataset[T], at_once: int, workers: int) -> Iterable[T]:
    """Load the items of a dataset in worker processes, and yield them in order.

    Queues are bounded: at most two batches wait per worker, so memory does not grow with the number of items.

    Args:
        dataset: what to load.
        at_once: number of items that a worker hands over together.
        workers: number of processes; 0 loads the items in this process.
    """
    loader = DataLoader(
        dataset,
        batch_size=at_once,
        num_workers=workers,
        collate_fn=_as_list,
        prefetch_factor=2 if workers else None,
        generator=torch.Generator(),  # the default one is the caller's, and must not advance
    )
    return chain.from_iterable(loader)


def _as_list(batch: list[T]) -> list[T]:
    return batch
