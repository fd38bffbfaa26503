"""STREAM (Kim et al. 2024): separate scores of spatial and temporal quality, from features of single frames.

Each feature of a clip is a signal over time. Its mean is used for precision and recall, and the shape of its
spectrum for a comparison that does not depend on the content.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError

_BINS = 50


def temporal_agreement(skew_r: npt.NDArray[np.float64], skew_g: npt.NDArray[np.float64]) -> float:
    """STREAM-T of skewnesses [N, D] and [M, D]: squared correlation of histograms, mean over features."""
    low = np.trunc(np.minimum(skew_r.min(axis=0), skew_g.min(axis=0))) - 1
    high = np.trunc(np.maximum(skew_r.max(axis=0), skew_g.max(axis=0))) + 1
    x, y = (_histograms(side, low, high) for side in (skew_r, skew_g))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    correlation = np.sum(x * y, axis=0) / (np.sqrt(np.sum(x * x, axis=0) * np.sum(y * y, axis=0)) + 1e-12)
    return float(np.mean(correlation**2))


def _histograms(
    values: npt.NDArray[np.float64], low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Shares of [N, D] in `_BINS` equal bins of each column's own range, [_BINS, D].

    As `np.histogram` counts, edges included, for all columns at once, because the jackknife needs 65
    histograms of each.
    """
    columns = np.arange(values.shape[1])
    edges = np.linspace(low, high, _BINS + 1)
    index = np.minimum(((values - low) / (high - low) * _BINS).astype(np.intp), _BINS - 1)
    index -= values < edges[index, columns]
    index += (values >= edges[index + 1, columns]) & (index != _BINS - 1)
    counts = np.bincount((index * len(columns) + columns).ravel(), minlength=_BINS * len(columns))
    return np.asarray(counts.reshape(_BINS, -1) / len(values), dtype=np.float64)


def as_signals(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    """Check features of single frames, and convert them to float64.

    Args:
        values: [N, T, D], one feature vector for each frame of each clip, T >= 4.
        name: what they are, for the error message.

    Raises:
        VgbenchError: another shape, or values that are not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or array.shape[1] < 4 or not np.isfinite(array).all():
        raise VgbenchError(
            f"{name} must be finite [N, T, D] with T >= 4, got shape {list(array.shape)}",
            "one feature vector for each frame of each clip",
        )
    return array


def spectrum(signals: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Describe the spectrum of each feature over time, as the authors' code (v-stream 0.1.2) does.

    Args:
        signals: float64 [N, T, D].

    Returns:
        The amplitude at frequency zero, float64 [N, D]; and the skewness, float64 [N, D], of a power law
        A f^B fitted to the amplitudes at the other frequencies.
    """
    half = signals.shape[1] // 2
    amplitude = 2 * np.abs(np.fft.fft(signals, axis=1)[:, : half + 1]) / (half + 1)
    f = np.arange(1, half + 1, dtype=np.float64)
    log_f = np.log(f)
    log_amplitude = np.log(amplitude[:, 1:] + 1e-6)
    centred = log_f - log_f.mean()
    slope = np.einsum("f,nfd->nd", centred, log_amplitude) / np.sum(centred**2)
    power = f[:, None, None] ** slope  # [F, N, D]; the factor A cancels against the norm of the fit
    third, second = (power * f[:, None, None] ** order for order in (3, 2))
    return amplitude[:, 0], third.sum(axis=0) / np.sqrt(second.sum(axis=0) / power.sum(axis=0))
