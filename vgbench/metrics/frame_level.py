"""Scores of the features of single frames: frame-level FID, STREAM, and drift over time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics import frechet, prdc
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.stream import as_signals, spectrum, temporal_agreement
from vgbench.metrics.uncertainty import Jackknife, Side, deal, score_clips

Signals = npt.NDArray[np.float64]


def score_fid(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """Fréchet distance between all frames of both sets; FID with Inception features, blind to time.

    The frames of one source clip stay together in the jackknife.
    """
    sides = [_as_frames(side) for side in (generated, real)]
    score = frechet.score(sides[0], sides[1], name="frame_fid")["frame_fid"]
    return {"frame_fid": dataclasses.replace(score, n=len(generated))}


def score_stream(generated: Samples, real: Samples, *, k: int = 5) -> Mapping[str, Score]:
    """STREAM-T, -F and -D, as the authors' code (v-stream 0.1.2) defines them, with a jackknife error.

    STREAM-T is the agreement of the spectra over time; STREAM-F and -D are precision and recall of the mean
    features. All lie in [0, 1], and higher is better.

    Args:
        generated: with features of single frames, [N, T, D], T >= 4.
        real: the same, [M, T, D].
        k: nearest neighbour of precision and recall.

    Raises:
        VgbenchError: no features of single frames, T or D differ, values that are not finite, or too few
            clips for k.
    """
    g, r = _frames(generated), _frames(real)
    if r.shape[1:] != g.shape[1:]:
        raise VgbenchError(
            f"real clips give {list(r.shape[1:])} features and generated clips {list(g.shape[1:])}",
            "use one extractor and one clip length for both sets",
        )
    (mean_g, skew_g), (mean_r, skew_r) = spectrum(g), spectrum(r)
    blocks_g, blocks_r = deal(generated.groups), deal(real.groups)
    temporal = Jackknife(
        temporal_agreement(skew_r, skew_g),
        Side.of([temporal_agreement(skew_r, np.delete(skew_g, b, axis=0)) for b in blocks_g], blocks_g),
        Side.of([temporal_agreement(np.delete(skew_r, b, axis=0), skew_g) for b in blocks_r], blocks_r),
        biased=False,
    )
    spatial = prdc.score(
        dataclasses.replace(generated, features=mean_g), dataclasses.replace(real, features=mean_r), k=k
    )  # the authors' F and D are precision and recall
    return {
        "stream_t": temporal.score(len(generated)),
        "stream_f": spatial["precision"],
        "stream_d": spatial["recall"],
    }


def score_drift(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """Mean feature distance of frames that are at least half a window apart.

    c(Δ) = mean over t of ‖f_{t+Δ} − f_t‖; the score is the mean of c over Δ = ⌈T / 2⌉ … T − 1 and over
    clips. `real` is the same of the real clips: above it the model drifts away, below it, the model moves too
    little. `details["curve"]` has c(Δ) of both sets for up to 32 Δ.
    """
    curves = [drift_curve(_frames(side)) for side in (generated, real)]
    far = -(-(curves[0].shape[1] + 1) // 2) - 1
    score, reference = (
        score_clips(curve[:, far:].mean(axis=1), side.groups)
        for curve, side in zip(curves, (generated, real), strict=True)
    )
    score = dataclasses.replace(score, real=reference.value, real_error=reference.standard_error)
    shown = np.unique(np.linspace(0, curves[0].shape[1] - 1, 32).astype(int)).tolist()
    means = [curve.mean(axis=0) for curve in curves]
    score.details["curve"] = [
        {"frames_apart": i + 1, "generated": float(means[0][i]), "real": float(means[1][i])} for i in shown
    ]
    return {"drift": score}


def drift_curve(frames: Signals) -> Signals:
    """c(Δ) for Δ = 1 … T − 1, float64 [N, T − 1], of features [N, T, D]."""
    steps = frames.shape[1]
    return np.stack(
        [
            np.linalg.norm(frames[:, apart:] - frames[:, : steps - apart], axis=2).mean(axis=1)
            for apart in range(1, steps)
        ],
        axis=1,
    )


def _frames(side: Samples) -> Signals:
    if side.frames is None:
        raise VgbenchError("this metric needs features of every frame", "--extractor embedded-frames")
    return as_signals(side.frames, "frame features")


def _as_frames(side: Samples) -> Samples:
    frames = _frames(side)
    return Samples(frames.reshape(-1, frames.shape[2]), None, np.repeat(side.groups, frames.shape[1]))
