"""Video files made by PyAV alone, so that readers are tested against FFmpeg and not against our writer."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vgbench.clips.files import LocalFile
from vgbench.clips.video import VideoClip


def rolling_noise(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """A random image that moves 2 pixels a frame: no two frames alike, yet motion to be found."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.stack([np.roll(image, 2 * shift, axis=1) for shift in range(count)])


def encode(
    path: Path,
    codec: str,
    pixel_format: str,
    frames: np.ndarray,
    *,
    times: Sequence[int] | None = None,
    source_format: str = "rgb24",
    container_format: str | None = None,
    **options: str,
) -> Path:
    """Encode frames, each uint8 [H, W, 3] or what `source_format` says, `times` in 1/25 s."""
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        for position, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=source_format)
            frame.pts = position if times is None else times[position]
            frame.time_base = Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def video_clip(path: Path) -> VideoClip:
    return VideoClip(path.name, None, LocalFile(str(path.parent), path.name, path.stat().st_size))


def decoded_by_pyav(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
