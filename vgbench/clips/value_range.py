"""How arrays of floats become bytes: a range of values that the user states, and never a guess."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator

from vgbench.errors import ConfigError, VgbenchError

ValueRange = tuple[float, float]
"""The values that stand for black and for full brightness, such as (0, 1) or (-1, 1)."""

SLACK = 0.02
"""Values beyond a range by up to this share of its width are clamped; generators and filters overshoot."""

USUAL_RANGES: tuple[ValueRange, ...] = ((0, 1), (-1, 1), (0, 255), (-0.5, 0.5))
LEAST_SPAN = 1e-300
"""A smaller range of floats cannot be divided into 256 levels."""


@dataclass(frozen=True)
class ValueUse:
    """How the floats of a clip were turned into bytes.

    Attributes:
        value_range: the range that they were read with.
        clamped: number of values outside of it, each by at most `SLACK`.
    """

    value_range: ValueRange
    clamped: int


def range_of_text(text: str) -> ValueRange:
    """Read a range such as "-1,1".

    Raises:
        ConfigError: not two numbers in order.
    """
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--value-range {text}: expected LOW,HIGH", "for example 0,1 or -1,1") from error
    return check_range((low, high))


def check_range(value_range: ValueRange) -> ValueRange:
    """Return a range whose ends are in order and finite.

    Raises:
        VgbenchError: they are not.
    """
    low, high = value_range
    if not low < high:
        raise VgbenchError(f"value_range {value_range} is empty", "give (low, high), such as (0, 1)")
    if not LEAST_SPAN < high - low < math.inf:
        raise VgbenchError(
            f"value_range {value_range} is too narrow or not finite", "give (low, high), such as (0, 1)"
        )
    return float(low), float(high)


def _given_range(given: Any) -> Any:
    """Read a range in a config; pydantic turns a `ValueError` into an error that names the key."""
    if given is None:
        return None
    try:
        low, high = (float(end) for end in (given.split(",") if isinstance(given, str) else given))
    except (TypeError, ValueError) as error:
        raise ValueError("expected two numbers, such as 0,1") from error
    try:
        return check_range((low, high))
    except VgbenchError as error:
        raise ValueError(error.message) from error


GivenRange = Annotated[ValueRange | None, BeforeValidator(_given_range)]
"""A range in a config or manifest, where it may also be text, such as "0,1"."""


def to_bytes(values: npt.NDArray[Any], value_range: ValueRange) -> npt.NDArray[np.uint8]:
    """Map floats from a range to 0..255, rounded to the nearest integer; see `SLACK`.

    Raises:
        ValueError: a value is NaN, infinite, or outside the range by more than `SLACK`.
    """
    low, high = value_range
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise ValueError("holds NaN or infinite values")
    if not _fits(least := float(wide.min()), most := float(wide.max()), value_range):
        fitting = [one for one in USUAL_RANGES if _fits(least, most, one) and _fills(least, most, one)]
        hint = f"; --value-range={_shown(fitting[0])} would hold them" if fitting else ""
        raise ValueError(f"values {least:g}..{most:g} are outside the range {low:g}..{high:g}{hint}")
    return np.rint((np.clip(wide, low, high) - low) * (255.0 / (high - low))).astype(np.uint8)


def count_outside(values: npt.NDArray[Any], value_range: ValueRange) -> int:
    """Number of values outside of a range, which `to_bytes` clamps."""
    low, high = value_range
    return int(np.count_nonzero(values < low) + np.count_nonzero(values > high))


def _fits(least: float, most: float, value_range: ValueRange) -> bool:
    low, high = value_range
    slack = SLACK * (high - low)
    return low - slack <= least and most <= high + slack


def _fills(least: float, most: float, value_range: ValueRange) -> bool:
    """Whether values use more of a range than half, as those that it is meant for do."""
    return most - least > (value_range[1] - value_range[0]) / 2


def _shown(value_range: ValueRange) -> str:
    return ",".join(f"{end:g}" for end in value_range)
