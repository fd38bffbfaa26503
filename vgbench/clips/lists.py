"""Lists of clips: text with a path on each line, and perhaps a label after it, as UCF-101's `trainlist`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vgbench.clips.suffixes import ANIMATIONS, ARCHIVES, ARRAYS, IMAGES, VIDEOS

CLIP_SUFFIXES = (*VIDEOS, *ANIMATIONS, *IMAGES, *ARRAYS, *ARCHIVES)


def list_records(text: str, exists: Callable[[str], bool]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, row of a manifest) for each line that is neither empty nor a comment (#).

    Args:
        text: the list. A line is a path; a path and a label; or a path, a number of frames, which is not
            used, and a label; separated by spaces, tabs or commas.
        exists: whether a path is there, to tell spaces in names from those before a label.
    """
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and (not line.startswith("#") or exists(line)):
            path, label = _split(line, exists)
            yield number, {"path": path, **({} if label is None else {"label": label})}


def is_list(text: str) -> bool:
    """Whether the first line of a table is already a clip, and no line of column names."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return _names_a_clip(_split(first, lambda _: False)[0])


def _split(line: str, exists: Callable[[str], bool]) -> tuple[str, str | None]:
    if exists(line) or _names_a_clip(line):
        return _unquoted(line), None
    for separator in (",", "\t", None):
        path, *rest = (part.strip() for part in line.rsplit(separator, 1))
        if not rest:
            continue
        before, *number = (part.strip() for part in path.rsplit(separator, 1))
        if number and number[0].isdecimal() and not _names_a_clip(path) and not exists(path):
            path = before
        return _unquoted(path), rest[0] or None
    return _unquoted(line), None


def _names_a_clip(path: str) -> bool:
    return _unquoted(path).lower().endswith(CLIP_SUFFIXES)


def _unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 2 and path[0] == path[-1] and path[0] in "\"'" else path
