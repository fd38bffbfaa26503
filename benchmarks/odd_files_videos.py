"""Video files of many codecs, containers and odd properties, made by PyAV.

The frames that are right are those of the ffmpeg program, which is given by the caller.
"""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
COUNT = 120


@dataclass(frozen=True)
class Case:
    """A source of one clip.

    Attributes:
        name: its name in the table.
        write: makes the file or folder `path`.
        expected: the frames that are right, uint8 [T, H, W, 3], given `path`.
        suffix: of the file; "" for a folder.
        options: for `open_source`.
    """

    name: str
    write: Callable[[Path], None]
    expected: Callable[[Path], Frames]
    suffix: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoding:
    codec: str
    pixels: str
    options: tuple[tuple[str, str], ...] = ()
    varying: bool = False
    size: tuple[int, int] = (48, 64)

    def write(self, path: Path) -> None:
        """Write 120 frames of noise that moves by 2 pixels a frame."""
        image = np.random.default_rng(0).integers(0, 256, (*self.size, 3), dtype=np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(self.codec, rate=25, options=dict(self.options))
            stream.height, stream.width = self.size
            stream.pix_fmt = self.pixels
            stream.codec_context.thread_count = 1
            time = 0
            for position in range(COUNT):
                frame = av.VideoFrame.from_ndarray(np.roll(image, 2 * position, 1), format="rgb24")
                frame.pts, frame.time_base = time, Fraction(1, 25)
                time += 1 + (self.varying and position % 3)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def by_program(program: str, path: Path) -> Frames:
    """Decode by the ffmpeg program: every frame as coded, none repeated or dropped."""
    command = [program, "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    output = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    )
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        height, width = context.height, context.width
    return np.frombuffer(output.stdout, np.uint8).reshape(-1, height, width, 3)


X265 = ("x265-params", "log-level=none")
ENCODINGS = {
    "h264": Encoding("libx264", "yuv420p"),
    "h264 no B": Encoding("libx264", "yuv420p", (("bf", "0"),)),
    "h264 open GOP": Encoding("libx264", "yuv420p", (("x264-params", "open-gop=1:keyint=30:bframes=3"),)),
    "h264 intra refresh": Encoding("libx264", "yuv420p", (("intra-refresh", "1"), ("g", "30"), ("bf", "0"))),
    "h264 short GOP": Encoding("libx264", "yuv420p", (("g", "12"),)),
    "h264 444": Encoding("libx264", "yuv444p"),
    "h264 10 bit": Encoding("libx264", "yuv420p10le"),
    "h264 odd size": Encoding("libx264", "yuv444p", size=(47, 63)),
    "h264 VFR": Encoding("libx264", "yuv420p", varying=True),
    "h264 interlaced": Encoding("libx264", "yuv420p", (("flags", "+ildct+ilme"),)),
    "hevc": Encoding("libx265", "yuv420p", (X265,)),
    "hevc open GOP": Encoding(
        "libx265", "yuv420p", (("x265-params", "log-level=none:open-gop=1:keyint=30"),)
    ),
    "hevc 10 bit": Encoding("libx265", "yuv420p10le", (X265,)),
    "hevc VFR": Encoding("libx265", "yuv420p", (X265,), varying=True),
    "vp8": Encoding("libvpx", "yuv420p"),
    "vp9": Encoding("libvpx-vp9", "yuv420p", (("cpu-used", "8"), ("deadline", "realtime"))),
    "mpeg4": Encoding("mpeg4", "yuv420p"),
    "mpeg4 B": Encoding("mpeg4", "yuv420p", (("bf", "2"),)),
    "mpeg2": Encoding("mpeg2video", "yuv420p", (("bf", "2"),)),
    "mpeg1": Encoding("mpeg1video", "yuv420p"),
    "mjpeg": Encoding("mjpeg", "yuvj420p"),
    "mjpeg 444": Encoding("mjpeg", "yuvj444p"),
    "ffv1": Encoding("ffv1", "bgr0"),
    "ffv1 yuv": Encoding("ffv1", "yuv420p"),
    "png": Encoding("png", "rgb24"),
    "huffyuv": Encoding("huffyuv", "rgb24"),
    "utvideo": Encoding("utvideo", "gbrp"),
    "prores": Encoding("prores_ks", "yuv422p10le"),
    "rawvideo": Encoding("rawvideo", "yuv420p"),
    "flv1": Encoding("flv", "yuv420p"),
}
SUFFIXES = ("mp4", "mov", "mkv", "avi", "ts", "mpg", "webm", "flv", "3gp", "wmv", "vob", "nut", "mxf", "y4m")


def cases(program: str) -> Iterator[Case]:
    """Every encoding in every container; containers refuse some of them when they are written."""
    for (name, encoding), suffix in itertools.product(ENCODINGS.items(), SUFFIXES):
        yield Case(
            f"{name} in {suffix}", encoding.write, lambda path: by_program(program, path), f".{suffix}"
        )
