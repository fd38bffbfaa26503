"""Where clips come in (folders, archives, URLs, arrays, iterables, built-in sources) and go out."""

from vgbench.clips.clip import Clip, ClipSource, Frames, Skipped
from vgbench.clips.sources import open_source, subset

__all__ = ["Clip", "ClipSource", "Frames", "Skipped", "open_source", "subset"]
