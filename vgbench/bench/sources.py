"""The two sides of a data set: what is trained on, and what everything is scored against."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Literal

from vgbench.bench.suite import Data
from vgbench.clips import open_source, subset
from vgbench.clips.clip import ClipSource
from vgbench.clips.distortions import distort, parse_distortion
from vgbench.errors import ConfigError

Side = Literal["train", "test"]


def open_side(name: str, data: Data, side: Side) -> ClipSource:
    """Open one side of a data set. Its name in records is `NAME/SIDE`, which no machine's paths are part of.

    Raises:
        ConfigError: the user has not said where it is.
        VgbenchError: nothing there that can be opened.
    """
    if data.train is None:
        raise ConfigError(f"data '{name}' is not given", f"--data {name}=PATH; {data.about}".rstrip("; "))
    if side == "test" and data.test not in (None, "train"):
        source = open_source(data.test, default_split="test")
    else:
        source = open_source(data.train)
        if data.test is None:
            kept = held_back(source, data.test_share)
            source = subset(source, lambda clip: (clip.id in kept) == (side == "test"))
    return source if source.name.startswith("builtin:") else replace(source, name=f"{name}/{side}")


def held_back(source: ClipSource, share: float) -> set[str]:
    """Ids of the last clips of each class, in the order of their ids: one or more, and never all of them."""
    classes: dict[str | None, list[str]] = defaultdict(list)
    for clip in source.clips:
        classes[clip.label].append(clip.id)
    counts = {label: min(max(1, round(share * len(ids))), len(ids) - 1) for label, ids in classes.items()}
    return {id_ for label, ids in classes.items() for id_ in sorted(ids)[len(ids) - counts[label] :]}


def open_reference(spec: str, name: str, data: Data) -> ClipSource:
    """Open the source of a row of reference: a side by its name, either of them damaged, or anything else."""
    if spec in ("train", "test"):
        return open_side(name, data, "train" if spec == "train" else "test")
    if spec.startswith("distort:"):
        distortion, strength, inner = parse_distortion(spec)
        return distort(open_reference(inner, name, data), distortion, strength)
    return open_source(spec)
