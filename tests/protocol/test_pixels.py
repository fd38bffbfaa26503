from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vgbench.protocol.pixels import Resize, resize, resize_float


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
