"""The generators that come with vgbench, and their samples as clips."""

import numpy as np
import pytest

from vgbench import pretrained, reference_models
from vgbench.clips import open_source
from vgbench.commands.listing import known_names
from vgbench.errors import ConfigError
from vgbench.records.sample_card import read_card
from vgbench.reference_models import ModelConfig, build
from vgbench.reference_models.checkpoint import read_metadata, save_generator
from vgbench.training.sampling import write_samples

SHIPPED = pretrained.pretrained_names()


def test_there_are_some():
    assert SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_small_and_states_how_it_was_made(name):
    path = pretrained.pretrained_path(name)
    assert path.stat().st_size <= 2_000_000
    model, card = read_metadata(path)
    assert card["steps"] > 0 < card["seconds"]
    assert card["training"]["data"] == card["data"]
    assert card["signature"].startswith("quick|")
    assert float(card["score"]) == pytest.approx(sum(card["interval"]) / 2, rel=0.2)
    assert len(card.get("class_counts", [])) == len(model.classes)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_makes_clips_that_move_and_differ(name):
    clips = reference_models.load(f"pretrained:{name}").sample(8, seed=1).astype(float)
    assert np.abs(np.diff(clips, axis=1)).mean() > 0.5
    assert np.abs(clips[0] - clips[1]).mean() > 5


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A pretrained generator of two classes, "tiny", in place of those that are shipped."""
    config = {"size": 16, "frames": 4, "classes": ["a", "b"], "generator": {"channels": 4}}
    generator = build(ModelConfig.model_validate(config))
    generator.class_counts = (1, 3)
    details = {
        "steps": 7,
        "seconds": 12.5,
        "data": "builtin:moving-shapes",
        "score_of": "fvd",
        "score": "9.0",
    }
    save_generator(tmp_path / "tiny.safetensors", generator, details=details)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    return generator


def test_its_samples_are_clips_with_labels(tiny):
    source = open_source("pretrained:tiny?clips=70&seed=3")
    assert source.name == "pretrained:tiny?clips=70&seed=3"
    assert len(source.clips) == 70
    expected = tiny.sample(70, seed=3)
    for index in (0, 63, 64, 69):
        assert np.array_equal(source.clips[index].read(range(4)), expected[index])
    labels = ["ab"[index] for index in tiny.labels(range(70), 3)]
    assert [clip.label for clip in source.clips] == labels
    assert labels.count("b") > labels.count("a")
    shrunk = open_source("pretrained:tiny?clips=2&truncation=0").clips
    assert np.array_equal(shrunk[0].read([0]), tiny.sample(2, truncation=0)[0, :1])


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("pretrained:huge", "tiny"),
        ("pretrained:tiny?clip=3", "clips"),
        ("pretrained:tiny?clips=0", "clips"),
        ("pretrained:tiny?clips=2&clips=3", "twice"),
        ("pretrained:tiny?clips", "clips"),
        ("pretrained:../tiny", "tiny"),
    ],
)
def test_what_is_wrong_with_a_name_or_option_is_told(tiny, spec, said):
    with pytest.raises(ConfigError) as caught:
        open_source(spec)
    assert said in str(caught.value) + (caught.value.remedy or "")


def test_samples_state_how_long_it_was_trained(tiny, tmp_path):
    write_samples("pretrained:tiny", tmp_path / "out", 3, "npz")
    card = read_card(tmp_path / "out")
    assert card.training_seconds == 12.5
    assert "pretrained:tiny" in card.command


def test_they_are_listed(tiny):
    assert known_names("pretrained") == {
        "pretrained": [("pretrained:tiny", "16 x 16 x 4, 2 classes; builtin:moving-shapes, 7 steps; fvd 9.0")]
    }
