"""VIIDEO (Mittal, Saad and Bovik 2016, IEEE TIP 25(1)): the integrity of a clip, without a reference.

In natural videos the statistics of frame differences change alike at two neighbouring scales, and distortions
destroy this. Written from the paper, with the constants of its demo: blocks of 18 × 18 pixels with 8 on each
side.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import frames
from vgbench.metrics.luma import luma

Array = npt.NDArray[np.float64]

_BLOCK, _OVERLAP = 18, 8
_WINDOW, _DEVIATION = 7, 7 / 6  # of the Gaussian for local means
_NEIGHBOURS = ((1, 0), (0, 1), (1, 1), (1, -1))
_PARTS = 10  # parts of the clip over which changes are correlated; they overlap by half


def viideo(clip: npt.NDArray[np.uint8]) -> float:
    """Disagreement between two scales in how frame differences change; lower is more natural.

    Differences of the frames (0, 1), (2, 3), … in luma are made locally normal; each block's values, and
    their products with four neighbours, are fitted by an asymmetric generalised Gaussian; the same again on
    the local means. The score is the correlation, over blocks, of the changes of the 12 product features from
    one difference to the next, between both scales; averaged over features and stretches of the clip, plus
    the mean change from stretch to stretch.

    Blocks without any difference are left out. A clip that has no other blocks (a frozen clip) gives 0, the
    best score, so read it together with `dynamic_degree`.

    Args:
        clip: uint8 [T, H, W, 3], T >= 4; an odd last frame is left out.

    Raises:
        VgbenchError: not a clip, fewer than 4 frames, or frames of a single block.
    """
    values = frames(clip, least_frames=4)
    if max(values.shape[1:3]) <= _BLOCK:
        raise VgbenchError(
            f"VIIDEO compares blocks of {_BLOCK} pixels, and these frames have only one",
            "score larger frames: --set resize.size=64",
        )
    even = luma(values[: len(values) // 2 * 2]).astype(np.float64)
    features = np.stack([_two_scales(difference) for difference in even[::2] - even[1::2]])
    with np.errstate(invalid="ignore"):
        changes = np.abs(np.diff(features, axis=0))  # [K − 1, 2 scales, blocks, 12]
    last = len(changes)
    length = last // _PARTS
    step = max(1, round(length / 2))
    agreement = np.array([_agreement(changes[start : start + length + 1]) for start in range(0, last, step)])
    known = np.isfinite(agreement)
    if not known.any():
        return 0.0
    jumps = np.abs(np.roll(agreement, 1) - agreement)
    jumps = jumps[np.isfinite(jumps)]
    return float(agreement[known].mean() + (jumps.mean() if jumps.size else 0.0))


def _agreement(changes: Array) -> float:
    """Mean over features of the correlation between both scales; NaN where it is not defined.

    Args:
        changes: [steps, 2, blocks, 12].
    """
    fine, coarse = (changes[:, scale].reshape(-1, changes.shape[-1]) for scale in (0, 1))
    usable = np.isfinite(fine).all(axis=1) & np.isfinite(coarse).all(axis=1)
    if not usable.any():
        return float("nan")
    fine, coarse = (side[usable] - side[usable].mean(axis=0) for side in (fine, coarse))
    scale = np.sqrt((fine**2).sum(axis=0) * (coarse**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.mean((fine * coarse).sum(axis=0) / scale))


def _two_scales(difference: Array) -> Array:
    """Features of the products with the four neighbours, [2, blocks, 12]."""
    scales = []
    for _ in range(2):
        mean = _blurred(difference)
        deviation = np.sqrt(np.abs(_blurred(difference**2) - mean**2))
        normal = (difference - mean) / (deviation + 1)
        products = [normal * np.roll(normal, shift, axis=(0, 1)) for shift in _NEIGHBOURS]
        scales.append(np.concatenate([_fits(_blocks(product)) for product in products], axis=1))
        difference = mean
    return np.stack(scales)


def _blurred(image: Array) -> Array:
    from scipy.ndimage import correlate1d

    taps = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _DEVIATION**2))
    taps /= taps.sum()
    smooth = correlate1d(correlate1d(image, taps, axis=0, mode="nearest"), taps, axis=1, mode="nearest")
    return np.asarray(smooth, dtype=np.float64)


def _blocks(image: Array) -> Array:
    """Cut into blocks with their surroundings, zero outside the image: [blocks, 34 · 34]."""
    missing = [-side % _BLOCK for side in image.shape]
    padded = np.pad(image, [(_OVERLAP, _OVERLAP + lack) for lack in missing])
    side = _BLOCK + 2 * _OVERLAP
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[::_BLOCK, ::_BLOCK]
    return windows.reshape(-1, side * side)


@functools.cache
def _shapes() -> tuple[Array, Array, Array]:
    """Shapes α, the moment ratio of each, and √(Γ(1/α) / Γ(3/α))."""
    from scipy.special import gamma

    alpha = 0.2 + 0.01 * np.arange(481)
    one, two, three = (gamma(k / alpha) for k in (1, 2, 3))
    found = alpha, two**2 / (one * three), np.sqrt(one / three)
    return tuple(np.asarray(part, dtype=np.float64) for part in found)  # type: ignore[return-value]


def _fits(values: Array) -> Array:
    """Asymmetric generalised Gaussian of each row: shape, left and right scale, [rows, 3], by moments.

    Lasmar, Stitou and Berthoumieu 2009. Infinite for a row of zeros, NaN where one side has no values.
    """
    alpha, ratio, scale = _shapes()
    squares = values**2
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = (
            np.sqrt((squares * side).sum(axis=1) / side.sum(axis=1)) for side in (values < 0, values > 0)
        )
        skew = left / right
        wanted = np.abs(values).mean(axis=1) ** 2 / squares.mean(axis=1)
        wanted *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    nearest = np.argmin(np.nan_to_num(np.abs(ratio - wanted[:, None]), nan=np.inf), axis=1)
    found = np.stack([alpha[nearest], left * scale[nearest], right * scale[nearest]], axis=1)
    found[~values.any(axis=1)] = np.inf
    return found
