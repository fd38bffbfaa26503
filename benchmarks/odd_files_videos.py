"""Video files of many codecs, containers and odd properties, for a comparison with the ffmpeg program.

    python benchmarks/odd_files_videos.py --ffmpeg PROGRAM

Each file is made on the spot by PyAV, read by vgbench, and decoded by the ffmpeg program, whose frames are
the truth. A window near the end is compared with the same frames of the whole file. Prints one line for each
file that deviates, and the number of files that are read bit for bit.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from vgbench.clips import open_source
from vgbench.errors import VgbenchError

Frames = npt.NDArray[np.uint8]
COUNT = 120


@dataclass(frozen=True)
class Case:
    """A file: its name, what writes it to a path, and the frames that are right, uint8 [T, H, W, 3]."""

    name: str
    write: Callable[[Path], None]
    expected: Callable[[Path], Frames]


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
SUFFIXES = ("mp4", "mov", "mkv", "avi", "ts", "mpg", "webm", "flv")


def cases(program: str) -> Iterator[Case]:
    """Every encoding in every container; containers refuse some of them when they are written."""
    for (name, encoding), suffix in itertools.product(ENCODINGS.items(), SUFFIXES):
        yield Case(f"{name} in {suffix}", encoding.write, lambda path: by_program(program, path))


def outcome(case: Case, path: Path) -> str:
    """Say how vgbench reads a file: "exact", or what deviates from the truth."""
    try:
        case.write(path)
    except (av.FFmpegError, ValueError):
        return "not writable"
    try:
        expected = case.expected(path)
    except subprocess.CalledProcessError:
        return "not read by ffmpeg"
    try:
        (clip,) = open_source(str(path)).clips
        count = clip.count_frames()
        pixels = clip.read(range(count))
        middle = clip.read(range(count - 20, count - 4))
    except VgbenchError as error:
        return f"refused: {error}"
    if count != len(expected):
        return f"{count} frames, ffmpeg {len(expected)}"
    if not np.array_equal(middle, pixels[count - 20 : count - 4]):
        return "a window differs from the whole"
    if pixels.shape != expected.shape:
        return f"shape {pixels.shape}, ffmpeg {expected.shape}"
    largest = int(abs(pixels.astype(np.int16) - expected).max())
    return "exact" if largest == 0 else f"pixels differ by up to {largest}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare readings of videos with the ffmpeg program.")
    parser.add_argument("--ffmpeg", default="ffmpeg", help="the program")
    program = parser.parse_args().ffmpeg
    exact = made = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases(program)):
            path = Path(folder) / f"{number}.{case.name.rsplit(' ', 1)[1]}"
            result = outcome(case, path)
            path.unlink(missing_ok=True)
            if result in ("not writable", "not read by ffmpeg"):
                continue
            made += 1
            exact += result == "exact"
            if result != "exact":
                print(f"{case.name}: {result}", flush=True)
    print(f"{exact} of {made} files are read bit for bit as the ffmpeg program reads them")


if __name__ == "__main__":
    main()
