"""A stored feature is of the bytes, the weights, the code and the precision that its key names."""

from __future__ import annotations

import hashlib
import importlib
import os
import random

import numpy as np
import pytest
import torch

import vgbench
from vgbench.clips.arrays import MemoryClip
from vgbench.clips.clip import ClipSource
from vgbench.errors import ConfigError
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.integrations.torchmetrics import FrechetVideoDistance
from vgbench.own_code import source_of

RNG = np.random.default_rng(0)
FAKE, REAL = RNG.integers(0, 256, (2, 8, 8, 16, 16, 3), dtype=np.uint8)
FEW = ["clips.least=4", "windows.frames=8", "resize.size=16"]


def fvd(generated=FAKE, real=REAL, *, store, **more):
    record = vgbench.evaluate(generated, real, metrics=["fvd"], settings=FEW, store=store, **more)
    return record.scores["fvd"].value


@pytest.fixture
def network():
    return vgbench.extractors.load("embedded")


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return fvd(store=FeatureStore(tmp_path_factory.mktemp("fresh")))


def test_a_module_that_holds_an_extractor_cannot_put_it_into_training_mode(network, store, expected):
    metric = FrechetVideoDistance(network)
    model = torch.nn.ModuleDict({"fvd": metric})

    def value():
        metric.reset()
        metric.update(torch.from_numpy(REAL), real=True)
        metric.update(torch.from_numpy(FAKE), real=False)
        return metric.compute().item()

    before = value()
    model.train()
    assert value() == before
    assert not any(module.training for module in network.modules())
    assert fvd(store=store, extractor=network) == expected


def test_a_network_of_ones_own_is_in_eval_mode_whenever_torchmetrics_uses_it():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(3)

        def forward(self, clips):
            assert not self.training
            features = self.norm(clips.float().mean(dim=(1, 2, 3)))
            return type("Output", (), {"features": features, "logits": None})

    net = Net()
    metric = FrechetVideoDistance(net, feature_dimension=3)
    metric.train()
    before = net.norm.running_mean.clone()
    metric.update(torch.from_numpy(REAL), real=True)
    assert torch.equal(net.norm.running_mean, before)


@pytest.mark.parametrize("surrounding", ["autocast", "default dtype", "cast"])
def test_features_are_the_same_whatever_surrounds_the_extractor(surrounding, network, store, expected):
    if surrounding == "autocast":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert fvd(store=store) == expected
    elif surrounding == "default dtype":
        torch.set_default_dtype(torch.float64)
        try:
            assert fvd(store=store) == expected
        finally:
            torch.set_default_dtype(torch.float32)
    else:
        torch.nn.ModuleList([network]).to(torch.bfloat16).double().half()
        assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
        assert fvd(store=store, extractor=network) == expected
    assert fvd(store=store) == expected, "what was stored is right too"


def test_a_shipped_network_whose_weights_were_changed_has_rows_and_a_signature_of_its_own(
    network, store, expected
):
    options = {"metrics": ["fvd"], "settings": FEW, "store": store}
    plain = vgbench.evaluate(FAKE, REAL, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5)
    changed = vgbench.evaluate(FAKE, REAL, extractor=network, **options)
    assert changed.scores["fvd"].value != pytest.approx(expected, rel=0.1)
    assert changed.signatures["fvd"] != plain.signatures["fvd"]
    assert "embedded-v1@changed-" in changed.signature
    assert fvd(store=store) == expected


MODULE = """
import numpy as np
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.metrics import per_clip_metric
from own_helper import FACTOR
sharp = per_clip_metric("sharp", "Sharpness", lambda clip: float(clip.mean() * FACTOR), better="real",
                        citation="own")
class Net(Extractor):
    spec = ExtractorSpec("net", "random:0", 1, "mean", 3, (), "own", "itself")
    def forward(self, clips):
        return Extracted(clips.float().mean(dim=(1, 2, 3)) * 1.0, None)
class Other(Net):
    def forward(self, clips):
        return Extracted(clips.float().std(dim=(1, 2, 3)), None)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own, and how to write another version of it or of what it imports."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        os.utime(tmp_path / f"{name}.py", (1e9, 1e9))  # older than this process: its source is certain
        importlib.invalidate_caches()
        if name in importlib.sys.modules:
            del importlib.sys.modules[name]

    write("own_helper", "FACTOR = 1.0\n")
    write("own_net", MODULE)
    yield write
    for name in ("own_net", "own_helper"):
        importlib.sys.modules.pop(name, None)


def evaluate_own(store, extractor="own_net:Net"):
    return vgbench.evaluate(
        FAKE, REAL, metrics=["own_net:sharp", "fvd"], extractor=extractor, settings=FEW, store=store
    )


def test_edited_code_of_ones_own_gives_new_numbers_under_another_signature(own, store):
    before = evaluate_own(store)
    own("own_net", MODULE.replace("* 1.0", "* 0.1").replace("clip.mean()", "clip.max()"))
    after = evaluate_own(store)
    assert after.scores["fvd"].value == pytest.approx(before.scores["fvd"].value / 100, rel=1e-4)
    assert after.scores["sharp"].value > 1.5 * before.scores["sharp"].value
    for name in ("fvd", "sharp"):
        assert after.signatures[name] != before.signatures[name]
    own("own_net", MODULE)
    assert evaluate_own(store).signatures == before.signatures


def test_an_edit_of_what_ones_own_module_imports_counts_too(own, store):
    before = evaluate_own(store)
    own("own_helper", "FACTOR = 2.0\n")
    own("own_net", MODULE)
    after = evaluate_own(store)
    assert after.scores["sharp"].value == pytest.approx(2 * before.scores["sharp"].value)
    assert after.signatures["sharp"] != before.signatures["sharp"]


def test_statistics_made_before_an_edit_are_refused(own, store, tmp_path):
    file = tmp_path / "real.safetensors"
    options = {"metrics": ["fvd"], "extractor": "own_net:Net", "settings": FEW, "store": store}
    export_statistics(REAL, file, **options)
    vgbench.evaluate(FAKE, file, **options)
    own("own_net", MODULE.replace("* 1.0", "* 0.1"))
    with pytest.raises(ConfigError, match=r"made under another protocol .*extractor: net@random:0#"):
        vgbench.evaluate(FAKE, file, **options)


def test_two_extractors_of_one_id_in_one_module_share_no_rows(own, store, tmp_path):
    evaluate_own(store)
    other = evaluate_own(store, "own_net:Other").scores["fvd"].value
    assert other == evaluate_own(FeatureStore(tmp_path / "fresh"), "own_net:Other").scores["fvd"].value


def test_a_file_that_changed_after_the_process_began_is_no_key_for_another_process(own, tmp_path):
    assert source_of("own_net").is_certain
    (tmp_path / "own_net.py").touch()
    del importlib.sys.modules["own_net"]
    late = source_of("own_net")
    assert not late.is_certain
    assert late.key != late.sha256


def test_the_callers_random_numbers_are_not_touched(store):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    fvd(store=store)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]


class Replaced(MemoryClip):
    """Other pixels lie under the name by the time that the clip is decoded."""

    def read(self, indices):
        object.__setattr__(self, "frames", 255 - self.frames)
        return super().read(indices)


def test_a_clip_that_is_replaced_while_it_is_read_is_skipped_and_stored_nowhere(store):
    clips = [MemoryClip(f"{i}", None, clip) for i, clip in enumerate(FAKE)]
    swapped = [*clips[:-1], Replaced("7", None, FAKE[-1].copy())]
    record = vgbench.evaluate(
        ClipSource("swapped", swapped), REAL, metrics=["fvd"], settings=FEW, store=store
    )
    (skipped,) = record.clips.generated.skipped
    assert (skipped.path, skipped.reason) == ("7", "changed while it was read")
    assert record.clips.generated.used == 7
    fresh = FeatureStore(store.folder.parent / "fresh")
    whole = [fvd(ClipSource("whole", clips), store=one) for one in (store, fresh)]
    assert whole[0] == pytest.approx(whole[1], rel=1e-5), "batches of other sizes differ by rounding only"


def test_rows_of_an_older_format_are_left_alone_and_never_read(store, expected):
    fvd(store=store)
    for table in list(store.folder.iterdir()):  # as the first format named and filed them
        producer = (table / "producer.txt").read_text().strip().partition("|")[2]
        (table / "producer.txt").write_text(producer + "\n")
        table.rename(store.folder / hashlib.sha256(producer.encode()).hexdigest()[:32])
    count = sum(1 for _ in store.folder.iterdir())
    files = sorted(store.folder.rglob("*.safetensors"))
    assert store.older_tables() == count
    counting = FeatureStore(store.folder)
    assert fvd(store=counting) == expected
    assert counting.older_tables() == count
    assert set(files) < set(store.folder.rglob("*.safetensors")), "computed anew, the old ones still there"
