"""Exponential moving average of a generator's weights."""

from __future__ import annotations

import torch
from torch import nn


def decay(batch: int, clips_seen: int, half_life_clips: float, ramp_up: float) -> float:
    """Return the share of the old average that one step keeps: 0.5^(batch / half-life).

    The half-life is counted in clips, and is at most `ramp_up` times the clips seen (Karras et al. 2020).
    With a fixed one, the average would stay close to the initial, random weights in a short run.
    """
    half_life = min(half_life_clips, ramp_up * clips_seen)
    return float(0.5 ** (batch / max(half_life, 1e-8)))


@torch.no_grad()
def update(average: nn.Module, model: nn.Module, keep: float) -> None:
    """Move the parameters of the average towards the model's; copy its buffers (batch norm statistics)."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
    for old, new in zip(average.buffers(), model.buffers(), strict=True):
        old.copy_(new)
