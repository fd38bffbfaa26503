"""What an evaluation says of scores and networks that are not those of the publication they remind of."""

from __future__ import annotations

import numpy as np
import pytest

import vgbench
from vgbench import extractors
from vgbench.clips.sources import open_source
from vgbench.evaluation.choices import measures_for, resolve_protocol
from vgbench.evaluation.execution import Execution
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.measure import measure
from vgbench.protocol import load, released

SHAPES = "builtin:moving-shapes/test?size=32&clips=16"
SMALL = ["clips.generated=16", "clips.real=16", "clips.least=2"]


def clips(
    seed: int, count: int = 16, frames: int = 16, shape: tuple[int, int] = (24, 32)
) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, frames, *shape, 3), dtype=np.uint8))


def codes(record) -> set[str]:
    return {code for code, _ in record.warnings}


def test_an_inception_score_over_shapes_is_warned_of_unless_the_clips_are_shapes(tmp_path):
    options = {"protocol": "quick", "settings": SMALL, "store": FeatureStore(tmp_path)}
    natural = vgbench.evaluate(clips(0), clips(1), metrics=["is", "fvd"], **options)
    assert "other-classes" in codes(natural)
    assert "other-classes" not in codes(vgbench.evaluate(clips(0), clips(1), metrics=["fvd"], **options))
    assert "other-classes" not in codes(vgbench.evaluate(clips(0), SHAPES, metrics=["is"], **options))


def test_a_record_says_which_scores_are_not_the_published_ones(tmp_path):
    record = vgbench.evaluate(
        clips(0), clips(1), protocol="quick", metrics=["warping_error", "acd"], settings=SMALL
    )
    assert set(record.details["differs"]) == {"warping_error", "dynamic_degree"}


@pytest.mark.parametrize(
    ("name", "preprocessing"), [("i3d-k400-tats", "digan"), ("i3d-k400", "digan"), ("embedded", None)]
)
def test_another_network_of_the_same_kind_keeps_the_protocol_s_preprocessing(name, preprocessing):
    for protocol in ("fvd-digan", load("fvd-digan")):
        chosen = resolve_protocol(protocol, None, name).extractor
        assert (chosen.name, chosen.preprocessing) == (name, preprocessing)
    given = resolve_protocol("fvd-digan", None, "i3d-k400", ["extractor.preprocessing=tf1"])
    assert given.extractor.preprocessing == "tf1"


@pytest.mark.parametrize(
    ("protocol", "warned"), [("fvd-digan", True), ("fvd-digan@2.0", True), ("quick", False)]
)
def test_a_network_that_is_given_other_frames_than_the_protocol_states_is_warned_of(protocol, warned):
    record = vgbench.evaluate(
        clips(0), clips(1), protocol=protocol, metrics=["fvd"], extractor="embedded", settings=SMALL
    )
    assert ("other-preprocessing" in codes(record)) is warned
    assert ("|start:uniform,seed0,of all windows|" in record.signature) is (protocol == "fvd-digan")
    assert ("|size:native+128,crop-first,bilinear,truncate|" in record.signature) is (protocol == "fvd-digan")
    named = [text for code, text in record.warnings if code == "other-preprocessing"]
    assert all("fvd-digan" in text and "embedded" in text for text in named)


def test_only_released_versions_are_known():
    assert released("fvd-digan", "2.0") == load("fvd-digan@2.0")
    assert released("fvd-digan", "3.0") == load("fvd-digan")
    assert released("fvd-digan", "9.0") is None
    assert released("mine", "1.0") is None


def test_real_windows_of_tats_come_from_all_windows_at_its_size(tmp_path):
    """One clip of 60 frames has 45 windows, eight of 17 frames have 2 each: the long one gives most."""
    sources = {"long": clips(0, 1, 60), "short": clips(1, 8, 17)}
    protocol = load("fvd-tats", ["clips.generated=30", "clips.real=30", "clips.least=2"])
    source = open_source([*sources["long"], *sources["short"]])
    network = extractors.load("embedded")
    measures = measures_for([], network)
    found = measure(source, "real", protocol, measures, Execution(store=FeatureStore(tmp_path)))
    assert len(found.windows) == 30
    from_long = [used.window for used in found.windows if used.window.clip == 0]
    assert 15 <= len(from_long) <= 29  # 22 are expected
    assert len({window.frames[0] for window in from_long}) == len(from_long)
    assert all(len(used.window.frames) == 16 for used in found.windows)
