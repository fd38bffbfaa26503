"""Floats become bytes by the range that the user states; values slightly outside are clamped and counted."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vgbench.clips import open_source
from vgbench.clips.value_range import ValueUse, check_range, count_outside, range_of_text, to_bytes
from vgbench.errors import BadClip, ConfigError, VgbenchError

CLIPS = np.random.default_rng(4).integers(0, 256, (3, 5, 8, 10, 3), dtype=np.uint8)
UNIT = (CLIPS / 255).astype(np.float32)


def saved(array, kind, folder):
    path = folder / f"a.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez_compressed(path, clips=array)
    elif kind == "pt":
        torch.save(torch.from_numpy(array), path)
    else:
        return array
    return path


@pytest.mark.parametrize("kind", ["npy", "npz", "pt", "memory"])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_values_slightly_outside_are_clamped_and_counted(kind, low, high, tmp_path):
    floats = (UNIT * (high - low) + low).astype(np.float32)
    width = high - low
    floats[1, 0, 0, 0, :2] = high + 0.01 * width, low - 0.019 * width
    floats[1, 4, 0, 0, 0] = high + 0.0199 * width
    clips = open_source(saved(floats, kind, tmp_path), value_range=(low, high)).clips
    assert [clip.value_use() for clip in clips] == [ValueUse((low, high), n) for n in (0, 3, 0)]
    expected = CLIPS.copy()
    expected[1, 0, 0, 0, :2], expected[1, 4, 0, 0, 0] = (255, 0), 255
    for clip, pixels in zip(pickle.loads(pickle.dumps(clips)), expected, strict=True):
        np.testing.assert_array_equal(clip.read(range(5)), pixels)


@pytest.mark.parametrize("kind", ["npy", "pt", "memory"])
@pytest.mark.parametrize("value", [1.021, -0.021, np.nan, np.inf])
def test_values_further_outside_cost_their_clip_only(kind, value, tmp_path):
    floats = UNIT.copy()
    floats[1, 2, 3, 4, 0] = value
    source = open_source(saved(floats, kind, tmp_path), value_range=(0, 1))
    if kind == "memory":
        assert [entry.path for entry in source.skipped] == ["#000001"]
        assert [clip.id for clip in source.clips] == ["#000000", "#000002"]
        return
    good, bad, _ = source.clips
    np.testing.assert_array_equal(good.read(range(5)), CLIPS[0])
    with pytest.raises(BadClip):
        bad.read(range(5))
    with pytest.raises(BadClip):
        bad.fingerprint()


@pytest.mark.parametrize(
    ("values", "value_range", "hint"),
    [
        ([-1.0, 1.0], (0, 1), "--value-range=-1,1"),
        ([0.0, 255.0], (0, 1), "--value-range=0,255"),
        ([0.0, 255.0], (-1, 1), "--value-range=0,255"),
        ([-0.5, 0.5], (0, 1), "--value-range=-0.5,0.5"),
        ([0.0, 1.3], (0, 1), None),
        ([-300.0, 7000.0], (0, 255), None),
    ],
)
def test_the_hint_names_a_usual_range_that_holds_the_values(values, value_range, hint):
    with pytest.raises(ValueError, match="outside the range") as caught:
        to_bytes(np.array(values), value_range)
    assert (hint in str(caught.value)) if hint else ("--value-range" not in str(caught.value))


def test_all_clips_of_an_array_in_memory_outside_is_an_error():
    with pytest.raises(VgbenchError, match=r"none of the 3 clips can be used: values .*--value-range=0,255"):
        open_source(UNIT * 255, value_range=(0, 1))


@given(st.floats(-5, 5), st.floats(0.1, 9), st.lists(st.floats(-0.02, 1.02), min_size=1, max_size=9))
def test_bytes_are_the_nearest_levels_of_clamped_values(low, width, shares):
    values = low + width * np.clip(np.array(shares), -0.0199, 1.0199)
    found = to_bytes(values, (low, low + width))
    expected = np.rint(np.clip((values - low) / width, 0, 1) * 255)
    assert np.abs(found - expected).max() <= (np.abs(np.modf((values - low) / width * 255)[0]) != 0).any()
    outside = np.sum((values < low) | (values > low + width))
    assert count_outside(values, (low, low + width)) == outside


def test_bytes_have_no_range():
    assert [clip.value_use() for clip in open_source(CLIPS, value_range=(0, 1)).clips] == [None] * 3


@pytest.mark.parametrize("value_range", [(1, 1), (1, 0), (0, np.inf), (np.nan, 1)])
def test_ranges_that_are_none(value_range):
    with pytest.raises(VgbenchError, match="value_range"):
        check_range(value_range)


def test_ranges_in_text():
    assert range_of_text("-1,1") == (-1.0, 1.0)
    for text in ("1", "a,b", "0,1,2"):
        with pytest.raises(ConfigError, match="expected LOW,HIGH"):
            range_of_text(text)
