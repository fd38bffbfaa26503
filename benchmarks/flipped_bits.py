"""What is noticed of 100 flipped bits in files of each format.

    python benchmarks/flipped_bits.py

Prints how many of 100 damaged copies are refused, are read with the right pixels (the bit did not matter),
and are read with other pixels without a word.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch

from vgbench.clips import open_source, write_clips
from vgbench.clips.clip import Frames
from vgbench.clips.write import WRITERS
from vgbench.errors import BadClip, VgbenchError

COPIES = 100


def frames() -> Frames:
    """Eight frames of 64 × 64 with slopes and some noise."""
    y, x = np.mgrid[:64, :64]
    slopes = [
        np.stack([x * 3 + y + 8 * t, y * 4 + t * 5, (x + y) * 2 + 3 * t], -1) % 256 // 2 for t in range(8)
    ]
    noise = np.random.default_rng(0).integers(0, 40, (8, 64, 64, 3))
    return (np.stack(slopes) + noise).astype(np.uint8)


def read(source: Path) -> Frames:
    (clip,) = open_source(str(source)).clips
    return clip.read(range(clip.count_frames()))


def folder_of_images(suffix: str, source: Path, **options: Any) -> Path:
    """Write a folder of frames, and return the file to damage."""
    (source / "clip").mkdir(parents=True)
    for position, pixels in enumerate(frames()):
        PIL.Image.fromarray(pixels).save(source / "clip" / f"{position}.{suffix}", **options)
    return source / "clip" / f"3.{suffix}"


def sample(format_: Any, source: Path) -> Path:
    (path,) = write_clips([frames()], source, format_)
    return path / "00003.png" if path.is_dir() else path


def zip_of_images(source: Path) -> Path:
    source.mkdir()
    with zipfile.ZipFile(source / "a.zip", "w") as archive:
        for position, pixels in enumerate(frames()):
            data = io.BytesIO()
            PIL.Image.fromarray(pixels).save(data, "BMP")
            archive.writestr(f"clip/{position}.bmp", data.getvalue())
    return source / "a.zip"


def array_file(name: str, save: Callable[[Path], None], source: Path) -> Path:
    source.mkdir()
    save(source / name)
    return source / name


def animated_png(path: Path) -> None:
    first, *others = map(PIL.Image.fromarray, frames())
    first.save(path, save_all=True, append_images=others)


def kinds() -> Iterator[tuple[str, Callable[[Path], Path]]]:
    """Yield names of formats, and what writes a source and returns the file of it to damage."""
    for format_ in WRITERS:
        yield f"vgbench sample --format {format_}", partial(sample, format_)
    for name, suffix, options in (
        ("PNG", "png", {}),
        ("JPEG", "jpg", {}),
        ("JPEG, progressive", "jpg", {"progressive": True}),
        ("WebP, lossy", "webp", {}),
        ("WebP, lossless", "webp", {"lossless": True}),
        ("BMP", "bmp", {}),
        ("PPM", "ppm", {}),
        ("TIFF", "tif", {}),
        ("TIFF, deflate", "tif", {"compression": "tiff_adobe_deflate"}),
    ):
        yield f"frames in {name}", partial(folder_of_images, suffix, **options)
    yield "zip, stored, of BMP", zip_of_images
    whole = frames()
    for name, save in {
        "a.npy": lambda path: np.save(path, whole),
        "a.npz": lambda path: np.savez(path, clips=whole),
        "a.pt": lambda path: torch.save(torch.from_numpy(whole), path),
        "a.apng": animated_png,
    }.items():
        yield f"{Path(name).suffix} file", partial(array_file, name, save)


def main() -> None:
    print("format | refused | right pixels | other pixels")
    for name, write in kinds():
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "source"
            file = write(source)
            data, right = file.read_bytes(), read(source)
            random = np.random.default_rng(1)
            found: Counter[str] = Counter()
            for _ in range(COPIES):
                damaged = bytearray(data)
                damaged[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
                file.write_bytes(damaged)
                try:
                    found["right" if np.array_equal(read(source), right) else "other"] += 1
                except (BadClip, VgbenchError):
                    found["refused"] += 1
        print(f"{name} | {found['refused']} | {found['right']} | {found['other']}", flush=True)


if __name__ == "__main__":
    main()
