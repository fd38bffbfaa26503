"""Equal signatures promise equal ways of scoring: change one choice at a time and see that they keep it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from stub_extractor import StubExtractor

import vgbench
from vgbench import config
from vgbench.clips import open_source
from vgbench.errors import ConfigError
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.paired import PairedProtocol, evaluate_pairs
from vgbench.extractors.extractor import Extracted
from vgbench.metrics import METRICS, Option, parse
from vgbench.metrics.paired import PAIRED
from vgbench.protocol import Protocol
from vgbench.records.record import Record
from vgbench.records.signature import Signature

FEATURES = frozenset({"fvd", "is"})
PIXELS = frozenset({"temporal_flicker", "flow_distance"})
ALL = FEATURES | PIXELS
OF_PAIRS = frozenset({"psnr", "tof", "lpips"})
NONE: frozenset[str] = frozenset()

BASE = Protocol.model_validate(
    {
        "name": "base",
        "version": "1.0",
        "summary": "Small.",
        "source": "This test.",
        "clips": {"generated": 8, "real": 8, "least": 4},
        "windows": {"frames": 6},
        "resize": {"size": 14},
        "extractor": {"name": f"{__name__}:network"},
        "metrics": sorted(ALL),
    }
)
BASE_OF_PAIRS = PairedProtocol.model_validate(
    {"metrics": sorted(OF_PAIRS), "resize": {"size": 40}, "weights": "random:1"}
)


class Network(StubExtractor):
    """The stub, with all that a network may be loaded with; each choice changes its features a little."""

    def __init__(self, name: str, weights: str, preprocessing: str, precision: str) -> None:
        super().__init__()
        self.gain = 1 + sum(map(ord, name + weights + preprocessing + precision)) / 1e4
        self.spec = dataclasses.replace(
            self.spec, id=f"{name}-{precision}", weights=weights, preprocessing=preprocessing
        )

    def forward(self, clips: torch.Tensor) -> Extracted:
        features, logits = super().forward(clips)
        return Extracted(features * self.gain, logits * self.gain)


def network(weights: str = "random:0", preprocessing: str = "plain", precision: str = "float32") -> Network:
    return Network("net", weights, preprocessing, precision)


def other_network() -> Network:
    return Network("other", "random:0", "plain", "float32")


@functools.cache
def clips(seed: int, count: int = 10) -> list[np.ndarray]:
    """Flickering noise, each clip of its own length and brightness, uint8 [16 … 24, 18, 24, 3]."""
    rng = np.random.default_rng(seed)
    noise = (rng.integers(0, 120, (16 + 2 * (k % 5), 18, 24, 3), dtype=np.uint8) for k in range(count))
    return [frames + np.uint8(5 * k) for k, frames in enumerate(noise)]


@dataclasses.dataclass(frozen=True)
class Signed:
    """What a record says: its signature, as fields, that of each score, and each score."""

    whole: dict[str, str]
    own: dict[str, str]
    scores: dict[str, Any]

    @classmethod
    def of(cls, record: Record) -> Signed:
        assert record.signature == str(Signature(record.signature_fields))
        return cls(dict(record.signature_fields), record.signatures, record.scores)


@functools.cache
def scored(*settings: str) -> Signed:
    sides = (open_source(clips(side), fps=8) for side in (0, 1))
    return Signed.of(vgbench.evaluate(*sides, BASE, settings=settings))


@functools.cache
def scored_pairs(*settings: str) -> Signed:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (2, 5, 42, 46, 3), dtype=np.uint8)
    made = truth // 2 + rng.integers(0, 128, truth.shape, dtype=np.uint8)
    values = config.with_overrides(BASE_OF_PAIRS.model_dump(mode="json"), settings)
    return Signed.of(evaluate_pairs(made, truth, config.parse(PairedProtocol, values, "pairs")))


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of everything that a protocol chooses."""
    for name, entry in model.model_fields.items():
        kinds = [kind for kind in (entry.annotation, *get_args(entry.annotation)) if isinstance(kind, type)]
        groups = [kind for kind in kinds if issubclass(kind, BaseModel)]
        if not groups:
            yield prefix + name
        for group in groups:
            yield from leaves(group, f"{prefix}{name}.")


@dataclasses.dataclass(frozen=True)
class Change:
    """Another value of one leaf.

    Attributes:
        value: as `--set` takes it.
        moved: scores that it changes.
        signed: scores whose signature it changes.
        given: settings of both runs, for a leaf that does nothing without them.
    """

    value: str
    moved: frozenset[str] = ALL
    signed: frozenset[str] = ALL
    given: tuple[str, ...] = ()


FIRST = ("resize.first.size=9",)
REAL_FIRST = ("resize.real_first.size=9",)

CHANGES: dict[str, tuple[str, *tuple[Change, ...]]] = {
    "name": ("protocol", Change("other", moved=NONE)),
    "version": ("v", Change("next", moved=NONE)),
    "summary": ("", Change("Tiny.", NONE, NONE)),
    "source": ("", Change("Nobody.", NONE, NONE)),
    "clips.generated": ("clips", Change("7")),
    "clips.real": ("clips", Change("7", moved=ALL - {"is"}), Change("all", moved=ALL - {"is"})),
    "clips.least": ("", Change("5", NONE, NONE)),
    "clips.least_real": ("", Change("5", NONE, NONE)),
    "windows.frames": ("frames", Change("7")),
    "windows.stride": ("frames", Change("2")),
    "windows.real_stride": ("frames", Change("2", moved=ALL - {"is"})),
    "windows.fps": ("fps", Change("4"), Change("16")),
    "windows.start": ("start", Change("first"), Change("centre")),
    "windows.generated_start": (
        "start",
        Change("first"),
        Change("centre", given=("windows.start=first",)),
        Change("uniform", NONE, NONE),  # as the real side
    ),
    "windows.order": ("start", Change("sorted")),
    "windows.seeded_by": ("start", Change("content")),
    "windows.per_clip": ("clips", Change("2", given=("clips.generated=14", "clips.real=14"))),
    "windows.offset": ("start", Change("3", given=("windows.start=first",))),
    "resize.size": ("size", Change("12"), Change("12", NONE, NONE, given=("resize.fit=keep",))),
    "resize.fit": ("size", Change("squash"), Change("keep"), Change("crop-first")),
    "resize.kernel": (
        "size",
        *map(Change, ("bilinear-tf1", "bilinear-corners", "bicubic", "area", "nearest")),
    ),
    "resize.antialias": (
        "size",
        Change("false"),
        Change("false", given=("resize.kernel=bicubic",)),
        Change("false", NONE, NONE, given=("resize.kernel=area",)),  # which knows none
    ),
    "resize.rounding": ("size", Change("truncate"), Change("truncate-centred")),
    "resize.first.size": ("size", Change("12"), Change("14", NONE, NONE)),  # 14 is the size anyway
    "resize.first.fit": ("size", Change("squash", given=FIRST), Change("keep", given=FIRST)),
    "resize.first.kernel": ("size", Change("area", given=FIRST)),
    "resize.first.antialias": ("size", Change("false", given=FIRST)),
    "resize.first.rounding": ("size", Change("truncate", given=FIRST)),
    "resize.real_first.size": (
        "size",
        Change("12", moved=ALL - {"is"}),
        Change("9", NONE, NONE, given=FIRST),  # as the generated side
    ),
    "resize.real_first.fit": ("size", Change("squash", moved=ALL - {"is"}, given=REAL_FIRST)),
    "resize.real_first.kernel": ("size", Change("area", moved=ALL - {"is"}, given=REAL_FIRST)),
    "resize.real_first.antialias": ("size", Change("false", moved=ALL - {"is"}, given=REAL_FIRST)),
    "resize.real_first.rounding": ("size", Change("truncate", moved=ALL - {"is"}, given=REAL_FIRST)),
    "extractor.name": ("feat", Change(f"{__name__}:other_network", FEATURES, FEATURES)),
    "extractor.preprocessing": ("feat", Change("centred", FEATURES, FEATURES)),
    "extractor.precision": ("feat", Change("bfloat16", FEATURES, FEATURES)),
    "extractor.weights": ("feat", Change("random:1", FEATURES, FEATURES)),
    "metrics": (
        "options",
        *(
            Change(
                f"[{','.join(sorted(ALL - {name}))},{name}({given})]", frozenset({name}), frozenset({name})
            )
            for name, given in (("fvd", "covariance=biased"), ("fvd", "ridge=0.5"), ("is", "splits=2"))
        ),
    ),
    "seed": ("start", Change("1")),
}
"""Leaf -> the field of the signature that tells of it, and the values to try."""
FIRST_OF_PAIRS = ("resize.first.size=36",)
REAL_FIRST_OF_PAIRS = ("resize.real_first.size=36",)

CHANGES_OF_PAIRS: dict[str, tuple[str, *tuple[Change, ...]]] = {
    "name": ("",),  # there is one
    "version": ("",),
    "metrics": ("",),  # those that there are have no options
    "skip": ("frames", Change("1", OF_PAIRS, OF_PAIRS)),
    "frames": ("frames", Change("4", OF_PAIRS, OF_PAIRS)),
    "resize.size": ("size", Change("36", OF_PAIRS, OF_PAIRS)),
    "resize.fit": ("size", Change("squash", OF_PAIRS, OF_PAIRS), Change("keep", OF_PAIRS, OF_PAIRS)),
    "resize.kernel": ("size", Change("area", OF_PAIRS, OF_PAIRS)),
    "resize.antialias": ("size", Change("false", OF_PAIRS, OF_PAIRS)),
    "resize.rounding": ("size", Change("truncate", OF_PAIRS, OF_PAIRS)),
    "resize.first.size": ("size", Change("36", OF_PAIRS, OF_PAIRS)),
    "resize.first.fit": ("size", Change("squash", OF_PAIRS, OF_PAIRS, FIRST_OF_PAIRS)),
    "resize.first.kernel": ("size", Change("area", OF_PAIRS, OF_PAIRS, FIRST_OF_PAIRS)),
    "resize.first.antialias": ("size", Change("false", OF_PAIRS, OF_PAIRS, FIRST_OF_PAIRS)),
    "resize.first.rounding": ("size", Change("truncate", OF_PAIRS, OF_PAIRS, FIRST_OF_PAIRS)),
    "resize.real_first.size": ("size", Change("36", OF_PAIRS, OF_PAIRS)),
    "resize.real_first.fit": ("size", Change("squash", OF_PAIRS, OF_PAIRS, REAL_FIRST_OF_PAIRS)),
    "resize.real_first.kernel": ("size", Change("area", OF_PAIRS, OF_PAIRS, REAL_FIRST_OF_PAIRS)),
    "resize.real_first.antialias": ("size", Change("false", OF_PAIRS, OF_PAIRS, REAL_FIRST_OF_PAIRS)),
    "resize.real_first.rounding": ("size", Change("truncate", OF_PAIRS, OF_PAIRS, REAL_FIRST_OF_PAIRS)),
    "weights": ("feat", Change("random:2", frozenset({"lpips"}), frozenset({"lpips"}))),
}
RUNS = [
    (run, leaf, told, change)
    for run, table in ((scored, CHANGES), (scored_pairs, CHANGES_OF_PAIRS))
    for leaf, (told, *changes) in table.items()
    for change in changes
]


@pytest.mark.parametrize(
    ("protocol", "table"), [(Protocol, CHANGES), (PairedProtocol, CHANGES_OF_PAIRS)], ids=["sets", "pairs"]
)
def test_every_leaf_of_a_protocol_is_tried(protocol, table):
    assert sorted(leaves(protocol)) == sorted(table)


@pytest.mark.parametrize(
    ("run", "leaf", "told", "change"),
    RUNS,
    ids=[f"{run.__name__}-{leaf}={c.value}" for run, leaf, _, c in RUNS],
)
def test_a_leaf_that_moves_a_score_changes_its_signature_and_no_other(run, leaf, told, change):
    before, after = run(*change.given), run(*change.given, f"{leaf}={change.value}")
    moved = {name for name in before.scores if before.scores[name] != after.scores[name]}
    signed = {name for name in before.scores if before.own[name] != after.own[name]}
    assert moved == change.moved
    assert signed == change.signed
    assert moved <= signed
    differ = {key for key, _ in before.whole.items() ^ after.whole.items()}
    assert differ - {"real"} == ({told} if signed else set())


def test_of_all_these_runs_those_with_equal_signatures_have_equal_scores():
    seen: dict[object, Any] = {}
    for run, leaf, _, change in RUNS:
        for settings in (change.given, (*change.given, f"{leaf}={change.value}")):
            found = run(*settings)
            assert seen.setdefault(frozenset(found.whole.items()), found.scores) == found.scores
            for name, own in found.own.items():
                assert seen.setdefault(own, found.scores[name]) == found.scores[name]


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("statistics")

    @functools.cache
    def export(*settings):
        path = folder / f"{','.join(('real', *settings))}.safetensors"
        return export_statistics(clips(1), path, BASE, settings=settings)

    return export


OF_THE_REAL_SIDE = ("clips.real", "windows.", "resize.", "extractor.", "seed")


@pytest.mark.parametrize("leaf", CHANGES)
def test_statistics_serve_only_where_the_clips_would_give_the_same_score(leaf, statistics):
    _, change, *_ = CHANGES[leaf]
    file = statistics(*change.given)
    settings = (*change.given, f"{leaf}={change.value}")
    if leaf.startswith(OF_THE_REAL_SIDE) and leaf != "windows.generated_start":
        with pytest.raises(ConfigError, match="made under another protocol"):
            vgbench.evaluate(clips(0), file, BASE, settings=settings)
    else:
        record = vgbench.evaluate(clips(0), file, BASE, settings=settings)
        assert Signed.of(record) == scored(*settings)


def other_values(option: Option) -> list[Any]:
    if isinstance(option.default, bool):
        return [not option.default]
    if isinstance(option.default, str):
        return [value for value in option.allowed if value != option.default]
    return [option.default + (1 if isinstance(option.default, int) else 1e-7)]


OPTIONS = [
    (name, key, value)
    for name, metric in METRICS.items()
    for key, option in metric.options.items()
    for value in other_values(option)
]


@pytest.mark.parametrize(("name", "key", "value"), OPTIONS)
def test_every_option_of_a_metric_shows_in_its_spelling(name, key, value):
    choice = parse(f"{name}({key}={value})")
    assert choice.options[key] == value
    assert str(choice) != name
    assert parse(str(choice)) == choice


@given(st.floats(0, 2), st.floats(0, 2))
def test_options_that_differ_are_spelled_differently(first, second):
    one, other = (parse(f"fvd(ridge={value!r})") for value in (first, second))
    assert parse(str(one)) == one
    assert (str(one) == str(other)) == (first == second)


def test_short_numbers_are_spelled_as_they_always_were():
    texts = ("kvd(coef0=2)", "kvd(coef0=0.5)", "kvd(coef0=1e-07)", "kvd(coef0=1e+06)")
    assert [str(parse(text)) for text in texts] == list(texts)


@pytest.mark.parametrize("name", ["temporal_flicker", "flow_distance"])
def test_a_new_version_of_a_measurement_has_another_signature_and_is_measured_again(
    name, tmp_path, monkeypatch
):
    def run():
        return vgbench.evaluate(clips(0), clips(1), BASE, store=FeatureStore(tmp_path))

    before = Signed.of(run())
    measure = METRICS[name].measure
    newer = dataclasses.replace(METRICS[name], version="2", measure=lambda window: 2 * measure(window))
    monkeypatch.setitem(METRICS, name, newer)
    after = Signed.of(run())
    assert {key for key in ALL if before.scores[key] != after.scores[key]} == {name}
    assert {key for key in ALL if before.own[key] != after.own[key]} == {name}
    assert before.whole != after.whole


def test_a_new_version_of_a_paired_metric_has_another_signature(monkeypatch):
    before = scored_pairs()
    newer = dataclasses.replace(PAIRED["psnr"], version="2", measure=lambda clip, reference: 1.0)
    monkeypatch.setitem(PAIRED, "psnr", newer)
    after = scored_pairs.__wrapped__()
    assert {name for name in OF_PAIRS if before.scores[name] != after.scores[name]} == {"psnr"}
    assert {name for name in OF_PAIRS if before.own[name] != after.own[name]} == {"psnr"}
    assert before.whole != after.whole


def test_another_real_set_has_another_signature():
    other = Signed.of(vgbench.evaluate(clips(0), clips(2), BASE))
    assert {key for key, _ in other.whole.items() ^ scored().whole.items()} == {"real"}
    assert all(other.own[name] != scored().own[name] for name in ALL)


def test_scores_of_a_network_name_it_and_scores_of_pixels_do_not():
    own = scored().own
    assert {name for name in ALL if "feat:net-float32@random:0#" in own[name]} == FEATURES
    assert {name for name in ALL if "feat:" in own[name]} == FEATURES
