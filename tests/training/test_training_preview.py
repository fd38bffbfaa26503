"""`train --dry-run`: shapes against what the parts document, memory against what a whole step allocates."""

import numpy as np
import pytest
import yaml
from tiny import FRAMES, SIZE, config, generator

from vgbench.cli import app
from vgbench.clips import write_clips
from vgbench.config import parse, to_yaml
from vgbench.errors import VgbenchError
from vgbench.training import TrainConfig
from vgbench.training.preview import describe_parts, measured_memory, step_memory

TWO_DISCRIMINATORS = [{"name": "video3d", "channels": 4}, {"name": "image", "channels": 4, "frames": 3}]


def test_parts_state_their_shapes():
    one = config(labels=True, classes=["a", "b"], discriminators=TWO_DISCRIMINATORS)
    content, motion, decoder, video, image = describe_parts(one)
    assert content.takes == ((4, 4), (4,))
    assert content.gives == ((4, 4 + 16),)  # the label's embedding has sixteen numbers
    assert content.parameters == 2 * 16
    assert motion.takes[0] == (4, FRAMES + 1, 3)  # the first is the initial state's
    assert motion.gives == ((4, FRAMES, 8),)
    assert decoder.takes == ((4, 20), (4, FRAMES, 8))
    assert decoder.gives == ((4, 3, FRAMES, SIZE, SIZE),)
    assert video.takes == (*decoder.gives, (4,))
    assert image.takes == ((4, 3, 3, SIZE, SIZE), (4,))
    assert image.gives[-1] == (4, 3)
    assert str(motion).startswith(
        f"motion module Gru: [4, {FRAMES + 1}, 3] [4, {FRAMES}] -> [4, {FRAMES}, 8], "
    )


def test_dry_run_finds_the_classes_in_the_data(tmp_path, capsys):
    clips = np.zeros((3, FRAMES, SIZE, SIZE, 3), np.uint8)
    write_clips(clips, tmp_path / "clips", labels=["walk", "run", "walk"])
    write_clips(clips, tmp_path / "plain")
    values = config(labels=True, discriminators=TWO_DISCRIMINATORS).model_dump(exclude={"classes"})
    (tmp_path / "own.yaml").write_text(to_yaml(parse(TrainConfig, values, "test")))
    command = ["train", str(tmp_path / "own.yaml"), "--dry-run", "--data"]
    app([*command, str(tmp_path / "clips")], standalone_mode=False)
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["classes"] == ["run", "walk"]
    assert f"conditioned on: [4, 4] [4] -> [4, {4 + 16}], {2 * 16} parameters" in printed
    assert f"ImageDiscriminator: [4, 3, 3, {SIZE}, {SIZE}] [4] -> " in printed
    assert f"{FRAMES}x{SIZE}x{SIZE}, 2 classes; generator" in printed
    with pytest.raises(VgbenchError, match="clips without a label"):
        app([*command, str(tmp_path / "plain")], standalone_mode=False)
    with pytest.raises(VgbenchError, match="nowhere"):
        app([*command, str(tmp_path / "nowhere")], standalone_mode=False)
    capsys.readouterr()
    app([*command, "path/to/clips"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["classes"] == [], "what is assumed does not get into a config"
    assert f"[4, {4 + 16}], {101 * 16:,} parameters" in printed
    assert "101 classes (assumed)" in printed


def test_first_frame_is_a_part_of_the_content():
    one = config(generator=generator(first_frame=True), regularisers=[{"name": "first-frame"}])
    assert describe_parts(one)[0].takes == ((4, 4), (4, 3, SIZE, SIZE))


@pytest.mark.parametrize("motion", ["gru", "conv3d"])
def test_memory_of_a_small_step_foretells_that_of_a_large_one(motion):
    discriminators = [{"name": "video3d", "channels": 4, "norm": "none"}]
    rest = {
        "generator": generator(motion),
        "discriminators": discriminators,
        "regularisers": [{"name": "r1"}],
    }
    foretold = step_memory(config(batch=8, **rest))
    assert foretold == pytest.approx(measured_memory(config(**rest), 8), rel=0.05)
    assert step_memory(config(batch=8, micro_batch=4, **rest)) < 0.7 * foretold


def test_memory_counts_weights_gradients_moments_and_average():
    one = config(generator=generator(channels=64), batch=2)
    parameters = [part.parameters for part in describe_parts(one)]
    generator_weights, discriminator_weights = sum(parameters[:3]), parameters[3]
    assert measured_memory(one, 2) > 4 * (5 * generator_weights + 4 * discriminator_weights)
