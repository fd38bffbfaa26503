"""Videos and photographs are turned and mirrored as players show them, in all eight ways."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import PIL.Image
import pytest
from encoded_clips import encode, video_clip

from vgbench.clips import open_source

CODED = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
ONE = 0x10000
SYMMETRIES = [
    *((x, 0, 0, y) for x, y in itertools.product((1, -1), repeat=2)),
    *((0, x, y, 0) for x, y in itertools.product((1, -1), repeat=2)),
]


def moved(frame, a, b, c, d):
    """Each pixel put where the matrix says: (x, y) goes to (a x + c y, b x + d y), shifted into view."""
    height, width = frame.shape[:2]
    places = {(x, y): (a * x + c * y, b * x + d * y) for x in range(width) for y in range(height)}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    shape = (height, width) if a else (width, height)
    shown = np.zeros((*shape, 3), np.uint8)
    for (x, y), (column, row) in places.items():
        shown[row - top, column - left] = frame[y, x]
    return shown


@pytest.mark.parametrize("matrix", SYMMETRIES, ids=str)
def test_a_video_is_shown_as_its_display_matrix_says(matrix, tmp_path):
    path = encode(tmp_path / "a.mp4", "libx264rgb", "rgb24", CODED, qp="0")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + offset : at + offset + 4] = struct.pack(">i", value * ONE)
    path.write_bytes(data)
    found = video_clip(path).read(range(2))
    for frame, coded in zip(found, CODED, strict=True):
        np.testing.assert_array_equal(frame, moved(coded, *matrix))


def test_a_video_that_is_turned_by_another_angle_is_left_as_it_is_coded(tmp_path):
    path = encode(tmp_path / "a.mp4", "libx264rgb", "rgb24", CODED, qp="0")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    for offset, value in zip((0, 4, 12, 16), (0.8, 0.6, -0.6, 0.8), strict=True):
        data[at + offset : at + offset + 4] = struct.pack(">i", int(value * ONE))
    path.write_bytes(data)
    np.testing.assert_array_equal(video_clip(path).read(range(2)), CODED)


# EXIF 2.32, tag 0x0112: where row 0 and column 0 of the stored image are shown, as a matrix of the same kind.
ORIENTATIONS = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_frames_are_shown_as_the_camera_was_held(orientation, suffix, tmp_path):
    (tmp_path / "clip").mkdir()
    for position in range(4):
        image = PIL.Image.fromarray(CODED[position % 2])
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(tmp_path / "clip" / f"{position}.{suffix}", exif=exif)
    (clip,) = open_source(tmp_path).clips
    with PIL.Image.open(tmp_path / "clip" / f"0.{suffix}") as stored:
        pixels = np.asarray(stored.convert("RGB"))
    np.testing.assert_array_equal(clip.read([0])[0], moved(pixels, *ORIENTATIONS[orientation]))


def test_damaged_exif_data_turn_nothing(tmp_path):
    (tmp_path / "clip").mkdir()
    for position in range(4):
        PIL.Image.fromarray(CODED[0]).save(
            tmp_path / "clip" / f"{position}.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x09zzz"
        )
    (clip,) = open_source(tmp_path).clips
    assert clip.read([0]).shape == (1, 32, 48, 3)
