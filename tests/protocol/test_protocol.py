from __future__ import annotations

import numpy as np
import pytest

from vgbench.errors import ConfigError
from vgbench.protocol import load, protocol_names
from vgbench.protocol.pixels import resize


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


@pytest.mark.parametrize(
    ("key", "least", "most", "others"),
    [
        ("clips.generated", 2, None, ["clips.least=2"]),
        ("clips.real", 2, None, ["clips.least=2"]),
        ("clips.least", 2, 256, []),
        ("clips.least_real", 2, 256, []),
        ("windows.frames", 2, 2**30, []),
        ("windows.stride", 1, 2**30, []),
        ("windows.per_clip", 1, 2**30, []),
        ("windows.offset", 0, 2**30, ["windows.start=first"]),
        ("resize.size", 1, 2**13, []),
    ],
)
def test_numbers_end_where_they_mean_nothing_any_more(key, least, most, others):
    for value in filter(None, (str(least), most)):
        load("quick", [*others, f"{key}={value}"])
    for value in (least - 1, *([most + 1] if most else [])):
        with pytest.raises(ConfigError, match=key.split(".")[1]):
            load("quick", [*others, f"{key}={value}"])


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        (["clips.real=10", "clips.least=10"], True),
        (["clips.real=10", "clips.least=11"], False),
        (["clips.real=10", "clips.least=11", "clips.least_real=10"], True),
        (["clips.real=10", "clips.least=10", "clips.least_real=11"], False),
        (["clips.real=all", "clips.generated=10", "clips.least=10"], True),
        (["clips.real=all", "clips.generated=10", "clips.least=11"], False),
        (["clips.real=all", "clips.generated=10", "clips.least=9", "clips.least_real=11"], False),
        (["windows.offset=1"], False),
        (["windows.offset=1", "windows.start=first"], True),
        (["windows.offset=1", "windows.start=first", "windows.generated_start=centre"], False),
        (["windows.offset=1", "windows.start=centre", "windows.generated_start=first"], False),
        (["windows.fps=8", "windows.stride=2"], True),
        (["windows.fps=8", "windows.real_stride=2"], False),
    ],
)
def test_what_contradicts_itself_is_refused(settings, fits):
    if fits:
        load("quick", settings)
    else:
        with pytest.raises(ConfigError):
            load("quick", settings)


def test_each_side_has_its_own_rules_where_the_protocol_says_so():
    plain = load("quick", ["clips.least=5", "windows.start=centre"])
    assert [plain.clips.least_for(side) for side in ("generated", "real")] == [5, 5]
    assert [plain.start_for(side) for side in ("generated", "real")] == ["centre", "centre"]
    own = load("quick", ["clips.least=5", "clips.least_real=3", "windows.generated_start=first"])
    assert [own.clips.least_for(side) for side in ("generated", "real")] == [5, 3]
    assert [own.start_for(side) for side in ("generated", "real")] == ["first", own.windows.start]


def test_real_windows_have_a_stride_of_their_own_and_skip_as_much_time():
    changed = load(
        "quick", ["windows.real_stride=6", "windows.stride=2", "windows.start=first", "windows.offset=5"]
    )
    generated, real = changed.windows_for("generated"), changed.windows_for("real")
    assert (generated.stride, generated.offset) == (2, 5)
    assert (real.stride, real.offset, real.frames) == (6, 15, generated.frames)
    plain = load("quick", ["windows.stride=2"])
    assert plain.windows_for("real") == plain.windows_for("generated") == plain.windows


def test_only_the_choices_made_are_given_to_a_network():
    assert load("quick").extractor.options == {}
    chosen = load("quick", ["extractor={name: i3d-k400, preprocessing: tf1, weights: random}"]).extractor
    assert chosen.options == {"preprocessing": "tf1"}
    assert chosen.model_copy(update={"precision": "float16"}).options == {
        "preprocessing": "tf1",
        "precision": "float16",
    }


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
def test_protocols_of_pytorch_ports_run_their_eps_and_older_versions_are_still_there(name):
    newest, second, first = load(name), load(f"{name}@2.0"), load(f"{name}@1.0")
    assert (newest.version, second.version, first.version) == ("3.0", "2.0", "1.0")
    assert (second.extractor.name, first.extractor.name) == ("i3d-k400-eps1e-5", "i3d-k400")
    assert newest.extractor.name == second.extractor.name
    same = {"version": "", "extractor": first.extractor}
    assert second.model_copy(update=same) == first.model_copy(update=same)
    assert f"{name}@1.0" not in protocol_names()


@pytest.mark.parametrize("name", ["fvd-tats", "fvd-digan", "kvd-digan"])
def test_protocols_that_prepare_real_clips_leave_generated_ones_alone(name):
    frames = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), dtype=np.uint8)
    protocol = load(name)
    assert resize(frames, protocol.resize_for("real")).shape == (2, 128, 128, 3)
    assert resize(frames, protocol.resize_for("generated")) is frames
    assert protocol.windows.order == "windows"


@pytest.mark.parametrize("key", ["per_clip=2", "start=first", "generated_start=first"])
def test_a_draw_from_all_windows_leaves_no_other_choice(key):
    with pytest.raises(ConfigError, match="order = windows"):
        load("quick", ["windows.order=windows", "windows.per_clip=1", f"windows.{key}"])
