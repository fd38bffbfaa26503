"""Images, animations and arrays of odd kinds, each with the frames that are right.

The files are made by hand where a format leaves a choice that writers seldom take, and by Pillow otherwise.
What is right follows from the pixels that went in, composed by `composed`; the frames of lossy files are
those of OpenCV, or of the ffmpeg program.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
from odd_files_videos import Case

Frames = npt.NDArray[np.uint8]
HEIGHT, WIDTH, COUNT = 20, 28, 5


def cases() -> Iterator[Case]:
    """All cases."""
    yield from png_cases()
    yield from jpeg_cases()
    yield from gif_cases()
    yield from apng_cases()
    yield from webp_cases()
    yield from other_images()
    yield from strips()
    yield from arrays()


def pictures(top: int = 255, channels: int = 3) -> npt.NDArray[np.int64]:
    """Whole numbers from 0 to `top`, [COUNT, HEIGHT, WIDTH, channels]."""
    return np.random.default_rng(top + channels).integers(0, top + 1, (COUNT, HEIGHT, WIDTH, channels))


def to_bytes(values: npt.NDArray[np.int64], top: int) -> Frames:
    """Map 0 … `top` to 0 … 255, rounded to the nearest."""
    return ((values * 255 * 2 + top) // (2 * top)).astype(np.uint8)


def rgb(values: Frames) -> Frames:
    """Grey to RGB."""
    return np.repeat(values, 3, -1) if values.shape[-1] == 1 else values


def over_black(values: Frames, alpha: Frames) -> Frames:
    """Composite over black."""
    product = values.astype(np.int64) * alpha
    return ((product * 2 + 255) // 510).astype(np.uint8)


# PNG (ISO/IEC 15948), written by hand

PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of Adam7: first column, first row, distance of columns, distance of rows."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(values: npt.NDArray[np.int64], bits: int, filter_: int) -> bytes:
    """Filter and pack the lines of samples [H, W, C]."""
    lines = b""
    step = max(values.shape[2] * bits // 8, 1)
    above = None
    for line in values.reshape(len(values), -1):
        if bits == 16:
            raw = line.astype(">u2").tobytes()
        elif bits == 8:
            raw = line.astype(np.uint8).tobytes()
        else:
            digits = (line[:, None] >> np.arange(bits - 1, -1, -1)) & 1
            raw = np.packbits(digits.astype(np.uint8).ravel()).tobytes()
        current = np.frombuffer(raw, np.uint8).astype(np.int64)
        up = np.zeros_like(current) if above is None else above
        left = np.concatenate([np.zeros(step, np.int64), current[:-step]])[: len(current)]
        corner = np.concatenate([np.zeros(step, np.int64), up[:-step]])[: len(current)]
        guess = left + up - corner
        nearest = np.where(
            (abs(guess - left) <= abs(guess - up)) & (abs(guess - left) <= abs(guess - corner)),
            left,
            np.where(abs(guess - up) <= abs(guess - corner), up, corner),
        )
        predicted = (0, left, up, (left + up) // 2, nearest)[filter_]
        lines += bytes([filter_]) + ((current - predicted) & 255).astype(np.uint8).tobytes()
        above = current
    return lines


def png(
    values: npt.NDArray[np.int64],
    bits: int,
    colour: int,
    *,
    interlaced: bool = False,
    filter_: int = 0,
    before: bytes = b"",
    piece: int = 1 << 30,
) -> bytes:
    """Return a PNG of samples [H, W, C]; `before` is put in front of the data, in pieces of `piece` bytes."""
    height, width = values.shape[:2]
    data = b""
    for x, y, dx, dy in PASSES if interlaced else ((0, 0, 1, 1),):
        part = values[y::dy, x::dx]
        if part.size:
            data += packed(part, bits, filter_)
    data = zlib.compress(data)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    parts = b"".join(chunk(b"IDAT", data[at : at + piece]) for at in range(0, len(data), piece))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + parts + chunk(b"IEND", b"")


def folder_of(name: str, suffix: str, files: Sequence[bytes], right: Frames) -> Case:
    """A folder of frames whose bytes and pixels are known."""

    def write(path: Path) -> None:
        path.mkdir()
        for position, data in enumerate(files):
            (path / f"{position:03d}.{suffix}").write_bytes(data)

    return Case(name, write, lambda path: right)  # noqa: ARG005 - it is known beforehand


GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def png_cases() -> Iterator[Case]:
    kinds = [(GREY, bits) for bits in (1, 2, 4, 8, 16)] + [(PALETTE, bits) for bits in (1, 2, 4, 8)]
    kinds += [(colour, bits) for colour in (RGB, GREY_ALPHA, RGBA) for bits in (8, 16)]
    names = {GREY: "grey", RGB: "RGB", PALETTE: "palette", GREY_ALPHA: "grey alpha", RGBA: "RGBA"}
    channels = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
    for (colour, bits), interlaced in itertools.product(kinds, (False, True)):
        top = 2**bits - 1
        values = pictures(top, channels[colour])
        before = b""
        if colour == PALETTE:
            table = np.random.default_rng(bits).integers(0, 256, (top + 1, 3), dtype=np.uint8)
            before, right = chunk(b"PLTE", table.tobytes()), table[values[..., 0]]
        elif colour in (GREY_ALPHA, RGBA):
            right = over_black(rgb(to_bytes(values[..., :-1], top)), to_bytes(values[..., -1:], top))
        else:
            right = rgb(to_bytes(values, top))
        files = [png(one, bits, colour, interlaced=interlaced, before=before) for one in values]
        yield folder_of(f"PNG {names[colour]} {bits} bit{' Adam7' * interlaced}", "png", files, right)
    eight = pictures(255)
    for filter_ in range(1, 5):
        files = [png(one, 8, RGB, filter_=filter_) for one in eight]
        yield folder_of(f"PNG filter {filter_}", "png", files, eight.astype(np.uint8))
    extras = {
        "gamma": chunk(b"gAMA", struct.pack(">I", 100000)),
        "sRGB": chunk(b"sRGB", b"\0"),
        "pixel aspect": chunk(b"pHYs", struct.pack(">IIB", 1, 2, 0)),
        "background": chunk(b"bKGD", struct.pack(">HHH", 9, 9, 9)),
        "text": chunk(b"tEXt", b"Comment\0hello"),
        "unknown chunk": chunk(b"abCd", b"?"),
    }
    for name, before in extras.items():
        files = [png(one, 8, RGB, before=before) for one in eight]
        yield folder_of(f"PNG {name}", "png", files, eight.astype(np.uint8))
    files = [png(one, 8, RGB, piece=7) for one in eight]
    yield folder_of("PNG small pieces", "png", files, eight.astype(np.uint8))
    for colour, bits in ((GREY, 1), (GREY, 8), (GREY, 16), (RGB, 8), (RGB, 16)):
        top = 2**bits - 1
        values = pictures(top, channels[colour])
        hidden = values[:, 3:4, 4:5]  # the colour of one pixel of each frame is transparent
        files = [
            png(one, bits, colour, before=chunk(b"tRNS", which.astype(">u2").tobytes()))
            for one, which in zip(values, hidden, strict=True)
        ]
        seen = ~(values == hidden).all(-1, keepdims=True)
        right = rgb(to_bytes(values, top)) * seen.astype(np.uint8)
        yield folder_of(f"PNG transparent colour {names[colour]} {bits} bit", "png", files, right)
    table = np.random.default_rng(0).integers(0, 256, (256, 4), dtype=np.uint8)
    values = pictures(255, 1)
    before = chunk(b"PLTE", table[:, :3].tobytes()) + chunk(b"tRNS", table[:, 3].tobytes())
    right = over_black(table[values[..., 0], :3], table[values[..., 0], 3:])
    files = [png(one, 8, PALETTE, before=before) for one in values]
    yield folder_of("PNG palette with alpha", "png", files, right)


# JPEG


def smooth() -> Frames:
    """Frames of 40 × 56 pixels that JPEG keeps well, uint8 [COUNT, 40, 56, 3]."""
    coarse = np.random.default_rng(5).integers(0, 256, (COUNT, 5, 7, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (56, 40), interpolation=cv2.INTER_CUBIC) for one in coarse])


def saved(pixels: Frames, format_: str, mode: str = "RGB", **options: Any) -> bytes:
    data = io.BytesIO()
    PIL.Image.fromarray(pixels).convert(mode).save(data, format_, **options)
    return data.getvalue()


def by_opencv(path: Path) -> Frames:
    """Decode a folder of images: upright, RGB."""
    images = [cv2.imread(str(file), cv2.IMREAD_COLOR) for file in sorted(path.iterdir())]
    return np.stack([image[..., ::-1] for image in images if image is not None])


def jpeg_cases() -> Iterator[Case]:
    frames = smooth()

    def case(name: str, files: list[bytes]) -> Case:
        made = folder_of(f"JPEG {name}", "jpg", files, frames)
        return Case(made.name, made.write, by_opencv)

    for sampling, progressive in itertools.product(("4:4:4", "4:2:2", "4:2:0"), (False, True)):
        options = {"subsampling": sampling, "progressive": progressive, "quality": 90}
        name = f"{sampling}{' progressive' * progressive}"
        yield case(name, [saved(one, "JPEG", **options) for one in frames])
    for name, options in {
        "quality 20": {"quality": 20},
        "quality 100": {"quality": 100},
        "optimised": {"optimize": True},
        "restart markers": {"restart_marker_blocks": 3},
        "comment": {"comment": b"hello"},
        "resolution": {"dpi": (72, 144)},
        "keep RGB": {"keep_rgb": True},
    }.items():
        yield case(name, [saved(one, "JPEG", **options) for one in frames])
    for progressive in (False, True):
        files = [saved(one, "JPEG", "L", progressive=progressive) for one in frames]
        yield case(f"grey{' progressive' * progressive}", files)
    yield case("CMYK", [saved(one, "JPEG", "CMYK") for one in frames])
    yield case("odd size", [saved(one[:37, :53], "JPEG") for one in frames])
    for orientation in range(1, 9):
        exif = PIL.Image.Exif()
        exif[0x0112] = orientation
        yield case(f"EXIF {orientation}", [saved(one, "JPEG", exif=exif.tobytes()) for one in frames])


# Animations


@dataclass(frozen=True)
class Part:
    """One frame of an animation as it is stored: pixels with alpha, its place, and how it is composed."""

    pixels: Frames
    x: int
    y: int
    disposal: str
    blends: bool


def composed(parts: Sequence[Part]) -> Frames:
    """Draw the frames of an animation one after the other, over black; alpha is 0 or 255."""
    canvas = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    shown = []
    for part in parts:
        before = canvas.copy()
        height, width = part.pixels.shape[:2]
        area = (slice(part.y, part.y + height), slice(part.x, part.x + width))
        drawn = (part.pixels[..., 3] > 0) if part.blends else np.ones((height, width), bool)
        canvas[area][drawn] = part.pixels[drawn]
        shown.append(canvas[..., :3] * (canvas[..., 3:] > 0))
        if part.disposal == "background":
            canvas[area] = 0
        elif part.disposal == "previous":
            canvas = before
    return np.stack(shown)


def parts(disposal: str, *, blends: bool, partial: bool, transparent: bool, colours: int = 256) -> list[Part]:
    """Frames of an animation; the first one fills the canvas."""
    random = np.random.default_rng(7)
    found = []
    for position in range(COUNT):
        whole = position == 0 or not partial
        height, width, x, y = (HEIGHT, WIDTH, 0, 0) if whole else (8, 10, 2 + 2 * position, 2 * position)
        pixels = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
        pixels[..., :3] //= 256 // min(colours, 256) if colours < 256 else 1
        pixels[..., 3] = 255
        if transparent:
            pixels[random.random((height, width)) < 0.3] = 0
        found.append(Part(pixels, x, y, disposal, blends))
    return found


def variants(disposals: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for disposal, partial, transparent in itertools.product(disposals, (False, True), (False, True)):
        name = f"{disposal}{' partial' * partial}{' transparent' * transparent}"
        yield name, {"disposal": disposal, "partial": partial, "transparent": transparent}


def file_of(name: str, suffix: str, data: bytes, right: Frames) -> Case:
    return Case(name, lambda path: _write(path, data), lambda path: right, suffix)  # noqa: ARG005


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


GIF_DISPOSALS = {"unspecified": 0, "keep": 1, "background": 2, "previous": 3}


def gif(
    frames: Sequence[Part],
    *,
    local: bool = True,
    delay: Sequence[int] = (10,),
    loops: int | None = 0,
    interlaced: bool = False,
) -> tuple[bytes, Frames]:
    """Return a GIF (GIF89a) and its frames; their colours are the corners of the cube, or transparent."""
    cube = np.array([[255 * (k >> c & 1) for c in range(3)] for k in range(8)], np.uint8)
    table = np.concatenate([cube, np.zeros((8, 3), np.uint8)])
    flags = 0 if local else 0x80 | 3
    data = b"GIF89a" + struct.pack("<HHBBB", WIDTH, HEIGHT, flags, 0, 0) + (b"" if local else table.tobytes())
    if loops is not None:
        data += b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loops) + b"\0"
    seen = []
    for position, part in enumerate(frames):
        height, width = part.pixels.shape[:2]
        index = (part.pixels[..., :3] > 127) @ np.array([1, 2, 4])
        index = np.where(part.pixels[..., 3] > 0, index, 15)
        seen.append(
            Part(np.dstack([table[index], part.pixels[..., 3]]), part.x, part.y, part.disposal, blends=True)
        )
        control = GIF_DISPOSALS[part.disposal] << 2 | 1
        data += b"\x21\xf9\x04" + struct.pack("<BHBB", control, delay[position % len(delay)], 15, 0)
        flags = (0x80 | 3 if local else 0) | (0x40 if interlaced else 0)
        data += b"\x2c" + struct.pack("<HHHHB", part.x, part.y, width, height, flags)
        data += table.tobytes() if local else b""
        if interlaced:
            index = np.concatenate([index[0::8], index[4::8], index[2::4], index[1::2]])
        data += b"\x04" + blocks(lzw(index.ravel().tolist()))
    return data + b";", composed(seen)


def lzw(values: Sequence[int]) -> bytes:
    """Code 4-bit values by LZW without ever using its table: with a clear code before every 14 values."""
    bits: list[int] = []
    for at, value in enumerate(values):
        codes = [16, value] if at % 14 == 0 else [value]
        for code in codes:
            bits += [code >> place & 1 for place in range(5)]
    bits += [17 >> place & 1 for place in range(5)]
    return np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()


def blocks(data: bytes) -> bytes:
    pieces = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def gif_cases() -> Iterator[Case]:
    for (name, options), local in itertools.product(variants(list(GIF_DISPOSALS)), (True, False)):
        data, right = gif(parts(blends=True, **options), local=local)
        yield file_of(f"GIF {name}{'' if local else ' global colours'}", ".gif", data, right)
    kept = parts("keep", blends=True, partial=True, transparent=True)
    for name, options in {
        "interlaced": {"interlaced": True},
        "no delay": {"delay": (0,)},
        "uneven delays": {"delay": (2, 100, 7)},
        "very long delay": {"delay": (65535,)},
        "no loop": {"loops": None},
        "three loops": {"loops": 3},
    }.items():
        data, right = gif(kept, **options)
        yield file_of(f"GIF {name}", ".gif", data, right)


APNG_DISPOSALS = {"keep": 0, "background": 1, "previous": 2}


def apng(
    frames: Sequence[Part], *, hidden: bool = False, delay: tuple[int, int] = (1, 10), bits: int = 8
) -> bytes:
    """Return an APNG of RGBA frames; `hidden` puts a default image before them that is not a frame."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, RGBA, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"acTL", struct.pack(">II", len(frames), 0))
    if hidden:
        data += chunk(b"IDAT", zlib.compress(packed(np.full((HEIGHT, WIDTH, 4), 99), bits, 0)))
    number = 0
    for position, part in enumerate(frames):
        height, width = part.pixels.shape[:2]
        how = (APNG_DISPOSALS[part.disposal], int(part.blends))
        control = struct.pack(">IIIIIHHBB", number, width, height, part.x, part.y, *delay, *how)
        data += chunk(b"fcTL", control)
        number += 1
        values = part.pixels.astype(np.int64) * (257 if bits == 16 else 1)
        pixels = zlib.compress(packed(values, bits, 0))
        if position == 0 and not hidden:
            data += chunk(b"IDAT", pixels)
            continue
        data += chunk(b"fdAT", struct.pack(">I", number) + pixels)
        number += 1
    return data + chunk(b"IEND", b"")


def apng_cases() -> Iterator[Case]:
    for (name, options), blends in itertools.product(variants(list(APNG_DISPOSALS)), (False, True)):
        made = parts(blends=blends, **options)
        yield file_of(f"APNG {name}{' blended' * blends}", ".png", apng(made), composed(made))
    made = parts("keep", blends=True, partial=True, transparent=True)
    yield file_of("APNG hidden default image", ".png", apng(made, hidden=True), composed(made))
    yield file_of("APNG no delay", ".png", apng(made, delay=(0, 0)), composed(made))
    yield file_of("APNG .apng", ".apng", apng(made), composed(made))
    yield file_of("APNG 16 bit", ".png", apng(made, bits=16), composed(made))


def webp(frames: Sequence[Part], *, delays: Sequence[int] = (100,), background: bytes = bytes(4)) -> bytes:
    """Return an animated, lossless WebP (RFC 9649)."""

    def riff(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    def three(value: int) -> bytes:
        return value.to_bytes(3, "little")

    body = riff(b"VP8X", b"\x12\0\0\0" + three(WIDTH - 1) + three(HEIGHT - 1))
    body += riff(b"ANIM", background + b"\0\0")
    for position, part in enumerate(frames):
        height, width = part.pixels.shape[:2]
        head = three(part.x // 2) + three(part.y // 2) + three(width - 1) + three(height - 1)
        how = (part.disposal == "background") | (not part.blends) << 1
        head += three(delays[position % len(delays)]) + bytes([how])
        single = io.BytesIO()
        PIL.Image.fromarray(part.pixels).save(single, "WEBP", lossless=True, exact=True)
        coded = single.getvalue()[12:]
        if coded.startswith(b"VP8X"):
            coded = coded[8 + 10 :]
        body += riff(b"ANMF", head + coded)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def webp_cases() -> Iterator[Case]:
    for (name, options), blends in itertools.product(variants(("keep", "background")), (False, True)):
        made = parts(blends=blends, **options)
        yield file_of(f"WebP {name}{' blended' * blends}", ".webp", webp(made), composed(made))
    made = parts("keep", blends=True, partial=True, transparent=True)
    yield file_of("WebP uneven delays", ".webp", webp(made, delays=(20, 1000)), composed(made))
    yield file_of("WebP red background", ".webp", webp(made, background=b"\0\0\xff\xff"), composed(made))
    frames = pictures(255).astype(np.uint8)
    files = [saved(one, "WEBP", lossless=True) for one in frames]
    yield folder_of("WebP frames", "webp", files, frames)
    coloured = pictures(255, 4).astype(np.uint8)
    files = [saved(one, "WEBP", "RGBA", lossless=True, exact=True) for one in coloured]
    yield folder_of("WebP frames with alpha", "webp", files, over_black(coloured[..., :3], coloured[..., 3:]))
    lossy = folder_of("WebP lossy", "webp", [saved(one, "WEBP", quality=80) for one in smooth()], smooth())
    yield Case(lossy.name, lossy.write, by_opencv)


# TIFF, BMP and the formats of Netpbm


def other_images() -> Iterator[Case]:
    colours = pictures(255, 4).astype(np.uint8)
    grey, plain = colours[..., :1], colours[..., :3]
    table = np.arange(768) * 7 % 256
    bilevel = np.where(grey > 127, 255, 0).astype(np.uint8)
    right = {
        "1": rgb(bilevel),
        "L": rgb(grey),
        "P": table.reshape(256, 3)[grey[..., 0]].astype(np.uint8),
        "RGB": plain,
        "RGBA": over_black(plain, colours[..., 3:]),
        "I;16": rgb(to_bytes(grey.astype(np.int64) * 250, 65535)),
        "CMYK": None,
    }

    def image(mode: str, position: int) -> PIL.Image.Image:
        if mode == "1":
            return PIL.Image.fromarray(bilevel[position, ..., 0]).convert("1")
        if mode == "I;16":
            return PIL.Image.fromarray((grey[position, ..., 0].astype(np.int64) * 250).astype(np.uint16))
        if mode in ("L", "P"):
            made = PIL.Image.fromarray(grey[position, ..., 0])
            if mode == "P":
                made = made.convert("P")
                made.putpalette(table.astype(np.uint8).tobytes())
            return made
        return PIL.Image.fromarray(colours[position] if mode == "RGBA" else plain[position])

    def case(kind: str, suffix: str, mode: str, **options: Any) -> Case:
        files = []
        for position in range(COUNT):
            data = io.BytesIO()
            image(mode, position).save(data, kind, **options)
            files.append(data.getvalue())
        name = f"{kind} {mode} {' '.join(map(str, options.values()))}".strip()
        return folder_of(name, suffix, files, right[mode])

    compressions = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
    for mode, compression in itertools.product(("1", "L", "P", "RGB", "RGBA", "I;16"), compressions):
        yield case("TIFF", "tif", mode, compression=compression)
    yield case("TIFF", "tiff", "RGB", compression="tiff_lzw", big_tiff=True)
    yield case("TIFF", "tiff", "RGB", strip_size=WIDTH * 3 * 4)
    for mode in ("1", "L", "P", "RGB"):
        yield case("BMP", "bmp", mode)
    down = struct.pack("<IiiHHIIiiII", 40, WIDTH, -HEIGHT, 1, 24, 0, 0, 0, 0, 0, 0)
    start = b"BM" + struct.pack("<IHHI", 54 + plain[0].size, 0, 0, 54)
    files = [start + down + one[..., ::-1].tobytes() for one in plain]  # 28 × 3 bytes need no padding
    yield folder_of("BMP top down", "bmp", files, plain)
    netpbm = {
        "PPM binary": ("ppm", [b"P6\n28 20\n255\n" + one.tobytes() for one in plain], plain),
        "PPM text": ("ppm", [b"P3\n28 20\n255\n" + text(one) for one in plain], plain),
        "PGM binary": ("pgm", [b"P5\n28 20\n255\n" + one.tobytes() for one in grey], rgb(grey)),
        "PGM text": ("pgm", [b"P2\n28 20\n255\n" + text(one) for one in grey], rgb(grey)),
        "PPM comment": ("ppm", [b"P6 # hello\n28 20\n255\n" + one.tobytes() for one in plain], plain),
    }
    for name, (suffix, files, pixels) in netpbm.items():
        yield folder_of(name, suffix, files, pixels)
    wide = pictures(65535, 1)
    files = [b"P5\n28 20\n65535\n" + one.astype(">u2").tobytes() for one in wide]
    yield folder_of("PGM 16 bit", "pgm", files, rgb(to_bytes(wide, 65535)))
    few = pictures(100, 3)
    files = [b"P6\n28 20\n100\n" + one.astype(np.uint8).tobytes() for one in few]
    yield folder_of("PPM of 101 levels", "ppm", files, to_bytes(few, 100))


def text(pixels: Frames) -> bytes:
    return " ".join(map(str, pixels.ravel().tolist())).encode()


# Strips and arrays


def strips() -> Iterator[Case]:
    for count, suffix in itertools.product((4, 7, 16), ("png", "webp", "bmp", "tif")):
        frames = np.random.default_rng(count).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
        strip = frames.swapaxes(0, 1).reshape(12, -1, 3)
        options = {"lossless": True} if suffix == "webp" else {}
        data = saved(strip, {"tif": "TIFF"}.get(suffix, suffix.upper()), **options)
        yield file_of(f"strip of {count} in {suffix}", f".{suffix}", data, frames)
    grey = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 1), dtype=np.uint8)
    data = saved(grey.swapaxes(0, 1).reshape(12, -1), "PNG", "L")
    yield file_of("strip of grey frames", ".png", data, rgb(grey))


def arrays() -> Iterator[Case]:
    import torch

    frames = pictures(255).astype(np.uint8)
    orders = {"THWC": (0, 1, 2, 3), "TCHW": (0, 3, 1, 2), "CTHW": (3, 0, 1, 2)}
    for order, axes in orders.items():
        array = np.ascontiguousarray(frames.transpose(axes))
        for batched in (False, True):
            given = array[None] if batched else array
            name = f"{'N' * batched}{order}"
            yield _array(f"npy {name}", ".npy", lambda path, a=given: np.save(path, a), frames)
            yield _array(f"npz {name}", ".npz", lambda path, a=given: np.savez(path, clips=a), frames)
            yield _array(
                f"npz compressed {name}", ".npz", lambda path, a=given: np.savez_compressed(path, a), frames
            )
            tensor = torch.from_numpy(given)
            yield _array(f"pt {name}", ".pt", lambda path, t=tensor: torch.save(t, path), frames)
    ranges = {(0, 1): frames / 255, (-1, 1): frames / 127.5 - 1, (0, 255): frames.astype(np.float64)}
    for (low, high), values in ranges.items():
        for kind in ("<f4", "<f8", ">f4", ">f8", "<f2"):
            given = values.astype(kind)
            wide = given.astype(np.float64)
            right = np.rint((wide - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
            options = {"value_range": (low, high)}
            name = f"npy {kind} in {low} … {high}"
            yield _array(name, ".npy", lambda path, a=given: np.save(path, a), right, options)
    grey = np.repeat(frames[..., :1], 3, -1)
    yield _array("npy one channel", ".npy", lambda path: np.save(path, frames[..., :1]), grey)
    yield _array("npy Fortran order", ".npy", lambda path: np.save(path, np.asfortranarray(frames)), frames)
    for version in ((1, 0), (2, 0), (3, 0)):
        yield _array(
            f"npy version {version[0]}", ".npy", lambda path, v=version: _save_npy(path, frames, v), frames
        )
    half = torch.from_numpy(frames).to(torch.bfloat16)
    rounded = half.float().numpy().clip(0, 255).astype(np.uint8)
    options = {"value_range": (0, 255)}
    yield _array("pt bfloat16", ".pt", lambda path: torch.save(half.clamp(0, 255), path), rounded, options)
    turned = torch.from_numpy(frames.transpose(0, 2, 1, 3).copy()).transpose(1, 2)
    yield _array("pt not contiguous", ".pt", lambda path: torch.save(turned, path), frames)


def _array(
    name: str,
    suffix: str,
    write: Callable[[Path], None],
    right: Frames,
    options: dict[str, Any] | None = None,
) -> Case:
    return Case(name, write, lambda path: right, suffix, options or {})  # noqa: ARG005


def _save_npy(path: Path, frames: Frames, version: tuple[int, int]) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, frames, version=version)
