"""What the images of a folder are, as the user says or as their names and shape show."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from vgbench.errors import ConfigError

LayoutKind = Literal["auto", "frames", "series", "sorted", "strips"]
KINDS: tuple[LayoutKind, ...] = get_args(LayoutKind)

PREFIX = "layout:"
"""Before a source: `layout:KIND:CLIPS` opens `CLIPS` with that layout, wherever clips are named."""


@dataclass(frozen=True)
class Layout:
    """How images become clips.

    Attributes:
        kind: what the images of a folder are.

            - "auto": frames of one clip, frames of several clips, strips or animations, as their names and
              the shape of the first one say; a folder that can be read in two ways is skipped and named;
            - "frames": the frames of one clip;
            - "series": the frames of one clip for each series of names that differ in one number only;
            - "sorted": the frames of one clip in the order of their names, whatever their numbers are;
            - "strips": each is a clip of square frames side by side.
        pattern: shell pattern for the names of the images that are used, in upper or lower case.
    """

    kind: LayoutKind = "auto"
    pattern: str = "*"

    def takes(self, name: str) -> bool:
        """Whether the image of this name is used."""
        return self.pattern == "*" or fnmatchcase(name.lower(), self.pattern.lower())

    def __str__(self) -> str:
        return self.kind if self.pattern == "*" else f"{self.kind}={self.pattern}"


def parse_layout(text: str | Layout) -> Layout:
    """Read `KIND` or `KIND=PATTERN`.

    Raises:
        ConfigError: unknown kind, or an empty pattern.
    """
    if isinstance(text, Layout):
        return text
    kind, equals, pattern = text.partition("=")
    if kind not in KINDS or (equals and not pattern):
        raise ConfigError(
            f"unknown layout '{text}'",
            f"known: {', '.join(KINDS)}; each of them may be followed by =PATTERN, such as auto=*.jpg, for "
            "the names of the images to use",
        )
    return Layout(kind, pattern or "*")


def split_layout(spec: str) -> tuple[Layout, str]:
    """Split `layout:KIND:CLIPS` into the layout and the source.

    Raises:
        ConfigError: no source follows, or the layout is unknown.
    """
    text, colon, inner = spec.removeprefix(PREFIX).partition(":")
    if not colon or not inner:
        raise ConfigError(f"{spec}: expected {PREFIX}LAYOUT:CLIPS", "for example layout:series:samples/")
    return parse_layout(text), inner


def with_layout(spec: str, layout: str | Layout) -> str:
    """Name a source together with its layout.

    Raises:
        ConfigError: the layout is unknown, or has a pattern that contains a colon.
    """
    parsed = parse_layout(layout)
    if ":" in parsed.pattern:
        raise ConfigError(f"layout '{parsed}': a pattern cannot contain a colon here", "write ? in its place")
    return f"{PREFIX}{parsed}:{spec}"
