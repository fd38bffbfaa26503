"""Winograd's convolution along time: half the multiplications of a kernel of three frames.

F(4, 3) of Lavin & Gray (2015, arXiv 1509.09308), section 4.1, in one dimension: six frames, two of them
shared with the next six, become six combinations; each is convolved with a two-dimensional kernel of its own,
and the six results combine to four frames. A direct convolution needs twelve such products for the same four.
Along time, the combinations are products of small matrices with whole frames, limited only by the speed of
memory; the library's convolution handles space.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

TAPS, STEP, TILE = 3, 4, 6
"""Number of frames of the kernel, of the output of a tile, and of its input."""

POINTS = (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)
"""Points besides infinity at which the polynomials of frames and kernel are multiplied. Reciprocal pairs have
smaller rounding errors than the paper's ±1 and ±2: 5.9e-7 instead of 8.8e-7 relative in float32; direct,
2.3e-7."""

Matrix = npt.NDArray[np.float64]


@functools.cache
def _transforms() -> tuple[Matrix, Matrix, Matrix]:
    """The paper's B^T [6, 6], G [6, 3] and A^T [4, 6], by Lagrange interpolation at `POINTS` and infinity."""
    points = np.array(POINTS)
    infinity = np.eye(TILE)[-1:]
    others = [np.delete(points, i) for i in range(len(points))]
    into = np.stack([*(np.append(np.poly(roots)[::-1], 0) for roots in others), np.poly(points)[::-1]])
    weights = np.array([np.prod(point - roots) for point, roots in zip(points, others, strict=True)])
    kernel = np.vander(points, TAPS, increasing=True) / weights[:, None]
    back = np.vander(points, STEP, increasing=True)
    return into, np.vstack([kernel, infinity[:, -TAPS:]]), np.vstack([back, infinity[:, -STEP:]]).T


def transform_kernel(weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """[out, in, 3, h, w] -> six kernels [out, in, h, w] in the same dtype, for `convolve`."""
    transform = torch.from_numpy(_transforms()[1])
    kernels = torch.einsum("kt,oithw->koihw", transform, weight.double()).to(weight.dtype)
    return tuple(kernel.contiguous(memory_format=torch.channels_last) for kernel in kernels)


def convolve(x: torch.Tensor, kernels: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Convolve as `F.conv3d` does with stride 1 and the padding that keeps the size; h and w are odd.

    Args:
        x: [B, in, T, H, W]; best with channels last in memory.
        kernels: from `transform_kernel`, on the same device and in the same dtype.

    Returns:
        [B, out, T, H, W], channels last in memory.
    """
    batch, channels, frames, height, width = x.shape
    out, _, *side = kernels[0].shape
    padding = (side[0] // 2, side[1] // 2)
    into, back = (matrix.to(x) for matrix in _matrices(frames))
    tiles = into.shape[1]
    flat = x.permute(0, 2, 3, 4, 1).reshape(batch, frames, -1)
    products = []
    for rows, kernel in zip(into, kernels, strict=True):
        combined = torch.matmul(rows, flat).view(batch * tiles, height, width, channels)
        product = F.conv2d(combined.permute(0, 3, 1, 2), kernel, padding=padding)
        products.append(product.permute(0, 2, 3, 1).reshape(batch, tiles, -1))
    joined = torch.stack(products, 1).view(batch, TILE * tiles, -1)
    return torch.matmul(back, joined).view(batch, frames, height, width, out).permute(0, 4, 1, 2, 3)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _matrices(frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """From frames to combinations, [6, tiles, frames], and from products to frames, [frames, 6 * tiles].

    Padding frames are zero, so their columns are left out; so are the rows of frames after the last.
    """
    tiles = -(-frames // STEP)
    into = np.zeros((TILE, tiles, tiles * STEP + TAPS - 1))
    back = np.zeros((tiles * STEP, TILE, tiles))
    for tile in range(tiles):
        first = tile * STEP
        into[:, tile, first : first + TILE] = _transforms()[0]
        back[first : first + STEP, :, tile] = _transforms()[2]
    return torch.from_numpy(into[..., 1 : frames + 1]), torch.from_numpy(back[:frames]).flatten(1)
