"""Batch sizes chosen by time, against clocks made by hand; features must not depend on them."""

from __future__ import annotations

import numpy as np
import pytest
from extracting import extract
from stub_extractor import StubExtractor

from vgbench.errors import ConfigError
from vgbench.extractors.batch_size import LARGEST, Batches, batches, parse_batch_size


def settled(seconds_a_clip, clips=1000):
    """Sizes of all batches of a run whose clips take `seconds_a_clip(size)` each, and where it settled."""
    chosen = Batches("auto")
    sizes = []
    while clips > 0:
        size = min(chosen.size, clips)
        sizes.append(size)
        clips -= size
        if chosen.trying:
            chosen.took(size, size * seconds_a_clip(size))
    return sizes, chosen


def test_the_size_with_the_cheapest_clips_stays():
    sizes, chosen = settled({1: 5.0, 2: 3.0, 4: 2.0, 8: 2.5}.__getitem__, clips=30)
    assert sizes == [1, 1, 2, 2, 4, 4, 8, 8]
    sizes, chosen = settled({1: 5.0, 2: 3.0, 4: 2.0, 8: 2.5}.__getitem__)
    assert sizes[:10] == [1, 1, 2, 2, 4, 4, 8, 8, 4, 4]
    assert (chosen.size, chosen.trying, str(chosen)) == (4, False, "auto: 4")


def test_where_more_is_always_cheaper_the_largest_stays():
    sizes, chosen = settled(lambda size: 1 / size)
    assert chosen.size == max(sizes) == LARGEST
    assert sum(sizes) == 1000


def test_one_slow_batch_of_a_size_does_not_decide():
    slow = iter([100.0])
    _, chosen = settled(lambda size: next(slow, 2.0) if size == 2 else 5.0 / size)
    assert chosen.size > 2


def test_a_short_batch_tells_nothing():
    chosen = Batches("auto")
    chosen.took(1, 1.0)
    chosen.took(1, 1.0)
    for _ in range(5):
        chosen.took(1, 0.001)
    assert chosen.size == 2
    assert chosen.trying


@pytest.mark.parametrize(("batch_size", "largest"), [(1, 1), (4, 4), (100, 11), ("auto", 4)])
def test_features_do_not_depend_on_it(batch_size, largest):
    clips = np.random.default_rng(0).integers(0, 256, (11, 4, 6, 6, 3), dtype=np.uint8)
    network = StubExtractor()
    expected = StubExtractor()(clips)
    found = extract(network, clips, batch_size)
    np.testing.assert_allclose(found.features, expected.features.numpy(), rtol=1e-6)
    np.testing.assert_allclose(found.logits, expected.logits.numpy(), rtol=1e-6)
    assert sum(network.calls) == 11
    assert max(network.calls) <= largest


def test_what_may_be_asked_for():
    assert parse_batch_size("auto") == "auto"
    assert parse_batch_size("12") == 12
    for wrong in ("0", "-3", "many", "1.5"):
        with pytest.raises(ConfigError, match="batch size") as caught:
            parse_batch_size(wrong)
        assert "auto" in caught.value.remedy
    with pytest.raises(ConfigError):
        Batches(0)
    settled_before = Batches("auto")
    assert batches(settled_before) is settled_before
    assert batches(3).size == 3
