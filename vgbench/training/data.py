"""Training clips: windows of the data, which depend only on (seed, position)."""

from __future__ import annotations

import math
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

import numpy as np
import numpy.typing as npt
import torch

from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource, Frames, blocks
from vgbench.distributed import World
from vgbench.errors import BadClip, NotEnoughClips, VgbenchError
from vgbench.protocol.pixels import Resize, resize
from vgbench.reference_models.generator import from_uint8
from vgbench.training.config import TrainConfig

ORDER_STREAM, WINDOW_STREAM = 1, 2

RATED_CLIPS = 16
"""Clips of which the frame rate is read at the start of a training."""


@dataclass(frozen=True)
class Batch:
    """Real clips of one phase of training.

    Attributes:
        clips: uint8 [B, T, S, S, 3].
        labels: index of the class, int64 [B]; zeros without classes.
    """

    clips: Frames
    labels: npt.NDArray[np.int64]

    @cached_property
    def video(self) -> torch.Tensor:
        """The clips as networks see them, float32 [B, 3, T, S, S] in [−1, 1]; converted once."""
        return from_uint8(self.clips)


@dataclass
class Windows:
    """An endless, reproducible stream of training clips.

    Position p belongs to epoch p // N. Each epoch is a new permutation of all N clips, and the first frame of
    a window is uniform over its clip. A clip that is damaged or too short is replaced by another one, which
    again depends only on (seed, p), so processes need not agree on anything but the seed.

    Decoded and resized clips are kept in memory up to `cache_gigabytes`. Of a clip that no longer fits, the
    frames of a window are decoded each time.

    Attributes:
        source: of the clips.
        size: side length of the windows in pixels.
        frames: of a window.
        stride: frames of the clip from one frame of a window to the next.
        seed: of the order of clips and of the first frames.
        flip: mirror half of the windows.
        classes: names of the labels, in the order of their indices; empty without labels.
        cache_gigabytes: decoded clips kept in memory.
        skipped: clip id -> reason, for clips that turned out to be unusable.
    """

    source: ClipSource
    size: int
    frames: int
    stride: int
    seed: int
    flip: bool = False
    classes: tuple[str, ...] = ()
    cache_gigabytes: float = 2.0
    skipped: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.source.clips):
            raise NotEnoughClips(f"{self.source.name}: no clips to train on")
        self._usable = Counter(clip.label for clip in self.source.clips)
        self._cache: dict[int, Frames] = {}
        self._lengths: dict[int, int] = {}
        self._room = int(self.cache_gigabytes * 1e9)
        self._orders: dict[int, npt.NDArray[np.int64]] = {}
        self._lock = threading.Lock()
        self._policy = Resize(size=self.size)
        self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="vgbench-windows")
        self._ahead: dict[int, Future[tuple[Frames, int]]] = {}

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Number of clips of each class that have not turned out to be unusable; empty without classes."""
        return tuple(self._usable[name] for name in self.classes)

    def look_at_every_class(self) -> None:
        """Find out which classes have no usable clip, by reading clips of each until one is usable."""
        of_class: dict[str | None, list[int]] = {name: [] for name in self.classes}
        for index, clip in enumerate(self.source.clips if self.classes else ()):
            of_class[clip.label].append(index)

        def look(clips: list[int]) -> None:
            next((True for index in clips if self._try(index, 0.0) is not None), False)

        list(self._pool.map(look, of_class.values()))

    def frame_rate(self) -> float | None:
        """Return the median rate of the first windows (frames per second), if most clips state one."""
        clips = [self.source.clips[self.clip_at(position)] for position in range(RATED_CLIPS)]
        rates = []
        for clip in clips:
            with suppress(BadClip):
                rates.append(clip.frame_rate())
        known = [rate for rate in rates if rate]
        return median(known) / self.stride if 2 * len(known) > len(rates) else None

    def batch(self, positions: Sequence[int], then: Sequence[int] = ()) -> Batch:
        """Return the windows at `positions` of the stream, and start to decode those at `then`.

        Raises:
            NotEnoughClips: no clip can be used.
        """
        waiting = [
            self._ahead.pop(one) if one in self._ahead else self._pool.submit(self._window, one)
            for one in positions
        ]
        self._ahead = {one: self._pool.submit(self._window, one) for one in then}
        windows, labels = zip(*(one.result() for one in waiting), strict=True)
        return Batch(np.stack(windows), np.array(labels, np.int64))

    def _window(self, position: int) -> tuple[Frames, int]:
        random = np.random.default_rng([self.seed, WINDOW_STREAM, position])
        place, mirrored = random.random(), random.random() < 0.5
        for index in self._candidates(position, random):
            frames = self._try(index, place)
            if frames is not None:
                frames = frames[:, :, ::-1] if self.flip and mirrored else frames
                return frames, self._label(index)
        raise NotEnoughClips(
            f"{self.source.name}: none of the clips can be used "
            f"({next(iter(self.skipped.values()), 'unknown reason')})",
            f"clips need at least {self._span} frames; decrease frames or stride",
        )

    def _candidates(self, position: int, random: np.random.Generator) -> Iterator[int]:
        """Yield the clip at a position, and others in case it cannot be used: random ones, and then all."""
        count = len(self.source.clips)
        yield self.clip_at(position)
        for _ in range(count - 1):
            yield int(random.integers(count))
        yield from map(int, random.permutation(count))

    @property
    def _span(self) -> int:
        """Number of frames from the first to the last frame of a window."""
        return (self.frames - 1) * self.stride + 1

    def clip_at(self, position: int) -> int:
        """Return the index of the clip at a position of the stream."""
        epoch, row = divmod(position, len(self.source.clips))
        with self._lock:
            if epoch not in self._orders:
                random = np.random.default_rng([self.seed, ORDER_STREAM, epoch])
                self._orders = {epoch: random.permutation(len(self.source.clips))}
            return int(self._orders[epoch][row])

    def _try(self, index: int, place: float) -> Frames | None:
        """Return a window of one clip; None if the clip cannot be used, which is not tried again."""
        clip = self.source.clips[index]
        if clip.id in self.skipped:
            return None
        try:
            whole = self._cache.get(index)
            length = len(whole) if whole is not None else self._length(index)
            if length < self._span:
                raise BadClip(clip.id, f"has {length} frames, fewer than the {self._span} of a window")
            start = int(place * (length - self._span + 1))
            wanted = range(start, start + self._span, self.stride)
            if whole is None:
                whole = self._keep(index, length)
            if whole is None:
                return resize(clip.read(wanted), self._policy)
            return whole[list(wanted)]
        except BadClip as problem:
            with self._lock:
                if clip.id not in self.skipped:
                    self._usable[clip.label] -= 1
                self.skipped[clip.id] = problem.reason
            return None

    def _length(self, index: int) -> int:
        if index not in self._lengths:
            self._lengths[index] = self.source.clips[index].count_frames()
        return self._lengths[index]

    def _keep(self, index: int, length: int) -> Frames | None:
        """Decode and keep a whole clip if there is room."""
        shape = (length, self.size, self.size, 3)
        needed = math.prod(shape)
        with self._lock:
            if needed > self._room:
                return None
            self._room -= needed
        try:
            # A clip may be very large before it is resized, so it is decoded and resized in blocks.
            whole, done = np.empty(shape, np.uint8), 0
            for block in blocks(self.source.clips[index], length):
                whole[done : done + len(block)] = resize(block, self._policy)
                done += len(block)
        except BadClip:
            with self._lock:
                self._room += needed
            raise
        with self._lock:
            if index in self._cache:  # another thread was faster
                self._room += needed
            self._cache[index] = whole
        return whole

    def _label(self, index: int) -> int:
        return self.classes.index(self.source.clips[index].label or "") if self.classes else 0


def positions(config: TrainConfig, world: World, step: int, phase: int = 0) -> range:
    """Return the positions in the stream of this process's real clips for one phase of the discriminators."""
    share = config.batch // world.size
    first = (step * config.discriminator_steps + phase) * config.batch + world.rank * share
    return range(first, first + share)


def random_clips(config: TrainConfig) -> ClipSource:
    """Make two clips of noise to measure a step with, one window long, with a label if there are classes."""
    length = (config.frames - 1) * config.stride + 1
    pixels = np.random.default_rng(0).integers(0, 256, (2, length, config.size, config.size, 3), np.uint8)
    return open_source([(clip, config.classes[0]) for clip in pixels] if config.classes else pixels)


def class_names(source: ClipSource) -> tuple[str, ...]:
    """Return all labels of a source, sorted.

    Raises:
        VgbenchError: a clip has no label.
    """
    labels = {clip.label for clip in source.clips}
    if None in labels:
        raise VgbenchError(
            f"{source.name}: labels = true, but the data contain clips without a label",
            "put the clips of each class into a folder of its own",
        )
    return tuple(sorted(label for label in labels if label is not None))
