"""Slow: every motion module learns four clips nearly by heart, but for the two controls, which cannot."""

import numpy as np
import pytest
from tiny import config, generator, moving_squares

from vgbench.reference_models import load
from vgbench.reference_models.parts import MOTIONS
from vgbench.training import train

CONTROLS = ("static", "independent")


def distance_to_nearest(clips, real):
    """Root mean square distance of each clip to its nearest real one, mean over clips, in grey levels."""
    difference = clips[:, None].astype(float) - real[None]
    return float(np.sqrt(np.square(difference).mean((2, 3, 4, 5))).min(1).mean())


def least_without_motion(real):
    """The distance that no still clip can fall below, nor frames drawn apart in the mean.

    Of a real clip's frames the mean frame is the nearest still clip, at their standard deviation over time.
    Frames drawn apart add their own variance to that.
    """
    return float(np.sqrt(real.astype(float).var(1).mean((1, 2, 3))).min())


def motion_energy(clips):
    """Mean absolute difference of neighbouring frames."""
    return float(np.abs(np.diff(clips.astype(float), axis=1)).mean())


def test_distances_of_clips_without_motion():
    """Black, one colour and every clip frozen are further away than the bound; a clip itself is at 0."""
    real = np.stack([clip.read(range(8)) for clip in moving_squares(n=4, frames=8).clips])
    black, colour = np.zeros_like(real), np.broadcast_to(real.mean((0, 1, 2, 3)), real.shape)
    frozen, mean = real[:, :1].repeat(8, 1), real.mean(1, keepdims=True).repeat(8, 1)
    bound = least_without_motion(real)
    distances = [distance_to_nearest(clips, real) for clips in (black, colour, frozen, mean)]
    assert all(distance > bound for distance in distances), distances
    nearest = min(distance_to_nearest(mean[i : i + 1], real) for i in range(4))
    assert nearest == pytest.approx(bound)
    assert distance_to_nearest(real, real) == 0


@pytest.mark.slow
@pytest.mark.parametrize("motion", [name for name in MOTIONS if name != "none"])
def test_generator_comes_close_to_four_clips(motion, tmp_path):
    source = moving_squares(n=4, frames=8)
    one = config(
        generator=generator(motion, decoder={"skips": True}) | {"channels": 8},
        discriminators=[
            {"name": "video3d", "channels": 16, "norm": "none"},
            {"name": "image", "channels": 16, "norm": "none"},
        ],
        loss={"name": "non-saturating"},
        regularisers=[{"name": "r1", "weight": 0.1, "interval": 4}],
        optimiser={"generator_lr": 2e-3, "discriminator_lr": 2e-3, "betas": [0.5, 0.99]},
        batch=8,
        log_steps=50,
    )
    train(one, tmp_path, steps=1200, source=source)
    real = np.stack([clip.read(range(8)) for clip in source.clips])
    clips = load(tmp_path).sample(32)
    distance, bound = distance_to_nearest(clips, real), least_without_motion(real)
    moved = motion_energy(clips) / motion_energy(real)
    if motion in CONTROLS:
        assert distance > bound
        assert moved == 0 if motion == "static" else moved > 2
    else:
        assert distance < 0.8 * bound
        assert 0.5 < moved < 2
