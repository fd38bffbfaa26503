"""Limits on what one clip may cost a decoder, so that a hostile or broken file does little harm.

Each limit can be changed by an environment variable, which decoding workers inherit. A clip that exceeds a
limit is skipped, with the name of the limit as the reason; no limit changes the pixels of other clips.
"""

from __future__ import annotations

import time

from vgbench.environment import positive_number
from vgbench.errors import BadClip

MAX_FRAME_PIXELS = int(positive_number("VGBENCH_MAX_PIXELS", 2**26))
"""Pixels of one frame (8K has half of that)."""

MAX_FRAMES = int(positive_number("VGBENCH_MAX_FRAMES", 2**20))
"""Frames of one clip."""

MAX_CLIP_BYTES = int(positive_number("VGBENCH_MAX_CLIP_BYTES", 2**32))
"""Bytes of one clip of an array, as it is stored (4 GiB)."""

MAX_ARRAY_CLIPS = int(positive_number("VGBENCH_MAX_ARRAY_CLIPS", 2**17))
"""Clips of one array: a few compressed bytes of zeros can represent millions of clips of one pixel."""

MAX_SECONDS = positive_number("VGBENCH_MAX_SECONDS", 600.0)
"""Wall time for one pass of a decoder over one clip."""


def check_frame_size(name: str, width: int, height: int) -> None:
    """Refuse frames of more than `MAX_FRAME_PIXELS`.

    Raises:
        BadClip: the frame is too large.
    """
    if width * height > MAX_FRAME_PIXELS:
        limit = f"{MAX_FRAME_PIXELS} pixels (VGBENCH_MAX_PIXELS)"
        raise BadClip(name, f"frames of {width}×{height} exceed the limit of {limit}")


def check_frame_count(name: str, count: int) -> None:
    """Refuse clips of more than `MAX_FRAMES`.

    Raises:
        BadClip: the clip is too long.
    """
    if count > MAX_FRAMES:
        raise BadClip(name, f"more than {MAX_FRAMES} frames (VGBENCH_MAX_FRAMES)")


def check_time(name: str, began: float) -> None:
    """Refuse clips that a decoder has worked on for too long since `began` (of `time.monotonic`).

    Raises:
        BadClip: more than `MAX_SECONDS` have passed.
    """
    if time.monotonic() - began > MAX_SECONDS:
        raise BadClip(name, f"decoding takes more than {MAX_SECONDS:g} s (VGBENCH_MAX_SECONDS)")
