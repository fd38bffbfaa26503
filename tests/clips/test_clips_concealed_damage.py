"""Damage that decoders conceal is found; good files that only look damaged are read."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from encoded_clips import encode, video_clip

from vgbench.clips import open_source, write_clips
from vgbench.errors import BadClip

ROW = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
MOVING = np.stack([np.roll(ROW, 2 * shift, 1) for shift in range(60)])


def read_all(path):
    (clip,) = open_source(path).clips
    return clip.read(range(clip.count_frames()))


def test_one_flipped_bit_in_a_lossless_sample_is_found(tmp_path):
    """A bit of the header may change nothing that is shown; a bit of the pixels must never go unnoticed."""
    (path,) = write_clips([MOVING[:8, :32, :32]], tmp_path, "mkv")
    data, random = path.read_bytes(), np.random.default_rng(0)
    found = 0
    for _ in range(60):
        damaged = bytearray(data)
        damaged[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(damaged)
        try:
            pixels = read_all(path)
        except BadClip:
            found += 1
        else:
            np.testing.assert_array_equal(pixels, MOVING[:8, :32, :32])
    assert found > 50


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_packets_that_a_transport_stream_lost_are_noticed(codec, tmp_path):
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = encode(tmp_path / "a.ts", codec, "yuv420p", MOVING, **quiet)
    assert len(read_all(path)) == 60
    data = path.read_bytes()
    middle = len(data) // 188 // 2 * 188
    path.write_bytes(data[:middle] + data[middle + 2 * 188 :])
    with pytest.raises(BadClip, match="damaged near frame"):
        read_all(path)


def test_errors_of_one_clip_are_not_those_of_the_next(tmp_path):
    """FFmpeg leaves out messages that it has just logged, and levels of logging are global."""
    import av.logging

    (path,) = write_clips([MOVING[:8, :32, :32]], tmp_path, "mkv")
    data = bytearray(path.read_bytes())
    data[-200] ^= 1
    for name in ("b.mkv", "c.mkv"):
        (tmp_path / name).write_bytes(data)
    level = av.logging.get_level()
    for name in ("b.mkv", "c.mkv"):
        with pytest.raises(BadClip, match="CRC"):
            read_all(tmp_path / name)
        np.testing.assert_array_equal(read_all(path), MOVING[:8, :32, :32])
    assert av.logging.get_level() == level


@pytest.mark.parametrize(
    "appended", [b"", b"\r\n", b"8db42d694ccc418790edff439fe026bf", bytes(64), b"\xff" * 100], ids=len
)
def test_bytes_behind_the_last_box_do_not_matter(appended, tmp_path):
    path = encode(tmp_path / "a.mp4", "libx264", "yuv420p", MOVING[:20])
    whole = path.read_bytes()
    expected = read_all(path)
    path.write_bytes(whole + appended)
    np.testing.assert_array_equal(read_all(path), expected)
    for kept in (0.3, 0.9):
        path.write_bytes(whole[: int(kept * len(whole))] + appended)
        with pytest.raises(BadClip):
            read_all(path)


@pytest.mark.parametrize("size", ["right", "of the file", "unknown", "zero"])
def test_the_size_that_an_avi_file_states_for_itself_does_not_matter(size, tmp_path):
    path = encode(tmp_path / "a.avi", "mjpeg", "yuvj420p", MOVING[:20])
    data = bytearray(path.read_bytes())
    expected = read_all(path)
    stated = {"right": len(data) - 8, "of the file": len(data), "unknown": 2**32 - 1, "zero": 0}[size]
    data[4:8] = struct.pack("<I", stated)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_all(path), expected)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BadClip, match="cut off"):
        read_all(path)


def test_frames_that_an_edit_list_cuts_away_are_no_damage(tmp_path):
    path = encode(tmp_path / "a.mp4", "libx264", "yuv420p", MOVING[:20], bf="0")
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4 + 4 + 4 + 4  # version, count and duration
    unit = struct.unpack(">I", data[data.index(b"mdhd") + 16 : data.index(b"mdhd") + 20])[0]
    whole = read_all(path)
    data[at : at + 4] = struct.pack(">i", 5 * unit // 25)
    path.write_bytes(data)
    clip = video_clip(path)
    assert clip.count_frames() == 15
    np.testing.assert_array_equal(clip.read(range(15)), whole[5:])


def test_the_level_of_logging_is_restored_by_the_last_thread_that_decodes():
    """Another thread that is done earlier must not make the errors of this one go unnoticed."""
    import av.logging

    from vgbench.clips import decoder_errors

    before = av.logging.get_level()
    first, second = decoder_errors._logged_errors(), decoder_errors._logged_errors()
    first.__enter__()
    second.__enter__()
    second.__exit__(None, None, None)
    assert av.logging.get_level() == av.logging.ERROR
    first.__exit__(None, None, None)
    assert av.logging.get_level() == before
