"""Presentation times of clips, and the frames that they show at another rate."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import PIL.Image
import pytest
from encoded_clips import encode, rolling_noise, video_clip
from hypothesis import given
from hypothesis import strategies as st

from vgbench.clips import open_source, write_clips
from vgbench.clips.distortions import distort
from vgbench.clips.rates import (
    constant_rate,
    constant_times,
    every_nth_frame,
    frames_at,
    times_of_stamps,
)
from vgbench.errors import VgbenchError

NOISE = rolling_noise(20, 16, 16)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=30),
    st.floats(0.5, 120, allow_nan=False, allow_infinity=False),
)
def test_the_frame_on_the_screen_is_the_last_one_whose_time_has_come(milliseconds, fps):
    times = np.append(0.0, np.cumsum(milliseconds)) / 1000
    early = np.median(milliseconds) / 4000
    shown, moment = [], 0
    while not shown or moment / fps < times[-1] - early:
        shown.append(max(frame for frame in range(len(milliseconds)) if times[frame] <= moment / fps + early))
        moment += 1
    assert frames_at(times, fps).tolist() == shown


@pytest.mark.parametrize("rate", [8.0, 12.0, 24.0, 25.0, 30000 / 1001, 30.0])
@pytest.mark.parametrize("form", ["mkv", "mp4", "gif", "webp"])
def test_a_constant_rate_gives_its_own_frames_whatever_clock_the_container_has(form, rate, tmp_path):
    if form == "gif" and round(100 / rate) != 100 / rate:
        rate = 100 / round(100 / rate)  # GIF counts hundredths of a second
    write_clips([NOISE], tmp_path, form, fps=rate)
    (clip,) = open_source(tmp_path).clips
    times = clip.frame_times()
    np.testing.assert_allclose(times, np.arange(21) / rate, atol=0.0101 if form == "webp" else 0.0011)
    rounded_to_milliseconds = 0.02 if form == "webp" else 0.001
    assert clip.frame_rate() == pytest.approx(rate, rel=rounded_to_milliseconds)
    assert constant_rate(times) is not None
    stated = clip.frame_rate()
    assert frames_at(times, stated).tolist() == list(range(20))
    assert frames_at(times, stated / 2).tolist() == list(range(0, 20, 2))
    assert frames_at(times, 2 * stated).tolist() == [frame // 2 for frame in range(40)]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.avi", "mpeg4", {}),
        ("b.avi", "mpeg4", {"bf": "2"}),
        ("b.mp4", "libx264", {"bf": "3"}),
        ("c.webm", "libvpx-vp9", {}),
        ("d.ts", "libx264", {"bf": "2"}),
        ("e.flv", "flv1", {}),
    ],
)
def test_times_come_from_the_container_for_every_codec(name, codec, options, tmp_path):
    clip = video_clip(encode(tmp_path / name, codec, "yuv420p", NOISE, **options))
    assert clip.count_frames() == 20
    np.testing.assert_allclose(clip.frame_times(), np.arange(21) / 25, atol=0.0011)


def test_a_variable_rate_is_kept(tmp_path):
    stamps = [0, 1, 2, 3, 20, 21, 22, 40]  # in 1/25 s
    for name, codec in (("a.mkv", "ffv1"), ("b.mp4", "mpeg4")):
        pixels = "bgr0" if codec == "ffv1" else "yuv420p"
        clip = video_clip(encode(tmp_path / name, codec, pixels, NOISE[:8], times=stamps))
        times = clip.frame_times()
        np.testing.assert_allclose(times, np.array([*stamps, 41]) / 25, atol=0.0011)
        assert constant_rate(times) is None
        # At 5 a second, moments are 0, 5, 10, … of these units.
        assert frames_at(times, 5).tolist() == [0, 3, 3, 3, 4, 6, 6, 6, 7]


def test_stamps_that_do_not_rise_give_no_times():
    np.testing.assert_allclose(times_of_stamps([3, 4, 5, 9]), [0, 1, 2, 6, 7])
    for stamps in ([3, 4, 4, 5], [3, 5, 4], [3], []):
        assert times_of_stamps(stamps) is None


def test_the_times_of_a_video_start_at_0(tmp_path):
    late = video_clip(encode(tmp_path / "a.mkv", "ffv1", "bgr0", NOISE[:4], times=[50, 51, 52, 53]))
    np.testing.assert_allclose(late.frame_times(), np.arange(5) / 25, atol=0.0011)


def animation(path, durations, **options):
    images = [PIL.Image.fromarray(frame) for frame in NOISE[: len(durations)]]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options)
    (clip,) = open_source(path).clips
    return clip


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_lasts_as_long_as_its_durations_say(name, tmp_path):
    clip = animation(tmp_path / name, [30, 40, 500, 70])
    assert clip.count_frames() == 4
    np.testing.assert_allclose(clip.frame_times(), [0, 0.03, 0.07, 0.57, 0.64])
    assert frames_at(clip.frame_times(), 10).tolist() == [0, 2, 2, 2, 2, 2, 3]


def test_a_gif_without_durations_states_no_rate(tmp_path):
    clip = animation(tmp_path / "a.gif", [0, 0, 0])
    assert clip.frame_times() is None
    assert clip.frame_rate() is None


def test_clips_without_a_rate_may_be_given_one(tmp_path):
    write_clips([NOISE, NOISE], tmp_path / "frames", "frames")
    write_clips([NOISE], tmp_path / "videos", "mkv", fps=24)
    for spec in (np.stack([NOISE, NOISE]), tmp_path / "frames"):
        assert {clip.frame_times() is None for clip in open_source(spec).clips} == {True}
        for clip in open_source(spec, fps=12.5).clips:
            np.testing.assert_array_equal(clip.frame_times(), constant_times(20, 12.5))
            assert clip.frame_rate() == 12.5
            np.testing.assert_array_equal(clip.read([3, 3, 7]), NOISE[[3, 3, 7]])
    (video,) = open_source(tmp_path / "videos", fps=12.5).clips
    assert video.frame_rate() == 24, "its own rate takes precedence"
    np.testing.assert_allclose(video.frame_times(), constant_times(20, 24), atol=0.0011)
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(VgbenchError, match="a frame rate is a positive number"):
            open_source(NOISE, fps=wrong)


def test_a_manifest_states_the_rate_of_frames_and_its_windows_keep_theirs(tmp_path):
    write_clips([NOISE], tmp_path, "frames", names=["folder"])
    write_clips([NOISE], tmp_path, "mkv", fps=20, names=["video"])
    manifest = tmp_path / "clips.csv"
    manifest.write_text("path,start,frames,fps\nfolder,,,10\nfolder,4,6,10\nvideo.mkv,5,8,\nvideo.mkv,,,7\n")
    clips = {clip.id: clip for clip in open_source(manifest).clips}
    np.testing.assert_array_equal(clips["folder"].frame_times(), constant_times(20, 10))
    np.testing.assert_allclose(clips["folder@4+6"].frame_times(), constant_times(6, 10))
    np.testing.assert_allclose(clips["video.mkv@5+8"].frame_times(), constant_times(8, 20), atol=1e-9)
    assert clips["video.mkv"].frame_rate() == 20
    assert clips["folder@4+6"].origin == clips["folder"].origin


def test_a_faster_clip_has_the_rate_of_its_inner_clip():
    source = distort(open_source(NOISE, fps=10), "speed-up", 0.5)
    (clip,) = source.clips
    assert clip.frame_rate() == 10
    np.testing.assert_allclose(clip.frame_times(), constant_times(clip.count_frames(), 10))


def test_the_rate_of_a_clock_is_not_that_of_a_clip(tmp_path):
    for fps, stated in ((999, pytest.approx(999)), (1000, None)):
        write_clips([NOISE], tmp_path, "mp4", fps=fps)
        assert open_source(tmp_path).clips[0].frame_rate() == stated


def test_streams_without_time_stamps_have_the_rate_of_their_header(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", "mpeg4", "yuv420p", NOISE)
    monkeypatch.setattr(av.VideoFrame, "pts", property(lambda _: None), raising=False)
    if av.VideoFrame(2, 2, "rgb24").pts is not None:
        pytest.skip("this PyAV does not let its frames be replaced")
    assert video_clip(path).frame_rate() == Fraction(25)
    np.testing.assert_array_equal(video_clip(path).frame_times(), constant_times(20, 25))


def test_every_third_frame_has_a_third_of_the_rate():
    source = open_source(NOISE, fps=12)
    (clip,) = every_nth_frame(source, 3).clips
    assert clip.count_frames() == len(clip.frame_times()) - 1 == 7
    assert clip.frame_rate() == 4
    np.testing.assert_allclose(clip.frame_times()[:-1], np.arange(7) / 4)
    np.testing.assert_array_equal(clip.read([0, 2, 6]), NOISE[[0, 6, 18]])
    assert clip.fingerprint() != source.clips[0].fingerprint()
    assert every_nth_frame(open_source(NOISE), 3).clips[0].frame_rate() is None


@pytest.mark.parametrize("form", ["mkv", "mp4", "frames"])
def test_a_rate_is_no_part_of_the_content(form, tmp_path):
    write_clips([NOISE], tmp_path / "clips", form)
    (plain,), (rated,) = (open_source(tmp_path / "clips", fps=fps).clips for fps in (None, 8))
    assert rated.first_frame_hash() == plain.first_frame_hash()
    assert rated.content_hash() == plain.content_hash()
    assert rated.fingerprint() == plain.fingerprint()
    assert (rated.origin, rated.stamp(), rated.is_lossless()) == (
        plain.origin,
        plain.stamp(),
        plain.is_lossless(),
    )
