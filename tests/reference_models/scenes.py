"""What a regulariser of the generator looks at, made by hand."""

import math

import torch

from vgbench.reference_models.discriminators import View
from vgbench.reference_models.generator import Latents
from vgbench.reference_models.generator_terms import GeneratorView


def scene(
    fake,
    real=None,
    *,
    content=None,
    noise=None,
    label=None,
    first_frame=None,
    motion=None,
    terms=None,
    discriminators=(),
    real_autocorrelation=None,
):
    """A view of the clips `fake`, and of the same clips as real ones unless `real` is given."""
    real = fake if real is None else real
    content = torch.zeros(len(fake), 1) if content is None else content
    noise = torch.zeros(len(fake), 1, 1) if noise is None else noise
    return GeneratorView(
        real=real,
        fake=fake,
        latents=Latents(content, noise, label, first_frame),
        motion=motion,
        terms=terms or {},
        discriminators=tuple((one, timed(real), timed(fake)) for one in discriminators),
        real_autocorrelation=real_autocorrelation,
    )


def timed(video, label=None):
    """All frames of some clips, as a discriminator sees them."""
    return View(video, torch.arange(float(video.shape[2])).expand(len(video), -1), label)


def seeded(seed, *shape):
    """Standard normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def wave(period, frames=16, clips=2):
    """Clips whose frames move along a circle in pixel space, with the given period."""
    t = torch.arange(frames, dtype=torch.float64)
    video = torch.zeros(clips, 3, frames, 8, 8, dtype=torch.float64)
    video[:, 0] = torch.sin(2 * math.pi * t / period)[:, None, None]
    video[:, 1] = torch.cos(2 * math.pi * t / period)[:, None, None]
    return video
