import math

import pytest
import torch

from vgbench.reference_models.losses import Loss, hinge, lsgan, minimax, non_saturating
from vgbench.reference_models.parts import LOSSES, load_part

REAL = torch.tensor([2.0, -1.0], dtype=torch.float64)
FAKE = torch.tensor([0.5, -3.0], dtype=torch.float64)


def loss_named(name):
    return load_part("loss", name, LOSSES)


def softplus(x):
    return math.log1p(math.exp(x))


def mean(*values):
    return sum(values) / len(values)


# By hand, from the formulas in the papers: (name, discriminator, generator) at REAL and FAKE.
# mean real = 0.5, mean fake = -1.25
EXPECTED = [
    (
        "minimax",
        mean(softplus(-2), softplus(1)) + mean(softplus(0.5), softplus(-3)),
        -mean(softplus(0.5), softplus(-3)),
    ),
    (
        "non-saturating",
        mean(softplus(-2), softplus(1)) + mean(softplus(0.5), softplus(-3)),
        mean(softplus(-0.5), softplus(3)),
    ),
    ("lsgan", 0.5 * mean(1, 4) + 0.5 * mean(0.25, 9), 0.5 * mean(0.25, 16)),
    ("wgan", -1.25 - 0.5, 1.25),
    ("hinge", mean(0, 2) + mean(1.5, 0), 1.25),
    (
        "ralsgan",
        0.5 * mean(2.25**2, 0.75**2) + 0.5 * mean(1, 2.5**2),
        0.5 * mean(1, 4.5**2) + 0.5 * mean(4.25**2, 1.25**2),
    ),
    ("rahinge", mean(0, 0.75) + mean(1, 0), mean(1, 4.5) + mean(4.25, 1.25)),
    (
        "rans",
        mean(softplus(-3.25), softplus(-0.25)) + mean(softplus(0), softplus(-3.5)),
        mean(softplus(0), softplus(3.5)) + mean(softplus(3.25), softplus(0.25)),
    ),
    ("rpgan", mean(softplus(-1.5), softplus(-2)), mean(softplus(1.5), softplus(2))),
]


@pytest.mark.parametrize(("name", "discriminator", "generator"), EXPECTED)
def test_losses_have_the_values_of_the_papers(name, discriminator, generator):
    loss = loss_named(name)
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-12)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(generator, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_discriminator_lowers_its_loss_by_telling_real_from_fake(name):
    real = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    fake = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    loss_named(name).discriminator(real, fake).backward()
    assert (real.grad < 0).all(), "raising real scores must lower D's loss"
    assert (fake.grad > 0).all() or name == "lsgan", "lowering fake scores must lower D's loss"


@pytest.mark.parametrize("name", LOSSES)
def test_generator_lowers_its_loss_by_raising_fake_scores(name):
    real = torch.zeros(3, dtype=torch.float64)
    fake = torch.full((3,), -0.5, dtype=torch.float64, requires_grad=True)
    loss_named(name).generator(real, fake).backward()
    assert (fake.grad < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_generator_s_loss_needs_real_scores_where_it_depends_on_them(name):
    """Only then does the generator's phase score real clips at all."""
    real, fake = REAL.clone().requires_grad_(True), FAKE.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss_named(name).generator(real, fake), real, allow_unused=True)
    assert loss_named(name).needs_real == (gradient is not None)
    assert loss_named(name).needs_real == name.startswith(("ra", "rp"))


def test_a_loss_of_one_s_own_needs_no_real_scores_unless_it_says_so():
    assert not Loss(lambda real, fake: fake, lambda real, fake: fake).needs_real


def test_lsgan_discriminator_pulls_fakes_to_zero_from_both_sides():
    fake = torch.tensor([-1.0, 1.0], requires_grad=True)
    lsgan.discriminator(torch.ones(2), fake).backward()
    assert fake.grad.sign().tolist() == [-1.0, 1.0]


def test_hinge_discriminator_is_flat_beyond_the_margin():
    real = torch.tensor([1.5], requires_grad=True)
    fake = torch.tensor([-1.5], requires_grad=True)
    hinge.discriminator(real, fake).backward()
    assert real.grad.item() == 0
    assert fake.grad.item() == 0


def test_saturating_generator_has_no_gradient_where_the_other_has_most():
    sure = torch.tensor([-20.0], requires_grad=True)
    minimax.generator(sure, sure).backward()
    assert abs(sure.grad.item()) < 1e-6
    sure.grad = None
    non_saturating.generator(sure, sure).backward()
    assert sure.grad.item() == pytest.approx(-1, abs=1e-6)


def test_bounded_below():
    """The blog form of LSGAN and hinge, which D maximises, is unbounded; ours is bounded below."""
    far = torch.tensor([1e6])
    for loss in (lsgan, hinge):
        for real, fake in [(far, far), (far, -far), (-far, far), (-far, -far)]:
            assert loss.discriminator(real, fake) >= 0
