"""Two disjoint halves of the real clips, and the damage that makes sense only between halves."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import replace

from vgbench.audit.result import Kind
from vgbench.clips.clip import Clip, ClipSource
from vgbench.clips.distortions import DISTORTIONS, SET_LEVEL, SPATIAL, TEMPORAL, distort
from vgbench.clips.sources import subset

MEMORISE = "memorise"
ALL_DISTORTIONS = (*DISTORTIONS, MEMORISE)
KIND_OF: dict[str, Kind] = {
    **dict.fromkeys(SPATIAL, "spatial"),
    **dict.fromkeys(TEMPORAL, "temporal"),
    **dict.fromkeys((*SET_LEVEL, MEMORISE), "set"),
}


def split_halves(source: ClipSource) -> tuple[ClipSource, ClipSource]:
    """Split clips into a reference half and another half, which is of equal size or larger by one.

    Clips are ordered by a hash of their id, so the halves do not depend on the order in which they are
    listed. Windows of one file, and clips of one declared group, stay together.
    """
    ranked = sorted({clip.recording for clip in source.clips}, key=lambda name: (_digest(name), name))
    chosen = set(ranked[: len(ranked) // 2])
    reference = subset(source, lambda clip: clip.recording in chosen)
    other = subset(source, lambda clip: clip.recording not in chosen)
    return (
        replace(reference, name=f"half 1 of {source.name}"),
        replace(other, name=f"half 2 of {source.name}", skipped=(), left_out={}),
    )


def only(source: ClipSource, ids: Container[str]) -> ClipSource:
    """Keep the clips with these ids."""
    return subset(source, lambda clip: clip.id in ids)


def damage(
    name: str, strength: float, used: ClipSource, half: ClipSource, reference: ClipSource
) -> ClipSource:
    """Damage the other half.

    Args:
        name: one of `ALL_DISTORTIONS`.
        strength: in [0, 1].
        used: clips of the other half that are scored at strength 0.
        half: all clips of the other half. "mode-drop" uses these, so that further clips of the remaining
            modes take the places of those that were dropped, and the number of clips does not fall.
        reference: clips of the reference half that are used; "memorise" copies them.
    """
    if name == MEMORISE:
        return memorise(used, reference, strength)
    return distort(half if name == "mode-drop" else used, name, strength)


def memorise(source: ClipSource, reference: ClipSource, strength: float) -> ClipSource:
    """Replace this share of the clips by clips of the reference, like a generator that has memorised them.

    The copies keep their ids, so the same windows are cut from them as from the originals.
    """
    ranked = sorted(source.clips, key=_rank)
    copies = sorted(reference.clips, key=_rank)[: round(strength * len(ranked))]
    clips = sorted([*ranked[len(copies) :], *copies], key=lambda clip: clip.id)
    return replace(source, name=f"{MEMORISE}={strength:g} of {source.name}", clips=clips)


def has_modes(source: ClipSource) -> bool:
    """Whether the clips have at least two different labels."""
    return len({clip.label for clip in source.clips}) > 1


def _rank(clip: Clip) -> tuple[bytes, str]:
    return _digest(clip.id), clip.id


def _digest(text: str) -> bytes:
    return hashlib.sha256(f"audit\n{text}".encode("utf-8", "surrogateescape")).digest()
