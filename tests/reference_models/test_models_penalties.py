"""Penalties of discriminators and terms of the generator, each against a closed form."""

import math

import pytest
import torch
from scenes import scene, seeded, timed, wave
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.reference_models.config import DiscriminatorConfig
from vgbench.reference_models.discriminators import View, build_discriminator
from vgbench.reference_models.generator_terms import (
    categorical_information,
    class_loss,
    feature_matching,
    first_frame,
    flow_smoothness,
    mask_sparsity,
    mode_seeking,
    temporal_smoothness,
)
from vgbench.reference_models.parts import check_options
from vgbench.reference_models.penalties import gradient_norms, gradient_penalty, r1, r2

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


def view(seed):
    return timed(seeded(seed, *SHAPE))


def flat(*levels):
    """One clip of each level, the same in every pixel."""
    return torch.tensor(levels).view(-1, 1, 1, 1, 1).expand(-1, 3, 2, 4, 4)


class Conditional(nn.Module):
    """Three patches of scores 2⟨w_y·t, x⟩, 3⟨w_y·t, x⟩ and 4⟨w_y·t, x⟩, t the times of the frames.

    The gradient of their mean is 3 w_y·t.
    """

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, video, times, label):
        score = (video * self.gradient(times, label) / 3).flatten(1).sum(1)
        return torch.stack([2 * score, 3 * score, 4 * score], 1)

    def gradient(self, times, label):
        return 3 * self.weight[label] * times[:, None, :, None, None]


@pytest.mark.parametrize(("space", "dimensions"), [("video", (1, 2, 3, 4)), ("frames", (1, 3, 4))])
@pytest.mark.parametrize("center", [1.0, 0.0])
def test_gradient_penalty_is_of_the_mean_over_patches_at_the_real_clips_labels_and_times(
    space, dimensions, center
):
    label, times = torch.tensor([2, 0, 1, 2]), torch.rand(4, 5)
    real = View(seeded(0, *SHAPE), times, label)
    fake = View(seeded(1, *SHAPE), times, label.roll(1))
    discriminator = Conditional(seeded(2, 3, *SHAPE[1:]))
    norms = torch.linalg.vector_norm(discriminator.gradient(times, label), dim=dimensions)
    value = gradient_penalty(discriminator, real, fake, torch.rand(4), center, space)
    assert value.item() == pytest.approx((norms - center).square().mean().item(), rel=1e-5)


def test_r1_and_r2_are_at_the_labels_and_times_of_their_own_clips():
    real = View(seeded(0, *SHAPE), torch.rand(4, 5), torch.tensor([2, 0, 1, 2]))
    fake = View(seeded(1, *SHAPE), torch.rand(4, 5), torch.tensor([1, 1, 0, 2]))
    discriminator = Conditional(seeded(2, 3, *SHAPE[1:]))
    for penalty, own in ((r1, real), (r2, fake)):
        squares = discriminator.gradient(own.times, own.label).square().sum((1, 2, 3, 4))
        value = penalty(discriminator, real, fake, torch.rand(4))
        assert value.item() == pytest.approx(0.5 * squares.mean().item(), rel=1e-5)


def test_norm_of_a_gradient_of_zero_is_tiny_and_can_be_differentiated():
    discriminator = Linear(torch.zeros(SHAPE[1:]))
    norms = gradient_norms(discriminator, view(0))
    torch.testing.assert_close(norms, torch.full((4,), 1e-6))
    norms.sum().backward()
    assert torch.isfinite(discriminator.weight.grad).all()


def test_gradient_norms_of_clips_in_bfloat16_are_float32():
    weight = seeded(0, *SHAPE[1:])
    norms = gradient_norms(Linear(weight), timed(seeded(1, *SHAPE).bfloat16()))
    torch.testing.assert_close(norms, weight.norm().expand(4))


def test_gradient_penalty_of_a_linear_discriminator_is_the_closed_form():
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
    discriminator, mixing = Quadratic(), torch.rand(4)
    real, fake = view(0), view(1)
    halves = [
        gradient_penalty(
            discriminator,
            View(real.video[rows], real.times[rows]),
            View(fake.video[rows], fake.times[rows]),
            mixing[rows],
        )
        for rows in (slice(0, 2), slice(2, 4))
    ]
    assert torch.stack(halves).mean().item() == pytest.approx(
        gradient_penalty(discriminator, real, fake, mixing).item(), rel=1e-5
    )


def test_frame_norms_are_per_frame():
    weight = torch.ones(SHAPE[1:])
    value = gradient_penalty(Linear(weight), view(0), view(1), torch.rand(4), space="frames")
    assert value.item() == pytest.approx((math.sqrt(3 * 36) - 1) ** 2, rel=1e-5)


class PerFrame(nn.Module):
    """One score ⟨w, x_t⟩ for each frame, so its gradient is w in each frame."""

    frames_apart = True

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, video, times, label=None):
        return torch.einsum("bcthw,chw->bt", video, self.weight)


class Together(Linear):
    """One score for all frames together."""

    frames_apart = False


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_penalties_per_score_or_frame_do_not_depend_on_how_many_frames_are_looked_at(frames):
    weight, seen = seeded(0, 3, 6, 6), timed(seeded(1, 4, 3, frames, 6, 6))
    square = weight.square().sum().item()
    apart, together = PerFrame(weight), Together(weight[:, None].expand(-1, frames, -1, -1))
    for penalty in (r1, r2):
        for per, alone, joint in (("clip", 1 / frames, frames), ("score", 1, frames), ("frame", 1, 1)):
            value = penalty(apart, seen, seen, torch.rand(4), per=per).item()
            assert value == pytest.approx(0.5 * square * alone, rel=1e-5)
            value = penalty(together, seen, seen, torch.rand(4), per=per).item()
            assert value == pytest.approx(0.5 * square * joint, rel=1e-5)
    norm = math.sqrt(square)
    for per, alone, joint in (("clip", 1 / frames, frames), ("score", 1, frames), ("frame", 1, 1)):
        for network, factor in ((apart, alone), (together, joint)):
            value = gradient_penalty(network, seen, seen, torch.rand(4), per=per).item()
            assert value == pytest.approx((norm * math.sqrt(factor) - 1) ** 2, rel=1e-4)


def test_r1_of_one_image_discriminator_is_that_of_a_frame_however_many_it_sees():
    """The same weights, the same frame once and four times."""
    config = DiscriminatorConfig(name="image", channels=4, norm="none", frames=4)
    network = build_discriminator(config, 16, 8)
    frame = seeded(0, 6, 3, 1, 16, 16)
    once, often = (timed(frame.expand(-1, -1, count, -1, -1)) for count in (1, 4))
    for per, ratio in (("clip", 4), ("score", 1), ("frame", 1)):
        one, four = (r1(network, seen, seen, torch.rand(6), per=per).item() for seen in (once, often))
        assert one == pytest.approx(ratio * four, rel=1e-4)


def test_gradient_penalty_reaches_the_weights():
    discriminator = Linear(torch.full(SHAPE[1:], 0.5))
    gradient_penalty(discriminator, view(0), view(1), torch.rand(4)).backward()
    norm = discriminator.weight.detach().norm()
    expected = 2 * (norm - 1) * discriminator.weight.detach() / norm
    torch.testing.assert_close(discriminator.weight.grad, expected)


def test_r1_and_r2_of_a_quadratic_discriminator():
    real, fake, mixing = view(0), view(1), torch.rand(4)
    assert r1(Quadratic(), real, fake, mixing).item() == pytest.approx(
        0.5 * real.video.square().flatten(1).sum(1).mean().item(), rel=1e-5
    )
    assert r2(Quadratic(), real, fake, mixing).item() == pytest.approx(
        0.5 * fake.video.square().flatten(1).sum(1).mean().item(), rel=1e-5
    )


def test_temporal_smoothness_of_a_ramp():
    ramp = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(2, 3, 8, 4, 4)
    assert temporal_smoothness(scene(ramp), order=1).item() == pytest.approx(1)
    assert temporal_smoothness(scene(ramp), order=2).item() == pytest.approx(0)
    assert temporal_smoothness(scene(3 * ramp), order=1).item() == pytest.approx(9)
    assert temporal_smoothness(scene(1.5 * ramp.square())).item() == pytest.approx(9), "x'' = 3 everywhere"


def test_mode_seeking_punishes_equal_clips_for_different_latents():
    content = torch.tensor([[0.0], [1.0]])
    apart = torch.stack([torch.zeros(3, 4, 2, 2), torch.ones(3, 4, 2, 2)])
    noise = torch.zeros(2, 1, 0)
    for scale, expected in ((1, 1), (0.01, 100)):
        value = mode_seeking(scene(scale * apart, content=content, noise=noise))
        assert value.item() == pytest.approx(expected, rel=1e-2)


def test_mode_seeking_compares_neighbours_by_content_and_motion():
    """Five clips are two pairs, and one that is left alone."""
    fake, content, noise = seeded(0, 5, 3, 4, 2, 2), seeded(1, 5, 3), seeded(2, 5, 4, 2)
    ratios = []
    for a, b in ((0, 1), (2, 3)):
        latents = [*(content[a] - content[b]).abs(), *(noise[a] - noise[b]).abs().flatten()]
        clips = (fake[a] - fake[b]).abs().mean()
        ratios.append(sum(latents) / len(latents) / clips)
    value = mode_seeking(scene(fake, content=content, noise=noise))
    assert value.item() == pytest.approx(sum(ratios).item() / 2, rel=1e-4)


def test_mode_seeking_of_equal_clips_is_bounded():
    """Latents one apart and clips not at all: 1 / 1e-5."""
    still, content = torch.zeros(2, 3, 4, 2, 2), torch.tensor([[0.0], [1.0]])
    value = mode_seeking(scene(still, content=content, noise=torch.zeros(2, 1, 0)))
    assert value.item() == pytest.approx(1e5)


def test_mode_seeking_of_a_lone_clip_is_an_error_and_not_a_mean_of_nothing():
    with pytest.raises(VgbenchError, match="only one clip"):
        mode_seeking(scene(wave(4, clips=1)))


def test_feature_matching_compares_means_of_features_layer_by_layer():
    """Means 2 of real and 5 of generated clips: 3 in the first layer, 6 in the second."""
    value = feature_matching(scene(flat(4.0, 6.0), real=flat(1.0, 3.0), discriminators=[Doubling()]))
    assert value.item() == pytest.approx((3 + 6) / 2)
    assert (
        feature_matching(scene(flat(2.0, 2.0), real=flat(1.0, 3.0), discriminators=[Doubling()])).item() == 0
    )


def test_feature_matching_adds_up_differences_whatever_their_sign():
    """Means 2 of real and (5, −1) of the two halves of generated clips: 3 everywhere."""
    half = flat(4.0, 6.0).clone()
    half[..., 2:] = flat(0.0, -2.0)[..., 2:]
    value = feature_matching(scene(half, real=flat(1.0, 3.0), discriminators=[Doubling()]))
    assert value.item() == pytest.approx((3 + 6) / 2)


class Late:
    """One layer: the clip times the times of its frames."""

    def trunk(self, video, times):
        return [video * times[:, None, :, None, None]]


def test_feature_matching_looks_with_each_discriminator_at_the_times_of_each_clip():
    """Clips of 1 at the frames 0 and 1: the differences are 0 and 1; Doubling sees none."""
    ones = flat(1.0, 1.0)
    value = feature_matching(scene(ones, real=0 * ones, discriminators=[Late()]))
    assert value.item() == pytest.approx(0.5)
    value = feature_matching(scene(ones, real=0 * ones, discriminators=[Late(), Doubling()]))
    assert value.item() == pytest.approx((0.5 + 1 + 2) / 3)


def test_categorical_information_is_the_cross_entropy_of_the_class_heads():
    """Two clips whose heads give their labels the probabilities 1/4 and 1/2."""
    logits = torch.tensor([[0.25, 0.25, 0.5], [0.25, 0.25, 0.5]]).log()
    fake, label = logits.view(2, 3, 1, 1, 1), torch.tensor([1, 2])
    expected = (math.log(4) + math.log(2)) / 2
    value = categorical_information(scene(fake, label=label, discriminators=[Classifier(), Classifier()]))
    assert value.item() == pytest.approx(expected)
    own = class_loss(Classifier(), View(fake, torch.zeros(1), label))
    assert own.item() == pytest.approx(expected)
    with pytest.raises(VgbenchError, match="needs labels"):
        categorical_information(scene(fake, discriminators=[Classifier()]))


def test_first_frame_is_compared_with_the_given_one_and_no_other():
    fake = torch.stack([torch.full((3, 4, 4), 0.5), torch.full((3, 4, 4), 9.0)], 1)[None]
    given = torch.full((1, 3, 4, 4), -0.25)
    assert first_frame(scene(fake, first_frame=given)).item() == pytest.approx(0.75)
    assert first_frame(scene(fake, first_frame=-given + 1)).item() == pytest.approx(0.75)
    with pytest.raises(VgbenchError, match="first_frame: true"):
        first_frame(scene(fake))


def test_mask_sparsity_is_the_mean_of_the_mask():
    mask = torch.tensor([0.0, -0.5, 1.0, 0.7]).view(1, 1, 1, 2, 2)
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


def test_unknown_option_names_the_allowed_ones():
    with pytest.raises(VgbenchError, match="no option modus") as caught:
        check_options("periodicity", {"modus": "avoid"})
    assert caught.value.remedy == "its options: margin, mode, period"
    inputs = ["view", "real", "mixing", "fake", "discriminator", "bound"]
    with pytest.raises(
        VgbenchError, match="no option bound, discriminator, fake, mixing, real, view"
    ) as caught:
        check_options("weight-clipping", dict.fromkeys(inputs, 1))
    assert caught.value.remedy == "its options: none"
    with pytest.raises(VgbenchError, match="no option mixing, real"):
        check_options("gradient-penalty", {"mixing": 0.5, "real": 0, "center": 0.0})
    check_options("gradient-penalty", {"center": 0, "space": "frames", "per": "score"})
    check_options("r1", {"per": "frame"})
    check_options("r1", {})


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
