"""Building blocks that networks share."""

import pytest
import torch
from torch import nn

from vgbench.reference_models.layers import FirstConv2d, FirstConv3d, pays_in_blocks


@pytest.mark.parametrize(
    ("first", "plain", "shape", "layer"),
    [
        (FirstConv2d, nn.Conv2d, (3, 3, 8, 6), {"kernel_size": 4, "stride": 2, "padding": 1}),
        (
            FirstConv3d,
            nn.Conv3d,
            (2, 3, 6, 8, 6),
            {"kernel_size": (3, 4, 4), "stride": (1, 2, 2), "padding": (0, 1, 1)},
        ),
    ],
)
def test_first_convolution_in_blocks_is_the_same_with_its_derivatives(first, plain, shape, layer):
    ours, theirs = first(3, 5, **layer).double(), plain(3, 5, **layer).double()
    ours.load_state_dict(theirs.state_dict())
    pixels = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    results = []
    for convolution in (ours, theirs):
        scores = convolution(pixels)
        (slope,) = torch.autograd.grad(scores.square().sum(), pixels, create_graph=True)
        second = torch.autograd.grad(slope.square().sum(), [pixels, *convolution.parameters()])
        results.append([scores, slope, *second])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert pays_in_blocks(pixels)
    torch.testing.assert_close(ours(pixels.detach()), theirs(pixels), rtol=1e-10, atol=1e-10)
