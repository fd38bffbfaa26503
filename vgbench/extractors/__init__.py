"""Extractors: networks that compute features of clips, found by name, from a file, or of the user's own.

Importing this package imports no torch; loading an extractor does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.errors import ConfigError
from vgbench.extractors.table import EXTRACTORS
from vgbench.named import import_object, load_target, unknown_name

if TYPE_CHECKING:
    from vgbench.extractors.extractor import Extractor

__all__ = ["EXTRACTORS", "FILE_SUFFIXES", "load"]

FILE_SUFFIXES = (".pt", ".pth", ".ts", ".jit", ".pt2", ".onnx")


def load(name: str, weights: str | Path | None = None, **options: Any) -> Extractor:
    """Return an extractor in eval mode, on the CPU.

    Args:
        name: a key of `EXTRACTORS`; `package.module:Object`, an `Extractor` subclass or a function that
            returns one; or the path of an exported network (see `vgbench.extractors.exported`).
        weights: file that replaces the usual weights; "random" or "random:SEED" for an untrained network.
        options: further arguments of the factory, such as `preprocessing="tf1"` for "i3d-k400".

    Raises:
        ConfigError: unknown name or option.
        VgbenchError: the weights are missing or wrong; the remedy says what to do.
    """
    factory: Callable[..., Any]
    if name in EXTRACTORS:
        factory = partial(load_target(EXTRACTORS[name].target), **EXTRACTORS[name].fixed)
    elif Path(name).suffix == ".onnx":
        factory = partial(load_target("vgbench.extractors.onnx_file:load"), Path(name))
    elif Path(name).suffix in FILE_SUFFIXES:
        factory = partial(load_target("vgbench.extractors.exported:load"), Path(name))
    elif ":" in name:
        factory = import_object(name)
    else:
        raise unknown_name("extractor", name, EXTRACTORS)
    if weights is not None:
        options["weights"] = weights
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise ConfigError(f"extractor '{name}': {error}", "see docs/extractors.md for its options") from error
    import torch

    from vgbench.extractors.extractor import default_float32, state_hash

    with default_float32(), torch.random.fork_rng(devices=[]):  # building a network draws random numbers
        extractor: Extractor = factory(**options)
    extractor = extractor.eval().requires_grad_(False)
    extractor.loaded_state = state_hash(extractor)
    return extractor
