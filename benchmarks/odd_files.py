"""Files of odd kinds, made on the spot, and whether vgbench reads them bit for bit.

    python benchmarks/odd_files.py --ffmpeg PROGRAM

The program is ffmpeg: that of the system, or the one in the package imageio-ffmpeg, if none is given. It is
the truth for videos; images, animations and arrays are compared with the pixels that went in. A window near
the end is compared with the same frames of the whole clip. Prints each file that deviates, with the reason if
it is known, and the number of files that are read bit for bit.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import odd_files_images
import odd_files_videos
from odd_files_videos import Case

from vgbench.clips import open_source
from vgbench.errors import BadClip, VgbenchError

REASONS = {
    "h264 interlaced": "the program mixes the colours of the two fields, unless it is told `scale=interl=-1`",
    "PNG RGB 16 bit": "Pillow keeps the upper 8 bits, which is at most one level off",
    "PNG grey alpha 16 bit": "as RGB, for the colour and for the alpha",
    "PNG RGBA 16 bit": "as RGB, for the colour and for the alpha",
    "PNG transparent colour RGB 16 bit": "Pillow compares the transparent colour after it dropped 8 bits",
    "JPEG CMYK": "OpenCV divides by 256 where the formula has 255",
    "APNG 16 bit": "FFmpeg does not compose frames of 16 bits",
    "PPM of 101 levels": "Pillow rounds values that lie between two levels to the even one",
    "npy Fortran order": "the message says how to save it",
    "npy version 3": "only arrays with named fields are stored so",
}
"""How the names of cases begin that deviate, and why."""


def outcome(case: Case, path: Path) -> str:
    """Say how vgbench reads a file: "exact", what deviates, or why there is no such file."""
    try:
        case.write(path)
    except (av.FFmpegError, ValueError):
        return "not writable"
    try:
        expected = case.expected(path)
    except subprocess.CalledProcessError:
        return "not read by ffmpeg"
    try:
        (clip,) = open_source(str(path), **case.options).clips
        count = clip.count_frames()
        pixels = clip.read(range(count))
        near_end = range(max(count - 20, 0), max(count - 4, 1))
        window = clip.read(near_end)
    except (BadClip, VgbenchError) as error:
        return "refused: " + str(error).splitlines()[0].replace(f"{path}: ", "")
    if count != len(expected):
        return f"{count} frames for {len(expected)}"
    if not np.array_equal(window, pixels[near_end]):
        return "a window differs from the whole"
    if pixels.shape != expected.shape:
        return f"shape {pixels.shape} for {expected.shape}"
    largest = int(abs(pixels.astype(np.int16) - expected).max())
    return "exact" if largest == 0 else f"pixels differ by up to {largest}"


def reason_of(name: str) -> str | None:
    """Return why a case deviates, as far as that is known."""
    return next((reason for start, reason in REASONS.items() if name.startswith(start)), None)


def found_program() -> str:
    """Return the ffmpeg program of the system, or of the package imageio-ffmpeg."""
    if program := shutil.which("ffmpeg"):
        return program
    try:
        import imageio_ffmpeg
    except ImportError:
        raise SystemExit("no ffmpeg program found: give --ffmpeg, or install imageio-ffmpeg") from None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare readings of odd files with what is right.")
    parser.add_argument("--ffmpeg", metavar="PROGRAM", help="the ffmpeg program")
    program = parser.parse_args().ffmpeg or found_program()
    made: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        videos = (("videos", case) for case in odd_files_videos.cases(program))
        images = (("images, animations and arrays", case) for case in odd_files_images.cases())
        for number, (kind, case) in enumerate(itertools.chain(images, videos)):
            path = Path(folder) / f"{number}{case.suffix}"
            result = outcome(case, path)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            if result in ("not writable", "not read by ffmpeg"):
                continue
            made[kind] += 1
            exact[kind] += result == "exact"
            if result != "exact":
                print(f"{case.name}: {result} ({reason_of(case.name) or 'unexplained'})", flush=True)
    for kind, count in made.items():
        print(f"{kind}: {exact[kind]} of {count} are read bit for bit")
    print(f"{exact.total()} of {made.total()} files are read bit for bit")


if __name__ == "__main__":
    main()
