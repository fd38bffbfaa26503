"""Every kind of clip that real folders hold besides good ones, each with what must become of it.

`DIFFICULT` maps a file name to (how to write it, outcome): `SCORED`, or the reason for which it is skipped.
All are small on disk, also the long and the large ones, whose images are of one colour.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import PIL.Image
from encoded_clips import encode, rolling_noise

SCORED = ""
NOISE = rolling_noise(16, 32, 32)
FLOATS = NOISE[None].astype(np.float32) / 255

Write = Callable[[Path], object]


def video(codec: str, pixel_format: str, frames: np.ndarray = NOISE, **options) -> Write:
    return lambda path: encode(path, codec, pixel_format, frames, **options)


def flat(count: int, height: int, width: int) -> np.ndarray:
    """`count` frames of one colour that share their memory."""
    return np.broadcast_to(np.full(3, 90, np.uint8), (count, height, width, 3))


def grey_video(count: int, height: int, width: int) -> Write:
    """Large frames, encoded without conversion to RGB."""

    def write(path: Path) -> None:
        frame = av.VideoFrame(width, height, "yuvj420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuvj420p"
            for position in range(count):
                frame.pts, frame.time_base = position, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return write


def bytes_of(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


def folder_of(data: bytes) -> Write:
    def write(path: Path) -> None:
        path.mkdir()
        (path / "0.png").write_bytes(data)

    return write


def truncated(path: Path) -> None:
    encode(path, "libx264", "yuv420p", NOISE)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def renamed(path: Path) -> None:
    encode(path.with_suffix(".mkv"), "ffv1", "bgr0", NOISE).rename(path)


def sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def turned(path: Path) -> None:
    """Filmed with a telephone held upright: the display matrix turns it by 90°."""
    encode(path, "libx264", "yuv420p", rolling_noise(16, 32, 48))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for offset, value in ((0, 0), (4, 0x10000), (12, -0x10000), (16, 0)):
        data[at + offset : at + offset + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))


def with_transfer_curve(number: int) -> Write:
    """10-bit video whose header names a transfer curve of ITU-T H.273."""

    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
            stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p10le"
            stream.codec_context.color_trc, stream.codec_context.color_primaries = number, 9
            for position, pixels in enumerate(NOISE):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p10le")
                frame.pts, frame.time_base, frame.color_trc = position, Fraction(1, 25), number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return write


def frame_folder(*sizes: int) -> Write:
    def write(path: Path) -> None:
        path.mkdir()
        for position, size in enumerate(sizes):
            PIL.Image.fromarray(NOISE[position % 16, :size, :size]).save(path / f"{position}.png")

    return write


def strip_of_frames(width: int, height: int) -> Write:
    return lambda path: PIL.Image.new("RGB", (width, height)).save(path)


def array(values: np.ndarray) -> Write:
    def write(path: Path) -> None:
        np.save(path, values)

    return write


def changed(value: float) -> np.ndarray:
    floats = FLOATS.copy()
    floats[0, 3, 5, 7, 1] = value
    return floats


DIFFICULT: dict[str, tuple[Write, str]] = {
    # broken
    "truncated.mp4": (truncated, "cut off"),
    "zero-bytes.mp4": (bytes_of(b""), "zero bytes"),
    "zero-byte-frames": (folder_of(b""), "zero bytes"),
    "text.mp4": (bytes_of(b"hello " * 99), "Invalid data"),
    "frames-of-text": (folder_of(b"hello " * 99), "not an image"),
    "text.npz": (bytes_of(b"hello " * 99), "not a readable archive"),
    "text.zip": (bytes_of(b"hello " * 99), "not a readable archive"),
    "link-to-nothing.mp4": (lambda path: path.symlink_to("/nowhere"), "broken link"),
    "loop-of-links.mp4": (lambda path: path.symlink_to(path.name), "levels of symbolic links"),
    "pipe.mp4": (lambda path: os.mkfifo(path), "not a plain file"),
    # not what the name says
    "matroska.avi": (renamed, SCORED),
    "sound.mp4": (sound, "no video stream"),
    # odd lengths
    "one-frame.mp4": (video("libx264", "yuv420p", NOISE[:1]), "has 1 frames, 4 are needed"),
    "10000-frames.mp4": (video("libx264", "yuv420p", flat(10_000, 16, 16), preset="ultrafast"), SCORED),
    "variable-rate.mp4": (video("libx264", "yuv420p", times=np.arange(16) ** 2), SCORED),
    # odd sizes
    "one-pixel.mkv": (video("ffv1", "bgr0", flat(16, 1, 1), level="1"), SCORED),
    "odd-size.mp4": (video("libx264", "yuv444p", rolling_noise(16, 31, 45)), SCORED),
    "8k.mkv": (grey_video(4, 4320, 7680), SCORED),
    "16k.mkv": (grey_video(1, 4400, 15360), r"exceed the limit of 67108864 pixels"),
    "frames-of-two-sizes": (frame_folder(*[32, 16] * 8), "differs in size|frame size changes"),
    # odd pixels
    "10-bit.mp4": (video("libx264", "yuv420p10le"), SCORED),
    "12-bit.mkv": (video("ffv1", "yuv444p12le"), SCORED),
    "16-bit-grey.mkv": (video("ffv1", "gray16le"), SCORED),
    "hdr-pq.mp4": (with_transfer_curve(16), r"HDR \(PQ"),
    "hdr-hlg.mp4": (with_transfer_curve(18), r"HDR \(HLG"),
    "wide-gamut-sdr.mp4": (with_transfer_curve(14), SCORED),
    "alpha.mkv": (video("ffv1", "bgra", np.full((16, 8, 8, 4), 99, np.uint8), source_format="rgba"), SCORED),
    "rotated.mp4": (turned, SCORED),
    "interlaced.mp4": (video("libx264", "yuv420p", flags="+ildct+ilme"), SCORED),
    # arrays
    "uint8.npy": (array(NOISE), SCORED),
    "floats-0-1.npy": (array(FLOATS), "float32 values need value_range"),
    "floats-minus-1-1.npy": (array(2 * FLOATS - 1), "float32 values need value_range"),
    "floats-0-255.npy": (array(255 * FLOATS), "float32 values need value_range"),
    "int64.npy": (array(NOISE[None].astype(np.int64)), "int64 values have no standard range"),
    "objects.npy": (array(np.array([{}], dtype=object)), "Python objects, which are never unpickled"),
    # names
    "ä ж 動 🎬.mp4": (video("libx264", "yuv420p"), SCORED),
    f"{'long' * 60}.mp4": (video("libx264", "yuv420p"), SCORED),
    "$(touch hacked) `x` ; rm -rf '\"\\.mp4": (video("libx264", "yuv420p"), SCORED),
    "<script>alert(1)<|script>.mp4": (video("libx264", "yuv420p"), SCORED),
    "line\nbreak\t\x1b[31mred.mp4": (video("libx264", "yuv420p"), SCORED),
    "-rf.mp4": (video("libx264", "yuv420p"), SCORED),
    os.fsdecode(b"not-utf-8-\xff\xfe.mp4"): (video("libx264", "yuv420p"), SCORED),
}


def write_all(folder: Path) -> None:
    """Write every one into `folder`."""
    for name, (write, _) in DIFFICULT.items():
        write(folder / name)
