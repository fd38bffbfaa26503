"""Autocorrelation of frames and of motion codes, against its definition in NumPy, and what is made of it."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scenes import scene, seeded, wave
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.reference_models.config import MotionConfig
from vgbench.reference_models.generator import Latents
from vgbench.reference_models.motion import Motion, build_motion
from vgbench.reference_models.periodicity import (
    autocorrelation,
    code_periodicity,
    first_useful_lag,
    frame_features,
    periodicity,
)


def by_definition(sequence):
    """r(τ) = Σ_t ⟨u_t, u_{t+τ}⟩ / √(Σ_{t≤T−τ} ‖u_t‖² · Σ_{t>τ} ‖u_t‖²), τ = 1 … T//2, of f [T, F]."""
    moving = sequence - sequence.mean(0)
    found = []
    for lag in range(1, len(moving) // 2 + 1):
        early, late = moving[:-lag], moving[lag:]
        found.append((early * late).sum() / math.sqrt((early**2).sum() * (late**2).sum()))
    return np.array(found)


@given(
    seed=st.integers(0, 2**32), clips=st.integers(1, 3), frames=st.integers(3, 13), width=st.integers(1, 4)
)
def test_autocorrelation_is_its_definition(seed, clips, frames, width):
    sequence = 10 * seeded(seed, clips, frames, width).double()
    expected = np.stack([by_definition(one) for one in sequence.numpy()])
    np.testing.assert_allclose(autocorrelation(sequence).numpy(), expected, atol=1e-4)


def test_autocorrelation_of_next_to_no_motion_is_damped():
    """Frames ±a, T of them: √(E² + 1e-12) + 1e-6 under −E, where the energy E = (T − 1) a² is 1e-6."""
    faint = math.sqrt(1e-6 / 7) * torch.tensor([1.0, -1.0] * 4, dtype=torch.float64).view(1, 8, 1)
    assert autocorrelation(faint)[0, 0].item() == pytest.approx(-1 / (math.sqrt(2) + 1), rel=1e-6)


def test_frames_are_pooled_to_eight_by_eight():
    video = seeded(0, 2, 3, 4, 16, 24)
    blocks = video.unflatten(4, (8, 3)).unflatten(3, (8, 2)).mean((4, 6))
    torch.testing.assert_close(frame_features(video), blocks.transpose(1, 2).flatten(2))
    assert frame_features(video).shape == (2, 4, 3 * 8 * 8)


REAL = np.array([0.9, 0.6, 0.45, 0.7, -0.2])
"""The first lag below 0.5 is the third, so that lags 3, 4 and 5 count."""


def correlations(video):
    """By definition, of clips of 8×8 pixels: [B, lags]."""
    return np.stack([by_definition(clip) for clip in video.transpose(1, 2).flatten(2).numpy()])


def test_periodicity_match_compares_the_mean_of_the_batch_at_each_useful_lag():
    fake = seeded(1, 3, 3, 11, 8, 8)
    value = periodicity(scene(fake, real_autocorrelation=torch.tensor(REAL)))
    expected = ((correlations(fake).mean(0) - REAL)[2:] ** 2).mean()
    assert value.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("options", "margin"), [({}, 0.1), ({"margin": 0.02}, 0.02)])
def test_periodicity_avoid_looks_at_what_each_clip_has_too_much(options, margin):
    fake = 0.3 * seeded(2, 3, 3, 11, 8, 8) + wave(5, frames=11, clips=3)
    value = periodicity(scene(fake, real_autocorrelation=torch.tensor(REAL)), mode="avoid", **options)
    excess = (correlations(fake) - REAL - margin)[:, 2:]
    assert (excess > 0).any(), "or nothing is looked at"
    assert (excess < 0).any()
    assert value.item() == pytest.approx((np.maximum(excess, 0) ** 2).mean(), rel=1e-4)


def test_periodicity_is_that_of_the_real_clips_at_hand_before_a_mean_is_known():
    fake, real = 0.3 * seeded(3, 2, 3, 12, 8, 8) + wave(4, frames=12), seeded(4, 4, 3, 12, 8, 8)
    known = scene(fake, real, real_autocorrelation=torch.tensor(correlations(real).mean(0)))
    for mode in ("match", "avoid"):
        value = periodicity(scene(fake, real), mode).item()
        assert value == pytest.approx(periodicity(known, mode).item(), rel=1e-4)
        assert value > 0


def test_autocorrelation_is_one_at_the_period():
    r = autocorrelation(frame_features(wave(4)))
    assert r.shape == (2, 8)
    torch.testing.assert_close(r[:, 3], torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(r[:, 1], -torch.ones(2), atol=1e-4, rtol=0)


def test_autocorrelation_of_still_clips_is_zero_and_has_a_gradient():
    still = torch.rand(2, 3, 1, 8, 8).expand(-1, -1, 16, -1, -1).clone().requires_grad_(True)
    r = autocorrelation(frame_features(still))
    r.sum().backward()
    assert r.abs().max().item() < 1e-3
    assert torch.isfinite(still.grad).all()


def test_autocorrelation_ignores_brightness_and_scale():
    video = torch.rand(2, 3, 16, 16, 16)
    torch.testing.assert_close(
        autocorrelation(frame_features(video)),
        autocorrelation(frame_features(3 * video + 0.5)),
        atol=1e-4,
        rtol=1e-4,
    )


def test_white_noise_has_no_period():
    noise = torch.randn(64, 3, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    r = autocorrelation(frame_features(noise)).mean(0)
    assert (r < 0).all(), "the mean's removal biases it a little below zero"
    assert (r > -0.2).all()


def test_periodicity_match_is_zero_on_the_data_itself_and_sees_a_loop():
    real = autocorrelation(frame_features(wave(16))).mean(0)
    assert periodicity(scene(wave(16), real_autocorrelation=real)).item() == pytest.approx(0, abs=1e-10)
    assert periodicity(scene(wave(4), real_autocorrelation=real)).item() > 0.1


def test_periodicity_avoid_only_punishes_loops_that_the_data_lack():
    looping = autocorrelation(frame_features(wave(5))).mean(0)
    smooth = autocorrelation(frame_features(wave(32))).mean(0)
    assert periodicity(scene(wave(5), real_autocorrelation=looping), mode="avoid").item() == 0
    assert periodicity(scene(wave(5), real_autocorrelation=smooth), mode="avoid").item() > 0.05


def test_periodicity_target_wants_that_period():
    assert periodicity(scene(wave(8)), mode="target", period=8).item() == pytest.approx(0, abs=1e-4)
    assert periodicity(scene(wave(8)), mode="target", period=4).item() == pytest.approx(2, abs=1e-3)
    with pytest.raises(VgbenchError, match="1 to 8"):
        periodicity(scene(wave(6)), mode="target", period=9)


class Circle(Motion):
    """Codes that run along a circle with a learned period."""

    def __init__(self, period, horizon=None):
        super().__init__()
        self.code_dim, self.horizon = 2, horizon
        self.period = nn.Parameter(torch.tensor(float(period)))

    def forward(self, noise, times):
        angle = 2 * math.pi * times / self.period
        return torch.stack([angle.sin(), angle.cos()], -1)


def test_autocorrelation_of_codes_is_that_of_the_frames_which_show_them():
    codes = Circle(5)(None, torch.arange(16.0).expand(2, -1))
    torch.testing.assert_close(
        autocorrelation(codes), autocorrelation(frame_features(wave(5))), atol=1e-4, rtol=0
    )


def test_codes_that_loop_beyond_the_training_window_are_punished():
    """One turn takes 24 frames, and a clip of training has 16: only the longer look sees the loop."""
    view = scene(wave(16), motion=Circle(24))
    assert code_periodicity(view).item() < 0.01
    assert code_periodicity(view, length=64).item() > 0.2
    assert code_periodicity(scene(wave(16), motion=Circle(500)), length=64).item() < 0.03


def test_code_periodicity_target_wants_that_period():
    assert code_periodicity(scene(wave(8), motion=Circle(8)), "target", 8).item() == pytest.approx(
        0, abs=1e-4
    )
    assert code_periodicity(scene(wave(8), motion=Circle(8)), "target", 4).item() == pytest.approx(
        2, abs=1e-3
    )
    motion = Circle(7)
    optimiser = torch.optim.Adam(motion.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        code_periodicity(scene(wave(8), motion=motion), "target", 8).backward()
        optimiser.step()
    assert motion.period.item() == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize("name", ["static", "independent", "conv3d", "conv-gru"])
def test_code_periodicity_refuses_codes_that_nothing_learns(name):
    motion = build_motion(MotionConfig(name=name), 16)
    latents = Latents(torch.zeros(2, 1), torch.randn(2, *motion.noise_shape(16)))
    view = dataclasses.replace(scene(wave(8), motion=motion), latents=latents)
    with pytest.raises(VgbenchError, match="does not learn its codes") as caught:
        code_periodicity(view)
    assert "use gru, lstm" in caught.value.remedy


def test_code_periodicity_knows_how_long_a_motion_module_can_go_on():
    with pytest.raises(VgbenchError, match="cannot look at 17 frames") as caught:
        code_periodicity(scene(wave(8), motion=Circle(8, horizon=16)), length=17)
    assert "at most 16" in caught.value.remedy


def test_first_useful_lag_falls_back_to_a_quarter_of_the_clip():
    """Entry i is lag i + 1, so lag 4 of 16 frames is entry 3."""
    assert first_useful_lag(torch.tensor([0.9, 0.5, 0.49, 0.2])) == 2
    for frames, lag in ((16, 4), (8, 2), (4, 1), (2, 1)):
        assert first_useful_lag(torch.full((frames // 2,), 0.9)) == lag - 1


class Played(Motion):
    """Codes that are the noise of their frame times a learned gain of one."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, noise, times):
        return self.gain * noise.gather(1, times.long()[..., None].expand(-1, -1, noise.shape[2]))


@pytest.mark.parametrize(("length", "expected_length"), [(None, 9), (14, 14)])
@pytest.mark.parametrize(("options", "margin"), [({}, 0.1), ({"margin": 0.02}, 0.02)])
def test_code_periodicity_avoid_looks_at_lags_from_a_quarter_of_the_codes_on(
    length, expected_length, options, margin
):
    noise = seeded(5, 3, 20, 2)
    view = scene(seeded(6, 3, 3, 9, 8, 8), noise=noise, motion=Played())
    made = np.stack([by_definition(one) for one in noise[:, :expected_length].numpy()])
    excess = (made - margin)[:, expected_length // 4 - 1 :]
    assert (excess > 0).any(), "or nothing is looked at"
    value = code_periodicity(view, length=length, **options)
    assert value.item() == pytest.approx((np.maximum(excess, 0) ** 2).mean(), rel=1e-4)


def test_code_periodicity_needs_four_frames_and_none_beyond_the_motion_module():
    code_periodicity(scene(wave(8), motion=Circle(8, horizon=16)), length=16)
    code_periodicity(scene(wave(8), motion=Circle(8)), length=4)
    with pytest.raises(VgbenchError, match="cannot look at 3 frames"):
        code_periodicity(scene(wave(8, frames=3), motion=Circle(8)))


def test_target_is_the_mean_over_the_batch():
    """Clips of period 4 and 8: correlations 1 and −1 after four frames."""
    both = torch.cat([wave(4, clips=1), wave(8, clips=1)])
    assert periodicity(scene(both), mode="target", period=4).item() == pytest.approx(1, abs=1e-3)
    assert periodicity(scene(both), mode="target", period=8).item() == pytest.approx(0, abs=1e-3)
    for period in (None, 0):
        with pytest.raises(VgbenchError, match="1 to 8") as caught:
            periodicity(scene(both), mode="target", period=period)
        assert caught.value.remedy == "set it in the regulariser's options: {mode: target, period: 6}"


def test_modes_that_do_not_exist_are_named():
    with pytest.raises(VgbenchError, match="periodicity mode 'avert' is unknown") as caught:
        periodicity(scene(wave(8)), mode="avert")
    assert caught.value.remedy == "use match, avoid or target"
    with pytest.raises(VgbenchError, match="code-periodicity mode 'match' is unknown") as caught:
        code_periodicity(scene(wave(8), motion=Circle(8)), mode="match")
    assert caught.value.remedy == "use avoid or target"
