"""Metrics of one clip: its flicker, smoothness, consistency and amount of motion. None needs weights.

Each takes uint8 [T, H, W, 3], or a `ClipView`, which keeps its flow for the next metric, and returns a
float64 number. Each raises `VgbenchError` for another dtype or shape, or for too few frames. A frozen clip
has the best flicker, smoothness and warping error, so read these together with `dynamic_degree`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vgbench.metrics import flow
from vgbench.metrics.checks import frames
from vgbench.metrics.clip_view import ClipView, Frames


def temporal_flicker(clip: Frames) -> float:
    """Mean |f_t − f_{t+1}| / 255 over pixels, channels and pairs of neighbouring frames.

    In [0, 1], lower is calmer. VBench's temporal flickering (Huang et al. 2024) is 1 minus this, and is
    meant for static scenes: motion counts as flicker.
    """
    values = frames(clip).astype(np.int16)
    return float(np.abs(np.diff(values, axis=0)).mean(dtype=np.float64) / 255)


def motion_smoothness(clip: Frames | ClipView) -> float:
    """How well every second frame can be interpolated from its two neighbours.

    In [0, 1], higher is smoother: 1 − mean |f_t − f̂_t| / 255 over odd t, f̂_t interpolated half way between
    f_{t−1} and f_{t+1}. The idea is VBench's (Huang et al. 2024), whose interpolator is the network AMT-S;
    here it is DIS flow in both directions with the linear motion model of Super SloMo (Jiang et al. 2018,
    eq. 4) and no weights, so the numbers differ from VBench's. Needs 3 frames.
    """
    view = ClipView.of(clip, least_frames=3)
    errors = []
    for pair, (ahead, back) in enumerate(view.pairs(step=2)):
        before, dropped, after = view.frames[2 * pair : 2 * pair + 3].astype(np.float64)
        errors.append(np.abs(_midway(before, after, ahead, back) - dropped).mean() / 255)
    return float(1 - np.mean(errors))


def _midway(before: flow.Image, after: flow.Image, ahead: flow.Flow, back: flow.Flow) -> flow.Image:
    """Frame half-way between two; where one side comes from outside the frame, only the other one counts."""
    to_before = 0.25 * (back - ahead)
    from_before, inside_before = flow.warp(before, to_before)
    from_after, inside_after = flow.warp(after, -to_before)
    weight_before = np.where(inside_before == inside_after, 0.5, inside_before)[..., None]
    return np.asarray(weight_before * from_before + (1 - weight_before) * from_after, dtype=np.float64)


def warping_error(clip: Frames | ClipView) -> float:
    """Squared error between each frame and the next one warped back to it, where nothing is occluded.

    Lai et al. 2018 (ECCV, §3), E_warp: Σ M (f_{t+1}(p + w(p)) − f_t(p))² / Σ M over RGB in [0, 1], averaged
    over pairs, in [0, 1], lower is better. M leaves out occlusions and motion boundaries (`flow.occluded`);
    a pair without any visible pixel counts as 0. Two differences: the flow w is estimated on the clip itself,
    because a generated clip has no input video to take it from, and by DIS instead of FlowNet2; and pixels
    that leave the frame count as occluded.
    """
    view = ClipView.of(clip)
    errors = []
    for t, (ahead, back) in enumerate(view.pairs()):
        here, following = view.frames[t : t + 2].astype(np.float64) / 255
        warped, _ = flow.warp(following, ahead)
        visible = ~flow.occluded(ahead, back)
        squared = (warped - here)[visible] ** 2
        errors.append(squared.mean() if squared.size else 0.0)
    return float(np.mean(errors))


class FlowStatistics(NamedTuple):
    """Statistics of a clip's motion; lengths are in shorter sides of the frame per frame step.

    Attributes:
        mean: mean length of the flow.
        top: mean length of the fastest 5 % of the pixels of each pair.
        deviation: standard deviation of the length over pixels and pairs.
        acceleration: mean length of the change of flow at a pixel from one pair to the next; 0 with two
            frames.
        occluded: share of pixels that are occluded or at a motion boundary.
    """

    mean: float
    top: float
    deviation: float
    acceleration: float
    occluded: float


def flow_statistics(clip: Frames | ClipView) -> FlowStatistics:
    """Length, speed changes and occlusion of the DIS flow of a clip."""
    view = ClipView.of(clip)
    field = view.relative_flow()
    lengths = np.sqrt(flow.squared_length(field))
    changes = np.sqrt(flow.squared_length(np.diff(field, axis=0)))
    return FlowStatistics(
        float(lengths.mean()),
        float(np.mean([_top(length) for length in lengths])),
        float(lengths.std()),
        float(changes.mean()) if len(changes) else 0.0,
        float(np.mean([flow.occluded(ahead, back) for ahead, back in view.pairs()])),
    )


_SPEEDS = np.array([1, 2, 4, 8, 16]) / 512  # edges in shorter sides per frame step
_DIRECTIONS = 8


def flow_histogram(clip: Frames | ClipView) -> npt.NDArray[np.float64]:
    """How fast and in which direction a clip moves, float64 [41], sum 1.

    Our own definition: the share of pixels that stand still (below 1/512 of the shorter side per frame), then
    the shares for 5 ranges of speed, each twice the one before, in 8 directions. Use `frechet_distance` or
    `kernel_distance` of these rows to compare the motion of two sets.
    """
    return histogram_of(ClipView.of(clip).relative_flow())


def histogram_of(field: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Compute `flow_histogram` from given flow, [..., 2] in shorter sides of the frame."""
    speed = np.searchsorted(_SPEEDS, np.sqrt(flow.squared_length(field)), side="right")
    turn = np.arctan2(field[..., 1], field[..., 0]) / (2 * np.pi) * _DIRECTIONS
    direction = np.floor(turn + 0.5).astype(np.intp) % _DIRECTIONS  # bins centred on the axes
    bin_of = np.where(speed == 0, 0, 1 + (speed - 1) * _DIRECTIONS + direction)
    counts = np.bincount(bin_of.ravel(), minlength=1 + len(_SPEEDS) * _DIRECTIONS)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def dynamic_degree(clip: Frames | ClipView) -> float:
    """Speed of the fastest 5 % of the pixels, in shorter sides of the frame per frame step.

    In [0, ∞), averaged over pairs; 0 for a frozen clip. VBench's dynamic degree (Huang et al. 2024)
    thresholds the same top 5 % of RAFT flow at 6 / 256 ≈ 0.023 and gives the share of clips above it.
    """
    return float(_top_speeds(clip).mean())


def dynamic_share(clip: Frames | ClipView) -> float:
    """1 for a clip that VBench (Huang et al. 2024) calls dynamic, else 0; the mean is their share.

    A clip is dynamic if in at least round(T / 4) of the pairs of neighbours (4 of 16 frames) the fastest 5 %
    of the pixels move by more than 6 / 256 of the shorter side. VBench uses RAFT flow at 8 frames per
    second; vgbench uses DIS flow on all frames.
    """
    speeds = _top_speeds(clip)
    return float(np.count_nonzero(speeds > 6 / 256) >= round((len(speeds) + 1) / 4))


def _top_speeds(clip: Frames | ClipView) -> npt.NDArray[np.float64]:
    """Mean speed of the fastest 5 % of the pixels, in shorter sides per step, for each pair of frames."""
    view = ClipView.of(clip)
    lengths = (np.sqrt(flow.squared_length(ahead.astype(np.float64))) for ahead in view.forward())
    speeds = np.array([_top(length) for length in lengths])
    return np.asarray(speeds / min(view.frames.shape[1:3]), dtype=np.float64)


def _top(lengths: npt.NDArray[np.float64]) -> float:
    count = max(1, round(0.05 * lengths.size))
    return float(np.partition(lengths, lengths.size - count, axis=None)[-count:].mean())


_FOREGROUND = 30
"""Pixels whose channels differ from the background by more than this in total belong to the foreground."""


def average_content_distance(clip: Frames) -> float:
    """Mean Euclidean distance between the colours of the foreground in all pairs of frames.

    ACD of MoCoGAN (Tulyakov et al. 2018) with its colour descriptor, which is the mean colour of the shape,
    RGB in [0, 255]: it measures whether the content stays the same. In [0, 442], 0 for a constant colour;
    best near the value of the real clips.

    The background of a frame is the median colour of its border, and the foreground is every pixel that
    differs from it. In clips without a uniform background, this is whatever is unlike the border. Where
    nothing differs, the mean colour of the frame counts.
    """
    colours = np.stack([_foreground_colour(frame) for frame in frames(clip)])
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=-1)
    return float(distances[np.triu_indices(len(colours), 1)].mean())


def _foreground_colour(frame: Frames) -> npt.NDArray[np.float64]:
    border = np.concatenate([frame[0], frame[-1], frame[1:-1, 0], frame[1:-1, -1]])
    background = np.median(border, axis=0)
    differs = np.abs(frame - background).sum(axis=-1) > _FOREGROUND
    pixels = frame[differs] if differs.any() else frame.reshape(-1, 3)
    return np.asarray(pixels.mean(axis=0, dtype=np.float64))


def periodicity(clip: Frames) -> float:
    """Height of the autocorrelation peak: 1 for a clip that repeats exactly within itself.

    Our own definition. With u_t the frame on an 8 × 8 grid of averages, less its mean over time,
    r(τ) = Σ ⟨u_t, u_{t+τ}⟩ / √(Σ ‖u_t‖² Σ ‖u_{t+τ}‖²), sums over t ≤ T − τ. The value is the highest local
    maximum of r up to τ = T / 2, once r has fallen below 0.5: at shorter lags, r only shows that neighbouring
    frames are alike. In [0, 1]; 0 where r never rises again, and for a frozen clip; best near the value of
    the real clips. Needs 4 frames.
    """
    r = autocorrelation(clip)
    fallen = np.flatnonzero(r < 0.5)
    if len(fallen) == 0:
        return 0.0
    after = np.append(r, -np.inf)  # a rise that has not ended at T / 2 counts
    peaks = (after[1:-1] > after[:-2]) & (after[1:-1] >= after[2:])
    candidates = r[1:][peaks & (np.arange(1, len(r)) > fallen[0])]
    return float(max(0.0, candidates.max(initial=0.0)))


def autocorrelation(clip: Frames) -> npt.NDArray[np.float64]:
    """r(τ) of `periodicity` for τ = 0 … ⌊T / 2⌋; all zero for a frozen clip."""
    values = frames(clip, least_frames=4)
    u = _grid(values).reshape(len(values), -1)
    u = u - u.mean(axis=0)
    energy = (u**2).sum(axis=1)
    if energy.max() < 1e-12:
        return np.zeros(len(u) // 2 + 1)
    r = np.zeros(len(u) // 2 + 1)
    for lag in range(len(r)):
        early, late = slice(None, len(u) - lag), slice(lag, None)
        scale = np.sqrt(energy[early].sum() * energy[late].sum())
        r[lag] = np.sum(u[early] * u[late]) / scale if scale > 0 else 0.0
    return r


def _grid(values: Frames, cells: int = 8) -> npt.NDArray[np.float64]:
    """Average colours on a grid of at most cells × cells, float64 [T, ≤8, ≤8, 3] in [0, 1]."""
    rows, columns = (np.linspace(0, size, min(cells, size) + 1).astype(int) for size in values.shape[1:3])
    sums = np.add.reduceat(values.astype(np.float64), rows[:-1], axis=1)
    sums = np.add.reduceat(sums, columns[:-1], axis=2)
    area = np.diff(rows)[:, None] * np.diff(columns)[None, :]
    return np.asarray(sums / area[..., None] / 255, dtype=np.float64)
