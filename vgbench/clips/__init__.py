"""Reading clips from folders, archives, URLs, arrays, iterables and built-in sources, and writing them."""

from vgbench.clips.clip import Clip, ClipSource, Frames, Skipped
from vgbench.clips.sources import open_source, subset
from vgbench.clips.write import animated_thumbnail, write_clips

__all__ = [
    "Clip",
    "ClipSource",
    "Frames",
    "Skipped",
    "animated_thumbnail",
    "open_source",
    "subset",
    "write_clips",
]
