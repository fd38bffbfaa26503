"""Single-clip measurements on clips whose motion is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.errors import VgbenchError
from vgbench.metrics import (
    average_content_distance,
    dynamic_degree,
    dynamic_share,
    flow,
    frechet_distance,
    motion_smoothness,
    periodicity,
    temporal_flicker,
    warping_error,
)
from vgbench.metrics.clip_view import ClipView
from vgbench.metrics.temporal import autocorrelation, flow_histogram, flow_statistics

ALL = [
    temporal_flicker,
    motion_smoothness,
    warping_error,
    dynamic_degree,
    dynamic_share,
    average_content_distance,
    periodicity,
    flow_histogram,
]


def texture(size=128, cells=30, seed=0):
    """Smooth random image, uint8 [size, size, 3]."""
    coarse = np.random.default_rng(seed).random((cells, cells, 3))
    fine = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (255 * np.clip(fine, 0, 1)).astype(np.uint8)


def pan(dx=2, dy=0, frames=12, side=48):
    """A window of the texture that moves so that its content moves by (dx, dy) pixels each frame."""
    image = texture()
    x = 70 if dx > 0 else 10
    y = 70 if dy > 0 else 10
    return np.stack(
        [image[y - t * dy : y - t * dy + side, x - t * dx : x - t * dx + side] for t in range(frames)]
    )


def noise(frames=12, side=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)


def frozen(frames=12):
    return np.repeat(pan()[:1], frames, axis=0)


def test_frozen_clip_is_calm_smooth_consistent_and_lifeless():
    clip = frozen()
    assert temporal_flicker(clip) == 0
    assert motion_smoothness(clip) == 1
    assert warping_error(clip) == 0
    assert dynamic_degree(clip) == 0
    assert dynamic_share(clip) == 0
    assert average_content_distance(clip) == 0
    assert periodicity(clip) == 0
    assert flow_histogram(clip)[0] == 1


def test_flicker_is_the_mean_step_between_neighbours():
    clip = np.zeros((4, 5, 7, 3), dtype=np.uint8)
    clip[1], clip[2, :, :, 0] = 255, 51  # steps: all by 255; red by 204, others by 255; red by 51
    expected = (1 + (204 / 255 + 2) / 3 + 0.2 / 3) / 3
    assert temporal_flicker(clip) == pytest.approx(expected, rel=1e-14)


def test_flicker_of_independent_noise_is_a_third():
    assert temporal_flicker(noise(side=64)) == pytest.approx(1 / 3, rel=0.01)


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (-1, 0), (0, 2), (1, -1)])
def test_translation_is_followed_and_leaves_no_warping_error(dx, dy):
    clip = pan(dx, dy)
    forward = np.median(np.stack(ClipView(clip).forward()), axis=(0, 1, 2))
    np.testing.assert_allclose(forward, [dx, dy], atol=0.02)
    assert warping_error(clip) < 2e-5
    assert warping_error(clip) < temporal_flicker(clip) / 1000
    assert motion_smoothness(clip) > 0.995


def test_speed_is_measured_in_shorter_sides():
    assert dynamic_degree(pan(dx=2)) == pytest.approx(2 / 48, rel=0.06)
    assert dynamic_degree(pan(dx=1)) == pytest.approx(1 / 48, rel=0.06)


def test_vbench_calls_a_clip_dynamic_by_its_number_of_fast_pairs():
    """6 / 256 of 48 pixels is 1.1, so a pan by 2 is fast; of 16 frames 4 pairs must be."""
    fast = pan(dx=2, frames=5)
    assert dynamic_share(np.concatenate([fast, np.repeat(fast[-1:], 11, axis=0)])) == 1
    assert dynamic_share(np.concatenate([fast[:4], np.repeat(fast[3:4], 12, axis=0)])) == 0


@pytest.mark.parametrize(("frames", "needed"), [(13, 3), (14, 4), (16, 4), (18, 4), (19, 5)])
def test_a_quarter_of_the_frames_must_move_fast_rounded_half_to_even(frames, needed):
    for fast, expected in ((needed, 1), (needed - 1, 0)):
        moving = pan(dx=2, frames=fast + 1)
        still = np.repeat(moving[-1:], frames - len(moving), axis=0)
        assert dynamic_share(np.concatenate([moving, still])) == expected


def with_lengths(monkeypatch, lengths, pairs=1):
    """A clip of 20 × 20 pixels; in each pair of frames, the flow has these lengths and is 0 elsewhere."""
    field = np.zeros((20, 20, 2), dtype=np.float32)
    field.reshape(-1, 2)[np.random.default_rng(0).permutation(400)[: len(lengths)], 1] = lengths
    monkeypatch.setattr(flow, "solve", lambda clip: iter(pairs * [field]))
    return np.zeros((pairs + 1, 20, 20, 3), dtype=np.uint8)


def test_dynamic_degree_is_the_mean_speed_of_one_pixel_in_twenty(monkeypatch):
    for moving, expected in ((20, 1), (21, 1), (19, 0.95), (1, 0.05)):
        assert dynamic_degree(with_lengths(monkeypatch, moving * [3.0])) == pytest.approx(expected * 3 / 20)
    assert dynamic_degree(with_lengths(monkeypatch, [*range(1, 41)])) == pytest.approx(30.5 / 20)


@pytest.mark.parametrize(("speed", "expected"), [(5.9, 0), (6.1, 1)])
def test_more_than_6_of_256_pixels_a_step_is_fast(monkeypatch, speed, expected):
    assert dynamic_share(with_lengths(monkeypatch, 20 * [speed * 20 / 256], pairs=3)) == expected


def test_speed_does_not_depend_on_the_resolution():
    clip = pan(dx=1)
    double = np.stack([cv2.resize(frame, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for frame in clip])
    assert dynamic_degree(double) == pytest.approx(dynamic_degree(clip), rel=0.06)


def test_order_of_frames_matters_to_smoothness_and_warping():
    clip = pan()
    shuffled = clip[np.random.default_rng(0).permutation(len(clip))]
    assert motion_smoothness(shuffled) < motion_smoothness(clip) - 0.05
    assert warping_error(shuffled) > 100 * warping_error(clip)
    assert average_content_distance(shuffled) == pytest.approx(average_content_distance(clip), rel=1e-12)


def test_warping_error_is_that_of_scipys_interpolation():
    ndimage = pytest.importorskip("scipy.ndimage")
    clip = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    clip = ndimage.gaussian_filter(clip.astype(np.float64), (2, 2, 0))
    clip = np.stack([np.roll(clip, t, axis=1) for t in range(4)]).round().astype(np.uint8)
    rows, columns = np.mgrid[:40, :48].astype(np.float64)
    errors = []
    for t, (ahead, back) in enumerate(ClipView(clip).pairs()):
        at = [rows + ahead[..., 1], columns + ahead[..., 0]]
        warped = [ndimage.map_coordinates(clip[t + 1, ..., c] / 255, at, order=1) for c in range(3)]
        visible = ~flow.occluded(ahead, back)
        errors.append(np.mean((np.stack(warped, -1) - clip[t] / 255)[visible] ** 2))
    assert warping_error(clip) == pytest.approx(np.mean(errors), rel=1e-9)


def test_a_stutter_is_rough():
    clip = pan()
    stutter = clip[[0, 0, 2, 2, 4, 4, 6, 6, 8, 8, 10, 10]]
    assert motion_smoothness(stutter) < motion_smoothness(clip) - 0.02


def test_reversal_changes_neither_flicker_nor_smoothness_much():
    clip = pan()
    assert temporal_flicker(clip[::-1]) == temporal_flicker(clip)
    odd = clip[:11]  # with an odd number the same frames are dropped both ways
    assert motion_smoothness(odd[::-1]) == pytest.approx(motion_smoothness(odd), abs=1e-3)


def test_content_distance_by_hand():
    clip = np.zeros((3, 4, 4, 3), dtype=np.uint8)
    clip[1, ..., 0], clip[2, ..., 1] = 30, 40  # distances 30, 40, 50
    assert average_content_distance(clip) == pytest.approx(40, rel=1e-14)


def test_content_distance_is_that_of_the_shape_wherever_it_is():
    """A square of 4 x 4 pixels moves over grey; its colours are 30, 40 and 50 apart."""
    clip = np.full((3, 32, 32, 3), 128, dtype=np.uint8)
    for t, colour in enumerate([(0, 0, 0), (30, 0, 0), (0, 40, 0)]):
        clip[t, 5 * t : 5 * t + 4, 8 * t : 8 * t + 4] = colour
    assert average_content_distance(clip) == pytest.approx(40, rel=1e-12)
    assert average_content_distance(np.full((3, 8, 8, 3), 7, dtype=np.uint8)) == 0


@pytest.mark.parametrize("period", [2, 3, 5, 8])
def test_a_loop_has_a_peak_of_one_at_its_period(period):
    clip = np.concatenate([noise(frames=period, side=32)] * 9)[:16]
    assert periodicity(clip) == pytest.approx(1, abs=1e-9)
    assert autocorrelation(clip)[period] == pytest.approx(1, abs=1e-9)


def test_a_drift_is_not_periodic():
    ramp = np.linspace(0, 200, 16).astype(np.uint8)
    assert periodicity(np.broadcast_to(ramp[:, None, None, None], (16, 16, 16, 3))) == 0


def wave_on_a_step(height):
    """Grey frames that repeat every 5 frames but for a step in the middle, which keeps them alike."""
    t = np.arange(32)
    level = np.round(100 + height * (t >= 16) + 30 * np.sin(2 * np.pi * t / 5)).astype(np.uint8)
    return np.broadcast_to(level[:, None, None, None], (32, 8, 8, 3))


def test_a_peak_counts_once_the_autocorrelation_has_fallen_below_a_half():
    r = autocorrelation(wave_on_a_step(100))
    assert 0.48 < r[1:5].min() < 0.5
    assert periodicity(wave_on_a_step(100)) == r[5] > 0.6
    r = autocorrelation(wave_on_a_step(106))
    assert 0.5 < r[1:5].min() < 0.52
    assert periodicity(wave_on_a_step(106)) == r[10] < 0.4


def test_autocorrelation_of_a_sine_by_its_formula():
    t = np.arange(32)
    level = np.round(128 + 100 * np.sin(2 * np.pi * t / 8))
    clip = np.broadcast_to(level.astype(np.uint8)[:, None, None, None], (32, 8, 8, 3))
    u = level - level.mean()
    expected = [
        u[: 32 - lag] @ u[lag:] / np.sqrt((u[: 32 - lag] @ u[: 32 - lag]) * (u[lag:] @ u[lag:]))
        for lag in range(17)
    ]
    np.testing.assert_allclose(autocorrelation(clip), expected, atol=1e-12)


def test_flow_histogram_names_direction_and_speed():
    right, up = flow_histogram(pan(2, 0)), flow_histogram(pan(0, -2))
    speed = 1 + 4 * 8  # 2 / 48 of a side lies in the fastest range, above 16 / 512
    assert right[speed + 0] > 0.9
    assert up[speed + 6] > 0.9  # y points down, so up is the sixth eighth
    assert right.sum() == pytest.approx(1)


def test_flow_histograms_tell_sets_apart_by_motion_alone():
    image = texture()
    starts = np.random.default_rng(0).integers(0, 50, (8, 2))
    right = [np.stack([image[y : y + 32, x + t : x + t + 32] for t in range(6)]) for x, y in starts]
    down = [np.stack([image[y + t : y + t + 32, x : x + 32] for t in range(6)]) for x, y in starts]
    rows = {name: np.stack([flow_histogram(c) for c in clips]) for name, clips in (("r", right), ("d", down))}
    assert frechet_distance(rows["r"], rows["d"]) > 20 * frechet_distance(rows["r"][:4], rows["r"][4:])


def test_statistics_tell_translation_from_noise():
    steady, wild = flow_statistics(pan()), flow_statistics(noise())
    assert steady.mean == pytest.approx(2 / 48, rel=0.06)
    assert steady.top == pytest.approx(dynamic_degree(pan()), rel=1e-12)
    assert steady.deviation < wild.deviation
    assert steady.acceleration < wild.acceleration / 10
    assert steady.occluded < wild.occluded


def test_statistics_of_a_known_field_written_out(monkeypatch):
    fields = 3 * np.random.default_rng(0).standard_normal((4, 2, 10, 20, 2)).astype(np.float32)
    monkeypatch.setattr(ClipView, "forward", lambda view: list(fields[:, 0]))
    monkeypatch.setattr(ClipView, "pairs", lambda view: iter(fields))
    found = flow_statistics(np.zeros((5, 10, 20, 3), np.uint8))
    ahead = fields[:, 0].astype(np.float64) / 10
    lengths = np.hypot(ahead[..., 0], ahead[..., 1])
    changes = np.hypot(*np.moveaxis(ahead[1:] - ahead[:-1], -1, 0))
    fastest = [np.sort(pair.ravel())[-10:].mean() for pair in lengths]  # of 200 pixels, 5 %
    hidden = [flow.occluded(*both).mean() for both in fields]
    expected = lengths.mean(), np.mean(fastest), lengths.std(), changes.mean(), np.mean(hidden)
    assert found == pytest.approx(expected, rel=1e-6)
    monkeypatch.setattr(ClipView, "forward", lambda view: list(fields[:1, 0]))
    monkeypatch.setattr(ClipView, "pairs", lambda view: iter(fields[:1]))
    assert flow_statistics(np.zeros((2, 10, 20, 3), np.uint8)).acceleration == 0


def test_uncovered_background_is_occluded():
    height = width = 64
    forward, back = np.zeros((2, height, width, 2), dtype=np.float32)
    forward[20:40, 20:40, 0] = 8  # a square moves right by 8
    back[20:40, 28:48, 0] = -8
    hidden = flow.occluded(forward, back)
    assert hidden[22:38, 41:47].all()  # background that the square will cover
    assert not hidden[22:38, 22:38].any()
    assert not hidden[50:60, 50:60].any()


def test_pixels_that_leave_the_frame_are_occluded():
    right = np.zeros((20, 20, 2), dtype=np.float32)
    right[..., 0] = 4
    hidden = flow.occluded(right, -right)
    assert hidden[:, 16:].all()
    assert not hidden[:, :15].any()


def middle(forward, back):
    """Whether the middle pixel of a field of constant forward and backward flow is occluded."""
    size = (41, 41, 2)
    fields = (np.full(size, value, dtype=np.float32) for value in (forward, back))
    return flow.occluded(*fields)[20, 20]


@pytest.mark.parametrize("speed", [0.0, 2.0, 15.0])
def test_the_way_there_and_back_may_miss_by_what_lai_allows(speed):
    """|f + b'|² > 0.01 (|f|² + |b'|²) + 0.5, solved for a backward flow that is too short by m pixels."""
    m = np.roots([0.99, 0.02 * speed, -0.02 * speed**2 - 0.5]).max()
    assert not middle((speed, 0), (0.99 * m - speed, 0))
    assert middle((speed, 0), (1.01 * m - speed, 0))
    assert middle((0, speed), (0, 1.01 * m - speed))


@pytest.mark.parametrize("speed", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2)], ids=["rows", "columns"])
def test_flow_breaks_where_its_gradient_exceeds_what_sundaram_allows(speed, axes):
    """|∇f|² > 0.01 |f|² + 0.002, where two halves of the frame differ in one component of the flow."""
    for share, broken in ((0.99, []), (1.01, [19])):
        forward = np.zeros((41, 41, 2), dtype=np.float32)
        forward[..., 0] = speed
        forward[20:, :, 1] = share * np.sqrt(0.01 * speed**2 + 0.002)
        forward = forward.transpose(axes)
        hidden = flow.occluded(forward, -forward).transpose(axes[:2])
        assert np.flatnonzero(hidden[:30, 15]).tolist() == broken


def test_warp_samples_between_pixels():
    image = np.arange(12, dtype=np.float64).reshape(3, 4, 1)
    half = np.full((3, 4, 2), 0.5, dtype=np.float32)
    warped, inside = flow.warp(image, half)
    assert warped[0, 0, 0] == pytest.approx((0 + 1 + 4 + 5) / 4)
    assert warped[2, 3, 0] == 11  # the border is repeated
    assert inside[:2, :3].all()
    assert not inside[2].any()
    assert not inside[:, 3].any()


@pytest.mark.parametrize("shape", [(8, 8), (1, 40), (9, 200), (16, 16)])
def test_small_and_narrow_frames_are_measured(shape):
    clip = noise(frames=5, side=200)[:, : shape[0], : shape[1]]
    for measure in ALL:
        assert np.isfinite(measure(clip)).all()


@pytest.mark.parametrize(("height", "width", "factor"), [(16, 16, 1), (15, 40, 2), (40, 8, 2), (7, 9, 3)])
def test_small_frames_are_enlarged_by_a_whole_factor_for_the_flow(height, width, factor):
    clip = pan(dx=1, dy=-1, frames=5, side=40)[:, :height, :width]
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    size = width * factor, height * factor
    grays = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_CUBIC)
        for frame in clip
    ]

    def between(first, second):
        field = solver.calc(grays[first], grays[second], None).reshape(height, factor, width, factor, 2)
        return field.mean(axis=(1, 3)) / factor

    found = list(ClipView(clip).pairs(step=2))
    assert len(found) == 2
    for pair, (ahead, back) in enumerate(found):
        np.testing.assert_allclose(ahead, between(2 * pair, 2 * pair + 2), atol=1e-4)
        np.testing.assert_allclose(back, between(2 * pair + 2, 2 * pair), atol=1e-4)
    onward = ClipView(clip).forward()
    assert len(onward) == 4
    for first, field in enumerate(onward):
        np.testing.assert_allclose(field, between(first, first + 1), atol=1e-4)


def test_enlarged_flow_is_scaled_back():
    clip = pan(dx=1, side=12)
    assert np.median(np.stack(ClipView(clip).forward())[..., 0]) == pytest.approx(1, abs=0.1)


def test_same_numbers_with_any_number_of_threads():
    clip = pan()
    before = cv2.getNumThreads()
    found = []
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            found.append([warping_error(clip), motion_smoothness(clip), dynamic_degree(clip)])
    finally:
        cv2.setNumThreads(before)
    assert found[0] == found[1] == found[2]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), frames=st.integers(4, 7), side=st.integers(4, 40))
def test_ranges(seed, frames, side):
    clip = noise(frames, side, seed)
    assert 0 <= temporal_flicker(clip) <= 1
    assert 0 <= motion_smoothness(clip) <= 1
    assert 0 <= warping_error(clip) <= 1
    assert dynamic_degree(clip) >= 0
    assert 0 <= average_content_distance(clip) <= 255 * 3**0.5
    assert 0 <= periodicity(clip) <= 1
    mirrored = clip[:, :, ::-1]
    assert temporal_flicker(mirrored) == temporal_flicker(clip)
    assert temporal_flicker(255 - clip) == temporal_flicker(clip)


@pytest.mark.parametrize("measure", ALL)
@pytest.mark.parametrize(
    "clip",
    [
        np.zeros((1, 8, 8, 3), dtype=np.uint8),
        np.zeros((8, 8, 8, 3), dtype=np.float32),
        np.zeros((8, 8, 8), dtype=np.uint8),
        np.zeros((8, 3, 8, 8), dtype=np.uint8),
        np.zeros((8, 0, 8, 3), dtype=np.uint8),
    ],
    ids=["one frame", "float", "gray", "channels first", "empty"],
)
def test_refuses_what_is_no_clip(measure, clip):
    with pytest.raises(VgbenchError):
        measure(clip)
