"""Subject and background consistency: closed forms and invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples
from vgbench.metrics.consistency import consistency, score


def test_by_hand():
    """Directions at 0°, 60°, 90°: cosines 1/2 to the first; cos 30° and 0 for the last."""
    angles = np.radians([0, 60, 90])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[1], [5], [0.1]]
    np.testing.assert_allclose(consistency(features), [0.5, (3**0.5 / 2 + 0) / 2], rtol=1e-12)


def test_opposite_features_count_zero_and_not_less():
    np.testing.assert_allclose(consistency([[1, 0], [-1, 0], [-1, 0]]), [0, 0.5])


def test_a_frozen_clip_is_wholly_consistent_and_an_empty_one_not_at_all():
    np.testing.assert_allclose(consistency(np.ones((4, 7))), 1)
    assert consistency(np.zeros((4, 7))).tolist() == [0, 0, 0]


@given(
    arrays(np.float64, (5, 3), elements=st.floats(-10, 10)),
    arrays(np.float64, 5, elements=st.floats(0.1, 10)),
    st.integers(0, 2**32 - 1),
)
def test_length_and_rotation_of_the_features_do_not_matter(features, lengths, seed):
    features = np.where(np.abs(features) < 1e-3, 0, features)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    plain = consistency(features)
    np.testing.assert_allclose(consistency(features * lengths[:, None] @ rotation), plain, atol=1e-9)
    assert ((plain >= 0) & (plain <= 1)).all()


@pytest.mark.parametrize("bad", [np.ones(3), np.ones((1, 3)), [[0.0, np.nan], [1, 1]]])
def test_refuses_what_is_not_features_of_frames(bad):
    with pytest.raises(VgbenchError, match=r"finite features \[T, D\]"):
        consistency(bad)


def test_a_set_has_the_mean_of_its_clips_beside_the_real_ones():
    rng = np.random.default_rng(0)
    clips, real = (rng.normal(size=(6, 4, 5)).astype(np.float32) for _ in range(2))
    sides = [Samples(side.mean(axis=1), None, np.arange(6) // 2, side) for side in (clips, real)]
    found = score(*sides)["frame_consistency"]
    # VBench averages over all frames or over clips: equal where clips are equally long.
    assert found.value == pytest.approx(np.mean([consistency(clip) for clip in clips]))
    assert found.real == pytest.approx(np.mean([consistency(clip) for clip in real]))
    assert found.n == 6
    assert "3 source clips" in found.method
