"""Frames of animated PNG, composed by FFmpeg.

Pillow composes frames after one that is taken back ("dispose to previous") differently, depending on which
frames were decoded before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vgbench.clips.alpha import flatten_alpha
from vgbench.clips.files import StoredFile, bad_clip_on_error
from vgbench.clips.limits import check_frame_count, check_frame_size, check_time
from vgbench.errors import BadClip


def apng_frames(file: StoredFile) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode the frames one after the other, each uint8 [H, W, 3]; transparent areas become black.

    Raises:
        BadClip: the file is damaged.
    """
    import av

    began = time.monotonic()
    with (
        bad_clip_on_error(file.name, av.FFmpegError),
        file.open() as data,
        av.open(cast(Any, data), format="apng") as container,
    ):
        for position, frame in enumerate(container.decode(video=0)):
            check_frame_count(file.name, position + 1)
            check_time(file.name, began)
            check_frame_size(file.name, frame.width, frame.height)
            if frame.is_corrupt:
                raise BadClip(file.name, f"frame {position} is damaged")
            yield flatten_alpha(frame.to_ndarray(format="rgba"))
