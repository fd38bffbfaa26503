"""Which axis of an array is which: N clips, T frames, H rows, W columns, C colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from vgbench.errors import VgbenchError

STANDARD = ("THWC", "TCHW", "CTHW", "NTHWC", "NTCHW", "NCTHW")
EXPECTED = "uint8 [N,T,H,W,3] or [T,H,W,3] (channels may also come before or after the time axis)"

MOVING_MNIST = (20, 10000, 64, 64)
"""Shape of the test set of Moving MNIST (Srivastava et al. 2015) as its authors publish it: [T, N, H, W]."""


def check_axes(axes: str) -> str:
    """Return the names of the axes of an array, such as "TNHW", in capitals.

    Raises:
        VgbenchError: a letter is not one of N, T, H, W and C, occurs twice, or T, H or W is missing.
    """
    letters = axes.upper()
    if not set("THW") <= set(letters) <= set("NTHWC") or len(set(letters)) != len(letters):
        raise VgbenchError(
            f"axes '{axes}' are not the axes of clips",
            "give one letter for each axis: N clips, T frames, H rows, W columns, C colours; such as TNHW",
        )
    return letters


def _given_axes(given: str) -> str:
    try:
        return check_axes(given)
    except VgbenchError as error:
        raise ValueError(f"{error.message}; {error.remedy}") from error


GivenAxes = Annotated[str, AfterValidator(_given_axes)]
"""Names of axes in a config or manifest."""


def axes_of(shape: Sequence[int], given: str | None = None) -> str:
    """Name the axes of an array of clips.

    The colours are the axis of size 3, or of size 1 (grey) when none has size 3. A last axis of that size
    always takes precedence, because frames that are 3 pixels wide do not occur in practice.

    Args:
        shape: of the array.
        given: what the user says about arrays with as many axes.

    Raises:
        ValueError: these cannot be clips, or could be read in several ways; says which option decides.
    """
    shape = tuple(shape)
    if 0 in shape:
        raise ValueError(f"shape {shape} is not {EXPECTED}")
    if given is not None and len(given) == len(shape):
        if "C" in given and shape[given.index("C")] not in (1, 3):
            raise ValueError(
                f"shape {shape} read as {given} has {shape[given.index('C')]} colours, not 3 or 1"
            )
        return given
    if shape == MOVING_MNIST:
        return "TNHW"
    if len(shape) in (4, 5):
        colours = channel_axis(shape[-4:])
        return ("N" if len(shape) == 5 else "") + {3: "THWC", 1: "TCHW", 0: "CTHW"}[colours]
    if len(shape) == 3 and shape[-1] not in (1, 3):
        raise ValueError(f"shape {shape} is not {EXPECTED}; --axes THW reads it as one grey clip")
    raise ValueError(f"shape {shape} is not {EXPECTED}")


def channel_axis(shape: Sequence[int]) -> int:
    """Find the colour axis of one clip: 3 of [T,H,W,C], 1 of [T,C,H,W], 0 of [C,T,H,W].

    Raises:
        ValueError: there is no such axis, or more than one.
    """
    for size in (3, 1):
        found = [axis for axis in (3, 1, 0) if shape[axis] == size]
        if found and (found[0] == 3 or len(found) == 1):
            return found[0]
        if found:
            raise ValueError(
                f"axes {found[::-1]} of a clip of shape {tuple(shape)} could both be the colours; "
                "--axes TCHW or --axes CTHW decides (with N before it for several clips)"
            )
    first, second, *_ = shape
    raise ValueError(
        f"no colour axis of size 3 or 1 in shape {tuple(shape)}: this may be {first} grey clips of {second} "
        f"frames (--axes NTHW) or {second} grey clips of {first} frames (--axes TNHW)"
    )
