"""Winograd's convolution against the direct one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench.extractors import winograd


@settings(max_examples=40, deadline=None)
@given(
    clips=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    frames=st.integers(1, 10),
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=st.sampled_from([(1, 1), (3, 3), (1, 3), (5, 3)]),
    channels_last=st.booleans(),
)
def test_equals_the_direct_convolution(clips, channels, frames, size, kernel, channels_last):
    generator = torch.Generator().manual_seed(0)
    into, out = channels
    x = torch.randn(clips, into, frames, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(out, into, 3, *kernel, generator=generator, dtype=torch.float64)
    expected = F.conv3d(x, weight, padding=(1, kernel[0] // 2, kernel[1] // 2))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    actual = winograd.convolve(x, winograd.transform_kernel(weight))
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


def test_float32_loses_little():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 64, 8, 6, 6, generator=generator).relu()
    weight = torch.randn(64, 64, 3, 3, 3, generator=generator) / 41.6
    exact = F.conv3d(x.double(), weight.double(), padding=1)
    actual = winograd.convolve(x, winograd.transform_kernel(weight))
    assert actual.dtype == torch.float32
    assert (actual - exact).norm() / exact.norm() < 1e-6
