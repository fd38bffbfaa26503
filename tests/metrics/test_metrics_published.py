"""Values that others have published and that need no network weights."""

from pathlib import Path

import numpy as np
import pytest

from vgbench.metrics import average_content_distance, periodicity

SHAPES = Path(__file__).parents[3] / "shared" / "data" / "mocogan-shapes"


def strips(count):
    """Clips of MoCoGAN's shape data: frames side by side in one image."""
    image = pytest.importorskip("PIL.Image")
    files = sorted(SHAPES.glob("*/*.png"))[:count]
    if not files:
        pytest.skip("the MoCoGAN shape clips are not beside the checkout")
    for file in files:
        with image.open(file) as opened:
            strip = np.asarray(opened.convert("RGB"))
        side = min(strip.shape[:2])
        across = strip if strip.shape[1] > strip.shape[0] else strip.transpose(1, 0, 2)
        yield np.stack(np.split(across, across.shape[1] // side, axis=1))


def test_content_distance_of_the_real_shape_clips_is_zero():
    """MoCoGAN, table 1: ACD of the reference is 0 (colour descriptor)."""
    assert max(average_content_distance(clip) for clip in strips(50)) < 0.05


def test_moving_shapes_do_not_repeat():
    assert np.mean([periodicity(clip) for clip in strips(50)]) < 0.1


def test_content_distance_sees_a_shape_that_changes_its_colour():
    """As MoCoGAN measures it, on its own clips: the distance between the colours of the shape."""
    rng = np.random.default_rng(0)
    for clip in strips(3):
        changed, colours = clip.copy(), rng.integers(0, 256, (len(clip), 3))
        for frame, colour in zip(changed, colours, strict=True):
            frame[np.abs(frame.astype(int) - frame[0, 0].astype(int)).sum(axis=-1) > 30] = colour
        pairs = np.linalg.norm(colours[:, None] - colours[None], axis=-1)[np.triu_indices(len(clip), 1)]
        assert average_content_distance(changed) == pytest.approx(pairs.mean(), rel=0.02)
