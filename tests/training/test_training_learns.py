"""Slow: every motion module learns eight clips nearly by heart."""

import numpy as np
import pytest
from tiny import config, generator, moving_squares

from vgbench.reference_models import load
from vgbench.reference_models.config import MOTION_NAMES
from vgbench.training import train


def distance_to_nearest(clips, real):
    """Root mean square distance of each clip to its nearest real one, mean over clips, in grey levels."""
    difference = clips[:, None].astype(float) - real[None]
    return float(np.sqrt(np.square(difference).mean((2, 3, 4, 5))).min(1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("motion", [name for name in MOTION_NAMES if name != "none"])
def test_generator_comes_close_to_eight_clips(motion, tmp_path):
    source = moving_squares(n=8, frames=8)
    one = config(
        generator=generator(motion, decoder={"skips": True}) | {"channels": 8},
        discriminators=[
            {"name": "video3d", "channels": 16, "norm": "none"},
            {"name": "image", "channels": 16, "norm": "none"},
        ],
        loss={"name": "non-saturating"},
        regularisers=[{"name": "r1", "weight": 0.1, "interval": 4}],
        optimiser={"generator_lr": 1e-3, "discriminator_lr": 1e-3, "betas": [0.5, 0.99]},
        batch=8,
        log_steps=50,
    )
    train(one, tmp_path, steps=400, source=source)
    real = np.stack([clip.read(range(8)) for clip in source.clips])
    before = distance_to_nearest(load(tmp_path, which="first").sample(32), real)
    after = distance_to_nearest(load(tmp_path).sample(32), real)
    assert after < 0.75 * before
