"""The checkpoint of a run: one safetensors file with all tensors, and the counters as JSON in its metadata.

Because it is one file that is replaced at once, it is either the old or the new one after a crash, and never
half of each. It contains no random state, because all draws of step s depend only on (seed, s).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vgbench.errors import VgbenchError
from vgbench.storage.tensor_file import load_metadata, load_tensors, save_tensors

SCHEMA = 1

Parts = Mapping[str, "nn.Module | torch.optim.Optimizer | dict[str, torch.Tensor]"]


def save_state(path: Path, parts: Parts, counters: Mapping[str, Any]) -> None:
    """Write the state of modules, optimisers and tensors under their names, whole or not at all.

    Raises:
        VgbenchError: the file cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    for name, part in parts.items():
        for key, tensor in _tensors(part).items():
            tensors[f"{name}/{key}"] = tensor
    metadata = {
        "format": "vgbench-training-state",
        "schema": str(SCHEMA),
        "counters": json.dumps(dict(counters), sort_keys=True),
    }
    save_tensors(path, tensors, metadata)


def load_state(path: Path, parts: Parts) -> dict[str, Any]:
    """Load what `save_state` wrote into the same parts, and return the counters.

    Raises:
        VgbenchError: the file is of another kind, is damaged, has a newer schema, or belongs to another
            model.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != "vgbench-training-state":
        raise VgbenchError(f"{path}: not a checkpoint of vgbench train")
    if int(metadata["schema"]) > SCHEMA:
        raise VgbenchError(f"{path}: made by a newer vgbench (schema {metadata['schema']})", "update vgbench")
    for name, part in parts.items():
        own = {
            key.removeprefix(f"{name}/"): tensor
            for key, tensor in tensors.items()
            if key.startswith(f"{name}/")
        }
        try:
            _restore(part, own)
        except (RuntimeError, ValueError, KeyError) as error:
            raise VgbenchError(
                f"{path}: its {name} belongs to another model: {error}",
                "resume with the config of the run (config.yaml in the run folder)",
            ) from error
    counters: dict[str, Any] = json.loads(metadata["counters"])
    return counters


def read_counters(path: Path) -> dict[str, Any]:
    """Read only the counters of a checkpoint: steps and seconds.

    Raises:
        VgbenchError: the file does not exist, or is of another kind.
    """
    try:
        counters: dict[str, Any] = json.loads(load_metadata(path)["counters"])
    except (KeyError, ValueError) as error:
        raise VgbenchError(f"{path}: not a checkpoint of vgbench train ({error})") from error
    return counters


def _tensors(part: nn.Module | torch.optim.Optimizer | dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if isinstance(part, nn.Module):
        return dict(part.state_dict())
    if isinstance(part, torch.optim.Optimizer):
        return {
            f"{index}/{key}": value
            for index, values in part.state_dict()["state"].items()
            for key, value in values.items()
            if isinstance(value, torch.Tensor)
        }
    return part


def _restore(
    part: nn.Module | torch.optim.Optimizer | dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]
) -> None:
    if isinstance(part, nn.Module):
        part.load_state_dict(tensors)
    elif isinstance(part, torch.optim.Optimizer):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, tensor in tensors.items():
            index, _, name = key.partition("/")
            state.setdefault(int(index), {})[name] = tensor
        part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})
        _follow_layout(part)
    else:
        part.clear()
        part.update(tensors)


def _follow_layout(optimiser: torch.optim.Optimizer) -> None:
    """Give the moments the memory layout of their parameters: fused kernels treat both as flat memory."""
    for parameter, values in optimiser.state.items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[key] = torch.empty_like(parameter).copy_(value)
