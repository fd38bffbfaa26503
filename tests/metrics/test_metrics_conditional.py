"""Scores of conditional models, by hand and against scikit-learn."""

import numpy as np
import pytest

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples, frechet_distance
from vgbench.metrics.conditional import classify, score_accuracy, score_intra

LABELS = ("walk", "wave") * 30


def samples(labels=LABELS, gap=6.0, seed=0):
    rng = np.random.default_rng(seed)
    wave = np.array([label == "wave" for label in labels])
    rows = rng.standard_normal((len(labels), 5)) + gap * wave[:, None]
    return Samples(rows, None, np.arange(len(labels)), labels=labels)


def test_intra_fvd_is_the_mean_over_classes():
    x, y = samples(seed=1), samples(seed=2)
    score = score_intra(x, y)["intra_fvd"]
    by_hand = [frechet_distance(x.features[k::2], y.features[k::2]) for k in (0, 1)]
    assert score.value == pytest.approx(np.mean(by_hand))
    assert score.details["classes"]["walk"]["value"] == pytest.approx(by_hand[0])
    assert score.details["classes"]["wave"]["n"] == [30, 30]
    assert score.interval[0] <= score.debiased <= score.interval[1]
    assert np.sum(np.square(np.concatenate(score.deviations))) == pytest.approx(score.standard_error**2)


def test_swapped_classes_are_seen_by_both_and_not_by_the_distance_of_the_whole_sets():
    real, honest = samples(seed=1), samples(seed=2)
    swapped = Samples(honest.features, None, honest.groups, labels=LABELS[::-1])
    whole = [frechet_distance(side.features, real.features) for side in (honest, swapped)]
    assert whole[0] == whole[1]
    assert score_intra(swapped, real)["intra_fvd"].value > 20 * score_intra(honest, real)["intra_fvd"].value
    assert score_accuracy(honest, real)["class_accuracy"].value == 1
    assert score_accuracy(swapped, real)["class_accuracy"].value == 0


def test_accuracy_without_difference_between_classes_is_chance():
    real, generated = samples(gap=0, seed=1), samples(labels=("walk", "wave") * 200, gap=0, seed=2)
    score = score_accuracy(generated, real)["class_accuracy"]
    assert 0.4 < score.value < 0.6
    assert 0.25 < score.real < 0.75  # on clips that the classifier has not seen
    assert set(score.details["classes"]) == {"walk", "wave"}


def test_classifier_is_scikit_learns():
    learn = pytest.importorskip("sklearn.discriminant_analysis")
    rng = np.random.default_rng(0)
    truth = np.arange(90) % 3
    x = rng.standard_normal((90, 4)) + truth[:, None] * np.array([1, 0.5, 0, 0])
    new = rng.standard_normal((300, 4)) * 2 + 1
    means = np.stack([x[truth == k].mean(0) for k in range(3)])

    class Pooled:  # the same covariance, so that only the discriminant is compared
        def fit(self, rows):
            centred = x - means[truth]
            pooled = centred.T @ centred / 87
            self.covariance_ = 0.9 * pooled + 0.1 * np.trace(pooled) / 4 * np.eye(4)
            return self

    theirs = learn.LinearDiscriminantAnalysis(
        solver="lsqr", covariance_estimator=Pooled(), priors=np.full(3, 1 / 3)
    ).fit(x, truth)
    assert np.array_equal(classify(x, truth, new), theirs.predict(new))


def test_what_cannot_be_scored_is_named():
    real = samples()
    with pytest.raises(VgbenchError, match="no class labels"):
        score_intra(Samples(real.features, None, real.groups), real)
    with pytest.raises(VgbenchError, match="class 'wave' has 0 generated"):
        score_intra(samples(labels=("walk",) * 60), real)
    with pytest.raises(VgbenchError, match="needs 2 classes"):
        score_accuracy(real, samples(labels=("walk",) * 60))
    few = Samples(real.features, None, np.arange(60) // 20, labels=LABELS)
    assert "4 source clips" in score_intra(few, real)["intra_fvd"].method
