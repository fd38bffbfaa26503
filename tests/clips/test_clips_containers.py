"""Videos in the containers and raw streams that FFmpeg reads, whatever their suffix is."""

from __future__ import annotations

import zipfile
from fractions import Fraction

import av
import numpy as np
import pytest

from vgbench.clips import open_source
from vgbench.clips.suffixes import VIDEOS, VIDEOS_OF
from vgbench.errors import BadClip

PICTURE = np.random.default_rng(2).integers(0, 256, (4, 6, 3), np.uint8).repeat(16, 0).repeat(16, 1)
CLIP = np.stack([np.roll(PICTURE, 5 * k, 1) for k in range(12)])

MADE = {
    "a.3gp": ("libx264", "3gp"),
    "a.3g2": ("libx264", "3g2"),
    "a.f4v": ("libx264", "f4v"),
    "a.qt": ("libx264", "mov"),
    "a.mj2": ("jpeg2000", "mov"),
    "a.wmv": ("wmv2", "asf"),
    "a.asf": ("msmpeg4", "asf"),
    "a.y4m": ("rawvideo", "yuv4mpegpipe"),
    "a.vob": ("mpeg2video", "vob"),
    "a.mpg": ("mpeg1video", "mpeg"),
    "a.m1v": ("mpeg1video", "mpeg1video"),
    "a.m2v": ("mpeg2video", "mpeg2video"),
    "a.m2ts": ("libx264", "mpegts"),
    "a.flv": ("libx264", "flv"),
    "a.mxf": ("mpeg2video", "mxf"),
    "a.nut": ("mpeg4", "nut"),
    "a.h264": ("libx264", "h264"),
    "a.264": ("libx264", "h264"),
    "a.hevc": ("libx265", "hevc"),
    "a.ivf": ("libvpx", "ivf"),
    "a.ogv": ("libvpx", "ogv"),
    "a.mjpeg": ("mjpeg", "mjpeg"),
    "a.m4v": ("mpeg4", "m4v"),
    "a.rm": ("rv20", "rm"),
    "a.divx": ("mpeg4", "avi"),
    "a.wtv": ("mpeg2video", "wtv"),
}
"""File -> FFmpeg's codec and container."""

UNTIMED = {"a.h264", "a.264", "a.hevc", "a.mjpeg", "a.m4v"}


def encoded(path, codec, container):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = CLIP.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number, pixels in enumerate(CLIP):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("name", MADE)
def test_what_ffmpeg_reads_is_read_from_folders_and_archives(name, tmp_path):
    encoded(tmp_path / name, *MADE[name])
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / name, f"inner/{name}")
    with av.open(str(tmp_path / name)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(expected) == len(CLIP)
    (tmp_path / "folder").mkdir()
    (tmp_path / name).rename(tmp_path / "folder" / name)
    for spec in (tmp_path / "folder", tmp_path / "z.zip"):
        (clip,) = open_source(spec).clips
        assert clip.count_frames() == len(CLIP)
        np.testing.assert_array_equal(clip.read(range(12)), expected)
        np.testing.assert_array_equal(clip.read([3, 11]), [expected[3], expected[11]])
        rate = clip.frame_rate()
        times = clip.frame_times()
        if name in UNTIMED:
            assert rate is None
            assert times is None
        else:
            assert times is not None
            assert (len(times) - 1) / times[-1] == pytest.approx(25, rel=0.02)


def test_every_suffix_is_listed_once_and_known_to_ffmpeg():
    assert len(set(VIDEOS)) == len(VIDEOS)
    known = {part for name in av.formats_available for part in name.split(",")}
    assert {part for names in VIDEOS_OF for part in names.split(",")} <= known


def test_a_playlist_is_no_clip(tmp_path):
    """Such a file would open others, whatever its suffix says."""
    encoded(tmp_path / "a.ts", "libx264", "mpegts")
    (tmp_path / "evil.wmv").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "evil.vob").write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'a.ts'}'\n")
    for name in ("evil.wmv", "evil.vob"):
        (clip,) = open_source(tmp_path / name).clips
        with pytest.raises(BadClip):
            clip.count_frames()


@pytest.mark.parametrize("name", ["a.3gp", "a.wmv", "a.asf", "a.y4m", "a.mxf"])
def test_a_file_that_was_cut_off_is_bad(name, tmp_path):
    encoded(tmp_path / name, *MADE[name])
    data = (tmp_path / name).read_bytes()
    for share in (0.5, 0.8, 0.9):
        (tmp_path / name).write_bytes(data[: int(len(data) * share)])
        with pytest.raises(BadClip):
            open_source(tmp_path / name).clips[0].count_frames()
