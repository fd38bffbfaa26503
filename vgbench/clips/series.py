"""What the names of the images in one folder say: which are frames of one clip, and in what order.

Names are compared by their numbers; see `image_names`. The frame number is the last number that varies,
unless a word such as "frame" or "clip" says otherwise. Names with the same frame number belong to several
clips if they differ in numbers only, as `clip07_frame03.png` and `clip08_frame03.png` do. If they differ in
words, as `color_03.png` and `depth_03.png` or `03.png` and `03_mask.png` do, the words may name clips or
several images of each frame, and only the user knows which.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from vgbench.clips.image_names import SEPARATORS, ImageName, grouped, joined_decimal, natural_key
from vgbench.clips.numbering import gaps, is_count

FRAME_WORDS = ("frame", "frames", "frm", "fr", "f", "t")
CLIP_WORDS = ("clip", "video", "vid", "sample", "seq", "sequence", "seed")
VIEW_WORDS = (
    "cam",
    "camera",
    "view",
    "ch",
    "channel",
    "z",
    "slice",
    "plane",
    "layer",
    "level",
    "crop",
    "tile",
)
"""Words right before a number that say what it counts; those of views, images of one moment."""

COLOUR_WORDS = ("rgb", "color", "colour", "img", "image")
"""Parts of the names of images in colour, and not of depth, flow or masks. They only order a message."""

LEAST_LENGTH = 4
"""Shorter series, if there are more of them than frames in each, may also be views of each frame."""

MOST_SHOWN = 3
"""Series that a doubt names."""

_FRAME_WORD_AT_END = re.compile(
    rf"((?<=[0-9])|^|[{SEPARATORS}])({'|'.join(FRAME_WORDS)}|img|image)?[{SEPARATORS}]*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Series:
    """The frames of one clip.

    Attributes:
        name: what its names share; unique in its folder.
        pattern: shell pattern of its names.
        members: positions of its names in the list, in the order of the frames.
        gap: which frame is missing, as a part of a sentence; "" if none is.
    """

    name: str
    pattern: str
    members: tuple[int, ...]
    gap: str = ""


@dataclass(frozen=True)
class Reading:
    """What the images of a folder are.

    Attributes:
        series: their clips; none if there is a doubt.
        is_split: whether the folder holds several clips, or one of those; otherwise it is a clip itself.
        left_out: positions of images that are no frames.
        doubt: the ways in which the names can be read, as a part of a sentence; "" if there is one way only.
        template: what the names of all series have in common: text with `#` for numbers.
    """

    series: tuple[Series, ...] = ()
    is_split: bool = False
    left_out: tuple[int, ...] = ()
    doubt: str = ""
    template: str = ""


def read_names(names: Sequence[str], flat: Collection[str] = ()) -> Reading:
    """Read the names of the images in one folder.

    Args:
        names: of files, with suffixes.
        flat: templates of other folders of the same source that hold several clips. A folder of the same
            template is one of those, even if it holds one clip only.
    """
    groups = grouped(names)
    everything = [one for members in groups.values() for one in members]
    if len(names) == 1 or not any(one.numbers for one in everything):
        return in_order_of_names(names)
    if len(groups) > 1 and (led := _led_by_numbers(everything)):
        return led
    numbered = [members for members in groups.values() if len(members) > 1 and members[0].numbers]
    if len(numbered) > 1:
        return Reading(doubt=_doubt_of_views(names, numbered))
    if not numbered or 2 * len(numbered[0]) <= len(names):
        return Reading(doubt=_doubt_of_order(names))
    members = numbered[0]
    inside = {one.position for one in members}
    left_out = tuple(position for position in range(len(names)) if position not in inside)
    return _read_group(names, members, left_out, flat)


def read_as_one(names: Sequence[str]) -> Reading:
    """Read all images of a folder as the frames of one clip."""
    reading = read_names(names)
    is_one = len(reading.series) == 1 and not reading.left_out
    return reading if is_one else in_order_of_names(names)


def read_as_series(names: Sequence[str]) -> Reading:
    """Read each series of a folder as a clip: names that differ in nothing but the frame number."""
    found: list[_Run] = []
    left_out: list[int] = []
    for members in grouped(names).values():
        if not members[0].numbers:
            left_out += [one.position for one in members]
            continue
        for part in _by_suffix(members) if _repeats(members) else [members]:
            found += _runs(part).series
    return Reading(_named(found), is_split=True, left_out=tuple(sorted(left_out)))


def in_order_of_names(names: Sequence[str]) -> Reading:
    """Read all images of a folder as the frames of one clip, whatever their numbers are."""
    order = sorted(range(len(names)), key=lambda position: natural_key(names[position]))
    return Reading((Series("", "*", tuple(order)),))


@dataclass(frozen=True)
class _Run:
    """Names that differ in the frame number only, in its order; `place` is its place among the numbers."""

    place: int
    members: list[ImageName]

    @property
    def numbers(self) -> list[int]:
        return [one.numbers[self.place].value for one in self.members]


@dataclass(frozen=True)
class _Runs:
    """The series of names of one text.

    Attributes:
        series: in the order of their other numbers.
        doubt: whether another number, too, can be the frame number.
        is_sure: whether a word says which number is the frame number.
    """

    series: list[_Run]
    doubt: bool = False
    is_sure: bool = False


def _read_group(
    names: Sequence[str], members: list[ImageName], left_out: tuple[int, ...], flat: Collection[str]
) -> Reading:
    """Read names of one text."""
    if _repeats(members):
        parts = _by_suffix(members)
        if len(parts) > 1 and not any(map(_repeats, parts)):
            return Reading(doubt=_doubt_of_views(names, parts))
        return Reading(doubt=_doubt_of_copies(members))
    template = "#".join(members[0].texts)
    runs = _runs(members)
    if len(runs.series) == 1:
        is_split = template in flat
        series = _named(runs.series) if is_split else (_whole(runs.series[0]),)
        return Reading(series, is_split, left_out, template=template)
    if runs.doubt or _may_be_one(runs):
        return Reading(doubt=_doubt_of_split(runs.series), template=template)
    return Reading(_named(runs.series), True, left_out, template=template)


def _runs(members: list[ImageName]) -> _Runs:
    """Find the series in names of one text."""
    columns = list(zip(*(one.values for one in members), strict=True))
    varying = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    words = [_word(text) for text in members[0].texts[:-1]]
    place, is_sure = _frame_place(varying or [len(columns) - 1], words)
    series: dict[tuple[int, ...], list[ImageName]] = defaultdict(list)
    for one in sorted(members, key=lambda one: (one.values[place], one.name)):
        series[one.values[:place] + one.values[place + 1 :]].append(one)
    found = [_Run(place, series[key]) for key in sorted(series)]
    if len(found) == len(members) and place in varying:  # numbers that vary together, such as number and time
        leading = next((place for place in varying if len(set(columns[place])) == len(members)), place)
        return _Runs([_Run(leading, sorted(members, key=lambda one: one.values))])
    if varying == [place - 1, place] and _is_decimal(found):
        width = max(len(one.numbers[place].digits) for one in members)
        joined = [joined_decimal(one, place, width) for run in found for one in run.members]
        return _Runs([_Run(place - 1, sorted(joined, key=lambda one: one.values))])
    return _Runs(found, doubt=is_sure is None, is_sure=bool(is_sure))


def _word(text: str) -> str:
    """The letters right before a number, without separators."""
    match = re.search(rf"([a-z]*)[{SEPARATORS}]*$", text)
    return match[1] if match else ""


def _frame_place(varying: list[int], words: list[str]) -> tuple[int, bool | None]:
    """Which number counts frames, and whether a word says so; None where words leave it open."""
    marked = [place for place, word in enumerate(words) if word in FRAME_WORDS]
    last = varying[-1]
    if any(words[place] in VIEW_WORDS for place in varying) and len(varying) > 1:
        others = [place for place in varying if words[place] not in VIEW_WORDS]
        return next((place for place in others[::-1] if place in marked), (others or varying)[-1]), None
    if any(words[place] in CLIP_WORDS for place in varying) and len(marked) == 1:
        return marked[0], True
    if last in marked:
        return last, True
    if any(place in marked for place in varying):
        return last, None
    others = [place for place in varying if words[place] not in CLIP_WORDS]
    return (others[-1], others != varying) if others else (last, False)


def _is_decimal(runs: list[_Run]) -> bool:
    """Whether the last two numbers are seconds and their fraction, and not clip and frame."""
    place = runs[0].place
    first = runs[0].members[0]
    everything = [one for run in runs for one in run.members]
    if first.texts[place] != "." or any(one.numbers[place - 1].is_padded for one in everything):
        return False
    if not all(one.numbers[place].digits.isdecimal() for one in everything):
        return False
    if not all(is_count(run.numbers) for run in runs):
        return True
    widths = {len(one.numbers[place].digits) for one in everything}
    return len(widths) == 1 and min(widths) > 1 and _fill(runs, 10 ** min(widths))


def _fill(runs: list[_Run], limit: int) -> bool:
    """Whether the frame numbers of each series but the last run up to the limit, and restart near 0."""
    steps = [after - before for run in runs for before, after in pairwise(run.numbers)]
    step = Counter(steps).most_common(1)[0][0] if steps else 1
    return all(limit - step <= run.numbers[-1] < limit for run in runs[:-1]) and all(
        run.numbers[0] < step for run in runs[1:]
    )


def _may_be_one(runs: _Runs) -> bool:
    """Whether several series may also be the frames of one clip, or views of each frame."""
    series = runs.series
    if not all(is_count(run.numbers) for run in series):
        return True
    if all(after.numbers[0] == before.numbers[-1] + 1 for before, after in pairwise(series)):
        return True  # the numbers go on from one series to the next
    if runs.is_sure:
        return False
    first, place = series[0].members[0], series[0].place
    may_be_tenths = first.texts[place] == "." and not first.numbers[place - 1].is_padded and _fill(series, 10)
    if may_be_tenths and all(len(one.numbers[place].digits) == 1 for run in series for one in run.members):
        return True
    if _fill(series, 60) or _is_clock(first):
        return True
    longest = max(len(run.members) for run in series)
    return longest < LEAST_LENGTH and len(series) > longest


def _is_clock(one: ImageName) -> bool:
    """Whether the last numbers look like hours, minutes and seconds: three of two digits, without words."""
    digits = [len(number.digits) for number in one.numbers[-3:]]
    between = one.texts[-min(len(one.numbers), 3) : -1]
    return digits == [2, 2, 2] and all(text in ("-", "_", ".", ":", "h", "m") for text in between)


def _repeats(members: list[ImageName]) -> bool:
    return len({one.values for one in members}) < len(members)


def _by_suffix(members: list[ImageName]) -> list[list[ImageName]]:
    parts: dict[str, list[ImageName]] = defaultdict(list)
    for one in members:
        parts[one.suffix].append(one)
    return list(parts.values())


def _led_by_numbers(everything: list[ImageName]) -> Reading | None:
    """Read `001_cat.png`, `002_dog.png`: all begin with a number of their own, and words follow it."""
    if not all(one.numbers for one in everything):
        return None
    texts, numbers = {one.texts[0] for one in everything}, {one.values[0] for one in everything}
    if len(texts) > 1 or len(numbers) < len(everything):
        return None
    whole = _whole(_Run(0, sorted(everything, key=lambda one: one.values[0])))
    return None if whole.gap else Reading((whole,))


def _whole(run: _Run) -> Series:
    return Series("", "*", tuple(one.position for one in run.members), _gap(run))


def _named(runs: list[_Run]) -> tuple[Series, ...]:
    """Name each series after what its names share, or by its pattern where two would have the same name."""
    patterns = [_pattern(run.members[0], only=run.place) for run in runs]
    names = [_shared_name(run) for run in runs]
    times = Counter(names)
    return tuple(
        Series(
            name if name and times[name] == 1 else pattern,
            pattern,
            tuple(one.position for one in run.members),
            _gap(run),
        )
        for name, pattern, run in zip(names, patterns, runs, strict=True)
    )


def _shared_name(run: _Run) -> str:
    first = run.members[0]
    number = first.numbers[run.place]
    text = first.name[: number.start].rstrip(SEPARATORS)
    before = _FRAME_WORD_AT_END.sub("", text)
    after = first.name[number.end :].rpartition(".")[0].strip(SEPARATORS + ")")
    return "_".join(part for part in (before, after) if part) or text


def _gap(run: _Run) -> str:
    """Say which frame is missing; "" if none is, or if the numbers do not count at a steady pace."""
    rises = all(before < after for before, after in pairwise(run.numbers))
    if not rises or any(one.numbers[run.place].is_moment for one in run.members):
        return ""
    found = gaps(run.numbers)
    if not found:
        return ""
    first = found[0]
    before, after = run.members[first.before : first.before + 2]
    missing = _written_like(before.numbers[run.place].digits, after.numbers[run.place].digits, first.number)
    more = sum(gap.count for gap in found) - 1
    others = f", and {more} more {'are' if more > 1 else 'is'}" if more else ""
    return f"frame {missing} is missing between {before.name} and {after.name}{others}"


def _written_like(before: str, after: str, value: int) -> str:
    """Write a number as its neighbours are written."""
    if "." in before:
        places = len(before.partition(".")[2])
        return f"{value / 10**places:.{places}f}"
    is_padded = re.match("0[0-9]", before) or len(before) == len(after)
    return str(value).zfill(len(before)) if is_padded else str(value)


def _pattern(one: ImageName, only: int | None = None, star: str = "*") -> str:
    """Shell pattern of a name, with its numbers, or one of them, left open."""
    parts, end = [], 0
    for place, number in enumerate(one.numbers):
        if only in (None, place):
            parts += [_escaped(one.name[end : number.start]), star]
            end = number.end
    return "".join(parts) + _escaped(one.name[end:])


def _escaped(text: str) -> str:
    return re.sub(r"([\[*?])", r"[\1]", text)


def _selecting(names: Sequence[str], members: list[ImageName]) -> str:
    """Return a pattern that selects these names and no others, or one that selects others, too."""
    inside = {one.name for one in members}
    for star in ("*", "*[0-9]", "[0-9]*", "[0-9]*[0-9]"):
        pattern = _pattern(members[0], star=star)
        if {name for name in names if fnmatchcase(name.lower(), pattern.lower())} == inside:
            return pattern
    return _pattern(members[0])


def _has_no_colour_word(members: list[ImageName]) -> bool:
    return not any(word in text for text in members[0].texts for word in COLOUR_WORDS)


def _doubt_of_views(names: Sequence[str], parts: list[list[ImageName]]) -> str:
    clips = sum(len(_runs(part).series) for part in parts)
    parts = sorted(parts, key=_has_no_colour_word)
    patterns = [_selecting(names, part) for part in parts[:MOST_SHOWN]]
    return (
        f"they are either {clips} clips ({_listed(patterns, len(parts))}), which --layout series reads, or "
        f"several images of each frame, of which --layout 'auto={patterns[0]}' reads one"
    )


def _doubt_of_split(runs: list[_Run]) -> str:
    total = sum(len(run.members) for run in runs)
    patterns = [_pattern(run.members[0], only=run.place) for run in runs[:MOST_SHOWN]]
    return (
        f"they are either {len(runs)} clips ({_listed(patterns, len(runs))}), which --layout series reads, "
        f"or one clip, of all {total} frames, which --layout frames reads, or of some, as "
        f"--layout 'auto={patterns[0]}' does"
    )


def _doubt_of_copies(members: list[ImageName]) -> str:
    seen: dict[tuple[int, ...], str] = {}
    for one in members:
        if (other := seen.setdefault(one.values, one.name)) != one.name:
            break
    return (
        f"{other} and {one.name} have the same number, so they are either copies, of which "
        "--layout 'auto=PATTERN' reads those whose names match a pattern, or different frames of one clip, "
        "which --layout sorted reads in the order of their names"
    )


def _doubt_of_order(names: Sequence[str]) -> str:
    shown = " and ".join(sorted(names, key=natural_key)[:2])
    return (
        f"their names ({shown}) do not count frames, so they are either single images or frames of one clip, "
        "which --layout sorted reads in the order of their names"
    )


def _listed(patterns: list[str], count: int) -> str:
    more = f" and {count - len(patterns)} more" if count > len(patterns) else ""
    return ", ".join(patterns) + more
