"""Numbers of frames: whether a frame is missing among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

ROUNDING = 0.05
"""Share of the usual step by which the steps between time stamps may differ."""


@dataclass(frozen=True)
class Gap:
    """A place in a series where frames are missing.

    Attributes:
        before: position of the frame before it in the series.
        number: number that the first missing frame should have.
        count: number of frames that are missing here.
    """

    before: int
    number: int
    count: int


def gaps(numbers: Sequence[int]) -> list[Gap]:
    """Find the places where frames are missing from a series.

    A regular step leaves no gap: 0, 5, 10, … is every fifth frame, and 0, 33, 67, 100, … is the time in
    milliseconds. Steps may differ by rounding, or by 5 % as the time stamps of cameras do. Once two numbers
    follow each other directly, the numbers count single frames. Numbers without a usual step are time stamps
    of a varying rate, in which no gap can be told.

    Args:
        numbers: rising.
    """
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps:
        return []
    usual = 1 if min(steps) == 1 else median_low(steps)
    slack = 0.0 if usual == 1 else max(1.0, ROUNDING * usual)
    is_usual = [abs(step - usual) <= slack for step in steps]
    if usual > 1 and 2 * sum(is_usual) < len(steps):
        return []
    return [
        Gap(position, numbers[position] + usual, max(round(step / usual) - 1, 1))
        for position, step in enumerate(steps)
        if not is_usual[position] and step >= 1.5 * usual
    ]


def is_count(numbers: Sequence[int]) -> bool:
    """Whether numbers rise by a fixed step, and at least half of the frames are there."""
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps:
        return True
    step = min(steps)
    if step <= 0:
        return False
    places = (numbers[-1] - numbers[0]) // step + 1
    return all(one % step == 0 for one in steps) and 2 * len(numbers) >= places
