from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vgbench.protocol.pixels import Resize, Scaling, resize, resize_float


def _frames(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, height, width, 3), dtype=np.uint8)


@given(st.integers(8, 90), st.integers(8, 90), st.sampled_from(["crop", "squash"]), st.booleans())
def test_result_is_a_uint8_square_and_keeps_constants(height, width, fit, antialias):
    policy = Resize(size=24, fit=fit, antialias=antialias)
    out = resize(np.full((2, height, width, 3), 77, dtype=np.uint8), policy)
    assert out.shape == (2, 24, 24, 3)
    assert out.dtype == np.uint8
    assert (out == 77).all()


def test_antialiased_bilinear_is_pillows():
    frames = _frames(60, 60)
    ours = resize(frames, Resize(size=24))
    pillow = np.stack(
        [np.asarray(Image.fromarray(f).resize((24, 24), Image.Resampling.BILINEAR)) for f in frames]
    )
    assert np.abs(ours.astype(int) - pillow.astype(int)).max() <= 1


def test_plain_bilinear_is_opencvs():
    frames = _frames(60, 60)
    ours = resize(frames, Resize(size=37, antialias=False))
    opencv = np.stack([cv2.resize(f, (37, 37), interpolation=cv2.INTER_LINEAR) for f in frames])
    assert np.abs(ours.astype(int) - opencv.astype(int)).max() <= 1


def test_legacy_tensorflow_grid_by_hand():
    """TF1 without half-pixel centres: output i reads source i * in / out; the last sample repeats."""
    import torch

    x = torch.tensor([0.0, 10.0, 20.0, 30.0]).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    up = resize_float(x, Resize(size=8, kernel="bilinear-tf1"))
    assert up[0, 0, 0].tolist() == [0, 5, 10, 15, 20, 25, 30, 30]
    down = resize_float(x, Resize(size=2, kernel="bilinear-tf1"))
    assert down[0, 0, 0].tolist() == [0, 20]


def test_crop_keeps_the_centre_of_the_longer_side():
    frames = np.zeros((1, 10, 30, 3), dtype=np.uint8)
    frames[:, :, 10:20] = 200
    assert (resize(frames, Resize(size=10)) == 200).all()


@pytest.mark.parametrize(("rounding", "value"), [("nearest", 3), ("truncate", 2)])
def test_rounding(rounding, value):
    frames = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    frames[:, 0] = 5  # the mean of the pixels is 2.5; half rounds to even, so make it 2.75
    frames[0, 1, 0] = 1
    out = resize(frames, Resize(size=1, kernel="area", antialias=False, rounding=rounding))
    assert out[0, 0, 0, 0] == value


def test_right_size_is_returned_untouched():
    frames = _frames(64, 64)
    assert resize(frames, Resize(size=64)) is frames


def test_bicubic_is_pillows_with_a_low_pass_and_opencvs_without():
    frames = _frames(60, 60)
    ours = resize(frames, Resize(size=24, kernel="bicubic"))
    pillow = [np.asarray(Image.fromarray(f).resize((24, 24), Image.Resampling.BICUBIC)) for f in frames]
    assert np.abs(ours.astype(int) - np.stack(pillow).astype(int)).max() <= 1
    plain = resize(frames, Resize(size=24, kernel="bicubic", antialias=False))
    opencv = [cv2.resize(f, (24, 24), interpolation=cv2.INTER_CUBIC) for f in frames]
    assert np.abs(plain.astype(int) - np.stack(opencv).astype(int)).max() <= 1


def test_area_averages_whole_pixels():
    frames = _frames(24, 36)
    ours = resize(frames, Resize(size=12, fit="squash", kernel="area"))
    means = frames.reshape(3, 12, 2, 12, 3, 3).mean(axis=(2, 4))
    assert np.array_equal(ours, np.rint(means).astype(np.uint8))


def test_corners_stay_where_they_are():
    import torch

    x = torch.tensor([0.0, 10.0, 20.0, 30.0]).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    up = resize_float(x, Resize(size=7, kernel="bilinear-corners"))
    assert up[0, 0, 3].tolist() == pytest.approx([0, 5, 10, 15, 20, 25, 30])
    assert up[0, 0, :, 2].tolist() == pytest.approx([10] * 7)


@pytest.mark.parametrize(
    "kernel", ["bilinear", "bilinear-tf1", "bilinear-corners", "bicubic", "area", "nearest"]
)
def test_height_and_width_are_treated_alike(kernel):
    frames = _frames(30, 47)
    policy = Resize(size=20, kernel=kernel)
    turned = resize(frames.transpose(0, 2, 1, 3), policy).transpose(0, 2, 1, 3)
    assert np.abs(resize(frames, policy).astype(int) - turned.astype(int)).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(30, 47), (47, 30), (20, 31), (20, 20), (33, 32), (5, 9)])
def test_crop_rounds_the_longer_side_up_and_takes_the_middle(height, width):
    """Nearest neighbours by their indices: pixel i of `out` is pixel ⌊i · in / out⌋."""
    frames = _frames(height, width)
    sides = [math.ceil(20 * side / min(height, width)) for side in (height, width)]
    rows, columns = (
        [i * side // new for i in range(new)][(new - 20) // 2 :][:20]
        for side, new in zip((height, width), sides, strict=True)
    )
    ours = resize(frames, Resize(size=20, kernel="nearest"))
    assert np.array_equal(ours, frames[:, rows][:, :, columns])
    squashed = resize(frames, Resize(size=20, kernel="nearest", fit="squash"))
    rows, columns = ([i * side // 20 for i in range(20)] for side in (height, width))
    assert np.array_equal(squashed, frames[:, rows][:, :, columns])


def test_keep_leaves_every_size():
    frames = _frames(30, 47)
    assert resize(frames, Resize(size=20, fit="keep")) is frames


def test_values_past_the_ends_are_cut_and_do_not_wrap_around():
    frames = np.zeros((1, 8, 8, 3), dtype=np.uint8)
    frames[:, :, 4:] = 255
    for antialias in (True, False):
        up = resize(frames, Resize(size=40, kernel="bicubic", antialias=antialias))[0, 20, :, 0].astype(int)
        assert (up[:4].max(), up[-4:].min()) == (0, 255)
        assert (np.diff(up) >= -12).all()  # bicubic overshoots by some percent, which is cut


def test_the_legacy_grid_by_hand_in_both_directions():
    """TF1: output (i, j) reads (i · h / H, j · w / W), two taps each way."""
    frames = _frames(5, 7)[:1]
    ours = resize(frames, Resize(size=9, fit="squash", kernel="bilinear-tf1", rounding="nearest"))[0]
    for i, j in itertools.product(range(9), range(9)):
        y, x = i * 5 / 9, j * 7 / 9
        top, left = int(y), int(x)
        below, right = min(top + 1, 4), min(left + 1, 6)
        pixels = frames[0].astype(float)
        upper = pixels[top, left] * (1 - x % 1) + pixels[top, right] * (x % 1)
        lower = pixels[below, left] * (1 - x % 1) + pixels[below, right] * (x % 1)
        assert np.abs(ours[i, j] - (upper * (1 - y % 1) + lower * (y % 1))).max() <= 0.51


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "64,crop,bilinear-aa"),
        ({"antialias": False}, "64,crop,bilinear"),
        ({"kernel": "bicubic", "size": 128}, "128,crop,bicubic-aa"),
        ({"kernel": "bilinear-tf1", "fit": "squash"}, "64,squash,bilinear-tf1"),
        ({"kernel": "area", "rounding": "truncate"}, "64,crop,area,truncate"),
        ({"fit": "keep", "rounding": "truncate", "size": 3}, "native"),
    ],
)
def test_signatures_spell_a_policy_as_they_always_did(changes, text):
    assert Resize.model_validate(changes).describe() == text


@pytest.mark.parametrize("last", [{"size": 24}, {"size": 12}, {"size": 24, "fit": "squash"}, {"fit": "keep"}])
@pytest.mark.parametrize("first", [{"size": 12}, {"size": 12, "rounding": "truncate"}, {"fit": "keep"}])
def test_first_is_another_resizing_before(first, last):
    frames = _frames(40, 60)
    both = Resize(**last, first=Scaling(**first))
    np.testing.assert_array_equal(
        resize(frames, both), resize(resize(frames, Scaling(**first)), Resize(**last))
    )


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Resize(size=64, first=Scaling(size=32)), "32,crop,bilinear-aa>64,crop,bilinear-aa"),
        (Resize(size=64, first=Scaling(size=64, rounding="truncate")), "64,crop,bilinear-aa,truncate"),
        (Resize(fit="keep", first=Scaling(size=32, fit="squash")), "32,squash,bilinear-aa"),
        (Resize(size=64, first=Scaling(fit="keep")), "64,crop,bilinear-aa"),
        (Resize(fit="keep", first=Scaling(fit="keep")), "native"),
    ],
)
def test_a_signature_shows_each_resizing_that_does_something(policy, text):
    assert policy.describe() == text


def test_fits_of_published_code_by_hand():
    """VideoGPT computes 25 * (224 / 25) in floating point, which is a little more than 224."""
    frames = _frames(25, 25)
    rows = cv2.resize(frames[0], (224, 225), interpolation=cv2.INTER_LINEAR)[:224]
    longer, exact = (resize(frames, Resize(size=224, fit=f, antialias=False)) for f in ("crop-float", "crop"))
    assert np.abs(longer[0].astype(int) - rows).max() <= 1
    assert (longer != exact).any()
    others = [(24, 24), (24, 31), (31, 24)]
    for height, width in others:
        x = _frames(height, width)
        both = [resize(x, Resize(size=224, fit=fit, antialias=False)) for fit in ("crop-float", "crop")]
        assert np.array_equal(*both)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_crop_first_scales_the_square_in_the_middle(shape):
    frames = _frames(*shape)
    square = frames[:, :, 8:32] if shape[0] < shape[1] else frames[:, 8:32]
    policy = Resize(size=10, fit="crop-first", antialias=False)
    assert np.array_equal(resize(frames, policy), resize(np.ascontiguousarray(square), policy))


def test_truncation_of_published_code():
    """TATS truncates ((x / 255 - 0.5) + 0.5) * 255 in float32, even of frames that have the size."""
    grey = np.repeat(np.arange(256, dtype=np.uint8), 3 * 256).reshape(1, 256, 256, 3)
    by_hand = ((grey.astype(np.float32) / 255 - np.float32(0.5) + np.float32(0.5)) * 255).astype(np.uint8)
    assert np.array_equal(resize(grey, Resize(size=256, rounding="truncate-centred")), by_hand)
    assert len(np.unique(grey[by_hand != grey])) == 63
    assert resize(grey, Resize(size=256, rounding="truncate-unit")) is grey
    x = cv2.resize(grey[0].astype(np.float32) / 255, (100, 100), interpolation=cv2.INTER_LINEAR)
    ours = resize(grey, Resize(size=100, antialias=False, rounding="truncate-unit"))[0]
    assert np.mean(ours != (x * 255).astype(np.uint8)) < 0.01
    assert np.mean(ours != np.rint(x * 255)) > 0.3


def test_real_clips_may_be_prepared_otherwise_than_generated_ones():
    first = Scaling(size=32, antialias=False)
    policy = Resize(fit="keep", real_first=first)
    assert policy.describe() == "native+32,crop,bilinear"
    assert policy.for_side("generated").describe() == "native"
    both = Resize(size=64, first=Scaling(size=16), real_first=first)
    assert (both.for_side("generated").first, both.for_side("real").first) == (Scaling(size=16), first)
