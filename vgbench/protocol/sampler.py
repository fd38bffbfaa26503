"""Choice of the clips and frames to score, from ids, lengths and a seed; it reads no pixels and no files.

The choice does not depend on the order of the listing or on the number of workers or ranks, and the same real
clips are chosen for every model that is compared with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgbench.protocol import Order, Start, Windows


@dataclass(frozen=True)
class Window:
    """Frames of one clip that are scored together.

    Attributes:
        clip: position of the clip in its source.
        frames: ascending frame indices.
    """

    clip: int
    frames: tuple[int, ...]


def clip_order(
    ids: Sequence[str], seed: int, rule: Order = "drawn", texts: Mapping[int, str] | None = None
) -> list[int]:
    """Order clips; the first ones are used.

    Args:
        ids: names of the clips.
        seed: the protocol's seed.
        rule: "drawn" sorts by a hash of (seed, id): a uniform draw without replacement that needs no shared
            state. "sorted" sorts by id.
        texts: position -> what takes the place of the id in that hash; other clips are left out.
    """
    positions = range(len(ids)) if texts is None else texts
    if rule == "sorted":
        return sorted(positions, key=lambda i: ids[i])
    return sorted(positions, key=lambda i: (_digest(seed, ids[i] if texts is None else texts[i]), ids[i]))


def window_starts(n_frames: int, windows: Windows, start: Start, seed: int, text: str) -> list[int]:
    """First frames of the windows of one clip, in the order in which they are used.

    "uniform" with `seeded_by` "content" draws from all ways to place as many windows as are wanted and fit
    without overlap, each with the same probability, and uses them in random order. The first and the last
    frame are then in a window no more often than any other frame.

    In all other cases, the k-th entry does not depend on how many are requested: "uniform" draws the first
    window from all positions, and each further one from the positions that do not overlap any earlier window.
    "first" and "centre" give that window, then the earliest that do not overlap; none starts before
    `windows.offset`.

    Args:
        n_frames: length of the clip.
        windows: length, stride, and the most windows per clip.
        start: rule for this side.
        seed: the protocol's seed.
        text: seeds the draw together with `seed`: the clip's id or a hash of its content.

    Returns:
        At most `windows.per_clip` starts; empty when the clip is too short.
    """
    span = windows.span
    rng = np.random.default_rng(int.from_bytes(_digest(seed, text)[:8], "big"))
    if start == "uniform" and windows.seeded_by == "content":
        return _placed_together(n_frames, span, min(windows.per_clip, n_frames // span), rng)
    free = np.arange(windows.offset, n_frames - span + 1)
    starts: list[int] = []
    while len(free) and len(starts) < windows.per_clip:
        if start == "uniform":
            chosen = int(rng.choice(free))
        elif starts or start == "first":
            chosen = int(free[0])
        else:
            chosen = (n_frames - span) // 2
        starts.append(chosen)
        free = free[np.abs(free - chosen) >= span]
    return starts


def _placed_together(n_frames: int, span: int, count: int, rng: np.random.Generator) -> list[int]:
    """Draw one of all ways to place `count` windows without overlap, in random order.

    A way is a choice of `count` out of the free frames and the windows, in a row, that are to be windows.
    """
    if count == 0:
        return []
    slots = np.sort(rng.choice(n_frames - count * (span - 1), count, replace=False))
    starts = slots + np.arange(count) * (span - 1)
    return [int(start) for start in rng.permutation(starts)]


def choose_windows(
    order: Sequence[int],
    starts: Mapping[int, Sequence[int]],
    wanted: int,
    windows: Windows,
) -> list[Window]:
    """Take one window of every clip in `order`, then a second of every clip that has one, until `wanted`.

    Args:
        order: clip positions, from `clip_order`.
        starts: clip position -> its `window_starts`; clips without an entry are left out.
        wanted: number of windows to choose.
        windows: length and stride.
    """
    chosen: list[Window] = []
    for turn in range(windows.per_clip):
        for clip in order:
            if len(chosen) == wanted:
                return chosen
            clip_starts = starts.get(clip, ())
            if turn < len(clip_starts):
                first = clip_starts[turn]
                frames = range(first, first + windows.span, windows.stride)
                chosen.append(Window(clip, tuple(frames)))
    return chosen


def choose_among_all(
    lengths: Mapping[int, int], texts: Mapping[int, str], wanted: int, windows: Windows, seed: int
) -> list[Window]:
    """Draw windows from all windows of all clips, overlapping ones included, each with the same probability.

    Every window gets a random number that depends on its clip and the seed only, and those with the lowest
    numbers are taken; a clip that is left out changes nothing about the windows of other clips.

    Args:
        lengths: clip position -> number of frames, in an order that does not depend on the listing.
        texts: clip position -> what seeds its draws together with `seed`.
        wanted: number of windows to choose.
        windows: length and stride.
        seed: the protocol's seed.
    """
    numbers, clips, firsts = [np.empty(0)], [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for clip, n_frames in lengths.items():
        count = max(n_frames - windows.span + 1, 0)
        rng = np.random.default_rng(int.from_bytes(_digest(seed, texts[clip])[:8], "big"))
        numbers.append(rng.random(count))
        clips.append(np.full(count, clip))
        firsts.append(np.arange(count))
    lowest = np.argsort(np.concatenate(numbers), kind="stable")[:wanted]
    found = zip(np.concatenate(clips)[lowest].tolist(), np.concatenate(firsts)[lowest].tolist(), strict=True)
    return [Window(clip, tuple(range(first, first + windows.span, windows.stride))) for clip, first in found]


def _digest(seed: int, clip_id: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{clip_id}".encode("utf-8", "surrogateescape")).digest()
