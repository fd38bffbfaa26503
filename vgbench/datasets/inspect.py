"""What a source of clips contains, before anything is trained on it or scored against it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Any

from vgbench.clips import open_source
from vgbench.clips.clip import Clip, blocks
from vgbench.clips.suffixes import describe
from vgbench.clips.value_range import ValueUse
from vgbench.errors import BadClip
from vgbench.evaluation import inputs
from vgbench.progress import Progress, no_progress

MOST = 12
"""Number of entries that a summary names one by one; the others are counted together."""


@dataclass(frozen=True)
class Inspection:
    """Counts over all clips of a source.

    Attributes:
        source: as the user named it.
        clips: number of clips that can be used.
        classes: label -> number of clips; empty without classes.
        groups: number of groups of clips that the source declares, and of clips without a group; 0 if it
            declares none. Clips of one group are not independent, and neither are windows of one file.
        frames: (minimum, median, maximum) of the number of frames per clip; None without clips.
        sizes: "WIDTHxHEIGHT" of the first frame -> number of clips, the most frequent first.
        rates: frames per second -> number of clips, the most frequent first; folders of frames, strips and
            arrays state no rate.
        bad: clip or file -> the reason why it cannot be used.
        left_out: suffix -> number of files that are not read because of it.
        levels: the lowest and the highest value of the decoded frames, from 0 to 255; None without clips.
        clamped: number of floats outside of their range, which are clamped.
        notes: what else there is to know of how the clips were read.
        warnings: (warning code, sentence) about the values of the clips.
    """

    source: str
    clips: int
    classes: dict[str, int]
    groups: int
    frames: tuple[int, float, int] | None
    sizes: dict[str, int]
    rates: dict[str, int]
    bad: dict[str, str]
    left_out: dict[str, int]
    levels: tuple[int, int] | None
    clamped: int
    notes: tuple[str, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()

    def lines(self) -> list[str]:
        """The inspection as lines of text."""
        lines = [f"{self.source}: {self.clips} clips, {len(self.bad)} bad"]
        if self.frames:
            fewest, middle, most = self.frames
            lines.append(f"frames   {fewest} to {most}, median {middle:g}")
        if self.groups:
            lines.append(f"groups   {self.groups} independent group{'s' * (self.groups > 1)} of clips")
        for name, counts in (("sizes", self.sizes), ("fps", self.rates), ("classes", self.classes)):
            if counts:
                shown = [f"{key} ({count})" for key, count in list(counts.items())[:MOST]]
                more = f", and {len(counts) - MOST} more" if len(counts) > MOST else ""
                lines.append(f"{name:<9}{', '.join(shown)}{more}")
        if self.left_out:
            lines.append(describe(self.left_out))
        lines += self.notes
        lines += [f"bad      {name}: {reason}" for name, reason in list(self.bad.items())[:MOST]]
        return lines + ([f"bad      and {len(self.bad) - MOST} more"] if len(self.bad) > MOST else [])


def inspect_source(spec: Any, *, decode: bool = False, progress: Progress = no_progress) -> Inspection:
    """Inspect every clip of a source: count its frames, and decode the first one.

    Args:
        spec: a source in any form that `open_source` takes.
        decode: decode every frame, which also finds damage in the middle of a clip.
        progress: called as (stage, done, total).

    Raises:
        VgbenchError: the source contains nothing that looks like a clip.
    """
    source = open_source(spec)
    bad = {entry.path: entry.reason for entry in source.skipped}
    lengths: list[int] = []
    levels: list[tuple[int, int]] = []
    uses: list[ValueUse | None] = []
    sizes: Counter[str] = Counter()
    rates: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    recordings: set[str] = set()
    declares_groups = False
    for number, clip in enumerate(source.clips, 1):
        try:
            length = clip.count_frames()
            (height, width), ends = _size_and_levels(clip, length if decode else 1)
            use = clip.value_use()
        except BadClip as problem:
            bad[clip.id] = problem.reason
        else:
            lengths.append(length)
            levels.append(ends)
            uses.append(use)
            sizes[f"{width}x{height}"] += 1
            rate = clip.frame_rate()
            rates.update([f"{rate:.5g}"] if rate else [])
            classes.update([clip.label] if clip.label is not None else [])
            recordings.add(clip.recording)
            declares_groups |= clip.group is not None or clip.origin != clip.id
        progress("inspecting clips", number, len(source.clips))
    values = inputs.values_of(levels, uses)
    return Inspection(
        source=source.name,
        clips=len(lengths),
        classes=dict(sorted(classes.items())),
        groups=len(recordings) if declares_groups else 0,
        frames=(min(lengths), median(lengths), max(lengths)) if lengths else None,
        sizes=dict(sizes.most_common()),
        rates=dict(rates.most_common()),
        bad=bad,
        left_out=dict(source.left_out),
        levels=(values.least, values.most) if values else None,
        clamped=values.clamped if values else 0,
        notes=tuple(source.notes),
        warnings=tuple(inputs.of_values(source.name, values)),
    )


def _size_and_levels(clip: Clip, decoded: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Decode the first frames: height and width of the first, lowest and highest value of all."""
    size: tuple[int, int] = (0, 0)
    least, most = 255, 0
    for block in blocks(clip, max(decoded, 1)):
        size = size if any(size) else block.shape[1:3]
        least, most = min(least, int(block.min())), max(most, int(block.max()))
    return size, (least, most)
