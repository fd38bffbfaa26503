"""`generator.safetensors`: the weights of one generator, with its config in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vgbench.config import parse
from vgbench.errors import VgbenchError
from vgbench.reference_models.config import ModelConfig
from vgbench.reference_models.generator import Generator
from vgbench.storage.tensor_file import load_metadata, load_tensors, save_tensors

SCHEMA = 1


def save_generator(
    path: Path,
    generator: Generator,
    weights: Mapping[str, torch.Tensor] | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a generator to share, whole or not at all.

    Args:
        path: of the file, usually `generator.safetensors`.
        generator: the source of the config, and of the weights unless `weights` are given.
        weights: other weights of the same model, such as the moving average.
        details: how it was trained, for the metadata (steps, clips seen, data, score). The generator's class
            counts and frame rate are added.

    Raises:
        VgbenchError: the file cannot be written.
    """
    metadata = {
        "format": "vgbench-generator",
        "schema": str(SCHEMA),
        "config": generator.config.model_dump_json(),
        "facts": json.dumps({**_facts_of(generator), **(details or {})}, sort_keys=True),
    }
    save_tensors(path, weights or generator.state_dict(), metadata)


def load_generator(path: Path) -> Generator:
    """Read a generator that `save_generator` wrote, in eval mode.

    Raises:
        VgbenchError: the file does not exist, is of another kind, is damaged, or has a newer schema.
    """
    config, details = read_metadata(path)
    tensors, _ = load_tensors(path)
    _require_weights_that_fit(path, config, tensors)
    generator = build_generator(config)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError as error:
        raise VgbenchError(f"{path}: weights do not fit the config in the same file: {error}") from error
    generator.class_counts = _class_counts(path, config, details)
    rate = details.get("frame_rate")
    generator.frame_rate = float(rate) if isinstance(rate, int | float) and rate > 0 else None
    return generator.eval()


def _facts_of(generator: Generator) -> dict[str, Any]:
    """What a generator knows of its training clips."""
    facts: dict[str, Any] = {}
    if any(generator.class_counts):
        facts["class_counts"] = list(generator.class_counts)
    if generator.frame_rate is not None:
        facts["frame_rate"] = generator.frame_rate
    return facts


def _class_counts(path: Path, config: ModelConfig, details: Mapping[str, Any]) -> tuple[int, ...]:
    """Read the number of training clips of each class, which older files do not have."""
    counts = details.get("class_counts", [])
    fits = isinstance(counts, list) and all(isinstance(one, int) and one >= 0 for one in counts)
    if not fits or (counts and (len(counts) != len(config.classes) or not any(counts))):
        raise VgbenchError(
            f"{path}: damaged, its class counts do not fit its classes", "use another checkpoint"
        )
    return tuple(counts)


def read_metadata(path: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Read the config of a generator's file, and the details of its training.

    Raises:
        VgbenchError: as `load_generator`.
    """
    metadata = load_metadata(path)
    if metadata.get("format") != "vgbench-generator":
        raise VgbenchError(f"{path}: not a generator saved by vgbench", "its metadata lacks the config")
    try:
        schema = int(metadata.get("schema", "0"))
        values, details = json.loads(metadata["config"]), json.loads(metadata.get("facts", "{}"))
    except (KeyError, ValueError, RecursionError) as error:
        raise VgbenchError(f"{path}: damaged, its config cannot be read", "use another checkpoint") from error
    if schema > SCHEMA:
        raise VgbenchError(f"{path}: made by a newer vgbench (schema {schema})", "update vgbench")
    if not isinstance(values, dict) or not isinstance(details, dict):
        raise VgbenchError(f"{path}: damaged, its config is not a mapping", "use another checkpoint")
    return parse(ModelConfig, values, where=str(path)), details


def _require_weights_that_fit(path: Path, config: ModelConfig, tensors: Mapping[str, torch.Tensor]) -> None:
    """Compare the tensors of a file with its config before memory is reserved for the network.

    Raises:
        VgbenchError: a tensor is missing, superfluous, of another shape, or not finite.
    """
    motion, decoder = config.generator.motion, config.generator.decoder
    if any(":" in name for name in (motion.name, decoder.name)):
        return  # a part of the user's own may need real tensors to be built
    if motion.name == "transformer" and motion.layers > len(tensors):
        raise VgbenchError(f"{path}: weights do not fit the config in the same file: too few of them")
    try:
        with torch.device("meta"):
            wanted = {name: tuple(one.shape) for name, one in Generator(config).state_dict().items()}
    except (VgbenchError, RuntimeError, TypeError, ValueError, OverflowError) as error:
        # parts that do not fit together, or sizes larger than a tensor can have
        reason = str(error).splitlines()[0]
        raise VgbenchError(f"{path}: its config describes no network: {reason}") from error
    found = {name: tuple(one.shape) for name, one in tensors.items()}
    different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if different:
        name = different[0]
        raise VgbenchError(
            f"{path}: weights do not fit the config in the same file: {name} has shape "
            f"{_shape(found.get(name))}, but {_shape(wanted.get(name))} according to the config",
            "use another checkpoint",
        )
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise VgbenchError(f"{path}: {name} is not finite", "use an earlier checkpoint of the run")


def _shape(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else str(list(shape))


def build_generator(config: ModelConfig, seed: int = 0) -> Generator:
    """Build a generator whose weights depend on `seed` only; the global random generator keeps its state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Generator(config)
