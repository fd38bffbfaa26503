"""Pixels are turned and mirrored as a player shows them."""

from __future__ import annotations

import struct

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from encoded_clips import encode, rolling_noise, video_clip

from vgbench.clips import open_source
from vgbench.clips.orientation import EXIF, Axes, upright

FRAMES = rolling_noise(3, 32, 48)
SHOWN = {
    1: lambda frames: frames,
    2: lambda frames: frames[:, :, ::-1],
    3: lambda frames: frames[:, ::-1, ::-1],
    4: lambda frames: frames[:, ::-1],
    5: lambda frames: frames.swapaxes(1, 2),
    6: lambda frames: np.rot90(frames, -1, (1, 2)),
    7: lambda frames: frames[:, ::-1, ::-1].swapaxes(1, 2),
    8: lambda frames: np.rot90(frames, 1, (1, 2)),
}
"""Orientation of EXIF -> what is shown, written by hand."""


@pytest.mark.parametrize("orientation", EXIF)
def test_video_is_shown_as_its_display_matrix_says(orientation, tmp_path):
    path = encode(tmp_path / "a.mp4", "libx264rgb", "rgb24", FRAMES, qp="0")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in EXIF[orientation])
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    np.testing.assert_array_equal(video_clip(path).read([0, 1, 2]), SHOWN[orientation](FRAMES))


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_images_are_shown_as_exif_says(orientation, suffix, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    for position, frame in enumerate(FRAMES):
        PIL.Image.fromarray(frame).save(tmp_path / f"{position}.{suffix}", exif=exif)
    (clip,) = open_source(tmp_path).clips
    with PIL.Image.open(tmp_path / f"0.{suffix}") as image:
        by_pillow = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
    pixels = clip.read([0, 1, 2])
    np.testing.assert_array_equal(pixels[0], by_pillow)
    if suffix in ("png", "tif"):
        np.testing.assert_array_equal(pixels, SHOWN[orientation](FRAMES))


def test_damaged_exif_data_leave_the_image_as_stored(tmp_path):
    for position, frame in enumerate(FRAMES):
        PIL.Image.fromarray(frame).save(tmp_path / f"{position}.png", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    (clip,) = open_source(tmp_path).clips
    np.testing.assert_array_equal(clip.read([0, 1, 2]), FRAMES)


def test_a_small_tilt_is_upright_and_a_large_one_is_left_alone():
    np.testing.assert_array_equal(upright(FRAMES[0], Axes(-1000, 10, 10, 1000)), FRAMES[0][:, ::-1])
    np.testing.assert_array_equal(upright(FRAMES[0], Axes(-7, 7, 7, 7)), FRAMES[0])
