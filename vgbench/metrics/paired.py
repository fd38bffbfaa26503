"""Full-reference metrics: compare a predicted or reconstructed clip with its reference clip.

Both are uint8 [T, H, W, 3] of one shape; every function returns the mean over frames (or pairs of frames) as
float64, and raises `VgbenchError` for another dtype, unequal shapes, or frames that are too small. `PAIRED`
is the table of them. Two of them need a network's distance between frames, which the caller passes.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import frames
from vgbench.metrics.clip_view import Frames
from vgbench.metrics.luma import luma
from vgbench.metrics.metric import Better
from vgbench.metrics.strred import strred_of_luma

Distance = Callable[[Frames, Frames], npt.NDArray[np.float64]]
"""Distance of each frame of two clips uint8 [T, H, W, 3] as float64 [T], such as `Lpips.distance`."""

_RADIUS = 5  # of the 11 × 11 Gaussian window, σ = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_MOST_DB = 100.0  # of an equal frame in the mean of a set, as in common_metrics_on_video_quality
_LEAST_SIDE_STRRED = 48  # below, its pyramid has no complete block and scikit-video answers 0
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def psnr(clip: Frames, reference: Frames, most: float = np.inf) -> float:
    """Peak signal-to-noise ratio in dB, 10 log₁₀(255² / MSE) of each frame, at most `most`.

    In [0, ∞], higher is better; ∞ if any frame is equal to its reference and `most` is infinite.
    """
    clip, reference = _pair(clip, reference)
    errors = np.mean((clip.astype(np.float64) - reference) ** 2, axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return float(np.mean(np.minimum(10 * np.log10(255**2 / errors), most)))


def ssim(clip: Frames, reference: Frames) -> float:
    """Structural similarity (Wang et al. 2004) of each RGB channel, in [−1, 1], higher is better.

    Gaussian window 11 × 11 with σ = 1.5, K = (0.01, 0.03), only where the whole window lies in the frame.
    Needs 11 × 11 pixels.
    """
    clip, reference = _pair(clip, reference, least_side=2 * _RADIUS + 1)
    return float(np.mean([_structure(a, b)[0] for a, b in _float_frames(clip, reference)]))


def ms_ssim(clip: Frames, reference: Frames) -> float:
    """Multi-scale structural similarity (Wang et al. 2003): 5 scales, halved by 2 × 2 averages.

    In [0, 1], higher is better; negative contrast terms count as 0. Needs 176 × 176 pixels.
    """
    clip, reference = _pair(clip, reference, least_side=(2 * _RADIUS + 1) * 2 ** (len(_SCALE_WEIGHTS) - 1))
    return float(np.mean([_multi_scale(a, b) for a, b in _float_frames(clip, reference)]))


def tof(clip: Frames, reference: Frames) -> float:
    """Mean length of the difference between both clips' optical flow, in pixels (Chu et al. 2020, tOF).

    In [0, ∞), lower is better. Farnebäck flow on grey frames with TecoGAN's parameters; unlike its script,
    this function leaves out no border and no frame.
    """
    clip, reference = _pair(clip, reference, least_frames=2)
    gaps = [
        np.linalg.norm(a - b, axis=2).mean()
        for a, b in zip(_farneback(clip), _farneback(reference), strict=True)
    ]
    return float(np.mean(gaps))


def strred(clip: Frames, reference: Frames) -> float:
    """Spatio-temporal reduced-reference entropic difference (Soundararajan and Bovik 2013), by scikit-video.

    In [0, ∞), lower is better, 0 for equal clips. On luma, over pairs of frames (0, 1), (2, 3), … Needs
    48 × 48 pixels and 2 frames.
    """
    clip, reference = _pair(clip, reference, _LEAST_SIDE_STRRED, least_frames=2)
    return strred_of_luma(luma(reference), luma(clip))


def lpips(clip: Frames, reference: Frames, distance: Distance) -> float:
    """Mean perceptual distance of the frames (Zhang et al. 2018); in [0, ∞), lower is better."""
    clip, reference = _pair(clip, reference)
    return float(distance(clip, reference).mean())


def tlp(clip: Frames, reference: Frames, distance: Distance) -> float:
    """Mean of 100 |d(g_t, g_{t+1}) − d(b_t, b_{t+1})|, d the perceptual distance (Chu et al. 2020, tLP).

    In [0, ∞), lower is better: it compares how much both clips change from frame to frame. Unlike TecoGAN's
    script, this function leaves out no border and no frame.
    """
    clip, reference = _pair(clip, reference, least_frames=2)
    changes, expected = (distance(side[:-1], side[1:]) for side in (clip, reference))
    return float(100 * np.abs(changes - expected).mean())


@dataclass(frozen=True)
class PairedMetric:
    """A metric that compares a clip with its reference; the score of a set is the mean over its pairs.

    Attributes:
        name: its name on the command line, and the name of its score.
        title: its name in tables.
        measure: called as measure(clip, reference), with a `Distance` as third argument if `perceptual`.
        version: changes whenever `measure` gives another number; part of the signature.
        better: in which direction.
        citation: the paper that defines it.
        least_frames: shortest clip that it can measure.
        perceptual: whether it needs a network's distance between frames.
        differs: see `Metric.differs`.
    """

    name: str
    title: str
    measure: Callable[..., float]
    version: str
    better: Better
    citation: str
    least_frames: int = 1
    perceptual: bool = False
    differs: str = ""


_TECOGAN = "Chu et al. 2020, arXiv:1811.09393"
_WHOLE = "not the number of TecoGAN's script, which leaves out the borders and the first and last two frames"
_TABLE = (
    PairedMetric(
        "psnr",
        "PSNR",
        functools.partial(psnr, most=_MOST_DB),
        "1",
        "higher",
        "10 log10(255² / MSE)",
    ),
    PairedMetric("ssim", "SSIM", ssim, "1", "higher", "Wang et al. 2004, IEEE TIP 13(4)"),
    PairedMetric("ms_ssim", "MS-SSIM", ms_ssim, "1", "higher", "Wang et al. 2003, Asilomar"),
    PairedMetric(
        "strred", "ST-RRED", strred, "1", "lower", "Soundararajan and Bovik 2013, IEEE TCSVT 23(4)", 2
    ),
    PairedMetric("tof", "tOF", tof, "1", "lower", _TECOGAN, 2, differs=_WHOLE),
    PairedMetric(
        "lpips", "LPIPS", lpips, "1", "lower", "Zhang et al. 2018, arXiv:1801.03924", perceptual=True
    ),
    PairedMetric("tlp", "tLP", tlp, "1", "lower", _TECOGAN, 2, perceptual=True, differs=_WHOLE),
)
PAIRED: dict[str, PairedMetric] = {metric.name: metric for metric in _TABLE}


def _pair(
    clip: Frames, reference: Frames, least_side: int = 1, least_frames: int = 1
) -> tuple[Frames, Frames]:
    clip, reference = frames(clip, least_frames), frames(reference, least_frames)
    if clip.shape != reference.shape:
        raise VgbenchError(
            f"paired metrics need equal shapes, got {list(clip.shape)} and {list(reference.shape)}",
            "cut and resize both clips in the same way",
        )
    if min(clip.shape[1:3]) < least_side:
        raise VgbenchError(
            f"frames of {clip.shape[2]} × {clip.shape[1]} are too small, both sides must be >= {least_side}",
            "use psnr for small frames, or ssim from 11 × 11",
        )
    return clip, reference


def _float_frames(
    clip: Frames, reference: Frames
) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    return [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(clip, reference, strict=True)]


def _smooth(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    from scipy.ndimage import correlate1d

    window = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    smooth = correlate1d(correlate1d(image, window, axis=0), window, axis=1)
    return np.asarray(smooth[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS], dtype=np.float64)


def _structure(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure term of two frames [H, W, 3] in [0, 255]."""
    mean_a, mean_b = _smooth(a), _smooth(b)
    variances = _smooth(a * a) - mean_a**2 + _smooth(b * b) - mean_b**2
    contrast = (2 * (_smooth(a * b) - mean_a * mean_b) + _C2) / (variances + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return float((luminance * contrast).mean()), float(contrast.mean())


def _multi_scale(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    product = 1.0
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        similarity, contrast = _structure(a, b)
        last = scale == len(_SCALE_WEIGHTS) - 1
        product *= max(0.0, similarity if last else contrast) ** weight
        a, b = _halved(a), _halved(b)
    return product


def _halved(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)


def _farneback(clip: Frames) -> list[npt.NDArray[np.float64]]:
    import cv2

    estimate: Any = cv2.calcOpticalFlowFarneback
    parameters = {
        "pyr_scale": 0.5,
        "levels": 3,
        "winsize": 15,
        "iterations": 3,
        "poly_n": 5,
        "poly_sigma": 1.2,
    }
    return [
        np.asarray(estimate(first, second, None, **parameters, flags=0), dtype=np.float64)
        for first, second in itertools.pairwise(luma(clip))
    ]
