"""Equalised learning rate: weights are stored at unit variance and scaled whenever they are used."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.utils import parametrize


class _Scaled(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, stored: torch.Tensor) -> torch.Tensor:
        return stored * self.scale


def equalised(layer: nn.Module, rate: float = 1.0, activated: bool = True) -> nn.Module:
    """Give a layer an equalised learning rate, in place (Karras et al. 2018, arXiv 1710.10196).

    The stored weights are normal with standard deviation 1 / rate, and the layer computes with them times
    rate · gain / √fan_in. Adam then changes all layers at the same relative speed, whatever their size. The
    bias starts at zero and is multiplied by `rate` as well.

    Args:
        layer: linear, embedding or convolution; its weight has the outputs first.
        rate: learning rate of the layer relative to that of the others, such as 0.01 in mapping networks.
        activated: a LeakyReLU follows, so that the gain is √2; otherwise it is 1.
    """
    weight, bias = layer.weight, getattr(layer, "bias", None)
    assert isinstance(weight, torch.Tensor)
    nn.init.normal_(weight, std=1 / rate)
    fan_in = weight.shape[1] if isinstance(layer, nn.Embedding) else weight[0].numel()
    gain = math.sqrt(2) if activated else 1.0
    parametrize.register_parametrization(layer, "weight", _Scaled(rate * gain / math.sqrt(fan_in)))
    if isinstance(bias, torch.Tensor):
        nn.init.zeros_(bias)
        if rate != 1:
            parametrize.register_parametrization(layer, "bias", _Scaled(rate))
    return layer
