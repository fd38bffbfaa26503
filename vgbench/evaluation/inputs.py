"""Warns of clips that were not read as their maker may have meant them: their values, and files left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from vgbench.clips.clip import ClipSource
from vgbench.clips.suffixes import describe, is_companion
from vgbench.clips.value_range import SLACK, ValueRange, ValueUse
from vgbench.errors import BadClip
from vgbench.evaluation.measured import Measured, UsedWindow
from vgbench.records.record import CLAMPED, OTHER_FILES, VALUE_RANGE

FIRST_CLIPS = 16
"""Number of clips that are looked at before a training."""
MOST_UNUSED = 0.55
"""Share of a range that values must exceed to be plausible: [0, 1] read as [-1, 1] uses half of it."""


@dataclass(frozen=True)
class Values:
    """The values of the frames of one side.

    Attributes:
        least, most: the lowest and the highest level, from 0 to 255.
        value_range: the range that floats were read with; None for clips of bytes.
        clamped: number of values outside of it.
        clamped_clips: number of clips with such values.
    """

    least: int
    most: int
    value_range: ValueRange | None = None
    clamped: int = 0
    clamped_clips: int = 0


def values_of(levels: Iterable[tuple[int, int]], uses: Iterable[ValueUse | None]) -> Values | None:
    """Summarise the values of clips.

    Args:
        levels: lowest and highest level of each clip or window.
        uses: what `Clip.value_use` returns for each clip.

    Returns:
        None without levels. Clips of bytes, or of different ranges, have no common range.
    """
    ends = list(levels)
    if not ends:
        return None
    uses = list(uses)
    known = [use for use in uses if use is not None]
    ranges = {use.value_range for use in known}
    common = ranges.pop() if len(ranges) == 1 and len(known) == len(uses) else None
    return Values(
        min(low for low, _ in ends),
        max(high for _, high in ends),
        common,
        sum(use.clamped for use in known),
        sum(use.clamped > 0 for use in known),
    )


def values_of_windows(windows: Iterable[UsedWindow]) -> Values | None:
    """Summarise the values of the windows of one side; None where they are not known."""
    used = list(windows)
    of_clip = {window.id: window.use for window in used}
    return values_of((one.levels for one in used if one.levels is not None), of_clip.values())


def of_values(side: str, values: Values | None) -> Iterator[tuple[str, str]]:
    """Warn of a range that cannot be the right one, and of values outside of it.

    Args:
        side: what the clips are, for the sentence.
        values: of the clips.
    """
    if values is None:
        return
    if values.value_range is not None and values.most - values.least <= MOST_UNUSED * 255:
        low, high = values.value_range
        least, most = (low + (high - low) * level / 255 for level in (values.least, values.most))
        yield (
            VALUE_RANGE,
            f"{side}: read with the range {low:g} to {high:g}, but all values lie between {least:.3g} and "
            f"{most:.3g}; if that is not meant, state the range of the values by --value-range",
        )
    elif values.value_range is None and values.most <= 1:
        yield (
            VALUE_RANGE,
            f"{side}: all values are 0 or 1 of 255, so the clips are black; floats from 0 to 1 must "
            "be multiplied by 255 before they become bytes",
        )
    if values.clamped:
        yield (
            CLAMPED,
            f"{side}: {values.clamped} values in {values.clamped_clips} clips lie outside the range by up to "
            f"{SLACK:.0%} of its width, and were clamped",
        )


def of_side(side: str, measured: Measured) -> Iterator[tuple[str, str]]:
    """Warn of how the clips of one side were read, as (warning code, sentence)."""
    yield from of_values(side, values_of_windows(measured.windows))
    if others := unexpected(measured.left_out):
        yield OTHER_FILES, f"{side}: {describe(others)}, which may be clips that cannot be read"


def of_first_clips(source: ClipSource) -> Iterator[tuple[str, str]]:
    """Warn of files that were left out of a source, and of the values of its first clips."""
    levels: list[tuple[int, int]] = []
    uses: list[ValueUse | None] = []
    for clip in source.clips[:FIRST_CLIPS]:
        with suppress(BadClip):
            frame = clip.read((0,))
            uses.append(clip.value_use())
            levels.append((int(frame.min()), int(frame.max())))
    yield from of_values(source.name, values_of(levels, uses))
    if others := unexpected(source.left_out):
        yield OTHER_FILES, f"{source.name}: {describe(others)}, which may be clips that cannot be read"


def unexpected(left_out: Mapping[str, int]) -> dict[str, int]:
    """Of the files that were left out, those that are not usual beside clips."""
    return {kind: count for kind, count in left_out.items() if not is_companion(kind)}
