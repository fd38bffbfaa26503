from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgbench.clips import animated_thumbnail, open_source, write_clips
from vgbench.clips.write import WRITERS
from vgbench.errors import ConfigError, VgbenchError

LOSSLESS = ["mkv", "webp", "frames", "strip", "npz"]
REPEATED = np.repeat(np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8), 2, axis=0)


@st.composite
def clips(draw: st.DrawFn) -> np.ndarray:
    count, height, width = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    values = st.sampled_from([0, 1, 128, 255]) if draw(st.booleans()) else st.integers(0, 255)
    return draw(arrays(np.uint8, (count, height, width, 3), elements=values))


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=25, deadline=None)
@given(clip=clips())
def test_lossless_formats_give_every_pixel_back(kind, clip, tmp_path_factory):
    if kind == "strip":
        clip = clip[:, : min(clip.shape[1:3]), : min(clip.shape[1:3])]
    folder = tmp_path_factory.mktemp("clips")
    write_clips([clip], folder, kind)
    layout = {"strip": "strips", "frames": "frames"}.get(kind, "auto")
    (read,) = open_source(folder, layout=layout).clips
    assert read.count_frames() == len(clip)
    np.testing.assert_array_equal(read.read(range(len(clip))), clip)


@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("fps", [8, 29.97, 30])
def test_identical_consecutive_frames_all_survive(kind, fps, tmp_path):
    still = np.full((5, 16, 16, 3), 7, np.uint8)
    write_clips([REPEATED, still], tmp_path, kind, fps=fps)
    assert [clip.count_frames() for clip in open_source(tmp_path).clips] == [6, 5]


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_equal_clips_give_equal_bytes(kind, tmp_path):
    noise = np.random.default_rng(4).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    prints = []
    for _ in range(4):
        write_clips([noise], tmp_path, kind)
        (clip,) = open_source(tmp_path).clips
        clip.read(range(6))  # stirs the allocator, so that uninitialised memory would show
        prints.append(clip.fingerprint())
    assert len(set(prints)) == 1


def test_a_gif_is_exact_up_to_256_colours(tmp_path):
    clip = np.random.default_rng(0).choice([0, 60, 120, 250], (4, 9, 7, 3)).astype(np.uint8)
    write_clips([clip], tmp_path, "gif")
    np.testing.assert_array_equal(open_source(tmp_path).clips[0].read(range(4)), clip)


def test_other_programs_see_the_animations(tmp_path):
    for kind, duration in (("gif", 120), ("webp", 125)):
        (path,) = write_clips([REPEATED], tmp_path, kind, fps=8)
        with PIL.Image.open(path) as image:
            assert image.n_frames == 6
            assert image.info.get("loop") == 0
            image.seek(3)
            image.load()
            assert image.info["duration"] == duration


def test_mp4_is_near_on_smooth_clips_and_plays_at_its_rate(tmp_path):
    import av

    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    clip = np.stack([np.roll(np.tile(ramp[None, :, None], (64, 1, 3)), shift, axis=1) for shift in range(4)])
    (path,) = write_clips([clip], tmp_path, "mp4", fps=12.5)
    assert np.abs(open_source(path).clips[0].read(range(4)).astype(int) - clip).mean() < 2
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == 12.5
        assert container.streams.video[0].pix_fmt == "yuv420p"


def test_names_labels_and_streaming(tmp_path):
    alive: list[int] = []

    def one_at_a_time():
        for number in range(3):
            alive.append(number)
            assert len(list((tmp_path / "out").rglob("*.png"))) == number  # the one before is already on disk
            yield np.full((4, 8, 8, 3), number, np.uint8)

    paths = write_clips(
        one_at_a_time(), tmp_path / "out", "strip", names=["x", "y", "z"], labels=["a/b", None, "c"]
    )
    assert [path.relative_to(tmp_path / "out").as_posix() for path in paths] == [
        "a/b/x.png",
        "y.png",
        "c/z.png",
    ]
    assert [clip.label for clip in open_source(tmp_path / "out").clips] == ["a/b", "c", None]
    default = write_clips([np.zeros((1, 8, 8, 3), np.uint8)] * 2, tmp_path / "more", "frames")
    assert [path.name for path in default] == ["00000", "00001"]


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "x\0"])
def test_names_from_strangers_cannot_leave_the_folder(name, tmp_path):
    clip = np.zeros((1, 8, 8, 3), np.uint8)
    with pytest.raises(VgbenchError, match="file name"):
        write_clips([clip], tmp_path / "a", names=[name])
    with pytest.raises(VgbenchError, match="file name"):
        write_clips([clip], tmp_path / "a", labels=[name])


def test_what_cannot_be_written(tmp_path):
    clip = np.zeros((2, 8, 6, 3), np.uint8)
    for bad in (clip[0], clip.astype(np.float32), clip[..., :1], clip[:0]):
        with pytest.raises(VgbenchError, match="clip 0"):
            write_clips([bad], tmp_path)
    with pytest.raises(VgbenchError, match="6×8 are not square"):
        write_clips([clip], tmp_path, "strip")
    with pytest.raises(ConfigError, match="mpeg"):
        write_clips([clip], tmp_path, "mpeg")
    with pytest.raises(VgbenchError, match="fps"):
        write_clips([clip], tmp_path, fps=0)
    with pytest.raises(VgbenchError, match="more clips than the 1 names"):
        write_clips([clip, clip], tmp_path / "few", names=["a"])


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    def broken():
        yield np.zeros((2, 8, 8, 3), np.uint8)
        raise RuntimeError("the generator died")

    with pytest.raises(RuntimeError):
        write_clips(broken(), tmp_path, "mkv")
    with pytest.raises(VgbenchError):
        write_clips([np.zeros((2, 8, 6, 3), np.uint8)], tmp_path, "strip")
    assert [path.name for path in tmp_path.iterdir()] == ["00000.mkv"]


def test_thumbnails_are_small_animations():
    data = animated_thumbnail(
        np.random.default_rng(0).integers(0, 256, (8, 60, 120, 3), dtype=np.uint8), 48, 8
    )
    with PIL.Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.n_frames) == ("WEBP", (48, 24), 8)
    assert len(data) < 20_000
