"""Inception score: bounds, the formula written out, published variants, replicates."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from vgbench.errors import VgbenchError
from vgbench.metrics import METRICS, Samples, inception_score
from vgbench.metrics.inception import InceptionMoments


def logits(n=200, k=10, seed=0):
    return np.random.default_rng(seed).standard_normal((n, k)) * 2


def written_out(rows, epsilon=0.0):
    """exp(mean_x Σ_y p (log p − log p̄)), clip by clip."""
    p = [[math.exp(v) / sum(math.exp(w) for w in row) for v in row] for row in rows]
    marginal = [sum(column) / len(p) for column in zip(*p, strict=True)]
    total = sum(
        v * (math.log(v + epsilon) - math.log(m + epsilon))
        for row in p
        for v, m in zip(row, marginal, strict=True)
    )
    return math.exp(total / len(p))


def samples(rows, groups=None):
    return Samples(np.zeros((len(rows), 1)), rows, np.arange(len(rows)) if groups is None else groups)


def test_no_preference_scores_one():
    assert inception_score(np.zeros((50, 101))) == pytest.approx((1.0, 0.0), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 101])
def test_sure_and_evenly_spread_scores_the_number_of_classes(classes):
    rows = np.tile(1000.0 * np.eye(classes), (3, 1))
    assert inception_score(rows).mean == pytest.approx(classes, rel=1e-12)


def test_equals_the_formula_written_out():
    rows = logits()
    assert inception_score(rows).mean == pytest.approx(written_out(rows), rel=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save:UserWarning")
@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
def test_equals_torchmetrics():
    torch = pytest.importorskip("torch")
    inception = pytest.importorskip("torchmetrics.image.inception")
    metric = inception.InceptionScore(feature=torch.nn.Identity(), splits=1, normalize=False)
    rows = torch.from_numpy(logits())
    metric.update(rows)
    assert inception_score(rows.numpy()).mean == pytest.approx(float(metric.compute()[0]), rel=1e-6)


@pytest.mark.parametrize(("variant", "epsilon"), [("tgan", 1e-7), ("tganv2", 1e-20)])
def test_published_epsilons(variant, epsilon):
    rows = logits() * 8
    assert inception_score(rows, variant=variant).mean == pytest.approx(written_out(rows, epsilon), rel=1e-12)
    assert inception_score(rows, variant="tgan").mean != inception_score(rows).mean


def test_splits_are_scored_one_by_one():
    rows = logits(n=103)
    edges = [i * 103 // 4 for i in range(5)]
    expected = [written_out(rows[a:b]) for a, b in itertools.pairwise(edges)]
    assert inception_score(rows, splits=4) == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-12)


def test_stylegan_v_shuffles_by_a_fixed_seed_and_leaves_the_global_generator_alone():
    rows = logits(n=100)
    order = np.arange(100)
    np.random.RandomState(42).shuffle(order)
    state = np.random.get_state()[1].copy()
    expected = inception_score(rows[order], splits=10)
    assert inception_score(rows, splits=10, variant="stylegan-v") == expected
    assert (np.random.get_state()[1] == state).all()


def test_huge_logits_do_not_overflow():
    rows = np.array([[1e30, 0], [0, 1e30]], dtype=np.float32)
    assert inception_score(rows).mean == pytest.approx(2.0, rel=1e-12)


def test_jackknife_follows_the_correction_by_hand():
    rows = logits(n=16)
    found = METRICS["is"].score(samples(rows))["is"]
    without = np.array([written_out(np.delete(rows, i, axis=0)) for i in range(16)])
    assert found.value == pytest.approx(written_out(rows), rel=1e-12)
    assert found.debiased == pytest.approx(16 * found.value - 15 * without.mean(), rel=1e-9)
    assert found.standard_error == pytest.approx(np.sqrt(15 * np.var(without)), rel=1e-9)


@pytest.mark.parametrize(("variant", "epsilon"), [("tgan", 1e-7), ("tganv2", 1e-20)])
def test_replicates_have_the_published_epsilon_too(variant, epsilon):
    rows = logits(n=16) * 8
    found = METRICS["is"].score(samples(rows), None, variant=variant)["is"]
    without = np.array([written_out(np.delete(rows, i, axis=0), epsilon) for i in range(16)])
    assert found.debiased == pytest.approx(16 * written_out(rows, epsilon) - 15 * without.mean(), rel=1e-9)
    assert found.standard_error == pytest.approx(np.sqrt(15 * np.var(without)), rel=1e-9)


def test_correction_undoes_part_of_the_loss_of_few_clips():
    long = inception_score(logits(n=20000, seed=1)).mean
    found = [METRICS["is"].score(samples(logits(n=100, seed=s)))["is"] for s in range(2, 30)]
    assert abs(np.mean([f.debiased for f in found]) - long) < abs(np.mean([f.value for f in found]) - long)


def test_splits_give_their_own_error():
    found = METRICS["is"].score(samples(logits()), None, splits=10)["is"]
    mean, std = inception_score(logits(), splits=10)
    assert found.value == mean
    assert found.standard_error == pytest.approx(std / 3, rel=1e-12)  # std / √(splits − 1)
    assert found.method == "10 splits"
    assert found.interval == pytest.approx(stats.t.interval(0.95, 9, mean, std / 3), rel=1e-9)


def test_two_splits_by_hand():
    """The mean of two numbers: error half of their gap, one degree of freedom."""
    rows = logits(n=20)
    first, second = written_out(rows[:10]), written_out(rows[10:])
    found = METRICS["is"].score(samples(rows), None, splits=2)["is"]
    assert found.value == pytest.approx((first + second) / 2, rel=1e-12)
    assert found.standard_error == pytest.approx(abs(first - second) / 2, rel=1e-9)
    half = stats.t.ppf(0.975, 1) * found.standard_error
    assert found.interval == pytest.approx((found.value - half, found.value + half), rel=1e-9)


@pytest.mark.parametrize("splits", [1, 4])
@pytest.mark.parametrize("variant", ["tgan", "tganv2", "stylegan-v"])
def test_variants_of_the_scored_value_are_those_of_the_function(variant, splits):
    rows = logits(n=60) * 8
    found = METRICS["is"].score(samples(rows), None, splits=splits, variant=variant)["is"]
    assert found.value == pytest.approx(inception_score(rows, splits, variant=variant).mean, rel=1e-12)
    moves = splits > 1 if variant == "stylegan-v" else variant == "tgan"  # 1e-20 is below all digits
    assert (found.value != pytest.approx(inception_score(rows, splits).mean, rel=1e-12)) == moves


def test_batches_add_up():
    rows = logits(n=50)
    a, b = InceptionMoments.from_logits(rows[:20]), InceptionMoments.from_logits(rows[20:])
    both = InceptionMoments(a.n + b.n, a.total + b.total, a.negentropy + b.negentropy)
    assert both.score() == pytest.approx(inception_score(rows).mean, rel=1e-12)


def test_an_extractor_without_classes_is_refused():
    with pytest.raises(VgbenchError, match="logits"):
        METRICS["is"].score(Samples(np.zeros((4, 1)), None, np.arange(4)))


def test_more_splits_than_clips_are_refused():
    with pytest.raises(VgbenchError, match="splits"):
        inception_score(logits(n=3), splits=4)
