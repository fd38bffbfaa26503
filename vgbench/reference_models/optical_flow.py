"""Optical flow that gradients pass through."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def optical_flow(video: torch.Tensor, window: int = 5, damping: float = 1e-2) -> torch.Tensor:
    """Compute the Lucas-Kanade flow between neighbouring frames, differentiably.

    Solves (Σ ∇I ∇Iᵀ + damping·1) v = −Σ I_t ∇I, where the sums run over a box of pixels of the luma (Rec.
    601).

    Args:
        video: float [B, 3, T, H, W] in [−1, 1].
        window: side length of the box in pixels, odd.
        damping: keeps the flow of flat regions at zero.

    Returns:
        float [B, 2, T−1, H, W], (x, y) in pixels per frame.
    """
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=video.dtype, device=video.device)
    luma = torch.einsum("bcthw,c->bthw", video, weights)
    change = luma.diff(dim=1)
    middle = F.pad((luma[:, 1:] + luma[:, :-1]) / 2, (1, 1, 1, 1), mode="replicate")
    along_x = (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) / 2
    along_y = (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) / 2

    def box(values: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(values, window, 1, window // 2)

    xx, yy, xy = box(along_x.square()) + damping, box(along_y.square()) + damping, box(along_x * along_y)
    xt, yt = box(along_x * change), box(along_y * change)
    determinant = xx * yy - xy.square()
    return torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], 1) / determinant[:, None]
