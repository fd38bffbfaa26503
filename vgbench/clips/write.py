"""Write clips to disk: one file (or folder of frames) per clip, each written atomically.

`mkv`, `webp`, `frames`, `strip` and `npz` are lossless, and `open_source` reads back exactly the same pixels.
`mp4` and `gif` are for viewing only: chroma subsampling and quantisation, or 256 colours per frame, change
every score. All formats keep the number of frames, even where consecutive frames are identical, and name the
checksums of the pixels, which are checked when the clip is read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Frames
from vgbench.clips.pixel_checksums import PixelChecksums, of_planes
from vgbench.errors import VgbenchError
from vgbench.named import lookup
from vgbench.storage.atomic import replacing

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream
    from PIL.Image import Image

Format = Literal["mp4", "mkv", "gif", "webp", "frames", "strip", "npz"]


def write_clips(
    clips: Iterable[Frames],
    folder: str | Path,
    format: Format = "mkv",  # noqa: A002 - the usual word
    *,
    fps: float = 8,
    names: Iterable[str] | None = None,
    labels: Iterable[str | None] | None = None,
) -> list[Path]:
    """Write clips one by one; only the current one is in memory.

    Args:
        clips: each uint8 [T, H, W, 3].
        folder: created if missing. A file of the same name is replaced; other files are kept.
        format: "mkv" (FFV1, lossless), "mp4" (H.264, lossy), "gif" (256 colours per frame), "webp"
            (lossless), "frames" (a folder of PNG files per clip), "strip" (square frames side by side in one
            PNG, as in MoCoGAN's training data), "npz" (array `clips`, [T, H, W, 3]; `comment` has checksums).
        fps: frames per second for players; GIF rounds the duration of a frame to 10 ms, WebP to 1 ms.
        names: file names without suffix; 00000, 00001, … if not given.
        labels: class of each clip, which becomes the name of its sub-folder.

    Returns:
        The paths written, in order.

    Raises:
        VgbenchError: an item is not a clip, a name or label is unsafe, the format cannot hold the clip, or
            there are fewer names or labels than clips.
        OSError: the folder cannot be written to.
    """
    write = lookup("format", format, WRITERS)
    if not fps > 0:
        raise VgbenchError(f"fps = {fps}", "must be positive")
    next_name = iter(names) if names is not None else None
    next_label = iter(labels) if labels is not None else None
    paths = []
    for position, frames in enumerate(clips):
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
            raise VgbenchError(f"clip {position}: {frames.dtype} {frames.shape} is not uint8 [T,H,W,3]")
        try:
            name = next(next_name) if next_name is not None else f"{position:05d}"
            label = next(next_label) if next_label is not None else None
        except StopIteration:
            raise VgbenchError(f"there are more clips than the {position} names or labels") from None
        path = Path(folder) / _inside(label or "") / _inside(name + SUFFIXES[format])
        with replacing(path) as temporary:
            write(np.ascontiguousarray(frames), temporary, fps)
        paths.append(path)
    return paths


def _inside(name: str) -> Path:
    """Refuse names that would leave the folder, because they may come from an untrusted archive."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise VgbenchError(f"'{name}' cannot be a file name here", "use names without '..' and leading '/'")
    return path


def _write_mp4(frames: Frames, path: Path, fps: float) -> None:
    # yuv420p, which every browser plays, needs even sides.
    even = frames.shape[1] % 2 == frames.shape[2] % 2 == 0
    # Macroblock trees are off because x264 then reads uninitialised memory on small frames, so that equal
    # clips would give unequal bytes (seen with 32×32 pixels in PyAV 18.1).
    options = {"crf": "12", "x264-params": "mbtree=0"}
    _encode(frames, path, fps, "libx264", "yuv420p" if even else "yuv444p", options)


def _write_mkv(frames: Frames, path: Path, fps: float) -> None:
    # Version 3 has checksums, but FFmpeg refuses it for frames that are one pixel wide.
    options = {"level": "3", "slicecrc": "1"} if frames.shape[2] > 1 else {"level": "1"}
    _encode(frames, path, fps, "ffv1", "bgr0", options)


def _encode(
    frames: Frames, path: Path, fps: float, codec: str, pixel_format: str, options: dict[str, str]
) -> None:
    import av

    # Bit-exact: no encoder version or random id in the file, so equal clips give equal bytes.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast("VideoStream", container.add_stream(codec, rate=rate, options=options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        packets = [
            packet
            for pixels in (*frames, None)
            for packet in stream.encode(
                None if pixels is None else av.VideoFrame.from_ndarray(pixels, format="rgb24")
            )
        ]
        checksums = _of_lossy(packets, stream) if codec == "libx264" else PixelChecksums.of(codec, frames)
        container.metadata["comment"] = checksums.text()
        container.mux(packets)


def _of_lossy(packets: Sequence[Packet[VideoStream]], stream: VideoStream) -> PixelChecksums:
    """Decode a lossy video to compute the checksums of what every decoder finds in it."""
    from av import CodecContext
    from av.video.codeccontext import VideoCodecContext

    decoder = CodecContext.create(stream.codec_context.codec.canonical_name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata, decoder.thread_count = stream.codec_context.extradata, 1
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    values = [value for frame in frames if (value := of_planes(frame)) is not None]
    return PixelChecksums("h264", (stream.width, stream.height), tuple(values))


def _write_gif(frames: Frames, path: Path, fps: float) -> None:
    """Write frame by frame, because Pillow's `save_all` merges identical frames."""
    from PIL.GifImagePlugin import getdata

    height, width = frames.shape[1:3]
    if max(height, width) > 65535:
        raise VgbenchError(f"frames of {width}×{height} do not fit into a GIF", "choose another format")
    milliseconds = max(20, round(100 / fps) * 10)  # players slow shorter ones down to 100 ms
    images = [_with_palette(pixels) for pixels in frames]
    shown = (np.asarray(image.convert("RGB")) for image in images)
    comment = PixelChecksums.of("gif", shown).text().encode()
    parts = [comment[at : at + 255] for at in range(0, len(comment), 255)]
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    with path.open("wb") as file:
        file.write(b"GIF89a" + size + b"\0\0\0" + b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # loops forever
        file.write(b"\x21\xfe" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0")
        for image in images:
            file.writelines(getdata(image, duration=milliseconds, disposal=1, include_color_table=True))
        file.write(b";")


def _with_palette(pixels: npt.NDArray[np.uint8]) -> Image:
    """Convert a frame to a palette: exactly where 256 colours suffice, else by median cut."""
    import PIL.Image

    codes = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    colours, index = np.unique(codes, return_inverse=True)
    if len(colours) > 256:
        return PIL.Image.fromarray(pixels).quantize(256)
    image = PIL.Image.fromarray(index.reshape(codes.shape).astype(np.uint8)).convert("P")
    palette = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=-1)
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def _write_webp(frames: Frames, path: Path, fps: float) -> None:
    """Write losslessly and frame by frame (RFC 9649), because libwebp merges identical frames."""
    import PIL.ExifTags
    import PIL.Image

    height, width = frames.shape[1:3]
    if max(height, width) > 16383:
        raise VgbenchError(f"frames of {width}×{height} do not fit into a WebP", "choose another format")
    milliseconds = max(1, round(1000 / fps))
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = [_chunk(b"VP8X", b"\x0a\0\0\0" + size), _chunk(b"ANIM", b"\0\0\0\xff" + b"\0\0")]
    for pixels in frames:
        head = b"\0" * 6 + size + milliseconds.to_bytes(3, "little") + b"\x02"  # replaces, does not blend
        chunks.append(_chunk(b"ANMF", head + _vp8l(pixels)))
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.ImageDescription] = PixelChecksums.of("webp", frames).text()
    chunks.append(_chunk(b"EXIF", exif.tobytes()))
    body = b"WEBP" + b"".join(chunks)
    path.write_bytes(b"RIFF" + len(body).to_bytes(4, "little") + body)


def _vp8l(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode one frame as a VP8L chunk, taken from a WebP file with a single image."""
    import PIL.Image

    single = io.BytesIO()
    PIL.Image.fromarray(pixels).save(single, "WEBP", lossless=True, quality=60)
    return single.getvalue()[12:]


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)


def _write_frames(frames: Frames, path: Path, fps: float) -> None:  # noqa: ARG001 - images have no rate
    path.mkdir()
    for position, pixels in enumerate(frames):
        _save_png(pixels, path / f"{position:05d}.png", PixelChecksums.of("png", [pixels]))


def _write_strip(frames: Frames, path: Path, fps: float) -> None:  # noqa: ARG001
    count, height, width = frames.shape[:3]
    if height != width:
        raise VgbenchError(
            f"frames of {width}×{height} are not square", "a strip needs square frames; choose another format"
        )
    strip = frames.swapaxes(0, 1).reshape(height, count * width, 3)
    _save_png(strip, path, PixelChecksums.of("strip", frames))


def _save_png(pixels: npt.NDArray[np.uint8], path: Path, checksums: PixelChecksums) -> None:
    import PIL.Image
    from PIL.PngImagePlugin import PngInfo

    comment = PngInfo()
    comment.add_text("Comment", checksums.text())
    PIL.Image.fromarray(pixels).save(path, pnginfo=comment)


def _write_npz(frames: Frames, path: Path, fps: float) -> None:  # noqa: ARG001
    np.savez_compressed(path, clips=frames, comment=np.array(PixelChecksums.of("npz", frames).text()))


WRITERS: dict[str, Callable[[Frames, Path, float], None]] = {
    "mp4": _write_mp4,
    "mkv": _write_mkv,
    "gif": _write_gif,
    "webp": _write_webp,
    "frames": _write_frames,
    "strip": _write_strip,
    "npz": _write_npz,
}
SUFFIXES = {name: f".{name}" for name in WRITERS} | {"frames": "", "strip": ".png"}
assert set(WRITERS) == set(get_args(Format))


def animated_thumbnail(frames: Frames, size: int = 96, fps: float = 8) -> bytes:
    """Make a small, lossy WebP animation for web pages that loops forever.

    Args:
        frames: uint8 [T, H, W, 3].
        size: longer side in pixels; smaller clips keep their size.
        fps: frames per second.

    Returns:
        The bytes of an animated WebP file.
    """
    import PIL.Image

    images = []
    for pixels in frames:
        image = PIL.Image.fromarray(np.ascontiguousarray(pixels))
        image.thumbnail((size, size))
        images.append(image)
    data = io.BytesIO()
    duration = max(20, round(1000 / fps))
    images[0].save(
        data, "WEBP", save_all=True, append_images=images[1:], duration=duration, loop=0, quality=60, method=4
    )
    return data.getvalue()
