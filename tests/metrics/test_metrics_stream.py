"""STREAM: the fit and the skewness written out, and what each of the three reacts to."""

import numpy as np
import pytest

from vgbench.errors import VgbenchError
from vgbench.metrics import Samples
from vgbench.metrics.frame_level import score_stream
from vgbench.metrics.stream import spectrum, temporal_agreement


def walks(n=120, frames=16, d=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, frames, d)).cumsum(axis=1)


def stream(real, generated):
    """Values of STREAM-T, -F and -D of features of single frames, [N, T, D]."""
    sides = (Samples(x.mean(axis=1), None, np.arange(len(x)), x) for x in (generated, real))
    return {name: score.value for name, score in score_stream(*sides).items()}


def test_spectrum_of_one_signal_written_out():
    signal = walks(1, 12, 1)[0, :, 0]
    # The discrete Fourier transform by its sum, then the power law by numpy's polynomial fit.
    t = np.arange(12)
    coefficients = [abs(np.sum(signal * np.exp(-2j * np.pi * f * t / 12))) for f in range(7)]
    amplitude = 2 * np.array(coefficients) / 7
    f = np.arange(1, 7)
    exponent, log_factor = np.polyfit(np.log(f), np.log(amplitude[1:] + 1e-6), 1)
    factor = np.exp(log_factor)
    normed = factor / np.sum(factor * f**exponent)
    expected = np.sum(f ** (exponent + 3)) / (np.sqrt(normed) * np.sqrt(np.sum(f ** (exponent + 2))))
    mean, skewness = spectrum(signal[None, :, None])
    assert mean[0, 0] == pytest.approx(2 * abs(signal.sum()) / 7, rel=1e-10)
    assert skewness[0, 0] == pytest.approx(expected, rel=1e-9)


def test_agreement_in_time_is_numpys_correlation_of_histograms():
    real, generated = walks(80, seed=1), 2 * walks(60, seed=2)
    squares = []
    for a, b in zip(spectrum(real)[1].T, spectrum(generated)[1].T, strict=True):
        edges = np.linspace(int(min(*a, *b)) - 1, int(max(*a, *b)) + 1, 51)
        shares = [np.histogram(side, edges)[0] / len(side) for side in (a, b)]
        squares.append(np.corrcoef(*shares)[0, 1] ** 2)
    assert temporal_agreement(spectrum(real)[1], spectrum(generated)[1]) == pytest.approx(
        np.mean(squares), rel=1e-9
    )


def test_same_set_is_perfect():
    x = walks()
    assert list(stream(x, x).values()) == pytest.approx([1, 1, 1])


def test_frozen_clips_keep_their_content_and_lose_their_time():
    x = walks()
    frozen = np.repeat(x.mean(axis=1, keepdims=True), 16, axis=1) + 1e-3 * walks(seed=1)[:, ::-1]
    noisy = x + 30 * np.random.default_rng(3).standard_normal(x.shape)
    assert stream(x, frozen)["stream_f"] > 0.9
    assert stream(x, noisy)["stream_t"] < stream(x, walks(seed=2))["stream_t"] - 0.3


def test_copies_of_one_clip_lose_diversity():
    x = walks()
    copies = x[:1] + 0.01 * walks(seed=4)
    assert stream(x, copies)["stream_d"] < 0.1


def test_refuses_single_frames_and_unequal_lengths():
    with pytest.raises(VgbenchError, match="T >= 4"):
        stream(np.zeros((9, 3, 2)), np.zeros((9, 3, 2)))
    with pytest.raises(VgbenchError, match="features"):
        stream(np.zeros((9, 8, 2)), np.zeros((9, 6, 2)))
