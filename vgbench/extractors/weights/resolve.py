"""A network with the weights that the user asked for: random, from the cache, or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

from vgbench.extractors.weights import file, registry

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Resolved(Generic[Network]):
    """A network with its weights, and what a signature says about them.

    Attributes:
        network: what `build` made, with the weights loaded.
        trained: whether the weights are trained, not random.
        registered: whether they are the registered ones, neither random nor another file of the user's.
        eps: of the batch norms, as these weights need it; None if they do not say.
        identity: sha256 of the source file of the weights, or "random:SEED".
        licence: of the weights.
        comparable_with: the scores that may be compared.
    """

    network: Network
    trained: bool
    registered: bool
    eps: float | None
    identity: str
    licence: str
    comparable_with: str


def resolve(
    build: Callable[[], Network], name: str, weights: str | Path | None, comparable_with: str
) -> Resolved[Network]:
    """Build a network and load its weights.

    Args:
        build: makes the network.
        name: its entry in the registry of weights.
        weights: None for those in the cache under `name`; a file in any format that `vgbench weights add`
            accepts; or "random[:SEED]".
        comparable_with: what applies to trained weights.

    Raises:
        ConfigError: the seed is not a whole number.
        VgbenchError: the weights are not in the cache (the remedy says where to get them), or belong to
            another network.
    """
    seed = file.random_seed(weights)
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build()
        identity, licence = f"random:{seed}", "none (untrained)"
        return Resolved(network, False, False, None, identity, licence, "the same untrained network only")
    stored = registry.stored(name) if weights is None else registry.convert(name, Path(weights))
    network = build()
    file.load_into(network, stored.tensors, f"weights {weights or name}")
    source = json.loads(stored.metadata["vgbench"])
    identity = source["source_sha256"]
    registered = weights is None or registry.is_registered(name, identity)
    return Resolved(
        network, True, registered, source.get("eps"), identity, source["licence"], comparable_with
    )
