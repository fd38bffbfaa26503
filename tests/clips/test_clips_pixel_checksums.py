"""What `write_clips` writes is checked against the checksums of its pixels; archives against theirs."""

from __future__ import annotations

import shutil
import zipfile

import av
import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest
from encoded_clips import rolling_noise

from vgbench.clips import open_source, write_clips
from vgbench.clips.pixel_checksums import PixelChecksums
from vgbench.errors import BadClip, VgbenchError

SMOOTH = np.add.outer(np.arange(8) * 3, np.add.outer(np.arange(32) * 2, np.arange(32))) % 256
CLIP = np.stack([SMOOTH, SMOOTH[::-1], (SMOOTH * 2) % 256], -1).astype(np.uint8)
FORMATS = ("mkv", "mp4", "gif", "webp", "frames", "strip", "npz")


def read_all(path):
    (clip,) = open_source(str(path)).clips
    return clip.read(range(clip.count_frames()))


@pytest.mark.parametrize("format_", FORMATS)
def test_no_flipped_bit_gives_other_pixels(format_, tmp_path):
    clip = rolling_noise(8, 64, 64) if format_ == "mp4" else CLIP  # so that most of the file is pixels
    (path,) = write_clips([clip], tmp_path / "samples", format_)
    expected = read_all(path)
    file = sorted(path.iterdir())[3] if path.is_dir() else path
    data, random = file.read_bytes(), np.random.default_rng(0)
    found = 0
    for place in random.integers(8 * len(data), size=25).tolist():
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(read_all(path), expected)
        except (BadClip, VgbenchError):
            found += 1
    assert found >= 8


@pytest.mark.parametrize("format_", FORMATS)
def test_a_renamed_copy_of_some_clips_in_an_archive_is_still_checked(format_, tmp_path):
    (path,) = write_clips([CLIP], tmp_path, format_)
    expected = read_all(path)
    moved = tmp_path / "elsewhere" / ("other" + path.suffix)
    shutil.copytree(path, moved) if path.is_dir() else (moved.parent.mkdir(), shutil.copy(path, moved))
    np.testing.assert_array_equal(read_all(moved.parent if moved.is_dir() else moved), expected)
    if format_ in ("webp", "gif", "mp4"):
        data = bytearray(moved.read_bytes())
        data[len(data) // 2] ^= 8
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(moved.name, bytes(data))
        with pytest.raises(BadClip, match=r"not those that were written|damaged|read|truncated"):
            read_all(tmp_path / "a.zip")


def test_pixels_that_a_program_changed_in_place_are_told(tmp_path):
    (path,) = write_clips([CLIP], tmp_path, "strip")
    with PIL.Image.open(path) as image:
        pixels, comment = np.array(image), image.info["Comment"]
    pixels[5, 70] ^= 1
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("Comment", comment)
    PIL.Image.fromarray(pixels).save(path, pnginfo=info)
    with pytest.raises(BadClip, match=r"frame 2: it is damaged, or a program changed it"):
        read_all(path)
    PIL.Image.fromarray(pixels).save(path)  # as usual, without the comment
    assert read_all(path).shape == CLIP.shape


def test_comments_of_others_and_about_other_kinds_say_nothing():
    written = PixelChecksums.of("png", CLIP)
    assert PixelChecksums.parse("png", written.text()) == written
    assert PixelChecksums.parse("png", written.text().encode()) == written
    assert PixelChecksums.parse("gif", written.text()) is None
    for comment in (None, 7, "", "a nice clip", b"\xff\xfe", "vgbench pixels png 32x32: 12"):
        assert PixelChecksums.parse("png", comment) is None


def test_a_lost_frame_is_told():
    written = PixelChecksums.of("webp", CLIP)
    with pytest.raises(BadClip, match="has 7 frames of 32×32, and 8 frames of 32×32 were written"):
        written.require_shape("a.webp", 7, (32, 32))


@pytest.mark.parametrize("format_", ["mkv", "mp4", "gif"])
def test_a_clip_that_a_program_resized_is_read_although_its_comment_was_kept(format_, tmp_path):
    (path,) = write_clips([CLIP], tmp_path, format_)
    other = tmp_path / f"resized.{format_}"
    if format_ == "gif":
        with PIL.Image.open(path) as image:
            frames = [frame.resize((16, 16)) for frame in PIL.ImageSequence.Iterator(image)]
            frames[0].save(other, save_all=True, append_images=frames[1:], comment=image.info["comment"])
    else:
        codec, pixels = ("ffv1", "bgr0") if format_ == "mkv" else ("libx264", "yuv420p")
        with av.open(str(path)) as source, av.open(str(other), "w") as target:
            target.metadata["comment"] = source.metadata.get("comment") or source.metadata["COMMENT"]
            stream = target.add_stream(codec, rate=8)
            stream.width, stream.height, stream.pix_fmt = 16, 16, pixels
            for frame in source.decode(video=0):
                target.mux(stream.encode(frame.reformat(16, 16, pixels)))
            target.mux(stream.encode(None))
    assert read_all(other).shape == (8, 16, 16, 3)


@pytest.mark.parametrize("kind", ["npz", "zip", "pt"])
def test_members_of_archives_are_compared_with_their_checksum(kind, tmp_path):
    path = tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez(path, clips=CLIP)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for position, pixels in enumerate(CLIP):
                PIL.Image.fromarray(pixels).save(tmp_path / "frame.bmp")
                archive.write(tmp_path / "frame.bmp", f"{position}.bmp")
    else:
        import torch

        torch.save(torch.from_numpy(CLIP), path)
    np.testing.assert_array_equal(read_all(path), CLIP)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises((BadClip, VgbenchError), match="checksum"):
        read_all(path)


def test_one_clip_of_many_in_a_compressed_array_is_checked(tmp_path):
    path = tmp_path / "a.npz"
    noise = np.random.default_rng(0).integers(0, 256, (4, 8, 32, 32, 3), dtype=np.uint8)
    np.savez_compressed(path, clips=noise)
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 1  # noise is stored uncompressed, so that inflating notices nothing
    path.write_bytes(data)
    with pytest.raises(BadClip, match="checksum"):
        open_source(path).clips[0].read([0, 1, 2, 3, 4, 5, 6, 7])


def test_tensors_that_were_saved_without_checksums_are_read(tmp_path):
    import torch

    torch.serialization.set_crc32_options(compute_crc32=False)
    try:
        torch.save(torch.from_numpy(CLIP), tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(compute_crc32=True)
    np.testing.assert_array_equal(read_all(tmp_path / "a.pt"), CLIP)
