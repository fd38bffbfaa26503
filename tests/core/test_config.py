from __future__ import annotations

import pytest

from vgbench.config import Config, parse, read_yaml, to_yaml, with_overrides
from vgbench.errors import ConfigError


class Inner(Config):
    rate: float = 1.0
    name: str = "a"


class Outer(Config):
    inner: Inner = Inner()
    items: tuple[Inner, ...] = ()
    on: bool = False


def test_settings_reach_nested_keys_and_list_entries():
    values = {"inner": {"rate": 1.0}, "items": [{"name": "x"}, {"name": "y"}]}
    changed = with_overrides(values, ["inner.rate=2e-4", "items.1.name=z", "on=true"])
    config = parse(Outer, changed, "test")
    assert (config.inner.rate, config.items[1].name, config.on) == (2e-4, "z", True)
    assert values["items"][1]["name"] == "y", "the input is left alone"
    assert with_overrides({"optional": None}, ["optional.rate=2"]) == {"optional": {"rate": 2}}


def test_config_survives_yaml(tmp_path):
    config = Outer(inner=Inner(rate=3.5), items=(Inner(name="q"),))
    (tmp_path / "c.yaml").write_text(to_yaml(config))
    assert parse(Outer, read_yaml(tmp_path / "c.yaml"), "file") == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"inner": {"rat": 1}}, ["unknown key 'inner.rat'", "did you mean rate"]),
        ({"inner": {"rate": "fast"}}, ["inner.rate", "fast", "number"]),
        ({"items": [{"name": "ok"}, {"colour": 1}]}, ["items.1.colour"]),
    ],
)
def test_errors_name_place_key_value(values, words):
    with pytest.raises(ConfigError) as error:
        parse(Outer, values, "my.yaml")
    text = f"{error.value.message} {error.value.remedy}"
    assert all(word in text for word in ["my.yaml", *words]), text


@pytest.mark.parametrize("setting", ["novalue", "=3", "on.deeper=1"])
def test_bad_settings_are_refused(setting):
    with pytest.raises(ConfigError):
        parse(Outer, with_overrides({"on": True}, [setting]), "test")


def test_yaml_that_would_build_objects_is_refused(tmp_path):
    (tmp_path / "evil.yaml").write_text("a: !!python/object/apply:os.system ['true']")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "evil.yaml")
