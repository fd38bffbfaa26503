"""Windows out of long videos: by the index of frames, against decoding from the first frame.

    python benchmarks/seeking.py

Makes 20 files of 3,000 frames on the spot, of many codecs and containers. Out of each, 8 windows of 16
frames are read in both ways, and must be equal. Prints for each file the processor seconds of both, their
ratio, and the time of counting its frames with an index as a share of that of only decoding them.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vgbench.clips import frame_index, open_source, video
from vgbench.clips.clip import Frames
from vgbench.clips.video import VideoClip

FRAMES, HEIGHT, WIDTH = 3000, 288, 512
WINDOWS, LENGTH = 8, 16

X264 = {"preset": "veryfast"}
X265 = "log-level=none:keyint=48:open-gop=0"
FAST = {"cpu-used": "8", "deadline": "realtime"}
FILES: list[tuple[str, str, dict[str, str]]] = [
    ("mp4", "libx264", X264),
    ("mkv", "libx264", X264),
    ("ts", "libx264", X264),
    ("avi", "libx264", X264),
    ("flv", "libx264", X264),
    ("mp4", "libx264", {**X264, "x264-params": "open-gop=1:keyint=48:bframes=3"}),
    ("mp4", "libx265", {"preset": "ultrafast", "x265-params": X265}),
    ("mkv", "libx265", {"preset": "ultrafast", "x265-params": X265}),
    ("ts", "libx265", {"preset": "ultrafast", "x265-params": X265}),
    ("mp4", "libx265", {"preset": "ultrafast", "x265-params": X265.replace("gop=0", "gop=1")}),
    ("webm", "libvpx-vp9", FAST),
    ("mp4", "libvpx-vp9", FAST),
    ("webm", "libvpx", FAST),
    ("avi", "mpeg4", {}),
    ("mp4", "mpeg4", {"bf": "2"}),
    ("mkv", "mpeg4", {}),
    ("mpg", "mpeg2video", {"bf": "2"}),
    ("ts", "mpeg2video", {"bf": "2"}),
    ("flv", "flv", {}),
    ("avi", "mjpeg", {}),
]


def write(path: Path, codec: str, options: dict[str, str]) -> None:
    """Write frames of smooth noise that moves by 2 pixels a frame, with a keyframe every 48 frames."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    image = noise.repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "48", **options})
        stream.height, stream.width = HEIGHT, WIDTH
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for position in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(image, 2 * position, 1), format="rgb24")
            frame.pts, frame.time_base = position, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def seconds(work: Callable[[], object]) -> float:
    """Processor time, which other work on the machine changes little."""
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(clip: VideoClip, windows: Sequence[range]) -> tuple[float, float, float]:
    """Return seconds from the first frame, seconds by index, and the price of making the index.

    The price is the time in which frames are counted with an index, over that of decoding them only.
    """
    decoding = seconds(lambda: sum(1 for _ in _decoded_only(clip)))
    counting = seconds(clip.count_frames)
    assert clip.count_frames() == FRAMES
    whole: list[Frames] = []
    parts: list[Frames] = []
    before = seconds(lambda: whole.extend(np.stack(clip._read_through(one)) for one in windows))
    after = seconds(lambda: parts.extend(clip.read(one) for one in windows))
    assert all(itertools.starmap(np.array_equal, zip(whole, parts, strict=True)))
    return before, after, counting / decoding


def _decoded_only(clip: VideoClip) -> Iterator[object]:
    with video._opened(clip.file) as (container, stream):
        yield from video._decoded(clip.file.name, container, stream)


def main() -> None:
    ratios = []
    windows = [
        range(first, first + LENGTH) for first in np.linspace(0, FRAMES - LENGTH, WINDOWS, dtype=int).tolist()
    ]
    print("file | from the first frame | by index | ratio | counting with index / decoding")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[frame_index.FOLDER] = f"{folder}/index"
        for suffix, codec, options in FILES:
            path = Path(folder) / f"clip.{suffix}"
            write(path, codec, options)
            (clip,) = open_source(str(path)).clips
            assert isinstance(clip, VideoClip)
            before, after, price = compare(clip, windows)
            ratios.append(before / after)
            name = f"{codec} {'open GOP ' if 'open-gop=1' in str(options) else ''}in {suffix}"
            print(f"{name} | {before:.2f} | {after:.2f} | {ratios[-1]:.1f} | {price:.2f}", flush=True)
            path.unlink()
    lowest, middle, highest = min(ratios), statistics.median(ratios), max(ratios)
    print(f"{len(ratios)} files: median {middle:.1f}, from {lowest:.1f} to {highest:.1f}")


if __name__ == "__main__":
    main()
