"""TIFF files of several pages: which pages are frames, and which files are no clips."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.TiffImagePlugin
import pytest

from vgbench.clips import open_source
from vgbench.clips.stacks import StackClip
from vgbench.clips.tiff import other_axes
from vgbench.errors import BadClip

FRAMES = np.random.default_rng(5).integers(0, 256, (6, 8, 12, 3), dtype=np.uint8)


def save(path: Path, frames: np.ndarray = FRAMES, **options: Any) -> Path:
    first, *others = map(PIL.Image.fromarray, frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, "TIFF", save_all=True, append_images=others, **options)
    return path


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"big_tiff": True}],
    ids=str,
)
def test_each_page_is_a_frame(options: dict[str, Any], tmp_path: Path) -> None:
    for k in range(3):
        save(tmp_path / f"p{k % 2}" / f"cell{k}.tif", np.roll(FRAMES, k, 0), **options)
    clips = open_source(tmp_path).clips
    assert [(clip.id, clip.label, clip.count_frames()) for clip in clips] == [
        ("p0/cell0.tif", "p0", 6),
        ("p0/cell2.tif", "p0", 6),
        ("p1/cell1.tif", "p1", 6),
    ]
    np.testing.assert_array_equal(clips[0].read(range(6)), FRAMES)
    np.testing.assert_array_equal(clips[0].read([1, 1, 4]), FRAMES[[1, 1, 4]])
    np.testing.assert_array_equal(np.stack(list(clips[0].each_frame(4))), FRAMES[:4])
    assert clips[0].is_lossless()
    with pytest.raises(BadClip, match="frame 6 was requested"):
        clips[0].read([6])


def test_jpeg_pages_are_lossy(tmp_path: Path) -> None:
    (clip,) = open_source(save(tmp_path / "a.tif", compression="jpeg")).clips
    assert not clip.is_lossless()


def test_single_pages_are_the_frames_of_a_folder(tmp_path: Path) -> None:
    for number, frame in enumerate(FRAMES):
        save(tmp_path / "c" / f"{number}.tif", frame[None])
    (clip,) = open_source(tmp_path).clips
    assert (clip.id, clip.count_frames()) == ("c", 6)
    np.testing.assert_array_equal(clip.read(range(6)), FRAMES)


def test_a_stack_is_no_frame(tmp_path: Path) -> None:
    save(tmp_path / "c" / "0.tif")
    (clip,) = open_source(tmp_path, layout="frames").clips
    with pytest.raises(BadClip, match="a stack of several pages where a single frame was expected"):
        clip.read([0])


def test_a_stack_read_as_a_strip_is_another_clip(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", np.zeros((3, 8, 32, 3), np.uint8))
    (stack,) = open_source(tmp_path).clips
    (strip,) = open_source(tmp_path, layout="strips").clips
    assert (stack.count_frames(), strip.count_frames()) == (3, 4)
    assert stack.fingerprint() != strip.fingerprint()


def with_subfile_types(path: Path, kinds: list[int]) -> None:
    """Set the tag NewSubfileType of each page, in place of ImageDescription, which must be there."""
    data = bytearray(path.read_bytes())
    (offset,) = struct.unpack_from("<I", data, 4)
    for kind in kinds:
        (count,) = struct.unpack_from("<H", data, offset)
        for start in range(offset + 2, offset + 2 + 12 * count, 12):
            if struct.unpack_from("<H", data, start)[0] == 270:
                struct.pack_into("<HHII", data, start, 254, 4, 1, kind)
        (offset,) = struct.unpack_from("<I", data, offset + 2 + 12 * count)
    path.write_bytes(data)


def test_thumbnails_and_masks_are_no_frames(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", description="x")
    with_subfile_types(path, [0, 1, 0, 4, 2, 0])
    (clip,) = open_source(path).clips
    np.testing.assert_array_equal(clip.read(range(clip.count_frames())), FRAMES[[0, 2, 4, 5]])
    with_subfile_types(save(tmp_path / "c" / "0.tif", FRAMES[:2], description="x"), [0, 1])
    (photo,) = open_source(tmp_path / "c").clips
    np.testing.assert_array_equal(photo.read(range(photo.count_frames())), FRAMES[:1])


def test_a_stack_that_was_cut_off_is_bad(tmp_path: Path) -> None:
    """Wherever it ends; Pillow itself reads some of these as shorter stacks."""

    def read(path: Path) -> None:
        for clip in open_source(path).clips:
            clip.read(range(clip.count_frames()))

    path = save(tmp_path / "a.tif")
    data = path.read_bytes()
    for kept in range(8, len(data), 61):
        path.write_bytes(data[:kept])
        with pytest.raises(BadClip):
            read(path)


def test_pages_of_two_sizes_are_a_bad_clip(tmp_path: Path) -> None:
    images = [PIL.Image.new("RGB", (8, 8 + size)) for size in (0, 0, 1)]
    images[0].save(tmp_path / "a.tif", save_all=True, append_images=images[1:])
    (clip,) = open_source(tmp_path).clips
    assert clip.read([0, 1]).shape == (2, 8, 8, 3)
    with pytest.raises(BadClip, match="the frame size changes"):
        clip.read([1, 2])


@pytest.mark.parametrize(
    ("description", "bands", "axes"),
    [
        ("ImageJ=1.53\nimages=6\nframes=6\n", 3, ""),
        ("ImageJ=1.53\nimages=6\nslices=6\n", 3, ""),
        ("ImageJ=1.53\nimages=6\nchannels=2\nframes=3\nhyperstack=true\n", 1, "2 channels, 3 frames"),
        ("ImageJ=1.53\nimages=6\nslices=2\nframes=3\n", 1, "2 slices, 3 frames"),
        ('<OME><Pixels SizeC="3" SizeT="6" SizeZ="1"/></OME>', 3, ""),
        ('<OME><Pixels SizeC="2" SizeT="3" SizeZ="1"/></OME>', 1, "2 channels, 3 frames"),
        ('<OME><Pixels SizeC="1" SizeT="3" SizeZ="2"/></OME>', 1, "2 slices, 3 frames"),
        ("a walk, channels=2", 3, ""),
    ],
)
def test_pages_that_are_not_only_frames_are_named(
    description: str, bands: int, axes: str, tmp_path: Path
) -> None:
    assert other_axes(description, bands) == axes
    path = save(tmp_path / "a.tif", FRAMES if bands == 3 else FRAMES[..., 0], description=description)
    (clip,) = open_source(path).clips
    if axes:
        with pytest.raises(BadClip, match=f"a stack of {axes}; save those of one clip"):
            clip.count_frames()
    else:
        assert clip.count_frames() == 6


def test_a_large_stack_of_imagej_with_one_page_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", FRAMES[:1], description="ImageJ=1.53\nimages=500\nframes=500\n")
    (clip,) = open_source(path).clips
    assert isinstance(clip, StackClip)
    with pytest.raises(BadClip, match="ImageJ wrote 500 images as 1 page"):
        clip.count_frames()


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    values = np.array([0, 257, 32768, 65535], np.uint16)
    frames = np.broadcast_to(values[:, None, None], (4, 5, 7))
    (clip,) = open_source(save(tmp_path / "a.tif", frames)).clips
    assert clip.read(range(4))[:, 0, 0, 0].tolist() == [0, 1, 128, 255]
