"""Copies within a side and between the sides are found by pixels, named, and never counted as independent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stub_extractor import StubExtractor

import vgbench
from vgbench.evaluation.dependence import TOLERATED
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.measured import UsedWindow, independent_groups
from vgbench.metrics import Metric, Samples, Score
from vgbench.protocol.sampler import Window

RNG = np.random.default_rng(0)
POOL = RNG.integers(0, 256, (80, 1, 2, 2, 3), dtype=np.uint8).repeat(4, 1).repeat(8, 2).repeat(8, 3)
SETTINGS = ["clips.least=2", "windows.frames=4", "resize.size=16"]


@pytest.fixture
def evaluate(tmp_path):
    def run(generated, real, metrics=("fvd", "prdc"), **more):
        store = FeatureStore(tmp_path / "store")
        return vgbench.evaluate(
            generated,
            real,
            metrics=list(metrics),
            settings=SETTINGS,
            extractor=StubExtractor(),
            store=store,
            **more,
        )

    return run


def codes(record):
    return dict(record.warnings)


def test_copies_of_a_clip_count_as_one_in_the_error(evaluate):
    few = evaluate(POOL[:8], POOL[40:])
    copied = evaluate(np.repeat(POOL[:8], 4, axis=0), POOL[40:])
    assert "24 of 32 windows (75%) repeat the pixels of another clip" in codes(copied)["duplicate-clips"]
    assert "duplicate-clips" not in codes(few)
    assert "jackknife(8+" in copied.scores["fvd"].method
    # The same eight draws, so the same standard error, however often each is repeated.
    ratio = copied.scores["fvd"].standard_error / few.scores["fvd"].standard_error
    assert 0.7 < ratio < 1.4


def test_a_set_of_one_distinct_window_is_named_as_collapsed(evaluate):
    record = evaluate(np.repeat(POOL[:1], 8, axis=0), POOL[40:])
    assert codes(record)["collapsed-set"].startswith("generated: all 8 windows are the same")
    assert record.scores["fvd"].interval is None
    assert record.scores["precision"].interval is None


@pytest.mark.parametrize("container", ["array", "strips"])
def test_copies_of_the_real_set_are_found_in_whatever_file_they_are(evaluate, tmp_path, container):
    generated = np.concatenate([POOL[40:76], POOL[:4]])
    if container == "strips":
        folder = tmp_path / "strips"
        folder.mkdir()
        for number, clip in enumerate(generated):
            Image.fromarray(np.concatenate(list(clip), axis=1)).save(folder / f"{number:03}.png")
        generated = folder
    record = evaluate(generated, POOL[40:])
    assert codes(record)["dependent-sets"].startswith(
        "36 of 40 generated windows (90%) are windows of the real"
    )
    assert (record.scores["fvd"].interval, record.scores["fvd"].debiased) == (None, None)
    assert "dependent-sets" not in codes(evaluate(POOL[:40], POOL[40:]))


def test_copies_that_differ_in_a_pixel_are_found_by_their_features(evaluate):
    generated = POOL[40:].copy()
    generated[:, 1, 7, 7, 0] ^= 1  # in no frame, and so in no feature, that the extractor looks at
    generated[:, 3] = POOL[40:, 3]
    record = evaluate(generated, POOL[40:])
    if record.clips.generated.windows[0].sha256 == record.clips.real.windows[0].sha256:
        pytest.fail("the clips are not changed")
    found = evaluate(np.repeat(POOL[40:60], 1, axis=0)[:, ::-1], POOL[40:])  # played backwards: still frames
    assert "dependent-sets" in codes(found)


def test_a_few_equal_clips_are_tolerated(evaluate):
    assert TOLERATED * 64 > 1
    generated = np.concatenate([POOL[:39], POOL[40:41]])
    many = np.concatenate([generated, RNG.integers(0, 256, (24, 4, 16, 16, 3), dtype=np.uint8)])
    assert "dependent-sets" in codes(evaluate(generated, POOL[40:]))  # one of 40
    assert "dependent-sets" not in codes(evaluate(many, POOL[40:]))  # one of 64


def window(content):
    return UsedWindow("c", None, "f", Window(0, (0,)), content=content)


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["", *"abcd"])), min_size=1, max_size=12))
def test_groups_are_the_connected_components_of_recordings_and_contents(drawn):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(drawn)
    linked = [
        (i, j)
        for i, (a, x) in enumerate(drawn)
        for j, (b, y) in enumerate(drawn)
        if a == b or (x == y and x != "")
    ]
    rows, columns = zip(*linked, strict=True)
    _, expected = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(n, n)))
    recordings = np.array([number for number, _ in drawn])
    groups = independent_groups(recordings, [window(content) for _, content in drawn])
    assert ((groups[:, None] == groups[None]) == (expected[:, None] == expected[None])).all()
    assert list(dict.fromkeys(groups.tolist())) == list(range(groups.max() + 1))


def test_an_interval_of_a_distance_is_never_wholly_below_0():
    def score(generated, real):
        return {"gap": Score(2.0, 0.6, (-7.2, -4.7), 8, debiased=-6.0)}

    side = Samples(np.zeros((8, 2)), None, np.arange(8))
    distance = Metric("gap", "Gap", "features", score, {"gap": "lower"}, "", is_distance=True)
    assert distance.compare(side, side)["gap"].interval == (-7.2, 0.0)
    other = Metric("gap", "Gap", "features", score, {"gap": "lower"}, "")
    assert other.compare(side, side)["gap"].interval == (-7.2, -4.7)
