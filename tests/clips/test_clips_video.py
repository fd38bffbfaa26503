from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from encoded_clips import decoded_by_pyav, encode, rolling_noise, video_clip

from vgbench.clips import limits, open_source
from vgbench.clips.truncation import is_cut_off
from vgbench.clips.video import VideoClip
from vgbench.clips.video_crops import video_files
from vgbench.errors import BadClip, VgbenchError

UNEVEN_TIMES = np.cumsum(np.random.default_rng(1).integers(1, 9, 40)).tolist()

CODED = {
    "b-frames.mp4": ("libx264", "yuv420p", {"bf": "3"}),
    "b-frames.mkv": ("libx264", "yuv420p", {"bf": "3"}),
    "variable-rate.mp4": ("libx264", "yuv420p", {"times": UNEVEN_TIMES}),
    "interlaced.mp4": ("libx264", "yuv420p", {"flags": "+ildct+ilme"}),
    "hevc.mp4": ("libx265", "yuv420p", {"x265-params": "log-level=none"}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": "8"}),
    "hidden-frames.webm": ("libvpx", "yuv420p", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "ffv1.mkv": ("ffv1", "bgr0", {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {}),
    "stream.ts": ("libx264", "yuv420p", {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {}),
}


@pytest.fixture
def encoded(tmp_path: Path) -> Callable[..., Path]:
    """encoded(name, codec, pixel_format, …): 40 frames of 64×48 rolling noise unless told otherwise."""

    def make(name: str, codec: str, pixel_format: str, frames: np.ndarray | None = None, **options) -> Path:
        frames = rolling_noise(40, 48, 64) if frames is None else frames
        return encode(tmp_path / name, codec, pixel_format, frames, **options)

    return make


@pytest.mark.parametrize("name", CODED)
def test_every_coded_frame_counts_once_and_pixels_are_ffmpegs(name, encoded):
    codec, pixel_format, options = CODED[name]
    path = encoded(name, codec, pixel_format, **options)
    truth = decoded_by_pyav(path)
    clip = video_clip(path)
    assert len(truth) == 40
    assert clip.count_frames() == 40
    asked = [0, 1, 7, 20, 39]
    np.testing.assert_array_equal(clip.read(asked), truth[asked])


def test_counts_without_decoding_where_that_is_exact(encoded, monkeypatch):
    paths = [encoded("a.mp4", "libx264", "yuv420p", bf="3"), encoded("b.mkv", "ffv1", "bgr0")]
    monkeypatch.setattr("vgbench.clips.video._decoded", None)  # any decoding would fail
    assert [video_clip(path).count_frames() for path in paths] == [40, 40]


@pytest.mark.parametrize(
    "options",
    [
        {"x264-params": "keyint=20:min-keyint=5:bframes=3:open-gop=1"},
        {"x264-params": "keyint=30:bframes=0", "intra-refresh": "1"},
        {"x264-params": "keyint=25:bframes=2", "times": np.cumsum([1, 3] * 60).tolist()},
    ],
    ids=["open-gop", "intra-refresh", "variable-rate"],
)
def test_seeking_gives_the_frames_of_a_full_decode(options, encoded):
    path = encoded("long.mp4", "libx264", "yuv420p", rolling_noise(120, 32, 48), **options)
    truth = decoded_by_pyav(path)
    clip = video_clip(path)
    for first in range(117):
        asked = [first, first + 1, first + 3]
        np.testing.assert_array_equal(clip.read(asked), truth[asked], err_msg=str(asked))


def test_a_recovery_point_of_intra_refresh_is_not_a_frame_to_start_from(encoded):
    """x264 marks frames as key from which a frame is complete only many frames later."""
    frames = rolling_noise(160, 64, 96) // 4 + np.arange(160, dtype=np.uint8)[:, None, None, None]
    path = encoded(
        "refreshed.mp4", "libx264", "yuv420p", frames, g="60", **{"x264-params": "intra-refresh=1"}
    )
    truth = decoded_by_pyav(path)
    for first in range(50, 156):
        asked = [first, first + 1, first + 3]
        np.testing.assert_array_equal(video_clip(path).read(asked), truth[asked], err_msg=str(asked))


def test_seeking_really_skips(encoded):
    path = encoded("long.mp4", "libx264", "yuv420p", rolling_noise(120, 32, 48), g="20", bf="0")
    clip = video_clip(path)
    assert clip._read_by_index([110]) is not None  # None would mean a decode from the beginning


@pytest.mark.parametrize(
    ("video", "frames"), [("bikes", 250), ("bigbuckbunny", 132), ("carphone_pristine", 120)]
)
def test_real_videos_have_their_known_lengths(video, frames):
    assert video_clip(video_files()[video]).count_frames() == frames


def test_lossless_codecs_give_back_every_pixel_also_at_odd_sizes(encoded):
    frames = rolling_noise(5, 31, 45)
    for name, codec, pixel_format in [("a.mkv", "ffv1", "bgr0"), ("b.mp4", "libx264rgb", "rgb24")]:
        path = encoded(name, codec, pixel_format, frames, **({"qp": "0"} if codec == "libx264rgb" else {}))
        np.testing.assert_array_equal(video_clip(path).read(range(5)), frames)


def test_ten_bit_grey_and_single_frames_become_rgb(encoded):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[None, None, :, None], (1, 48, 1, 3))
    for name, codec, pixel_format in [("10.mkv", "ffv1", "yuv444p10le"), ("g.mkv", "ffv1", "gray")]:
        clip = video_clip(encoded(name, codec, pixel_format, ramp))
        assert clip.count_frames() == 1
        assert np.abs(clip.read([0]).astype(int) - ramp).max() <= 2


def test_the_fields_of_interlaced_video_keep_their_own_colours(encoded):
    """By the equations of BT.601, with the colours of each line from its own field (4:2:0)."""
    path = encoded("i.mp4", "libx264", "yuv420p", rolling_noise(3, 48, 64), flags="+ildct+ilme")
    with av.open(str(path)) as container:
        coded = next(container.decode(video=0)).to_ndarray().astype(float)
    luma, chroma = (coded[:48] - 16) / 219, (coded[48:].reshape(2, 24, 32) - 128) / 224
    lines = [4 * (line // 4) // 2 + line % 2 for line in range(48)]  # 0 1 0 1 2 3 2 3 …
    blue, red = chroma[:, lines].repeat(2, axis=2)
    rgb = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    expected = (np.stack(rgb, -1) * 255).clip(0, 255)
    assert np.abs(video_clip(path).read([0])[0] - expected).max() < 4


def test_transparent_video_shows_black(encoded):
    rgba = np.full((2, 16, 16, 4), 200, np.uint8)
    rgba[..., :8, 3] = 0
    rgba[..., 8:, 3] = 255
    clip = video_clip(encoded("alpha.mkv", "ffv1", "bgra", rgba, source_format="rgba"))
    frames = clip.read([1])
    assert (frames[:, :, :8] == 0).all()
    assert (frames[:, :, 8:] == 200).all()


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_clip_recorded_sideways_stands_upright(quarter_turns, encoded):
    path = encoded("turned.mp4", "libx264rgb", "rgb24", rolling_noise(2, 32, 48), qp="0")
    stored = decoded_by_pyav(path)
    data = bytearray(path.read_bytes())
    # The track header's matrix, rows (a b u)(c d v)(x y w) in 16.16 and 2.30 fixed point; turns clockwise.
    one = 0x10000
    a, b, c, d = {1: (0, one, -one, 0), 2: (-one, 0, 0, -one), 3: (0, -one, one, 0)}[quarter_turns]
    at = data.index(b"tkhd") + 4 + 40
    for offset, value in ((0, a), (4, b), (12, c), (16, d)):
        data[at + offset : at + offset + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))
    upright = np.rot90(stored, -quarter_turns, axes=(1, 2))
    np.testing.assert_array_equal(video_clip(path).read([0, 1]), upright)


@pytest.mark.parametrize("name", ["b-frames.mp4", "b-frames.mkv", "vp9.webm", "mjpeg.avi"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_a_cut_file_is_bad_and_never_a_shorter_clip(name, kept, encoded):
    codec, pixel_format, options = CODED[name]
    path = encoded(name, codec, pixel_format, **options)
    with path.open("rb") as stream:
        assert not is_cut_off(stream)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(BadClip, match="cut off"):
        video_clip(path).count_frames()
    with pytest.raises(BadClip):
        video_clip(path).read([0])


def test_index_first_mp4_that_lost_its_tail_is_bad(encoded, tmp_path):
    whole = encoded("whole.mp4", "libx264", "yuv420p", movflags="faststart")
    fast = tmp_path / "fast.mp4"
    with (
        av.open(str(whole)) as source,
        av.open(str(fast), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert video_clip(fast).count_frames() == 40
    fast.write_bytes(fast.read_bytes()[:-200])
    with pytest.raises(BadClip, match="cut off"):
        video_clip(fast).count_frames()


def test_damage_in_the_middle_is_found_when_the_frames_are_read(encoded):
    path = encoded("hit.mp4", "libx264", "yuv420p")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 600] = bytes(600)
    path.write_bytes(bytes(data))
    with pytest.raises(BadClip):
        video_clip(path).read(range(40))


def test_not_a_video_is_bad(tmp_path, encoded):
    (tmp_path / "text.mp4").write_text("hello " * 100)
    (tmp_path / "one-byte.avi").write_bytes(b"R")
    for name in ("text.mp4", "one-byte.avi"):
        with pytest.raises(BadClip, match=name):
            video_clip(tmp_path / name).count_frames()
    with pytest.raises(BadClip, match="No such file"):
        VideoClip(
            "x", None, video_clip(tmp_path / "text.mp4").file.__class__(str(tmp_path), "gone.mp4", 9)
        ).read([0])


def test_sound_without_video_is_bad(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        for start in range(0, 8000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(BadClip, match="no video stream"):
        video_clip(path).count_frames()


def test_a_cover_image_is_not_a_video(tmp_path):
    path = tmp_path / "cover.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 16, 16, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        video = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        video.width, video.height, video.pix_fmt = 32, 32, "rgb24"
        for stream, frames in ((cover, rolling_noise(1, 16, 16)), (video, rolling_noise(3, 32, 32))):
            for pixels in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
    np.testing.assert_array_equal(video_clip(path).read(range(3)), rolling_noise(3, 32, 32))


def test_a_wrong_extension_does_not_matter_and_a_playlist_opens_nothing(encoded, tmp_path):
    path = encoded("a.mp4", "libx264", "yuv420p")
    shutil.copy(path, tmp_path / "b.avi")
    assert video_clip(tmp_path / "b.avi").count_frames() == 40
    playlist = tmp_path / "c.ts"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n")
    with pytest.raises(BadClip):
        video_clip(playlist).count_frames()
    concat = tmp_path / "d.mp4"
    concat.write_text(f"ffconcat version 1.0\nfile {path.name}\n")
    with pytest.raises(BadClip):
        video_clip(concat).count_frames()


def test_a_name_with_a_colon_is_a_file(encoded, tmp_path):
    path = encoded("a.mp4", "libx264", "yuv420p").rename(tmp_path / "concat:a|b.mp4")
    assert video_clip(path).count_frames() == 40


def test_limits_are_named(encoded, monkeypatch):
    path = encoded("a.mkv", "ffv1", "bgr0")
    monkeypatch.setattr(limits, "MAX_FRAME_PIXELS", 1000)
    with pytest.raises(BadClip, match="64×48 exceed the limit of 1000 pixels"):
        video_clip(path).count_frames()
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_FRAMES", 10)
    with pytest.raises(BadClip, match=r"more than 10 frames \(VGBENCH_MAX_FRAMES"):
        video_clip(path).read([30])
    monkeypatch.undo()
    monkeypatch.setattr(limits, "MAX_SECONDS", 0.0)
    with pytest.raises(BadClip, match=r"more than 0 s \(VGBENCH_MAX_SECONDS"):
        video_clip(path).read([30])


def test_indices_past_the_end_are_bad(encoded):
    clip = video_clip(encoded("a.mp4", "libx264", "yuv420p"))
    for asked in ([0, 40], [60]):
        with pytest.raises(BadClip, match="there are 40"):
            clip.read(asked)


def test_clips_travel_to_workers(encoded):
    clip = pickle.loads(pickle.dumps(video_clip(encoded("a.mp4", "libx264", "yuv420p"))))
    assert clip.read([3]).shape == (1, 48, 64, 3)
    assert len(pickle.dumps(clip)) < 500


def test_all_containers_in_one_folder(tmp_path):
    for name in ("b-frames.mp4", "vp9.webm", "mjpeg.avi", "ffv1.mkv"):
        codec, pixel_format, options = CODED[name]
        folder = tmp_path / "data" / "ä ж 動"
        folder.mkdir(parents=True, exist_ok=True)
        encode(folder / name, codec, pixel_format, rolling_noise(4, 32, 32), **options)
    source = open_source(tmp_path / "data")
    assert [clip.label for clip in source.clips] == ["ä ж 動"] * 4
    assert {clip.count_frames() for clip in source.clips} == {4}


def test_a_missing_path_says_what_was_looked_for(tmp_path: Path):
    with pytest.raises(VgbenchError, match="no such file") as caught:
        open_source(tmp_path / "nowhere")
    assert "nowhere" in caught.value.message
    assert ".mp4" in (caught.value.remedy or "")


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_a_title_that_is_not_utf8_costs_no_clip(suffix, tmp_path):
    path, frames = tmp_path / f"a.{suffix}", rolling_noise(3, 16, 16)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "TITLE"
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "bgr0"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert data.count(b"TITLE") == 1
    path.write_bytes(data.replace(b"TITLE", "Caf\xe9!".encode("latin-1")))
    clip = video_clip(path)
    assert clip.count_frames() == 3
    np.testing.assert_array_equal(clip.read([0, 1, 2]), frames)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx-vp9"), ("b.webm", "libvpx")])
def test_transparent_parts_of_webm_are_black_whatever_colours_they_hide(name, codec, tmp_path):
    rgba = np.zeros((8, 64, 64, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, :, 32:, 3] = 255  # the left half is red and transparent
    path = encode(tmp_path / name, codec, "yuva420p", rgba, source_format="rgba", **{"auto-alt-ref": "0"})
    clip = video_clip(path)
    assert clip.count_frames() == 8
    frames = clip.read(range(8))
    assert frames[:, :, :30].max() < 12
    assert frames[:, :, 34:, 0].min() > 180
    np.testing.assert_array_equal(clip.read([5])[0], frames[5])
