"""NIQE: refused where scikit-video computes it wrong, a mean over frames where not."""

import numpy as np
import pytest

from vgbench.compat import skvideo
from vgbench.errors import VgbenchError
from vgbench.metrics import parse
from vgbench.metrics.niqe import NIQE, niqe

CLIP = np.zeros((2, 200, 210, 3), np.uint8)


def test_an_old_scikit_video_is_refused(monkeypatch):
    monkeypatch.setattr(skvideo, "version", lambda: (1, 1, 11))
    with pytest.raises(VgbenchError, match=r"1\.1\.11 computes NIQE wrong"):
        niqe(CLIP)


def test_is_the_mean_over_frames_of_luma(monkeypatch):
    seen = []

    def frame_scores(luma):
        seen.append(luma.shape)
        return np.array([3.0, 5.0])

    monkeypatch.setattr(skvideo, "niqe", frame_scores)
    assert parse("vgbench.metrics.niqe:NIQE").metric is NIQE
    assert NIQE.measure(CLIP) == 4
    assert seen == [(2, 200, 210)]


def test_refuses_small_frames():
    with pytest.raises(VgbenchError, match="194"):
        niqe(CLIP[:, :193])
