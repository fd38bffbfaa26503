"""The torchmetrics wrappers equal the functions, in one process and over two."""

import os

import forked
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")

from vgbench.errors import VgbenchError  # noqa: E402
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec  # noqa: E402
from vgbench.integrations.torchmetrics import (  # noqa: E402
    FrechetVideoDistance,
    KernelVideoDistance,
    VideoInceptionScore,
)
from vgbench.metrics import frechet_distance, inception_score, kernel_distance  # noqa: E402


def features(n, seed, d=6):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)) + 0.1 * seed)


class Averages(Extractor):
    """Mean colour as features, twice that as logits."""

    spec = ExtractorSpec("averages", "none", 1, "none", 3, ("r", "g", "b"), "none", "nothing")

    def forward(self, clips):
        means = clips.float().mean(dim=(1, 2, 3))
        return Extracted(means, 2 * means)


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        (FrechetVideoDistance(feature_dimension=6), frechet_distance),
        (
            FrechetVideoDistance(feature_dimension=6, covariance="biased"),
            lambda x, y: frechet_distance(x, y, covariance="biased"),
        ),
        (KernelVideoDistance(), kernel_distance),
    ],
)
def test_distances_over_batches_equal_the_functions(metric, function):
    real, generated = features(50, 1), features(41, 2)
    for batch in real.split(16):
        metric.update(batch, real=True)
    for batch in generated.split(7):
        metric.update(batch, real=False)
    value = metric.compute()
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(function(generated.numpy(), real.numpy()), rel=1e-9)


def test_inception_score_over_batches_equals_the_function():
    metric = VideoInceptionScore(classes=6)
    logits = 3 * features(50, 1)
    for batch in logits.split(16):
        metric.update(batch)
    assert float(metric.compute()) == pytest.approx(inception_score(logits.numpy()).mean, rel=1e-12)


def test_clips_go_through_the_extractor():
    clips = torch.randint(
        0, 256, (12, 4, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    extractor = Averages()
    metric = FrechetVideoDistance(extractor)
    metric.update(clips[:6], real=True)
    metric.update(clips[6:], real=False)
    x = extractor(clips).features.double().numpy()
    assert float(metric.compute()) == pytest.approx(frechet_distance(x[6:], x[:6]), rel=1e-6)
    score = VideoInceptionScore(extractor)
    score.update(clips)
    assert float(score.compute()) == pytest.approx(inception_score(2 * x).mean, rel=1e-6)


def test_reset_can_keep_the_real_side():
    real, first, second = features(30, 1), features(30, 2), features(30, 3)
    for kind in (
        FrechetVideoDistance(feature_dimension=6, keep_real=True),
        KernelVideoDistance(keep_real=True),
    ):
        kind.update(real, real=True)
        kind.update(first, real=False)
        before = kind.compute()
        kind.reset()
        kind.update(second, real=False)
        fresh = type(kind)(**({"feature_dimension": 6} if isinstance(kind, FrechetVideoDistance) else {}))
        fresh.update(real, real=True)
        fresh.update(second, real=False)
        assert float(kind.compute()) == pytest.approx(float(fresh.compute()), rel=1e-12)
        assert float(kind.compute()) != float(before)


def test_reset_forgets_both_sides_by_default():
    metric = FrechetVideoDistance(feature_dimension=6)
    metric.update(features(30, 1), real=True)
    metric.reset()
    assert int(metric.real_n) == 0


def test_state_survives_a_checkpoint():
    metric = FrechetVideoDistance(feature_dimension=6)
    metric.persistent(True)
    metric.update(features(30, 1), real=True)
    metric.update(features(30, 2), real=False)
    other = FrechetVideoDistance(feature_dimension=6)
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    other.update(features(5, 3), real=False)
    metric.update(features(5, 3), real=False)
    assert float(other.compute()) == float(metric.compute())


def test_says_what_is_missing():
    with pytest.raises(VgbenchError, match="feature_dimension"):
        FrechetVideoDistance()
    with pytest.raises(VgbenchError, match="classes"):
        VideoInceptionScore()
    with pytest.raises(VgbenchError, match="finite features"):
        KernelVideoDistance().update(torch.full((3, 2), torch.nan), real=True)
    with pytest.raises(VgbenchError, match="finite features"):
        KernelVideoDistance().update(torch.zeros(2, 4, 8, 8, 3, dtype=torch.uint8), real=True)


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_compute_before_update_is_refused():
    with pytest.raises(VgbenchError):
        FrechetVideoDistance(feature_dimension=2).compute()
    with pytest.raises(VgbenchError):
        KernelVideoDistance().compute()
    with pytest.raises(VgbenchError):
        VideoInceptionScore(classes=2).compute()


def _two_processes_together_equal_one():
    rank = int(os.environ["RANK"])
    torch.distributed.init_process_group("gloo")
    real, generated = features(40, 1), features(31, 2)
    mine = slice(0, 25) if rank == 0 else slice(25, None)  # unequal shares
    for metric, function in (
        (FrechetVideoDistance(feature_dimension=6), frechet_distance),
        (KernelVideoDistance(), kernel_distance),
    ):
        metric.update(real[mine], real=True)
        metric.update(generated[mine], real=False)
        expected = function(generated.numpy(), real.numpy())
        assert float(metric.compute()) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    score = VideoInceptionScore(classes=6)
    score.update(generated[mine])
    assert float(score.compute()) == pytest.approx(inception_score(generated.numpy()).mean, abs=1e-12)
    torch.distributed.destroy_process_group()


def test_two_processes_together_equal_one(tmp_path):
    ranks = forked.start_ranks(_two_processes_together_equal_one, tmp_path / "ranks")
    for rank, process in enumerate(ranks):
        process.join(120)
        assert process.exitcode == 0, (tmp_path / "ranks" / str(rank) / "stderr").read_text()
