from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from stub_extractor import StubExtractor

import vgbench
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore

SETTINGS = ["clips.generated=20", "clips.real=20", "clips.least=4"]
TRAIN = "builtin:moving-shapes/train?size=32&clips=20"
TEST = "builtin:moving-shapes/test?size=32&clips=20"
OPTIONS = {
    "metrics": ["fvd", "kvd", "prdc", "is", "temporal_flicker", "flow_distance"],
    "extractor": StubExtractor(),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("statistics") / "real.safetensors"
    return export_statistics(TEST, path, settings=SETTINGS, **OPTIONS).read_bytes()


@pytest.fixture
def exported(whole, tmp_path):
    (tmp_path / "real.safetensors").write_bytes(whole)
    return tmp_path / "real.safetensors"


def hash_of(data):
    """Of all arrays and facts; the bytes differ, since safetensors writes its metadata in any order."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header["__metadata__"]["sha256"]


def test_scores_against_the_file_are_scores_against_the_clips(exported):
    from_clips = vgbench.evaluate(TRAIN, TEST, settings=SETTINGS, **OPTIONS)
    from_file = vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)
    assert from_file.scores == from_clips.scores
    assert from_file.signature == from_clips.signature
    assert from_file.clips.real == from_clips.clips.real


def test_metrics_that_the_extractor_does_not_allow_are_left_out_where_all_were_asked_for(whole, tmp_path):
    said = []
    asked = {**OPTIONS, "metrics": [*OPTIONS["metrics"], "frame_fid"]}
    path = tmp_path / "all.safetensors"
    with pytest.raises(VgbenchError, match="frame_fid"):
        export_statistics(TEST, path, settings=SETTINGS, **asked)
    assert not path.exists()
    export_statistics(
        TEST, path, settings=SETTINGS, lenient=True, warn=lambda *pair: said.append(pair), **asked
    )
    assert hash_of(path.read_bytes()) == hash_of(whole)
    ((code, sentence),) = said
    assert code == "left-out"
    assert "frame_fid" in sentence


def test_export_tells_of_damage_in_the_feature_store(whole, tmp_path):
    store = FeatureStore(tmp_path / "store")
    export_statistics(TEST, tmp_path / "once.safetensors", settings=SETTINGS, store=store, **OPTIONS)
    segment = next(iter(sorted((tmp_path / "store").rglob("*.safetensors"))))
    data = bytearray(segment.read_bytes())
    data[-3] ^= 1
    segment.write_bytes(data)
    said = []
    options = {**OPTIONS, "settings": SETTINGS, "store": FeatureStore(tmp_path / "store")}
    path = export_statistics(
        TEST, tmp_path / "again.safetensors", warn=lambda *pair: said.append(pair), **options
    )
    assert [code for code, _ in said] == ["damaged-store"]
    assert hash_of(path.read_bytes()) == hash_of(whole)


def test_another_protocol_or_network_is_refused_by_name(exported):
    with pytest.raises(ConfigError, match=r"windows: 16/s1.* there, 8/s1.* here"):
        vgbench.evaluate(TRAIN, exported, settings=[*SETTINGS, "windows.frames=8"], **OPTIONS)
    other = StubExtractor()
    other.spec = other.spec.__class__(**{**vars(other.spec), "weights": "random:1"})
    with pytest.raises(ConfigError, match="extractor: stub@random:0"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **{**OPTIONS, "extractor": other})
    with pytest.raises(ConfigError, match="holds no warping_error"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, metrics=["warping_error"])


def test_statistics_stand_for_generated_clips_only_where_both_sides_are_chosen_alike(exported):
    alike = vgbench.evaluate(exported, TEST, settings=SETTINGS, **OPTIONS)
    assert alike.scores["fvd"].value == pytest.approx(0, abs=1e-6)
    for other in ("windows.generated_start=first", "clips.generated=19"):
        with pytest.raises(ConfigError, match="chooses those of a generated one by another rule"):
            vgbench.evaluate(exported, TEST, settings=[*SETTINGS, other], **OPTIONS)


def test_damaged_and_foreign_files_are_refused(exported, tmp_path):
    exported.write_bytes(exported.read_bytes()[:-10])
    with pytest.raises(VgbenchError, match=r"real\.safetensors"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(VgbenchError, match="not a statistics file"):
        vgbench.evaluate(TRAIN, tmp_path / "other.safetensors", settings=SETTINGS, **OPTIONS)


def parts(path):
    with safetensors.safe_open(path, framework="numpy") as file:
        return safetensors.numpy.load_file(path), json.loads(file.metadata()["vgbench_statistics"])


def rewrite(path, arrays, about):
    """As a program that knows of no hash would write it."""
    safetensors.numpy.save_file(arrays, path, {"vgbench_statistics": json.dumps(about)})


@pytest.mark.parametrize("name", ["clip_values/temporal_flicker", "features", "logits", "groups", "frames"])
def test_a_flipped_bit_is_noticed_wherever_it_is(exported, name):
    data = bytearray(exported.read_bytes())
    size = int.from_bytes(data[:8], "little")
    data[8 + size + json.loads(data[8 : 8 + size])[name]["data_offsets"][0] + 2] ^= 1
    exported.write_bytes(data)
    with pytest.raises(VgbenchError, match=r"real\.safetensors: damaged.*sha256 differs"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)


def test_a_file_from_before_there_was_a_hash_is_read(exported):
    with_hash = vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)
    rewrite(exported, *parts(exported))
    assert vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS).scores == with_hash.scores


NAN = np.full((20, 32), np.nan, np.float32)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays, about: arrays.pop("groups"), "holds no groups"),
        (lambda arrays, about: arrays.pop("frames"), "holds no frames"),
        (lambda arrays, about: arrays.pop("features"), "holds no features"),
        (lambda arrays, about: arrays.pop("clip_values/temporal_flicker"), "holds no clip_values/temporal"),
        (lambda arrays, about: arrays.update(features=arrays["features"][:3]), r"features is float32 \[3, "),
        (lambda arrays, about: arrays.update(features=arrays["features"][:, :0]), "features is"),
        (lambda arrays, about: arrays.update(logits=arrays["logits"][0]), "logits is"),
        (lambda arrays, about: arrays.update(features=NAN), "features is not finite"),
        (lambda arrays, about: arrays.update(groups=arrays["groups"] * 1.0), "groups is float64"),
        (lambda arrays, about: arrays.update(frames=arrays["frames"][:, :2]), "frames is int32"),
        (
            lambda arrays, about: arrays.update({"clip_values/temporal_flicker": np.full(20, np.inf)}),
            "temporal_flicker is not finite",
        ),
        (lambda arrays, about: about.pop("requirements"), "'requirements' is missing"),
        (lambda arrays, about: about.update(windows=[]), "windows"),
        (lambda arrays, about: about.update(windows=[[1]] * 20), "windows"),
        (lambda arrays, about: about.update(clip_metrics=3), "clip_metrics"),
    ],
)
def test_what_a_damaged_file_lacks_is_named(exported, change, words):
    arrays, about = parts(exported)
    change(arrays, about)
    rewrite(exported, arrays, about)
    with pytest.raises(VgbenchError, match=rf"real\.safetensors.*{words}"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)


@pytest.mark.parametrize("text", ["[1]", "null", "3", "{}", "{", "[" * 100_000])
def test_metadata_that_are_none(exported, text):
    safetensors.numpy.save_file(parts(exported)[0], exported, {"vgbench_statistics": text})
    with pytest.raises(VgbenchError, match=r"real\.safetensors"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)
