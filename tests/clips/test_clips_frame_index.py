"""Windows that are reached by the index of frames are exactly those of a whole read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from encoded_clips import decoded_by_pyav, encode, rolling_noise, video_clip

from vgbench.clips import frame_index
from vgbench.clips.frame_index import NO_STAMP, FrameIndex
from vgbench.clips.video import VideoClip
from vgbench.errors import BadClip

X265 = "log-level=none:keyint=12"
FAST = {"cpu-used": "8", "deadline": "realtime", "g": "12"}
CODED = {
    "hevc.mp4": ("libx265", {"x265-params": X265}),
    "hevc open group.mkv": ("libx265", {"x265-params": X265 + ":open-gop=1"}),
    "vp9.webm": ("libvpx-vp9", FAST),
    "hidden frames.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "20"}),
    "mpeg4.avi": ("mpeg4", {"g": "12"}),
    "b-frames.avi": ("libx264", {"g": "12"}),  # without time stamps that rise
    "late seek.ts": ("libx264", {"g": "12"}),  # where seeks land on a later keyframe
    "few stamps.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),  # only some frames have a time stamp
    "interlaced.mp4": ("libx264", {"g": "12", "flags": "+ildct+ilme"}),
}
FRAMES = rolling_noise(90, 48, 64)


@pytest.fixture
def make(tmp_path):
    def _make(name: str) -> VideoClip:
        codec, options = CODED[name]
        return video_clip(encode(tmp_path / name, codec, "yuv420p", FRAMES, **options))

    return _make


@pytest.mark.parametrize("name", CODED)
def test_windows_by_index_are_those_of_a_whole_read(name, make):
    clip = make(name)
    assert clip.count_frames() == 90
    truth = decoded_by_pyav(Path(clip.file.name))
    by_index = 0
    for first in range(50, 87, 4):
        asked = [first, first + 1, first + 3]
        np.testing.assert_array_equal(clip.read(asked), truth[asked], err_msg=str(asked))
        by_index += clip._read_by_index(asked) is not None
    assert by_index >= 6


def test_transparent_videos_are_sought_although_their_decoder_marks_no_keyframes(tmp_path):
    rgba = np.concatenate([FRAMES, FRAMES[..., :1] // 128 * 255], -1)
    options = {"g": "12", "auto-alt-ref": "0", "deadline": "realtime", "cpu-used": "8"}
    path = encode(tmp_path / "a.webm", "libvpx", "yuva420p", rgba, source_format="rgba", **options)
    clip = video_clip(path)
    truth = clip.read(range(clip.count_frames()))
    for first in range(50, 86, 9):
        frames = clip._read_by_index([first, first + 2])
        assert frames is not None
        np.testing.assert_array_equal(np.stack(frames), truth[[first, first + 2]])


def test_an_index_serves_other_processes_and_is_made_once(make, monkeypatch):
    clip = make("hevc.mp4")
    expected = clip.read([80, 81])
    assert clip._known_index() is None  # reading one window does not decode the whole file
    clip.count_frames()
    frame_index._recent.clear()  # as in another process
    monkeypatch.setattr("vgbench.clips.video._decoded", None)  # any decoding of the whole file would fail
    assert clip.count_frames() == 90
    np.testing.assert_array_equal(clip.read([80, 81]), expected)


def test_frames_that_a_seek_decodes_wrongly_are_never_used(make, monkeypatch):
    """The checksums are what makes an index exact: with a wrong one, the file is decoded from the start."""
    clip = make("hevc.mp4")
    clip.count_frames()
    index = clip._known_index()
    assert index is not None
    assert index.checksums is not None
    expected = decoded_by_pyav(Path(clip.file.name))[[80, 81]]
    checksums = index.checksums.copy()
    checksums[81] ^= 1
    frame_index.remember(clip.file, FrameIndex(index.stamps, index.keys, checksums))
    assert clip._read_by_index([80, 81]) is None
    np.testing.assert_array_equal(clip.read([80, 81]), expected)


def test_an_index_of_other_bytes_is_not_used(make):
    clip = make("mpeg4.avi")
    clip.count_frames()
    (saved,) = frame_index.folder().iterdir()
    assert frame_index.load(clip.file) is not None
    with Path(clip.file.name).open("ab") as file:
        file.write(b"more")
    assert frame_index.load(clip.file) is None
    assert frame_index.recall(clip.file) is None
    with Path(clip.file.name).open("r+b") as file:
        file.truncate(clip.file.size)
    assert frame_index.load(clip.file) is not None
    saved.write_bytes(saved.read_bytes()[:-30])
    assert frame_index.load(clip.file) is None


def test_damage_that_counting_finds_is_found_and_leaves_no_index(make):
    clip = make("hevc.mp4")
    with Path(clip.file.name).open("r+b") as file:
        data = file.read()
        file.seek(data.index(b"mdat") + len(data) // 2)
        file.write(bytes(200))
    with pytest.raises(BadClip):
        clip.count_frames()
    assert not frame_index.folder().exists()


def test_short_clips_have_no_index_and_no_store_keeps_none(tmp_path, monkeypatch):
    clip = video_clip(encode(tmp_path / "a.mp4", "libx265", "yuv420p", FRAMES[:10], **{"x265-params": X265}))
    clip.count_frames()
    assert not frame_index.folder().exists()
    usual = frame_index.folder()
    with frame_index.kept_in(tmp_path / "elsewhere"):
        assert frame_index.folder() == tmp_path / "elsewhere"
    assert frame_index.folder() == usual


def test_stamps_that_two_frames_share_identify_neither():
    stamps = np.array([0, 5, 5, NO_STAMP, 9, NO_STAMP])
    index = FrameIndex(stamps, np.array([1, 0, 0, 1, 0, 1], bool))
    assert index.positions() == {0: 0, 9: 4}
    assert index.starts(4) == [3, 0]
    assert FrameIndex(stamps, np.zeros(6, bool)).starts(4) == [4]
    assert [index.stamp_before(frame) for frame in (0, 3, 5)] == [0, 5, 9]
