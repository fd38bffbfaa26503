"""`generator.safetensors`: the weights of one generator, with the resolved config in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from vgbench.config import parse
from vgbench.errors import VgbenchError
from vgbench.reference_models.config import ModelConfig
from vgbench.reference_models.generator import Generator
from vgbench.tensor_file import load_tensors, save_tensors

SCHEMA = 1


def save_generator(
    path: Path,
    generator: Generator,
    weights: Mapping[str, torch.Tensor] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a generator to share, whole or not at all.

    Args:
        path: the file, by custom `generator.safetensors`.
        generator: gives the config, and the weights unless `weights` are given.
        weights: other weights of the same model, such as the moving average.
        facts: what else the metadata shall say (preset, steps, clips seen, score).
    """
    metadata = {
        "format": "vgbench-generator",
        "schema": str(SCHEMA),
        "config": generator.config.model_dump_json(),
        "facts": json.dumps(dict(facts or {}), sort_keys=True),
    }
    save_tensors(path, weights or generator.state_dict(), metadata)


def load_generator(path: Path) -> Generator:
    """Read what `save_generator` wrote, in eval mode.

    Raises:
        VgbenchError: not there, not such a file, damaged, or of a newer schema.
    """
    config, _ = read_metadata(path)
    generator = build_generator(config)
    tensors, _ = load_tensors(path)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        raise VgbenchError(f"{path}: weights do not fit the config in the same file: {error}") from error
    return generator.eval()


def read_metadata(path: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Config and facts of a `generator.safetensors`.

    Raises:
        VgbenchError: as `load_generator`.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise VgbenchError(f"{path}: cannot be read ({error})", "is it a generator.safetensors?") from error
    if metadata.get("format") != "vgbench-generator":
        raise VgbenchError(f"{path}: not a generator saved by vgbench", "its metadata lacks the config")
    if int(metadata.get("schema", "0")) > SCHEMA:
        raise VgbenchError(f"{path}: made by a newer vgbench (schema {metadata['schema']})", "update vgbench")
    try:
        values, facts = json.loads(metadata["config"]), json.loads(metadata.get("facts", "{}"))
    except (KeyError, ValueError) as error:
        raise VgbenchError(f"{path}: damaged, its config cannot be read", "use another checkpoint") from error
    return parse(ModelConfig, values, where=str(path)), facts


def build_generator(config: ModelConfig, seed: int = 0) -> Generator:
    """Build a generator with fresh weights that depend on `seed` only; the global RNG is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(config)
