"""Scores of single frames' features, by hand."""

import numpy as np
import pytest

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples, frechet_distance, precision_recall_density_coverage
from vgbench.metrics.frame_level import drift_curve, score_drift, score_fid, score_stream
from vgbench.metrics.stream import spectrum, temporal_agreement


def samples(seed, n=40, frames=8, d=3):
    walks = np.random.default_rng(seed).standard_normal((n, frames, d)).cumsum(axis=1).astype(np.float32)
    return Samples(walks.mean(axis=1), None, np.arange(n), walks)


def test_frame_fid_is_the_distance_of_all_frames_whatever_their_order():
    x, y = samples(1), samples(2)
    score = score_fid(x, y)["frame_fid"]
    assert score.value == pytest.approx(frechet_distance(x.frames.reshape(-1, 3), y.frames.reshape(-1, 3)))
    assert score.n == 40
    shuffled = Samples(x.features, None, x.groups, x.frames[:, ::-1])
    assert score_fid(shuffled, y)["frame_fid"].value == pytest.approx(score.value)


def test_frames_of_one_clip_stay_together_in_the_error():
    still = np.repeat(np.random.default_rng(0).standard_normal((40, 1, 3)), 8, axis=1)
    repeated = Samples(still[:, 0], None, np.arange(40), still)
    once = Samples(still[:, 0], None, np.arange(40), still[:, :4])
    errors = [score_fid(side, samples(2))["frame_fid"].standard_error for side in (repeated, once)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


def test_stream_scores_are_those_of_their_parts():
    x, y = samples(1), samples(2)
    found = score_stream(x, y)
    (mean_y, skew_y), (mean_x, skew_x) = (spectrum(side.frames.astype(np.float64)) for side in (y, x))
    spatial = precision_recall_density_coverage(mean_y, mean_x)
    expected = (temporal_agreement(skew_y, skew_x), spatial.precision, spatial.recall)
    assert tuple(score.value for score in found.values()) == expected
    assert all(score.interval is not None for score in found.values())


def test_drift_of_a_straight_walk():
    step = np.arange(8.0)[None, :, None] * np.array([3.0, 4.0])
    speed = np.array([1.0, 2.0, 1.0, 2.0])[:, None, None]
    clips = speed * step
    assert drift_curve(clips) == pytest.approx(5 * speed[:, 0] * np.arange(1, 8))
    side = Samples(clips[:, 0], None, np.arange(4), clips)
    still = Samples(clips[:, 0], None, np.arange(4), np.zeros_like(clips))
    score = score_drift(side, still)["drift"]
    assert score.value == pytest.approx(5 * 1.5 * np.mean([4, 5, 6, 7]))
    assert (score.real, score.real_error) == (0, 0)
    assert score_drift(still, side)["drift"].real_error == pytest.approx(score.standard_error)
    assert score.details["curve"][0] == {"frames_apart": 1, "generated": pytest.approx(7.5), "real": 0.0}
    assert len(score.details["curve"]) == 7


def test_drift_is_the_mean_of_scipys_distances():
    distances = pytest.importorskip("scipy.spatial.distance")
    side = samples(1)
    far = []
    for clip in side.frames.astype(np.float64):
        table = distances.cdist(clip, clip)
        far.append(np.mean([np.diagonal(table, apart).mean() for apart in range(4, 8)]))
    assert score_drift(side, samples(2))["drift"].value == pytest.approx(np.mean(far), rel=1e-12)


def test_without_frames_there_is_no_score():
    whole = Samples(np.zeros((4, 2)), None, np.arange(4))
    for score in (score_fid, score_stream, score_drift):
        with pytest.raises(VgbenchError, match="every frame"):
            score(whole, whole)


@pytest.mark.parametrize(("frames", "points"), [(4, 3), (33, 32), (60, 32)])
def test_the_curve_of_long_clips_is_thinned_out_and_keeps_its_ends(frames, points):
    curve = score_drift(samples(1, n=5, frames=frames), samples(2, n=5, frames=frames))["drift"].details[
        "curve"
    ]
    apart = [point["frames_apart"] for point in curve]
    assert len(curve) == points
    assert (apart[0], apart[-1]) == (1, frames - 1)
    assert apart == sorted(set(apart))


@pytest.mark.parametrize(("frames", "far"), [(4, [2, 3]), (5, [3, 4]), (7, [4, 5, 6])])
def test_drift_counts_from_half_a_window_on(frames, far):
    side = samples(1, n=5, frames=frames)
    expected = drift_curve(side.frames.astype(np.float64))[:, np.array(far) - 1].mean()
    assert score_drift(side, side)["drift"].value == pytest.approx(expected, rel=1e-6)


def test_errors_of_stream_leave_out_source_clips():
    x, y = samples(1, n=12), samples(2, n=10)
    found = score_stream(x, y)["stream_t"]

    def agreement(real, generated):
        skews = [spectrum(side.astype(np.float64))[1] for side in (real, generated)]
        return temporal_agreement(*skews)

    sides = [
        np.array([agreement(y.frames, np.delete(x.frames, i, axis=0)) for i in range(12)]),
        np.array([agreement(np.delete(y.frames, i, axis=0), x.frames) for i in range(10)]),
    ]
    variance = sum((len(side) - 1) * np.var(side) for side in sides)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert found.debiased is None
