"""Slow: the first steps of every preset, in which learning rates that are too high show."""

import pytest

from vgbench.distributed import World
from vgbench.presets import preset_names
from vgbench.training import read_config
from vgbench.training.networks import build_networks
from vgbench.training.trainer import limited_threads, open_data, opened_windows, resolved, training_step

LARGER = dict.fromkeys(["layered", "layered-labels", "stylegan-v-128"], 32)
"""Side lengths of presets whose networks need more than 16 pixels."""
NARROW = ["generator.channels=32", "generator.decoder.options.most=128"]
NARROW += ["discriminators.0.channels=32", "discriminators.0.options.most=128"]
NARROWER = {
    "digan-128": [*NARROW, "discriminators.1.channels=32", "discriminators.1.options.most=128"],
    "stylegan-v-128": NARROW,
}
"""Fewer feature maps, which spare minutes: with equalised weights, scores do not depend on their number."""


@pytest.mark.slow
@pytest.mark.parametrize("name", preset_names())
def test_scores_stay_small_in_the_first_ten_steps(name):
    size = LARGER.get(name, 16)
    few = [
        f"data=builtin:moving-shapes?size={size}&frames=8&clips=16",
        f"size={size}",
        "frames=8",
        "stride=1",
        *NARROWER.get(name, ()),
    ]
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
