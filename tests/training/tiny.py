"""A model and a data set so small that a training step takes milliseconds."""

import numpy as np

from vgbench.clips import open_source
from vgbench.config import parse
from vgbench.training import TrainConfig

SIZE, FRAMES = 16, 8


def moving_squares(n=12, frames=12, seed=0, labels=False):
    """Squares that drift; label "a" moves right, "b" down."""
    random = np.random.default_rng(seed)
    clips = np.zeros((n, frames, SIZE, SIZE, 3), np.uint8)
    for i in range(n):
        y, x = random.integers(0, SIZE, 2)
        colour = random.integers(100, 255, 3)
        for t in range(frames):
            down, right = ((t, 0), (0, t))[i % 2 == 0]
            rows, columns = (y + down + np.arange(5)) % SIZE, (x + right + np.arange(5)) % SIZE
            clips[i, t, rows[:, None], columns] = colour
    if labels:
        return open_source([(clip, "ab"[i % 2]) for i, clip in enumerate(clips)])
    return open_source(clips)


def config(**changes):
    values = {
        "size": SIZE,
        "frames": FRAMES,
        "batch": 4,
        "steps": 2,
        "log_steps": 1,
        "device": "cpu",
        "generator": {
            "content_dim": 4,
            "channels": 4,
            "motion": {"name": "gru", "noise_dim": 3, "code_dim": 8},
        },
        "discriminators": [{"name": "video3d", "channels": 4}],
    }
    return parse(TrainConfig, values | changes, "test")


def discriminator(name):
    """A discriminator of every kind, kept smooth by its norm."""
    kept = {"norm": "spectral"}
    if name in ("stylegan2", "digan-pair", "stylegan-v"):
        kept = {"norm": "equalised", "blocks": "residual"}
    options = {"options": {"joined": 8}} if name == "stylegan-v" else {}
    return {"name": name, "channels": 4, **kept, **options}


def generator(motion="gru", **rest):
    return {
        "content_dim": 4,
        "channels": 4,
        "motion": {"name": motion, "noise_dim": 3, "code_dim": 8, "anchor_distance": 4},
        **rest,
    }
