"""Seeds of clips that are made of their content, so that names and containers choose no clip or window."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset

from vgbench.clips.clip import Clip, ClipSource
from vgbench.clips.reader_version import READER_VERSION
from vgbench.distributed import World, gather
from vgbench.errors import BadClip
from vgbench.evaluation.execution import Execution
from vgbench.evaluation.feature_store import Table
from vgbench.evaluation.loading import load_in_order
from vgbench.evaluation.measured import Side
from vgbench.evaluation.ranks import SharedSource

FIRST_FRAMES = f"first-frame@2, reader {READER_VERSION}"
ALL_FRAMES = f"all-frames@1, reader {READER_VERSION}"
"""Tables of the feature store with hashes of clips, so that each clip is decoded for its seed only once."""
_AT_ONCE = 16  # clips that a worker reports together


class Seed(NamedTuple):
    """What seeds the choice of a clip and of its windows.

    Attributes:
        text: hash of the content.
        lossless: see `Clip.is_lossless`.
    """

    text: str
    lossless: bool


def content_seeds(shared: SharedSource, how: Execution, world: World, side: Side) -> dict[int, Seed | str]:
    """Find the seed of every clip of a source, by its position; for unusable clips, the reason instead.

    A seed is the hash of a clip's first frame, because a large set should not be decoded before the choice.
    Clips that begin alike are told apart by the hash of all their frames; clips with equal frames have equal
    seeds, and either may be taken for the other.

    Args:
        shared: the clips; under `torchrun`, each rank reads a part of them.
        how: workers, feature store and progress.
        world: this process among the ranks.
        side: "generated" or "real", for the progress.
    """
    stage = f"{side}: reading first frames"
    clips = shared.source.clips
    first_frames = _Seeds(shared.source, how.store.table(FIRST_FRAMES), _first_frame)
    seeds = _read(shared, range(len(clips)), first_frames, how, world, stage)
    beginning: dict[str, list[int]] = defaultdict(list)
    for position, seed in seeds.items():
        if isinstance(seed, Seed):
            beginning[seed.text].append(position)
    alike = [position for group in beginning.values() if len(group) > 1 for position in group]
    all_frames = _Seeds(shared.source, how.store.table(ALL_FRAMES), _all_frames)
    whole = _read(shared, alike, all_frames, how, world, f"{side}: reading clips that begin alike")
    for position, seed in whole.items():
        first = seeds[position]
        if isinstance(first, Seed) and isinstance(seed, Seed):
            text = hashlib.sha256(f"{first.text}\n{seed.text}".encode()).hexdigest()
            seeds[position] = Seed(text, first.lossless)
        else:
            seeds[position] = seed
    return seeds


def _read(
    shared: SharedSource,
    positions: Sequence[int],
    seeds: _Seeds,
    how: Execution,
    world: World,
    stage: str,
) -> dict[int, Seed | str]:
    """Read the seeds of some clips, on all ranks together."""
    seeds.positions = shared.share(positions, lambda position: position, world)
    found: dict[int, Seed | str] = {}
    for done, (position, seed) in enumerate(
        zip(seeds.positions, load_in_order(seeds, _AT_ONCE, how.workers), strict=True), 1
    ):
        found[position] = seed
        seeds.keep(position, seed)
        if done % _AT_ONCE == 0:
            how.progress(stage, min(done * world.size, len(positions)), len(positions))
    seeds.table.flush()
    return {position: seed for part in gather(found, world) for position, seed in part.items()}


class _Seeds(Dataset["Seed | str"]):
    """Seeds of the clips at `positions`, taken from a table or read on access."""

    def __init__(self, source: ClipSource, table: Table, read: Callable[[Clip], Seed]) -> None:
        self.source, self.table, self.read = source, table, read
        self.positions: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Seed | str:
        clip = self.source.clips[self.positions[index]]
        try:
            known = self.table.get(_key(clip))
            if known is not None:
                return Seed(known["hash"].tobytes().hex(), bool(known["lossless"]))
            return self.read(clip)
        except BadClip as error:
            return error.reason

    def keep(self, position: int, seed: Seed | str) -> None:
        """Keep a seed for later runs, in the main process."""
        if isinstance(seed, str):
            return
        try:
            key = _key(self.source.clips[position])
        except BadClip:  # it was removed meanwhile
            return
        if key not in self.table:
            value = np.frombuffer(bytearray.fromhex(seed.text), dtype=np.uint8)
            self.table.put(key, {"hash": value, "lossless": np.array(seed.lossless)})


def _first_frame(clip: Clip) -> Seed:
    return Seed(clip.first_frame_hash(), clip.is_lossless())


def _all_frames(clip: Clip) -> Seed:
    return Seed(clip.content_hash(), clip.is_lossless())


def _key(clip: Clip) -> bytes:
    """Identify the stored bytes without reading them: by size, time and inode for files on a disk."""
    return hashlib.sha256(f"{clip.id}\n{clip.stamp()}".encode("utf-8", "surrogateescape")).digest()


def as_texts(seeds: Mapping[int, Seed | str]) -> dict[int, str]:
    """Return the texts of the usable seeds."""
    return {position: seed.text for position, seed in seeds.items() if isinstance(seed, Seed)}
