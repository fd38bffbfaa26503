import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.reference_models.config import REGULARISER_WEIGHTS, DiscriminatorConfig, MotionConfig
from vgbench.reference_models.constraints import CONSTRAINTS, clip_singular_values, clip_weights
from vgbench.reference_models.discriminators import build_discriminator
from vgbench.reference_models.generator import Latents
from vgbench.reference_models.motion import Motion, build_motion
from vgbench.reference_models.penalties import (
    DISCRIMINATOR_PENALTIES,
    GENERATOR_TERMS,
    GeneratorView,
    View,
    autocorrelation,
    categorical_information,
    check_options,
    class_loss,
    code_periodicity,
    feature_matching,
    first_frame,
    first_useful_lag,
    flow_smoothness,
    frame_features,
    gradient_penalty,
    mask_sparsity,
    mode_seeking,
    periodicity,
    r1,
    r2,
    temporal_smoothness,
)

SHAPE = (4, 3, 5, 6, 6)


class Linear(nn.Module):
    """D(x) = <w, x>: its gradient is w everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, video, times, label=None):
        return (video * self.weight).flatten(1).sum(1, keepdim=True)


class Doubling:
    """Two layers of feature maps: the clip, and twice the clip."""

    def trunk(self, video, times):
        return [video, 2 * video]


class Classifier:
    """Class logits that lie in a clip's first three numbers."""

    def class_logits(self, video, times):
        return video[:, :, 0, 0, 0]


class Quadratic(nn.Module):
    """D(x) = ½‖x‖²: its gradient is x."""

    def forward(self, video, times, label=None):
        return 0.5 * video.square().flatten(1).sum(1, keepdim=True)


def view(seed, shape=SHAPE):
    video = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return View(video, torch.arange(shape[2]).expand(shape[0], -1).float())


def scene(fake, real=None, **rest):
    real = fake if real is None else real
    conditions = {name: rest.pop(name, None) for name in ("label", "first_frame")}
    latents = Latents(torch.zeros(len(fake), 1), torch.zeros(len(fake), 1, 1), **conditions)
    critics = [
        (one, View(real, torch.zeros(1)), View(fake, torch.zeros(1))) for one in rest.pop("critics", ())
    ]
    motion = rest.pop("motion", None)
    return GeneratorView(real, fake, latents, motion, rest.pop("terms", {}), tuple(critics), **rest)


def flat(*levels):
    """One clip of each level, the same in every pixel."""
    return torch.tensor(levels).view(-1, 1, 1, 1, 1).expand(-1, 3, 2, 4, 4)


def test_gradient_penalty_of_a_linear_critic_is_the_closed_form():
    weight = torch.randn(SHAPE[1:], generator=torch.Generator().manual_seed(5))
    value = gradient_penalty(Linear(weight), view(0), view(1), torch.rand(4))
    assert value.item() == pytest.approx((weight.norm().item() - 1) ** 2, rel=1e-5)


def test_gradient_penalty_takes_one_norm_per_clip_on_its_own_interpolation():
    real, fake, mixing = view(0), view(1), torch.tensor([0.0, 1.0, 0.25, 0.5])
    mixed = mixing.view(-1, 1, 1, 1, 1) * real.video + (1 - mixing.view(-1, 1, 1, 1, 1)) * fake.video
    norms = mixed.flatten(1).norm(dim=1)
    value = gradient_penalty(Quadratic(), real, fake, mixing)
    assert value.item() == pytest.approx((norms - 1).square().mean().item(), rel=1e-5)


def test_gradient_penalty_does_not_depend_on_how_the_batch_is_split():
    critic, mixing = Quadratic(), torch.rand(4)
    real, fake = view(0), view(1)
    halves = [
        gradient_penalty(
            critic,
            View(real.video[rows], real.times[rows]),
            View(fake.video[rows], fake.times[rows]),
            mixing[rows],
        )
        for rows in (slice(0, 2), slice(2, 4))
    ]
    assert torch.stack(halves).mean().item() == pytest.approx(
        gradient_penalty(critic, real, fake, mixing).item(), rel=1e-5
    )


def test_frame_norms_are_per_frame():
    weight = torch.ones(SHAPE[1:])
    value = gradient_penalty(Linear(weight), view(0), view(1), torch.rand(4), space="frames")
    assert value.item() == pytest.approx((math.sqrt(3 * 36) - 1) ** 2, rel=1e-5)


def test_gradient_penalty_reaches_the_weights():
    critic = Linear(torch.full(SHAPE[1:], 0.5))
    gradient_penalty(critic, view(0), view(1), torch.rand(4)).backward()
    norm = critic.weight.detach().norm()
    expected = 2 * (norm - 1) * critic.weight.detach() / norm
    torch.testing.assert_close(critic.weight.grad, expected)


def test_r1_and_r2_of_a_quadratic_critic():
    real, fake, mixing = view(0), view(1), torch.rand(4)
    assert r1(Quadratic(), real, fake, mixing).item() == pytest.approx(
        0.5 * real.video.square().flatten(1).sum(1).mean().item(), rel=1e-5
    )
    assert r2(Quadratic(), real, fake, mixing).item() == pytest.approx(
        0.5 * fake.video.square().flatten(1).sum(1).mean().item(), rel=1e-5
    )


def wave(period, frames=16, clips=2):
    """Clips whose frames move along a circle in pixel space, with the given period."""
    t = torch.arange(frames, dtype=torch.float64)
    video = torch.zeros(clips, 3, frames, 8, 8, dtype=torch.float64)
    video[:, 0] = torch.sin(2 * math.pi * t / period)[:, None, None]
    video[:, 1] = torch.cos(2 * math.pi * t / period)[:, None, None]
    return video


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
    with pytest.raises(VgbenchError, match="learns no codes"):
        code_periodicity(view)


def test_code_periodicity_knows_how_long_a_motion_module_can_go_on():
    with pytest.raises(VgbenchError, match="cannot look at 17 frames") as caught:
        code_periodicity(scene(wave(8), motion=Circle(8, horizon=16)), length=17)
    assert "at most 16" in caught.value.remedy


def test_first_useful_lag_falls_back_to_a_quarter_of_the_clip():
    """Entry i is lag i + 1, so lag 4 of 16 frames is entry 3."""
    assert first_useful_lag(torch.tensor([0.9, 0.6, 0.4, 0.2])) == 2
    for frames, lag in ((16, 4), (8, 2), (4, 1), (2, 1)):
        assert first_useful_lag(torch.full((frames // 2,), 0.9)) == lag - 1


def test_temporal_smoothness_of_a_ramp():
    ramp = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 3, 8, 4, 4)
    assert temporal_smoothness(scene(ramp), order=1).item() == pytest.approx(1)
    assert temporal_smoothness(scene(ramp), order=2).item() == pytest.approx(0)


def test_mode_seeking_punishes_equal_clips_for_different_latents():
    latents = Latents(torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1, 0))
    apart = torch.stack([torch.zeros(3, 4, 2, 2), torch.ones(3, 4, 2, 2)])
    close = 0.01 * apart
    far_view = GeneratorView(apart, apart, latents, None, {}, ())
    close_view = GeneratorView(close, close, latents, None, {}, ())
    assert mode_seeking(far_view).item() == pytest.approx(1, rel=1e-3)
    assert mode_seeking(close_view).item() == pytest.approx(100, rel=1e-2)


def test_mode_seeking_of_a_lone_clip_is_an_error_and_not_a_mean_of_nothing():
    with pytest.raises(VgbenchError, match="only one"):
        mode_seeking(scene(wave(4, clips=1)))


def test_feature_matching_compares_means_of_features_layer_by_layer():
    """Means 2 of real and 5 of generated clips: 3 in the first layer, 6 in the second."""
    value = feature_matching(scene(flat(4.0, 6.0), real=flat(1.0, 3.0), critics=[Doubling()]))
    assert value.item() == pytest.approx((3 + 6) / 2)
    assert feature_matching(scene(flat(2.0, 2.0), real=flat(1.0, 3.0), critics=[Doubling()])).item() == 0


def test_categorical_information_is_the_cross_entropy_of_the_class_heads():
    """Two clips whose heads give their labels the probabilities 1/4 and 1/2."""
    logits = torch.tensor([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5]]).log()
    fake, label = logits.view(2, 3, 1, 1, 1), torch.tensor([1, 2])
    expected = (math.log(4) + math.log(2)) / 2
    value = categorical_information(scene(fake, label=label, critics=[Classifier(), Classifier()]))
    assert value.item() == pytest.approx(expected)
    own = class_loss(Classifier(), View(fake, torch.zeros(1), label))
    assert own.item() == pytest.approx(expected)
    with pytest.raises(VgbenchError, match="needs labels"):
        categorical_information(scene(fake, critics=[Classifier()]))


def test_first_frame_is_compared_with_the_given_one_and_no_other():
    fake = torch.stack([torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), 9.0)], 1)[None]
    given = torch.full((1, 3, 4, 4), -0.25)
    assert first_frame(scene(fake, first_frame=given)).item() == pytest.approx(0.75)
    assert first_frame(scene(fake, first_frame=-given + 1)).item() == pytest.approx(0.75)
    with pytest.raises(VgbenchError, match="first_frame: true"):
        first_frame(scene(fake))


def test_mask_sparsity_is_the_mean_of_the_mask():
    mask = torch.tensor([0.0, 0.5, 1.0, 0.7]).view(1, 1, 1, 2, 2)
    assert mask_sparsity(scene(flat(0.0), terms={"mask": mask})).item() == pytest.approx(0.55)
    with pytest.raises(VgbenchError, match="no mask"):
        mask_sparsity(scene(flat(0.0)))


def test_flow_smoothness_is_total_variation_and_a_tenth_of_the_magnitude():
    """A flow of slope −2 along x and 3 along y, in both of its channels: 2 + 3 + 0.1·mean |flow|."""
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    flow = (3 * y - 2 * x).expand(1, 2, 3, -1, -1)
    expected = 2 + 3 + 0.1 * (3 * y - 2 * x).abs().mean().item()
    assert flow_smoothness(scene(flat(0.0), terms={"flow": flow})).item() == pytest.approx(expected)
    still = torch.full((1, 2, 3, 4, 5), -0.5)
    assert flow_smoothness(scene(flat(0.0), terms={"flow": still})).item() == pytest.approx(0.05)


def test_clipping_bounds_every_parameter():
    network = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 1))
    clip_weights(network, 0.01)
    assert max(parameter.abs().max().item() for parameter in network.parameters()) <= 0.01


def test_singular_values_are_brought_down_and_small_ones_kept():
    layer = nn.Conv3d(3, 8, (4, 4, 4))
    values = torch.linspace(3, 0.1, 8)
    left = torch.linalg.qr(torch.randn(8, 8))[0]
    right = torch.linalg.qr(torch.randn(192, 8))[0].T
    with torch.no_grad():
        layer.weight.copy_((left * values @ right).view_as(layer.weight))
    clip_singular_values(nn.Sequential(layer, nn.BatchNorm3d(8)), 1.0)
    found = torch.linalg.svdvals(layer.weight.detach().flatten(1))
    torch.testing.assert_close(found, values.clamp(max=1), atol=1e-5, rtol=1e-5)


def test_singular_values_of_class_embeddings_are_brought_down_too():
    """The score's projection term <V y, phi> is linear in phi with the norm of V y, which V's bounds."""
    config = DiscriminatorConfig(name="video3d", channels=4, norm="none")
    critic = build_discriminator(config, 16, 8, labels=3)
    with torch.no_grad():
        critic.embedding.weight.mul_(100)
    clip_singular_values(critic, 1.0)
    assert torch.linalg.svdvals(critic.embedding.weight.detach()).max().item() == pytest.approx(1, abs=1e-5)
    weights = [weight.detach() for weight in critic.parameters() if weight.dim() > 1]
    assert all(torch.linalg.svdvals(weight.flatten(1)).max() < 1 + 1e-5 for weight in weights)


def test_batch_norm_scale_is_clipped_to_the_running_deviation():
    norm = nn.BatchNorm3d(2)
    with torch.no_grad():
        norm.running_var.copy_(torch.tensor([4.0, 0.25]))
        norm.weight.copy_(torch.tensor([5.0, 0.001]))
    clip_singular_values(norm, 1.0)
    np.testing.assert_allclose(norm.weight.detach().numpy(), [2.0, 0.005], rtol=1e-4)


def test_unknown_option_names_the_allowed_ones():
    with pytest.raises(VgbenchError, match="no option modus") as caught:
        check_options("periodicity", {"modus": "avoid"})
    assert "mode" in caught.value.remedy
    check_options("gradient-penalty", {"center": 0, "space": "frames"})


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("periodicity", "mode", "avert", "'match', 'avoid' or 'target'"),
        ("periodicity", "margin", "much", "valid number"),
        ("code-periodicity", "length", 64.5, "valid integer"),
        ("code-periodicity", "length", 0, "greater than or equal to 4"),
        ("code-periodicity", "period", -1, "greater than or equal to 1"),
        ("temporal-smoothness", "order", 3, "1 or 2"),
        ("temporal-smoothness", "order", True, "of type int"),
        ("temporal-smoothness", "order", 2.0, "of type int"),
        ("gradient-penalty", "center", float("nan"), "finite number"),
    ],
)
def test_option_of_another_type_names_what_is_allowed(name, option, value, said):
    with pytest.raises(VgbenchError, match=said) as caught:
        check_options(name, {option: value})
    assert f"'{name}', option {option} = {value!r}" in caught.value.message


def test_config_names_are_the_shipped_ones():
    assert set(REGULARISER_WEIGHTS) == {*DISCRIMINATOR_PENALTIES, *GENERATOR_TERMS, *CONSTRAINTS}
