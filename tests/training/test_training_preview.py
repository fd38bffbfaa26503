"""`train --dry-run`: shapes against what the parts document, memory against what a whole step allocates."""

import pytest
from tiny import FRAMES, SIZE, config, generator

from vgbench.training.preview import describe_parts, measured_memory, step_memory


def test_parts_state_their_shapes():
    critics = [{"name": "video3d", "channels": 4}, {"name": "image", "channels": 4, "frames": 3}]
    one = config(labels=True, classes=["a", "b"], discriminators=critics)
    content, motion, decoder, video, image = describe_parts(one)
    assert content.takes == ((4, 4), (4,))
    assert content.gives == ((4, 4 + 16),)  # the label's embedding has sixteen numbers
    assert content.parameters == 2 * 16
    assert motion.takes[0] == (4, FRAMES + 1, 3)  # the first is the initial state's
    assert motion.gives == ((4, FRAMES, 8),)
    assert decoder.takes == ((4, 20), (4, FRAMES, 8))
    assert decoder.gives == ((4, 3, FRAMES, SIZE, SIZE),) == video.takes
    assert image.takes == ((4, 3, 3, SIZE, SIZE),)
    assert image.gives[-1] == (4, 3)
    assert str(motion).startswith(
        f"motion module Gru: [4, {FRAMES + 1}, 3] [4, {FRAMES}] -> [4, {FRAMES}, 8], "
    )


def test_first_frame_is_a_part_of_the_content():
    one = config(generator=generator(first_frame=True), regularisers=[{"name": "first-frame"}])
    assert describe_parts(one)[0].takes == ((4, 4), (4, 3, SIZE, SIZE))


@pytest.mark.parametrize("motion", ["gru", "conv3d"])
def test_memory_of_a_small_step_foretells_that_of_a_large_one(motion):
    critics = [{"name": "video3d", "channels": 4, "norm": "none"}]
    rest = {"generator": generator(motion), "discriminators": critics, "regularisers": [{"name": "r1"}]}
    foretold = step_memory(config(batch=8, **rest))
    assert foretold == pytest.approx(measured_memory(config(**rest), 8), rel=0.05)
    assert step_memory(config(batch=8, micro_batch=4, **rest)) < 0.7 * foretold


def test_memory_counts_weights_gradients_moments_and_average():
    one = config(generator=generator(channels=64), batch=2)
    parameters = [part.parameters for part in describe_parts(one)]
    generator_weights, critic_weights = sum(parameters[:3]), parameters[3]
    assert measured_memory(one, 2) > 4 * (5 * generator_weights + 4 * critic_weights)
