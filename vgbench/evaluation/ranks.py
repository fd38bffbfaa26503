"""Sources of clips under `torchrun`: either the same on all ranks, or a part of the whole set on each."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vgbench.clips.clip import Clip, ClipSource, Frames, SameFramesClip
from vgbench.clips.suffixes import total
from vgbench.distributed import World, gather
from vgbench.errors import BadClip, VgbenchError
from vgbench.evaluation.measured import Measured

T = TypeVar("T")


@dataclass(frozen=True)
class SharedSource:
    """A source as all ranks see it.

    Attributes:
        source: the clips of all ranks, in the same order everywhere.
        owners: the rank that has each clip; None if every rank has all of them.
    """

    source: ClipSource
    owners: Sequence[int] | None = None

    def share(self, work: Sequence[T], clip_of: Callable[[T], int], world: World) -> list[T]:
        """Return this rank's share of the work; each piece goes to exactly one rank.

        Args:
            work: all pieces of work, the same on all ranks.
            clip_of: position of the clip that a piece of work needs.
            world: this process among the ranks.
        """
        if self.owners is None:
            return list(work[world.rank :: world.size])
        return [one for one in work if self.owners[clip_of(one)] == world.rank]


@dataclass(frozen=True)
class ClipElsewhere(Clip):
    """A clip that another rank has."""

    whole: str

    @property
    def origin(self) -> str:
        return self.whole

    def fingerprint(self) -> str:
        raise BadClip(self.id, "another rank has it")

    def count_frames(self) -> int:
        raise BadClip(self.id, "another rank has it")

    def read(self, indices: Sequence[int]) -> Frames:  # noqa: ARG002
        raise BadClip(self.id, "another rank has it")


@dataclass(frozen=True)
class _Renamed(SameFramesClip):
    """A clip of this rank under the name that it has among the clips of all ranks."""

    whole: str

    @property
    def origin(self) -> str:
        return self.whole


def share_source(source: ClipSource, world: World, *, sharded: bool) -> SharedSource:
    """Combine the sources of all ranks into one.

    Args:
        source: what this rank has.
        world: this process among the ranks.
        sharded: each rank has clips of its own, and the set is their union. Otherwise all ranks must have the
            same clips.

    Raises:
        VgbenchError: the ranks have different clips, and `sharded` is false. Every rank raises it.
    """
    if world.size == 1:
        return SharedSource(source)
    if sharded:
        return _union(source, world)
    if _are_equal(source, world, lambda clip: clip.stamp()):
        return SharedSource(source)  # the same files
    if _are_equal(source, world, lambda clip: clip.fingerprint()):
        return SharedSource(source)  # equal copies, such as on the disks of several machines
    counts = gather(len(source.clips), world)
    raise VgbenchError(
        f"{source.name}: the ranks have different clips ({', '.join(map(str, counts))} of them)",
        "give every rank all clips; or, where each has a part of the set, pass sharded=True (--sharded)",
    )


def _are_equal(source: ClipSource, world: World, content: Callable[[Clip], str]) -> bool:
    """Whether all ranks have clips of the same names and the same content, in the same order."""
    digest = hashlib.sha256()
    for clip in source.clips:
        try:
            own = content(clip)
        except BadClip:  # it will be skipped, on whichever rank looks at it
            own = "bad"
        digest.update(f"{clip.id}\n{clip.label}\n{clip.group}\n{own}\n".encode())
    return len(set(gather(digest.hexdigest(), world))) == 1


def _union(source: ClipSource, world: World) -> SharedSource:
    mine = [(clip.id, clip.label, clip.origin, clip.group) for clip in source.clips]
    parts = gather(mine, world)
    ids = [clip_id for part in parts for clip_id, *_ in part]
    is_unique = len(set(ids)) == len(ids)
    clips: list[tuple[Clip, int]] = []
    for rank, part in enumerate(parts):
        prefix = "" if is_unique else f"rank{rank}/"
        for own, (clip_id, label, origin, group) in enumerate(part):
            name, whole = prefix + clip_id, prefix + origin
            if rank == world.rank:
                clips.append((_Renamed(name, label, source.clips[own], whole, group=group), rank))
            else:  # a group may have clips on several ranks, so its name has no prefix
                clips.append((ClipElsewhere(name, label, whole, group=group), rank))
    clips.sort(key=lambda entry: entry[0].id)
    skipped = tuple(entry for part in gather(tuple(source.skipped), world) for entry in part)
    left_out = total(gather(dict(source.left_out), world))
    union = dataclasses.replace(source, clips=[clip for clip, _ in clips], skipped=skipped, left_out=left_out)
    return SharedSource(union, [rank for _, rank in clips])


def require_agreement(measured: Iterable[Measured], world: World) -> None:
    """Refuse to score if the ranks have measured different things.

    Raises:
        VgbenchError: they have, for example because each read another statistics file. Every rank raises it.
    """
    if world.size == 1:
        return
    digest = hashlib.sha256()
    for side in measured:
        digest.update(side.manifest_hash.encode())
        digest.update(side.groups.tobytes())
        for name, samples in sorted(side.samples.items()):
            digest.update(name.encode())
            for array in (samples.features, samples.logits, samples.frames):
                digest.update(b"none" if array is None else np.ascontiguousarray(array).data)
    if len(set(gather(digest.hexdigest(), world))) > 1:
        raise VgbenchError(
            "the ranks have measured different clips, or read different statistics",
            "give every rank the same clips, the same statistics file and the same versions of the packages",
        )
