"""Protocol: every choice that a score depends on, in one frozen, hashable object with a name and a version.

The meaning of a released name never changes: a better default is a new version. The YAML files beside this
module are the protocols that vgbench provides; `load` also reads a user's own file.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vgbench.config import Config, parse, read_yaml, with_overrides
from vgbench.named import unknown_name
from vgbench.protocol.pixels import Resize

Start = Literal["uniform", "first", "centre"]
Order = Literal["drawn", "sorted", "windows"]
SeededBy = Literal["name", "content"]

MOST_FRAMES = 2**30
"""Longer windows are typing errors, because no clip has that many frames."""

MOST_FPS = 1000.0


class Counts(Config):
    """How many windows are taken from each side.

    Attributes:
        generated: windows of the generated set; fewer are used when the source has fewer.
        real: the same for the real set; "all" takes one window of every clip.
        least: scoring is refused when either side has fewer windows than this.
        least_real: the same for the real set where it differs, as for scores of generated clips alone.
    """

    generated: int = Field(ge=2)
    real: int | Literal["all"]
    least: int = Field(ge=2)
    least_real: int | None = Field(default=None, ge=2)

    def least_for(self, side: Literal["generated", "real"]) -> int:
        """Fewest windows of one side."""
        return self.least_real if side == "real" and self.least_real is not None else self.least

    @model_validator(mode="after")
    def _least_is_reachable(self) -> Counts:
        real = self.generated if self.real == "all" else self.real
        for asked, least in ((self.generated, self.least), (real, self.least_for("real"))):
            if least > asked:
                raise ValueError(f"least = {least} is more than the {asked} windows asked for")
        return self


class Windows(Config):
    """Which frames of a clip are scored.

    Attributes:
        frames: length of a window.
        stride: distance between its frames, in frames of the clip.
        real_stride: the same for the real clips, if it is another one there. Of a model that was trained on
            every fourth frame, all frames are scored, against every fourth frame of the real clips.
        fps: take the frames that are shown at this many moments a second, by the time stamps of each clip;
            `stride`, `offset` and the length of a clip then count these frames. Without it, frames are
            counted as they are stored, at whatever rate.
        start: "uniform" draws the first frame, seeded by the clip's id; "first" takes frame 0; "centre"
            the middle of the clip.
        generated_start: the same for the generated side where a protocol treats the sides differently.
        order: which clips come first when there are more than needed: "drawn" by a hash of (seed, id), or
            "sorted" by id, as code that takes the first N does. With "windows", windows are drawn from all
            windows of all clips, overlapping ones included, so that long clips give more of them; the length
            of every clip is read for that.
        seeded_by: what the draws of clips and windows depend on besides the seed. With "content", it is the
            first frame of a clip, so that equal pixels give equal windows under any name and in any
            container; the windows of a clip are placed together, as many as fit. With "name", it is the id of
            the clip; each window of a clip is placed after the one before, which may leave no room for more.
        per_clip: most windows from one clip. A second window is taken only after every clip has given one,
            and never overlaps an earlier window of the same clip.
        offset: frames to skip at the beginning of the clip, with start "first" only; used to score later
            parts of long clips.
    """

    frames: int = Field(ge=2, le=MOST_FRAMES)
    stride: int = Field(default=1, ge=1, le=MOST_FRAMES)
    real_stride: int | None = Field(default=None, ge=1, le=MOST_FRAMES)
    fps: float | None = Field(default=None, gt=0, le=MOST_FPS)
    start: Start = "uniform"
    generated_start: Start | None = None
    order: Order = "drawn"
    seeded_by: SeededBy = "name"
    per_clip: int = Field(default=1, ge=1, le=MOST_FRAMES)
    offset: int = Field(default=0, ge=0, le=MOST_FRAMES)

    @model_validator(mode="after")
    def _offset_has_a_place(self) -> Windows:
        if self.offset and {self.start, self.generated_start or self.start} != {"first"}:
            raise ValueError(f"offset = {self.offset} needs start = first on both sides")
        return self

    @model_validator(mode="after")
    def _all_windows_are_drawn_at_once(self) -> Windows:
        uniform = {self.start, self.generated_start or self.start} == {"uniform"}
        if self.order == "windows" and not (uniform and self.per_clip == 1):
            raise ValueError("order = windows draws from all windows; it needs start = uniform, per_clip = 1")
        return self

    @model_validator(mode="after")
    def _speed_is_set_once(self) -> Windows:
        if self.fps is not None and self.real_stride is not None:
            raise ValueError(
                f"fps = {self.fps:g} and real_stride = {self.real_stride} both change the speed of real "
                "clips; use one of them"
            )
        return self

    @property
    def span(self) -> int:
        """Number of the clip's frames from the first to the last frame of a window."""
        return (self.frames - 1) * self.stride + 1


class ExtractorChoice(Config):
    """Which network computes the features.

    Attributes:
        name: see `vgbench list extractors`.
        preprocessing: its name, where the network offers several.
        precision: "bfloat16" where the network offers it; it becomes part of the extractor's id.
        weights: replace the usual weights: a path, or "random:SEED".
    """

    name: str
    preprocessing: str | None = None
    precision: str | None = None
    weights: str | None = None

    @property
    def options(self) -> dict[str, str]:
        """Arguments of the network's factory besides its weights."""
        given = {"preprocessing": self.preprocessing, "precision": self.precision}
        return {name: value for name, value in given.items() if value is not None}


class Protocol(Config):
    """How a set of generated clips is compared with a set of real ones.

    Attributes:
        name: its released name.
        version: version of the definition.
        summary: its purpose in one sentence.
        source: paper or code base that it reproduces, or the reasons for our own choices.
        clips: how many windows.
        windows: which frames.
        resize: spatial policy applied to decoded frames, before metrics on pixels see them.
        extractor: network for metrics on features.
        metrics: names with options, such as "fvd(covariance=biased)".
        seed: seeds the choice of clips and windows.
    """

    name: str
    version: str
    summary: str
    source: str
    clips: Counts
    windows: Windows
    resize: Resize
    extractor: ExtractorChoice
    metrics: tuple[str, ...] = Field(min_length=1)
    seed: int = 0

    def windows_for(self, side: Literal["generated", "real"]) -> Windows:
        """Return the windows of one side, with its own stride; an offset skips equal time on both sides."""
        windows = self.windows
        if side == "generated" or windows.real_stride is None:
            return windows
        offset = round(windows.offset * windows.real_stride / windows.stride)
        return windows.model_copy(update={"stride": windows.real_stride, "offset": offset})

    def resize_for(self, side: Literal["generated", "real"]) -> Resize:
        """Spatial policy of one side."""
        return self.resize.for_side(side)

    def start_for(self, side: Literal["generated", "real"]) -> Start:
        """Window start rule of one side."""
        if side == "generated" and self.windows.generated_start is not None:
            return self.windows.generated_start
        return self.windows.start


def protocol_names() -> list[str]:
    """List the names of the protocols that vgbench provides, each in its newest version."""
    return [name for name in _all_names() if "@" not in name]


def _all_names() -> list[str]:
    """Names of all files: "fvd-tats", and "fvd-tats@1.0" for an older version that is kept."""
    return sorted(entry.name[:-5] for entry in _shipped().iterdir() if entry.name.endswith(".yaml"))


OUR_OWN = frozenset({"fvd", "quick"})
"""Protocols that reproduce no other code base."""


def reproduces_code(name: str) -> bool:
    """Whether a protocol of this name reproduces the numbers of another code base, whatever its version.

    Its users compare with published numbers, so tables show them the plain value first.
    """
    return name in protocol_names() and name not in OUR_OWN


def load(name_or_path: str, settings: Iterable[str] = ()) -> Protocol:
    """Load a protocol of vgbench by name, or a YAML file by path, and apply `key=value` settings.

    A name stands for the newest version; "NAME@VERSION" for an older one that was released.

    Raises:
        ConfigError: the name is unknown, the file is unreadable, or a key or value is not allowed.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    elif name_or_path in _all_names():
        path = Path(str(_shipped().joinpath(f"{name_or_path}.yaml")))
    else:
        raise unknown_name("protocol", name_or_path, _all_names())
    values = with_overrides(read_yaml(path), settings)
    return parse(Protocol, values, f"protocol {name_or_path}")


def released(name: str, version: str) -> Protocol | None:
    """Load a version of a protocol of vgbench; None if vgbench has no such version."""
    for candidate in (name, f"{name}@{version}"):
        if candidate in _all_names() and (found := load(candidate)).version == version:
            return found
    return None


def _shipped() -> resources.abc.Traversable:
    return resources.files(__name__)
