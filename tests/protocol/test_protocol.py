from __future__ import annotations

import numpy as np
import pytest

from vgbench.errors import ConfigError
from vgbench.protocol import load, protocol_names


@pytest.mark.parametrize("name", protocol_names())
def test_shipped_protocols_load_and_hash(name):
    protocol = load(name)
    assert protocol.name == name
    assert hash(protocol) == hash(load(name))


def test_settings_change_one_key():
    assert load("quick", ["windows.stride=2"]).windows.stride == 2


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("windows.strde=2", ["windows.strde", "stride"]),
        ("windows.stride=0", ["windows.stride", "0", "greater than or equal to 1"]),
        ("resize.fit=stretch", ["resize.fit", "stretch", "squash"]),
        ("clips.least=1000", ["1000", "256"]),
        ("nonsense", ["nonsense", "key=value"]),
    ],
)
def test_errors_name_key_value_and_what_is_allowed(setting, words):
    with pytest.raises(ConfigError) as error:
        load("quick", [setting])
    text = f"{error.value.message} {error.value.remedy}"
    assert all(word in text for word in words), text


def test_unknown_protocol_suggests_the_nearest():
    with pytest.raises(ConfigError) as error:
        load("quik")
    assert "did you mean quick" in str(error.value.remedy)


def test_own_file(tmp_path):
    text = "\n".join(["name: mine", *_shipped_text("quick").splitlines()[2:]]).replace(
        "name: quick", "name: mine"
    )
    (tmp_path / "mine.yaml").write_text(text)
    assert load(str(tmp_path / "mine.yaml")).name == "mine"


def test_file_that_is_not_yaml_is_named(tmp_path):
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load(str(tmp_path / "bad.yaml"))


def _shipped_text(name: str) -> str:
    from importlib import resources

    return resources.files("vgbench.protocol").joinpath(f"{name}.yaml").read_text()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_truncating_scaled_bytes_gives_back_the_bytes(dtype):
    """What `fvd-common-metrics` says of the two methods of that code base."""
    given = np.arange(256, dtype=np.uint8)
    scaled = given.astype(dtype) / dtype(255)
    assert np.array_equal((scaled * dtype(255)).astype(np.uint8), given)


@pytest.mark.parametrize("name", ["fvd-cdfvd", "fvd-tats", "fvd-digan", "kvd-digan", "fvd-common-metrics"])
def test_protocols_of_pytorch_ports_run_their_eps_and_the_first_version_is_still_there(name):
    new, old = load(name), load(f"{name}@1.0")
    assert (new.version, old.version) == ("2.0", "1.0")
    assert (new.extractor.name, old.extractor.name) == ("i3d-k400-eps1e-5", "i3d-k400")
    same = {"version": "", "extractor": old.extractor}
    assert new.model_copy(update=same) == old.model_copy(update=same)
    assert f"{name}@1.0" not in protocol_names()
