"""The two splits of a data set: the clips to train on, and the clips to score against."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Literal

from vgbench.bench.suite import SuiteData
from vgbench.clips import open_source, subset
from vgbench.clips.clip import ClipSource
from vgbench.clips.distortions import distort, parse_distortion
from vgbench.errors import ConfigError

SplitName = Literal["train", "test"]
SPLITS = ("train", "test")


def open_split(name: str, data: SuiteData, split: SplitName) -> ClipSource:
    """Open one split of a data set. Records call it `NAME/SPLIT`, so they contain no path of the machine.

    Raises:
        ConfigError: the user has not said where the data set is.
        VgbenchError: it cannot be opened.
    """
    if data.train is None:
        raise ConfigError(f"data '{name}' is not given", f"--data {name}=PATH; {data.about}".rstrip("; "))
    if split == "test" and data.test not in (None, "train"):
        source = _open(data.test, data, "test")
    else:
        source = _open(data.train, data, "train")
        if data.test is None:
            kept = held_back(source, data.test_share)
            source = subset(source, lambda clip: (clip.recording in kept) == (split == "test"))
    return source if source.name.startswith("builtin:") else replace(source, name=f"{name}/{split}")


def held_back(source: ClipSource, share: float) -> set[str]:
    """Recordings of the last clips of each class, ordered by id: at least one, but never all of a class.

    A recording is a clip, or a group of clips that the source declares, which stay in one split.
    """
    classes: dict[str | None, dict[str, None]] = defaultdict(dict)
    for clip in sorted(source.clips, key=lambda clip: clip.id):
        classes[clip.label][clip.recording] = None
    kept: set[str] = set()
    for recordings in map(list, classes.values()):
        count = min(max(1, round(share * len(recordings))), len(recordings) - 1)
        kept.update(recordings[len(recordings) - count :])
    return kept


def is_split(spec: str) -> bool:
    """Whether the source of an untrained row is a split of its data set, damaged or not."""
    return is_split(parse_distortion(spec)[2]) if spec.startswith("distort:") else spec in SPLITS


def open_untrained(spec: str, name: str, data: SuiteData) -> ClipSource:
    """Open the clips of an untrained row: a split by its name, a damaged split, or any other source."""
    if spec in SPLITS:
        return open_split(name, data, "train" if spec == "train" else "test")
    if spec.startswith("distort:"):
        distortion, strength, inner = parse_distortion(spec)
        return distort(open_untrained(inner, name, data), distortion, strength)
    return _open(spec, data, "train")


def _open(spec: str, data: SuiteData, split: SplitName) -> ClipSource:
    return open_source(spec, default_split=split, value_range=data.value_range, axes=data.axes)
