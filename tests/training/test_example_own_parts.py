"""`examples/own_parts` runs as its text says, through the command line, from its own folder."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vgbench.cli import app
from vgbench.clips import open_source
from vgbench.config import parse
from vgbench.errors import VgbenchError
from vgbench.reference_models import load
from vgbench.reference_models.config import GeneratorConfig

FOLDER = Path(__file__).parents[2] / "examples" / "own_parts"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch):
    monkeypatch.chdir(FOLDER)
    monkeypatch.syspath_prepend(FOLDER)


def run(*arguments):
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_own_data_motion_discriminator_and_loss_train(tmp_path):
    run("train", "own.yaml", "--steps", "2", "--run", tmp_path / "run", "--no-score", "--threads", "1")
    model = load(tmp_path / "run")
    assert type(model.motion).__name__ == "Drift"
    assert model.sample(2, frames=21).shape == (2, 21, 32, 32, 3)


def test_own_generator_by_one_flag(tmp_path):
    arguments = ["--data", "own_parts:clips", "--steps", "1", "--run", tmp_path / "run", "--no-score"]
    run("train", "gru-hinge", "--generator", "own_parts:Net", *arguments, "--threads", "1")
    model = load(tmp_path / "run")
    assert type(model.decoder).__name__ == "Net"
    assert model.sample(2).shape == (2, 16, 32, 32, 3)
    with pytest.raises(VgbenchError, match="exactly 16 frames"):
        model.sample(2, frames=17)


def test_own_data_keep_their_labels_and_name():
    source = open_source("own_parts:clips")
    assert source.name == "own_parts:clips"
    assert [clip.label for clip in source.clips[:2]] == ["rise", "fall"]
    first = source.clips[1].read(range(16)).astype(int)
    # "fall": the brightest row of the last frame is below that of the first.
    assert first[-1].sum((1, 2)).argmax() > first[0].sum((1, 2)).argmax()


def test_own_sampler_is_written_as_clips(tmp_path):
    import own_parts

    run("sample", "--from", "own_parts:sample", "--out", tmp_path / "clips", "--count", "3", "--seed", "5")
    written = open_source(str(tmp_path / "clips")).clips
    np.testing.assert_array_equal(written[2].read(range(16)), own_parts.sample(3, 5)[2])


def test_one_line_of_yaml_stands_for_a_generator():
    one = parse(GeneratorConfig, {"motion": {"name": "none"}, "decoder": {"name": "own_parts:Net"}}, "test")
    assert GeneratorConfig.model_validate("own_parts:Net") == one
    with pytest.raises(ValueError, match=r"package\.module:Class"):
        GeneratorConfig.model_validate("Net")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_parts:absent", "cannot load"),
        ("absent_module:clips", "cannot load"),
        ("own_parts:np", "not a source"),
    ],
)
def test_own_data_that_is_none_says_so(name, words):
    with pytest.raises(VgbenchError, match=words):
        open_source(name)
