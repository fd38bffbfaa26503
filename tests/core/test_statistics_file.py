from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy
from stub_extractor import StubExtractor

import vgbench
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation import export_statistics

SETTINGS = ["clips.generated=20", "clips.real=20", "clips.least=4"]
TRAIN = "builtin:moving-shapes/train?size=32&clips=20"
TEST = "builtin:moving-shapes/test?size=32&clips=20"
OPTIONS = {
    "metrics": ["fvd", "kvd", "prdc", "is", "temporal_flicker", "flow_distance"],
    "extractor": StubExtractor(),
}


@pytest.fixture
def exported(tmp_path):
    return export_statistics(TEST, tmp_path / "real.safetensors", settings=SETTINGS, **OPTIONS)


def test_scores_against_the_file_are_scores_against_the_clips(exported):
    from_clips = vgbench.evaluate(TRAIN, TEST, settings=SETTINGS, **OPTIONS)
    from_file = vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)
    assert from_file.scores == from_clips.scores
    assert from_file.signature == from_clips.signature
    assert from_file.clips.real == from_clips.clips.real


def test_another_protocol_or_network_is_refused_by_name(exported):
    with pytest.raises(ConfigError, match=r"windows: 16/s1.* there, 8/s1.* here"):
        vgbench.evaluate(TRAIN, exported, settings=[*SETTINGS, "windows.frames=8"], **OPTIONS)
    other = StubExtractor()
    other.spec = other.spec.__class__(**{**vars(other.spec), "weights": "random:1"})
    with pytest.raises(ConfigError, match="extractor: stub@random:0"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **{**OPTIONS, "extractor": other})
    with pytest.raises(ConfigError, match="holds no warping_error"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, metrics=["warping_error"])


def test_damaged_and_foreign_files_are_refused(exported, tmp_path):
    exported.write_bytes(exported.read_bytes()[:-10])
    with pytest.raises(VgbenchError, match=r"real\.safetensors"):
        vgbench.evaluate(TRAIN, exported, settings=SETTINGS, **OPTIONS)
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(VgbenchError, match="not a statistics file"):
        vgbench.evaluate(TRAIN, tmp_path / "other.safetensors", settings=SETTINGS, **OPTIONS)
