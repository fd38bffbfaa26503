"""The windows that a record shows: animated thumbnails, and how the clips move.

Each of these windows is decoded only once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgbench.clips.clip import ClipSource
from vgbench.clips.write import animated_thumbnail
from vgbench.errors import BadClip
from vgbench.evaluation import motion_profile
from vgbench.evaluation.feature_store import FeatureStore, window_key
from vgbench.evaluation.loading import read_window
from vgbench.evaluation.measured import EXTRACTOR, Measured, Side
from vgbench.evaluation.motion_profile import MotionRows
from vgbench.protocol import Protocol
from vgbench.protocol.pixels import resize
from vgbench.records.record import Record
from vgbench.storage import atomic
from vgbench.storage.writing import writing_to

THUMBNAILS = 8
"""Number of windows that are shown of each side, in the protocol's order."""
LARGEST_SIDE = 96
"""Maximum length of a thumbnail's longer side, in pixels."""


@dataclass(frozen=True)
class Shown:
    """What is shown of one side.

    Attributes:
        thumbnails: suffix of the file's name -> animated WebP. A number is the position of the window.
        motion: the first windows, described for the plots of a report.
    """

    thumbnails: dict[str, bytes]
    motion: MotionRows


def show(
    source: ClipSource, side: Side, measured: Mapping[Side, Measured], protocol: Protocol, store: FeatureStore
) -> Shown:
    """Decode the windows that a record shows; a window whose file is gone or replaced is left out."""
    table, policy = store.table(motion_profile.TABLE), protocol.resize_for(side)
    picks = _picks(measured, side)
    thumbnails: dict[str, bytes] = {}
    rows, groups = [], []
    described = motion_profile.WINDOWS if protocol.windows.frames > 1 else 0
    for number, used in enumerate(measured[side].windows):
        names = [name for name, pick in picks.items() if pick == number]
        key = window_key(used.fingerprint, used.window.frames, policy)
        row = table.get(key) if number < described else None
        lacks_row = number < described and row is None
        if names or lacks_row:
            try:
                frames = read_window(
                    source.clips[used.window.clip], used.window, used.fingerprint, used.stamp
                )
            except BadClip:  # gone or replaced after its features were stored
                frames = None
            if frames is not None and lacks_row:
                row = motion_profile.describe(resize(frames, policy))
                table.put(key, row)
            if frames is not None and names:
                data = animated_thumbnail(frames, size=min(policy.size, LARGEST_SIDE))
                thumbnails.update(dict.fromkeys(names, data))
        if row is not None:
            rows.append(row)
            groups.append(int(measured[side].groups[number]))
    table.flush()
    in_order = {name: thumbnails[name] for name in picks if name in thumbnails}
    return Shown(in_order, MotionRows(rows, groups))


def _picks(measured: Mapping[Side, Measured], side: Side) -> dict[str, int]:
    """Choose the windows to show: suffix of the thumbnail -> number of the window.

    The choice is automatic: the first windows in the protocol's order and, on the generated side, also the
    two whose features are nearest to and farthest from the mean of the real ones (Euclidean distance).
    """
    picks = {str(number): number for number in range(min(THUMBNAILS, len(measured[side].windows)))}
    generated, real = (measured[one].samples.get(EXTRACTOR) for one in ("generated", "real"))
    if side == "generated" and generated is not None and real is not None:
        center = real.features.mean(0, dtype=np.float64)
        distances = np.linalg.norm(generated.features - center, axis=1)
        picks |= {"nearest": int(distances.argmin()), "farthest": int(distances.argmax())}
    return picks


def save_with_thumbnails(
    record: Record, folder: Path, shown: Mapping[Side, Shown], protocol: Protocol
) -> Record:
    """Save the thumbnails, then the record that names them, so that it never names missing files.

    Raises:
        VgbenchError: the folder cannot be written to.
    """
    drawn = "seeded" if protocol.windows.order == "drawn" else "sorted"
    hashes: dict[str, str] = {}
    picks: dict[str, str] = {}
    for side, one in shown.items():
        for suffix, data in one.thumbnails.items():
            name = f"{record.stem}.clips/{side}-{suffix}.webp"
            with writing_to(folder):
                atomic.write_bytes(folder / name, data)
            hashes[name] = hashlib.sha256(data).hexdigest()
            picks[name] = drawn if suffix.isdecimal() else suffix
    details = {**record.details, "picks": picks}
    record = record.model_copy(update={"thumbnails": hashes, "details": details})
    record.save(folder)
    return record
