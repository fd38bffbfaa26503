"""Windows of clips for training: which clip and which frames is a function of (seed, position) alone."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource, Frames, blocks
from vgbench.distributed import World
from vgbench.errors import BadClip, NotEnoughClips, VgbenchError
from vgbench.protocol.pixels import Resize, resize
from vgbench.training.config import TrainConfig

ORDER_STREAM, WINDOW_STREAM = 1, 2


@dataclass(frozen=True)
class Batch:
    """Attributes: clips uint8 [B, T, S, S, 3]; labels int64 [B], zeros without classes."""

    clips: Frames
    labels: npt.NDArray[np.int64]


@dataclass
class Windows:
    """An endless, reproducible stream of training clips.

    Position p belongs to epoch p // N; each epoch is a new permutation of all N clips, and the first frame is
    uniform over the clip. A clip that is damaged or too short is passed over for another one, which again
    depends on (seed, p) alone, so that processes need not agree on anything but the seed.

    Decoded, resized clips stay in memory up to `cache_gigabytes`; a clip that does not fit any more is
    decoded again at each use, and then only the frames that its window needs.
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
        self._cache: dict[int, Frames] = {}
        self._lengths: dict[int, int] = {}
        self._room = int(self.cache_gigabytes * 1e9)
        self._orders: dict[int, npt.NDArray[np.int64]] = {}
        self._lock = threading.Lock()
        self._policy = Resize(size=self.size)
        self._pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1), thread_name_prefix="vgbench-windows")
        self._ahead: dict[int, Future[tuple[Frames, int]]] = {}

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, positions: Sequence[int], then: Sequence[int] = ()) -> Batch:
        """Clips at `positions` of the stream, with a head start on the batch at `then`."""
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
            f"({next(iter(self.skipped.values()), 'no reason known')})",
            f"clips need {self._span} frames or more; lower frames or stride",
        )

    def _candidates(self, position: int, random: np.random.Generator) -> Iterator[int]:
        """The clip at a position; after it, for where it cannot be used, others: by luck, and then all."""
        count = len(self.source.clips)
        yield self._clip_at(position)
        for _ in range(count - 1):
            yield int(random.integers(count))
        yield from map(int, random.permutation(count))

    @property
    def _span(self) -> int:
        return (self.frames - 1) * self.stride + 1

    def _clip_at(self, position: int) -> int:
        epoch, row = divmod(position, len(self.source.clips))
        with self._lock:
            if epoch not in self._orders:
                random = np.random.default_rng([self.seed, ORDER_STREAM, epoch])
                self._orders = {epoch: random.permutation(len(self.source.clips))}
            return int(self._orders[epoch][row])

    def _try(self, index: int, place: float) -> Frames | None:
        """The window of one clip; None, once and for all, when the clip cannot be used."""
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
            self.skipped[clip.id] = problem.reason
            return None

    def _length(self, index: int) -> int:
        if index not in self._lengths:
            self._lengths[index] = self.source.clips[index].count_frames()
        return self._lengths[index]

    def _keep(self, index: int, length: int) -> Frames | None:
        """Decode and keep a whole clip, if there is room."""
        shape = (length, self.size, self.size, 3)
        needed = math.prod(shape)
        with self._lock:
            if needed > self._room:
                return None
            self._room -= needed
        try:
            # A clip that is small once resized may be huge as it is: it is never whole in memory.
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
    """Where in the stream this process's real clips of a discriminators' phase are."""
    share = config.batch // world.size
    first = (step * config.discriminator_steps + phase) * config.batch + world.rank * share
    return range(first, first + share)


def random_clips(config: TrainConfig) -> ClipSource:
    """Two clips of noise, one window long, with a label where there are classes: to measure a step on."""
    length = (config.frames - 1) * config.stride + 1
    pixels = np.random.default_rng(0).integers(0, 256, (2, length, config.size, config.size, 3), np.uint8)
    return open_source([(clip, config.classes[0]) for clip in pixels] if config.classes else pixels)


def class_names(source: ClipSource) -> tuple[str, ...]:
    """All labels of a source, sorted.

    Raises:
        VgbenchError: a clip without a label.
    """
    labels = {clip.label for clip in source.clips}
    if None in labels:
        raise VgbenchError(
            f"{source.name}: labels = true, but clips without a label are among them",
            "put the clips of each class into a folder of its own",
        )
    return tuple(sorted(label for label in labels if label is not None))
