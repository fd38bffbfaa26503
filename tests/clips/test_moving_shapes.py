"""The built-in data set: reproducible, split, smooth in motion, the same image at every size."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.clips import moving_shapes
from vgbench.clips.moving_shapes import CLASSES, Options, label, render
from vgbench.errors import ConfigError

SMALL = Options(size=32)


def mask(clip: np.ndarray) -> np.ndarray:
    """Foreground by its brightness against the dark plain background: float [T, H, W] in 0..1."""
    value = clip.max(axis=-1).astype(float)
    return (value - value.min()) / (value.max() - value.min())


def centroid(clip: np.ndarray) -> np.ndarray:
    """Centre of the shape in each frame, in −1..1: [T, 2] as (x, y)."""
    cover = mask(clip)
    size = clip.shape[1]
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    mass = cover.sum(axis=(1, 2))
    return np.stack([(cover.sum(1) * axis).sum(1), (cover.sum(2) * axis).sum(1)], axis=1) / mass[:, None]


def index_of(name: str, turn: int = 0) -> int:
    """Index in train of the clip of class `name` that comes after `turn` others of it."""
    found = (index for index in itertools.count() if label(SMALL, "train", index) == name)
    return next(itertools.islice(found, turn, None))


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(8, 48),
    frames=st.integers(1, 20),
    seed=st.integers(0, 2**40),
    background=st.sampled_from(["plain", "texture"]),
    split=st.sampled_from(list(moving_shapes.SPLITS)),
    index=st.integers(0, 10**9),
)
def test_any_size_length_and_index_renders_and_repeats(size, frames, seed, background, split, index):
    options = Options(size=size, frames=frames, seed=seed, background=background)
    clip = render(options, split, index)
    assert clip.shape == (frames, size, size, 3)
    assert clip.dtype == np.uint8
    np.testing.assert_array_equal(clip, render(options, split, index))


def test_a_clip_is_a_known_function_of_its_arguments():
    # Guards against silent changes of the pixels under one VERSION; tolerance is one grey level.
    clip = render(Options(size=16, frames=4), "train", 0)
    means = clip.astype(float).mean(axis=(0, 1, 2))
    np.testing.assert_allclose(means, KNOWN_MEANS, atol=0.1)


KNOWN_MEANS = (67.83203125, 65.2412109375, 70.52734375)


def test_seed_split_and_index_each_give_another_clip():
    clips = [
        render(SMALL, "train", 0),
        render(SMALL, "test", 0),
        render(SMALL, "train", len(CLASSES)),
        render(Options(size=32, seed=1), "train", 0),
    ]
    assert len({clip.tobytes() for clip in clips}) == len(clips)


def test_no_clip_of_one_split_is_in_another():
    tiny = Options(size=8, frames=2)
    sets = [{render(tiny, split, index).tobytes() for index in range(200)} for split in moving_shapes.SPLITS]
    assert all(len(clips) == 200 for clips in sets)
    assert len(set.union(*sets)) == 600


def test_classes_are_balanced_and_every_shape_has_every_motion():
    assert len(CLASSES) == len(moving_shapes.SHAPES) * len(moving_shapes.MOTIONS) == 24
    counts = Counter(label(SMALL, "test", index) for index in range(4800))
    # chi-square with 23 degrees of freedom: 49.7 is the 0.1 % point
    assert sum((counts[name] - 200) ** 2 / 200 for name in CLASSES) < 49.7
    assert [label(SMALL, "test", k) for k in range(24)] != [label(SMALL, "train", k) for k in range(24)]


@pytest.mark.parametrize("index", [0, 5, 9, 16, 23])
@pytest.mark.parametrize("background", ["plain", "texture"])
def test_one_index_looks_alike_at_both_sizes(index, background):
    small, large = (render(Options(size=size, background=background), "train", index) for size in (32, 64))
    shrunk = large.reshape(16, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 1.5
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.99


def test_a_longer_clip_continues_a_shorter_one():
    longer = render(Options(size=32, frames=40), "train", 7)
    np.testing.assert_array_equal(longer[:16], render(SMALL, "train", 7))


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("shape", list(moving_shapes.SHAPES))
def test_motions_move_the_way_their_names_say(shape, turn):
    def spread(motion: str) -> np.ndarray:
        clip = render(Options(size=48, frames=24), "train", index_of(f"{shape}, {motion}", turn))
        return np.ptp(centroid(clip), axis=0)

    def area_ratio(motion: str) -> float:
        areas = mask(render(Options(size=48, frames=24), "train", index_of(f"{shape}, {motion}", turn))).sum(
            (1, 2)
        )
        return areas.max() / areas.min()

    x, y = spread("left-right")
    assert x > 0.6
    assert y < 0.05
    x, y = spread("up-down")
    assert x < 0.05
    assert y > 0.6
    assert min(spread("diagonal")) > 0.5
    assert min(spread("circle")) > 0.5
    assert area_ratio("pulse") > 3
    assert area_ratio("spin") < 1.1


def test_motion_is_finer_than_a_pixel():
    # At 8 pixels a frame step is a fraction of a pixel; every step still changes the image.
    clip = render(Options(size=8), "train", index_of("square, left-right"))
    assert (np.abs(np.diff(clip.astype(int), axis=0)).sum(axis=(1, 2, 3)) > 0).all()
    steps = np.abs(np.diff(centroid(render(Options(size=64), "train", index_of("square, circle"))), axis=0))
    speed = np.hypot(*steps.T)
    assert speed.std() / speed.mean() < 0.02


def test_shape_stands_out_from_its_background():
    for background in ("plain", "texture"):
        for index in range(48):
            frame = render(Options(size=32, frames=1, background=background), "test", index)[0].astype(int)
            assert np.ptp(frame.max(axis=-1)) > 60


@pytest.mark.parametrize(
    "values", [{"size": 4}, {"frames": 0}, {"seed": -1}, {"background": "photo"}], ids=lambda v: next(iter(v))
)
def test_bad_options_are_named(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        Options(**values)


def test_unknown_split_names_the_known():
    with pytest.raises(ConfigError, match="unknown split 'validation'") as caught:
        render(SMALL, "validation", 0)
    assert "train" in caught.value.remedy
