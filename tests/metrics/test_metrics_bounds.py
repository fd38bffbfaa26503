"""What every metric takes at the least: just enough is scored, one less is refused."""

from __future__ import annotations

import numpy as np
import pytest

from vgbench.errors import ConfigError, VgbenchError
from vgbench.metrics import (
    METRICS,
    FrechetMoments,
    Samples,
    frechet_distance,
    inception_score,
    kernel_distance,
    parse,
    precision_recall_density_coverage,
)
from vgbench.metrics.conditional import score_accuracy, score_intra
from vgbench.metrics.consistency import consistency
from vgbench.metrics.infinite import frechet_extrapolated, score_inception
from vgbench.metrics.memorisation import score_copies, score_diversity
from vgbench.metrics.paired import PAIRED, ms_ssim, psnr, ssim, tof
from vgbench.metrics.stream import as_signals, spectrum
from vgbench.metrics.uncertainty import deal

LEAST = {
    "fvd.ridge": 0.0,
    "kvd.degree": 1,
    "kvd.coef0": 0.0,
    "is.splits": 1,
    "prdc.k": 1,
    "copies.quantile": 0.0,
    "stream.k": 1,
}


def test_every_number_that_may_be_chosen_has_a_least():
    numbers = {
        f"{name}.{key}"
        for name, metric in METRICS.items()
        for key, option in metric.options.items()
        if not isinstance(option.default, bool | str)
    }
    assert numbers == set(LEAST)


@pytest.mark.parametrize("option", LEAST)
def test_options_go_down_to_their_least(option):
    name, _, key = option.partition(".")
    least = LEAST[option]
    assert parse(f"{name}({key}={least})").options[key] == least
    with pytest.raises(ConfigError, match="at least"):
        parse(f"{name}({key}={least - (1 if isinstance(least, int) else 1e-9)})")


def rows(n, d=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def samples(n, labels="", groups=None):
    groups = np.arange(n) if groups is None else groups
    return Samples(rows(n), rows(n, 3), groups, labels=tuple(labels))


def value(scores):
    return next(iter(scores.values())).value


def clip(frames, height=16, width=16):
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("measure", "least"),
    [
        (lambda n: frechet_distance(rows(n), rows(9)), 2),
        (lambda n: frechet_distance(rows(9), rows(n)), 2),
        (lambda n: FrechetMoments.from_features(rows(n)).distance(FrechetMoments.from_features(rows(9))), 2),
        (lambda n: FrechetMoments.from_features(rows(9)).distance(FrechetMoments.from_features(rows(n))), 2),
        (lambda n: FrechetMoments.from_features(rows(n)).n, 1),
        (lambda n: frechet_distance(rows(9, n), rows(9, n)), 1),  # dimensions
        (lambda n: kernel_distance(rows(n), rows(9)), 2),
        (lambda n: kernel_distance(rows(9), rows(n)), 2),
        (lambda n: inception_score(rows(n)).mean, 1),
        (lambda n: inception_score(rows(n), splits=3).mean, 3),
        (lambda n: precision_recall_density_coverage(rows(n), rows(9), k=3).recall, 4),
        (lambda n: precision_recall_density_coverage(rows(9), rows(n), k=3).recall, 4),
        (lambda n: precision_recall_density_coverage(rows(9), rows(9), k=n).recall, 1),
        (lambda n: frechet_extrapolated(rows(n), rows(9)).value, 8),
        (lambda n: value(score_inception(samples(n), samples(9))), 8),
        (lambda n: value(score_copies(samples(2), samples(n))), 2),
        (lambda n: value(score_copies(samples(2), samples(9, groups=np.arange(9) % n))), 2),
        (lambda n: value(score_diversity(samples(n), samples(9))), 2),
        (lambda n: value(score_diversity(samples(9), samples(9, groups=np.arange(9) % n))), 2),
        (lambda n: value(score_intra(samples(n + 3, "b" * n + "aaa"), samples(6, "aaabbb"))), 2),
        (lambda n: value(score_intra(samples(6, "aaabbb"), samples(n + 3, "b" * n + "aaa"))), 2),
        (lambda n: value(score_accuracy(samples(6, "ababab"), samples(6, ("ab"[:n] * 6)[:6]))), 2),
        (lambda n: value(score_accuracy(samples(2, "ab"), samples(8, "abababab", np.arange(8) % n))), 4),
        (lambda n: consistency(rows(n)).mean(), 2),
        (lambda n: spectrum(as_signals(rows(9 * n).reshape(9, n, 2), "rows"))[1].mean(), 4),
        (lambda n: psnr(clip(n), clip(n)[::-1]), 1),
        (lambda n: tof(clip(n), clip(n)[::-1]), 2),
        (lambda n: ssim(clip(1, n, 20), clip(1, n, 20)), 11),
        (lambda n: ssim(clip(1, 20, n), clip(1, 20, n)), 11),
        (lambda n: ms_ssim(clip(1, n, 180), clip(1, n, 180)), 176),
        (lambda n: ms_ssim(clip(1, 180, n), clip(1, 180, n)), 176),
    ],
)
def test_just_enough_is_scored_and_one_less_refused(measure, least):
    assert np.isfinite(measure(least)) or measure(least) == np.inf
    with pytest.raises(VgbenchError):
        measure(least - 1)


@pytest.mark.parametrize("name", [name for name, m in METRICS.items() if not m.needs_extractor])
def test_clips_go_down_to_the_least_that_a_metric_declares(name):
    metric = METRICS[name]
    side = max(metric.least_size, 4)
    assert np.all(np.isfinite(metric.measure(clip(metric.least_frames, side, side))))
    with pytest.raises(VgbenchError):
        metric.measure(clip(metric.least_frames - 1, side, side))
    if metric.least_size > 1:
        with pytest.raises(VgbenchError):
            metric.measure(clip(metric.least_frames, side - 1, side - 1))


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_go_down_to_the_least_that_a_metric_declares(name):
    metric, side = PAIRED[name], 176 if name == "ms_ssim" else 48

    def measure(frames):
        made, truth = clip(frames, side, side), clip(frames, side, side) // 2
        distance = [lambda a, b: np.abs(a - b.astype(float)).mean((1, 2, 3))] if metric.perceptual else []
        return metric.measure(made, truth, *distance)

    assert np.isfinite(measure(metric.least_frames))
    with pytest.raises(VgbenchError):
        measure(metric.least_frames - 1)


@pytest.mark.parametrize(("clips", "blocks"), [(3, 0), (4, 4), (31, 31), (32, 32), (33, 32)])
def test_an_error_takes_four_source_clips_and_at_most_32_blocks(clips, blocks):
    assert len(deal(np.arange(clips))) == blocks
    score = METRICS["diversity"].score(samples(clips), samples(9))["diversity"]
    assert (score.standard_error is not None) == (blocks > 0)


def test_a_quantile_is_a_share():
    real = samples(9)
    assert score_copies(samples(4), real, quantile=1.0)["copied"].n == 4
    with pytest.raises(VgbenchError, match="quantile"):
        score_copies(samples(4), real, quantile=1.5)


DIRECTIONS = {
    "lower": "fvd kvd jedi_mmd fvd_infinite intra_fvd copied frame_fid fvmd flow_distance warping_error "
    "temporal_flicker viideo",
    "higher": "is is_infinite precision recall density coverage class_accuracy authenticity stream_t "
    "stream_f stream_d frame_consistency motion_smoothness",
    "real": "diversity drift dynamic_degree dynamic_share acd periodicity",
}
"""As the papers have it: distances fall, inception score, precision and the like rise; how much clips move,
vary or repeat is best as in the real ones."""


def test_scores_improve_in_the_direction_that_their_papers_say():
    found = {}
    for metric in METRICS.values():
        found |= metric.directions
    assert found == {name: way for way, names in DIRECTIONS.items() for name in names.split()}


def test_pairs_improve_in_the_direction_that_their_papers_say():
    higher = {name for name, metric in PAIRED.items() if metric.better == "higher"}
    assert higher == {"psnr", "ssim", "ms_ssim"}
    assert {metric.better for metric in PAIRED.values()} == {"higher", "lower"}


def test_what_a_metric_declares_of_itself():
    def those(condition):
        return {name for name, metric in METRICS.items() if condition(metric)}

    assert those(lambda m: m.sees == "logits") == {"is", "is_infinite"}
    assert those(lambda m: m.sees == "frames") == {"frame_fid", "stream", "drift", "frame_consistency"}
    assert those(lambda m: m.labels) == {"intra_fvd", "class_accuracy"}
    fits = those(lambda m: m.fits_covariance)
    assert fits == {"fvd", "fvd_infinite", "intra_fvd", "fvmd", "flow_distance"}
    assert those(lambda m: m.per_clip and m.score.keywords["is_share"]) == {"dynamic_share"}
    assert those(lambda m: m.below_real) == {"dynamic_degree"}
    # A frozen clip wins these, so that they are read beside the amount of motion.
    beside = those(lambda m: m.companion == "dynamic_degree")
    assert beside == those(lambda m: m.companion)
    frozen = np.repeat(clip(1, 32, 32), 16, axis=0)
    moving = clip(16, 32, 32)
    for name in those(lambda m: m.per_clip and m.directions[m.name] != "real"):
        sign = 1 if METRICS[name].directions[name] == "lower" else -1
        wins = sign * METRICS[name].measure(frozen) < sign * METRICS[name].measure(moving)
        assert wins == (name in beside)
    assert beside - those(lambda m: not m.needs_extractor) == {"frame_consistency"}
