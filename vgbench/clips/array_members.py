"""Which arrays of a file with several of them are clips, and which name the clips' labels and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vgbench.clips.axes import EXPECTED, axes_of
from vgbench.clips.stored_array import StoredArray

CLIPS = "clips"
LABELS = ("labels", "label", "targets", "target", "classes", "y")
GROUPS = ("groups", "group")
UNNAMED = "arr_"
"""What `numpy.savez` names arrays without a name by, followed by their number."""
PARAMETERS = (".weight", ".bias")
"""Ends of the names of a network's parameters."""
MOST_SHOWN = 12
"""Names that a message lists."""

Names = Sequence[Any]
"""Labels or groups that are stored as a list and not as an array."""


class NoClips(ValueError):
    """Raised for files that are neither damaged nor odd clips, but something else, such as weights."""


@dataclass(frozen=True)
class Members:
    """The arrays of a file that are clips.

    Attributes:
        clips: key -> array; several arrays are one clip or one batch each.
        labels, groups: an array or list with one name for each clip; None if there is none.
    """

    clips: dict[str, StoredArray]
    labels: StoredArray | Names | None = None
    groups: StoredArray | Names | None = None


def choose_members(members: Mapping[str, StoredArray | Names | None], axes: str | None) -> Members:
    """Choose the clips among the arrays of a file.

    The array `clips` is it; without one, the only array that can be clips. Several arrays of one clip each
    are all of them clips, and so are several batches without names. Other arrays are not looked at.

    Args:
        members: name -> array, or list of names.
        axes: what the user says about axes, see `axes_of`.

    Raises:
        NoClips: all arrays are tables or numbers, or they are a network's parameters.
        ValueError: none of the arrays can be clips, or several can and no name decides.
    """
    labels, groups = _first(members, LABELS), _first(members, GROUPS)
    arrays = {name: one for name, one in members.items() if isinstance(one, StoredArray)}
    if CLIPS in members:
        if CLIPS not in arrays:
            raise ValueError(f"its {CLIPS} are not an array")
        return Members({CLIPS: arrays[CLIPS]}, labels, groups)
    if any(name.endswith(PARAMETERS) for name in arrays):
        raise NoClips("holds the parameters of a network, and no clips")
    if all(len(array.shape) < 3 for array in arrays.values()):
        raise NoClips(_why_none(members, arrays))
    if len(arrays) == 1 and labels is None and groups is None:
        return Members(arrays)
    found = {name: one for name, one in arrays.items() if _may_be_clips(one, axes)}
    if not found:
        raise ValueError(_why_none(members, arrays))
    if len(found) == 1:
        name, clips = next(iter(found.items()))
        if labels is None and name == f"{UNNAMED}0":
            labels = _unnamed_labels(arrays, clips)
        return Members(found, labels, groups)
    single = all("N" not in axes_of(one.shape, axes) for one in found.values())
    if single or all(_number(name) is not None for name in found):
        return Members(found, labels, groups)
    raise ValueError(f"holds the arrays {_shown(members)}; the one to use must be named '{CLIPS}'")


def ids_of(path: str, clips: Mapping[str, StoredArray], axes: str | None) -> list[list[str]]:
    """Return the ids of the clips in each array of a file.

    The eighth clip of an array is `path#000007`, padded so that sorting keeps the order of up to a million
    clips. Clips of arrays with names of their own are `path#NAME`.
    """
    counts = [count_clips(one.shape, axes) for one in clips.values()]
    if len(clips) == 1:
        (one,), (count,) = clips.values(), counts
        return [[path] if "N" not in axes_of(one.shape, axes) else [numbered(path, k) for k in range(count)]]
    if any(_number(name) is None for name in clips):
        return [[f"{path}#{name}"] for name in clips]
    starts = [sum(counts[:k]) for k in range(len(counts))]
    return [
        [numbered(path, start + k) for k in range(count)] for start, count in zip(starts, counts, strict=True)
    ]


def in_order(clips: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Sort arrays without names by their numbers; leave others in their order."""
    if any(_number(name) is None for name in clips):
        return dict(clips)
    return dict(sorted(clips.items(), key=lambda entry: _number(entry[0]) or 0))


def count_clips(shape: Sequence[int], axes: str | None) -> int:
    """Number of clips in an array."""
    letters = axes_of(shape, axes)
    return shape[letters.index("N")] if "N" in letters else 1


def numbered(path: str, index: int) -> str:
    """Id of a clip in an array."""
    return f"{path}#{index:06d}"


def _first(members: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((members[name] for name in names if members.get(name) is not None), None)


def _may_be_clips(array: StoredArray, axes: str | None) -> bool:
    try:
        axes_of(array.shape, axes)
    except ValueError:
        return False
    return array.kind == "bfloat16" or array.dtype == "uint8" or array.dtype.kind == "f"


def _unnamed_labels(arrays: Mapping[str, StoredArray], clips: StoredArray) -> StoredArray | None:
    """The labels beside clips without a name, as `numpy.savez(path, clips, labels)` stores them."""
    second = arrays.get(f"{UNNAMED}1")
    return second if second is not None and second.shape == clips.shape[:1] else None


def _number(name: str) -> int | None:
    digits = name.removeprefix(UNNAMED)
    return int(digits) if name.startswith(UNNAMED) and digits.isdecimal() and len(digits) < 10 else None


def _why_none(members: Mapping[str, Any], arrays: Mapping[str, StoredArray]) -> str:
    if {"mu", "sigma"} <= set(members):
        return "holds the statistics of a Fréchet distance (mu, sigma), and no clips"
    if len(arrays) == 1:
        (array,) = arrays.values()
        return f"holds an array of shape {array.shape}, which is not {EXPECTED}"
    return f"holds the arrays {_shown(members)}, none of which can be clips"


def _shown(names: Mapping[str, Any]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - MOST_SHOWN} more" if len(listed) > MOST_SHOWN else ""
    return f"{listed[:MOST_SHOWN]}{more}"
