"""Names of images, taken apart into text and numbers, and grouped by their text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

_MOMENT = re.compile(
    r"(?<![0-9])(?:19|20)[0-9]{2}[-_.]?[01][0-9][-_.]?[0-3][0-9]"  # year, month, day
    r"(?:[-_ .t]|\sat\s)?[0-2][0-9][-_.:h]?[0-5][0-9]"  # hour, minute
    r"(?:[-_.:m]?[0-5][0-9](?:[.,](?P<fraction>[0-9]{1,9}))?)?(?![0-9])",  # second
    re.IGNORECASE,
)
_DIGITS = (
    "[0-9]{1,1000}"  # Python refuses to convert more than 4300 digits, and archives have names of any length
)
_NUMBER = re.compile(f"{_MOMENT.pattern}|{_DIGITS}", re.IGNORECASE)
_MOMENT_DIGITS = 12
_FRACTION_DIGITS = 9

SEPARATORS = "_ .(-"
"""Characters that part a number from the text before it; the hyphen is last, as classes of `re` need it."""


class Number(NamedTuple):
    """A number in a name.

    Attributes:
        value: what it counts; of a decimal, in units of its last digit.
        digits: as it is written.
        start: where it begins in the name.
        end: where it ends.
        is_moment: whether it is a date with a time of day.
    """

    value: int
    digits: str
    start: int
    end: int
    is_moment: bool = False

    @property
    def is_padded(self) -> bool:
        """Whether zeros precede it."""
        return bool(re.match("[-+]?0[0-9]", self.digits))


@dataclass(frozen=True)
class ImageName:
    """A name, taken apart.

    Attributes:
        position: of the name in the list of its folder.
        name: as it is stored.
        texts: what stands before, between and after the numbers, in lower case and without the suffix.
        numbers: from left to right, one fewer than texts.
    """

    position: int
    name: str
    texts: tuple[str, ...]
    numbers: tuple[Number, ...]

    @cached_property
    def values(self) -> tuple[int, ...]:
        """What the numbers count."""
        return tuple(number.value for number in self.numbers)

    @property
    def suffix(self) -> str:
        """What follows the last dot, in lower case."""
        return self.name.rpartition(".")[2].lower()


Texts = tuple[str, ...]
Groups = dict[Texts, list[ImageName]]
"""Texts -> the names that differ in nothing but numbers and suffix."""


def natural_key(name: str) -> tuple[Any, ...]:
    """Sort key that puts frame2 before frame10; equal numbers fall back to the plain name."""
    parts = re.split(f"({_DIGITS})", name)
    return (*((int(part), "") if part.isdecimal() else (-1, part) for part in parts), (-1, name))


def grouped(names: Sequence[str]) -> Groups:
    """Group names by their text; decimal fractions, signs and an omitted 0 become part of the numbers."""
    groups: Groups = defaultdict(list)
    for position, name in enumerate(names):
        one = _take_apart(position, name)
        groups[one.texts].append(one)
    _merge_decimals(groups)
    _merge_signs(groups)
    _merge_unnumbered(groups)
    return dict(groups)


def _take_apart(position: int, name: str) -> ImageName:
    stem = name.rpartition(".")[0]
    numbers, texts, end = [], [], 0
    for match in _NUMBER.finditer(stem):
        numbers.append(_number(match[0], match.start()))
        texts.append(stem[end : match.start()].lower())
        end = match.end()
    return ImageName(position, name, (*texts, stem[end:].lower()), tuple(numbers))


def _number(digits: str, start: int) -> Number:
    end = start + len(digits)
    moment = _MOMENT.fullmatch(digits) if len(digits) >= _MOMENT_DIGITS else None
    if moment is None:
        return Number(int(digits), digits, start, end)
    fraction = moment["fraction"] or ""
    whole = re.sub("[^0-9]", "", digits[: len(digits) - len(fraction)])
    return Number(int(whole + fraction.ljust(_FRACTION_DIGITS, "0")), digits, start, end, is_moment=True)


def _merge_decimals(groups: Groups) -> None:
    """Join `0.5` to one number, if its digits after the point can be nothing but a fraction.

    They are a fraction if they differ in length and some begin with 0, as 5 and 033 do.
    """
    for texts in [texts for texts in groups if len(texts) > 2 and texts[-2] == "."]:
        fractions = [one.numbers[-1] for one in groups[texts]]
        widths = {len(number.digits) for number in fractions}
        are_digits = all(number.digits.isdecimal() for number in fractions)
        if len(widths) == 1 or not are_digits or not any(number.is_padded for number in fractions):
            continue
        joined, width = (*texts[:-2], texts[-1]), max(widths)
        decimals = [joined_decimal(one, len(texts) - 2, width) for one in groups.pop(texts)]
        groups[joined] = [_scaled(one, 10**width) for one in groups.get(joined, [])] + decimals


def _scaled(one: ImageName, unit: int) -> ImageName:
    number = one.numbers[-1]._replace(value=one.numbers[-1].value * unit)
    return replace(one, numbers=(*one.numbers[:-1], number))


def joined_decimal(one: ImageName, point: int, width: int) -> ImageName:
    """Join the numbers before and after a decimal point to one, in units of the last of `width` digits."""
    whole, fraction = one.numbers[point - 1 : point + 1]
    value = whole.value * 10**width + int(fraction.digits.ljust(width, "0"))
    number = Number(value, f"{whole.digits}.{fraction.digits}", whole.start, fraction.end)
    return replace(
        one,
        texts=(*one.texts[:point], *one.texts[point + 1 :]),
        numbers=(*one.numbers[: point - 1], number, *one.numbers[point + 1 :]),
    )


def _merge_signs(groups: Groups) -> None:
    """Take `-` before the last number for a sign where it cannot part it from the text before.

    It is a sign if there are names without it or with `+` in its place. Without such names it is one at the
    beginning, after `=`, a comma or a bracket, and after the single letter t.
    """
    for texts in [texts for texts in groups if len(texts) > 1 and texts[-2].endswith("-")]:
        before = texts[-2][:-1]
        unsigned, plus = ((*texts[:-2], before + sign, texts[-1]) for sign in ("", "+"))
        is_sign = (len(texts) == 2 and before == "") or re.search(r"[=,(]$|(^|[_ -])t$", before)
        has_zero = any(one.numbers[-1].value == 0 for one in groups[texts])
        if unsigned in groups or plus in groups or (is_sign and not has_zero):
            signed = [_with_sign(one, "-") for one in groups.pop(texts)]
            signed += [_with_sign(one, "+") for one in groups.pop(plus, [])]
            groups[unsigned] = groups.get(unsigned, []) + signed


def _with_sign(one: ImageName, sign: str) -> ImageName:
    number = one.numbers[-1]
    value, digits = -number.value if sign == "-" else number.value, sign + number.digits
    signed = number._replace(value=value, digits=digits, start=number.start - 1)
    texts = (*one.texts[:-2], one.texts[-2][:-1], one.texts[-1])
    return replace(one, texts=texts, numbers=(*one.numbers[:-1], signed))


def _merge_unnumbered(groups: Groups) -> None:
    """Count `image.png` beside `image (1).png` and `image (2).png` as the first of them."""
    for texts, members in [(texts, members) for texts, members in groups.items() if len(texts) == 2]:
        plain = (texts[0].rstrip(SEPARATORS) + texts[1].removeprefix(")"),)
        if len(groups.get(plain, ())) != 1 or any(one.numbers[0].is_padded for one in members):
            continue
        lowest = min(one.values[0] for one in members)
        if lowest != 0:
            (first,) = groups.pop(plain)
            end = len(first.name) - len(first.suffix) - 1
            number = Number(0 if lowest < 0 else lowest - 1, "", end, end)
            members.append(replace(first, texts=texts, numbers=(number,)))
