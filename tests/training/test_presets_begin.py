"""Slow: the first steps of every preset, in which learning rates that are too high show."""

import pytest

from vgbench.distributed import World
from vgbench.presets import preset_names
from vgbench.training import read_config
from vgbench.training.networks import build_networks
from vgbench.training.trainer import limited_threads, open_data, opened_windows, resolved, training_step

LARGER = {"digan-128": 64, "stylegan-v-128": 64}
"""Side lengths of presets whose scores diverged at 64 pixels, but not at 16."""


def is_bounded(name):
    """Whether the loss asks for scores of about 1; those of a Wasserstein critic grow with the pixels."""
    return read_config(name).loss.name != "wgan"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in preset_names() if is_bounded(name)])
def test_scores_stay_small_in_the_first_ten_steps(name):
    size = LARGER.get(name, 16)
    few = [f"data=builtin:moving-shapes?size={size}&frames=8&clips=16", f"size={size}", "frames=8"]
    one = read_config(name, [*few, "batch=4", "micro_batch=4"], {"device": "cpu", "steps": 10})
    with limited_threads(1):
        source = open_data(one)
        one = resolved(one, None, 10, source)
        networks = build_networks(one)
        with opened_windows(one, source) as windows:
            for step in range(10):
                measured = training_step(one, networks, World(), windows, step)
                scores = {key: value for key, value in measured.items() if "_score_" in key}
                assert scores
                assert all(abs(value) < 50 for value in scores.values()), (step, scores)
