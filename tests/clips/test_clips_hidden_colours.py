"""Videos whose pixels depend on more than their own packets: transparency, palettes, cut streams."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from encoded_clips import decoded_by_pyav, encode, rolling_noise, video_clip


@pytest.mark.parametrize(("codec", "native"), [("libvpx-vp9", "vp9"), ("libvpx", "vp8")])
def test_transparent_areas_of_webm_are_black(codec, native, tmp_path):
    rgba = np.zeros((8, 64, 64, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, :, 32:, 3] = 255
    path = encode(tmp_path / "a.webm", codec, "yuva420p", rgba, source_format="rgba", **{"auto-alt-ref": "0"})
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == native
    clip = video_clip(path)
    assert clip.count_frames() == 8
    pixels = clip.read(range(8))
    assert pixels[:, :, :30].max() <= 2
    opaque = decoded_by_pyav(path)[:, :, 36:].astype(int)
    assert abs(pixels[:, :, 36:] - opaque).max() <= 2


@pytest.mark.parametrize("name", ["a.mov", "a.avi"])
def test_a_palette_is_known_in_every_window(name, tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (120, 16, 16), dtype=np.uint8)
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.height = stream.width = 16
        stream.pix_fmt = "pal8"
        for position, pixels in enumerate(grey):
            palette = np.zeros((256, 4), np.uint8)
            palette[:, 0] = 255
            palette[:, 1] = np.arange(256)
            frame = av.VideoFrame.from_ndarray((pixels, palette), format="pal8")
            frame.pts, frame.time_base = position, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = video_clip(path)
    whole = clip.read(range(120))
    np.testing.assert_array_equal(clip.read([90, 100]), whole[[90, 100]])


@pytest.mark.parametrize("name", ["cut.mkv", "cut.mp4"])
def test_frames_that_a_cut_within_intra_refresh_hides_are_not_counted(name, tmp_path):
    whole = encode(
        tmp_path / "whole.mkv",
        "libx264",
        "yuv420p",
        rolling_noise(120, 64, 96),
        **{"intra-refresh": "1", "g": "30", "bf": "0"},
    )
    path = tmp_path / name
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for position, packet in enumerate(source.demux(stream)):
            if packet.size and position >= 30:
                packet.stream = copy
                target.mux(packet)
    clip = video_clip(path)
    assert clip.count_frames() == len(decoded_by_pyav(path))
