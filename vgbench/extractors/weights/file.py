"""One weights file in memory: tensors, metadata, and the hash that a signature quotes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from vgbench.errors import ConfigError, VgbenchError
from vgbench.storage.atomic import write_bytes


@dataclass(frozen=True)
class WeightsFile:
    """What a safetensors file holds.

    Attributes:
        sha256: of the whole file, hex.
        tensors: by state-dict key; half-precision storage is widened to float32.
        metadata: the file's text entries.
    """

    sha256: str
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]


def read(path: Path) -> WeightsFile:
    """Read a safetensors file whole.

    Raises:
        VgbenchError: not there, or not a safetensors file.
    """
    try:
        data = path.read_bytes()
        tensors = safetensors.torch.load(data)
    except FileNotFoundError as error:
        raise VgbenchError(f"weights file {path} is not there", "check the path given as weights") from error
    except (OSError, SafetensorError) as error:
        raise VgbenchError(
            f"weights file {path} cannot be read as safetensors ({error})",
            "`vgbench weights add NAME FILE` converts other formats",
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    widened = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    return WeightsFile(hashlib.sha256(data).hexdigest(), widened, header.get("__metadata__", {}))


def write(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all."""
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    write_bytes(path, safetensors.torch.save(contiguous, dict(metadata)))


def load_into(network: nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Load a state dict, strictly but for batch norm's step counters, which inference does not use.

    Raises:
        VgbenchError: keys or shapes do not belong to this network; names the first few.
    """
    expected = network.state_dict()
    wanted = {key for key in expected if not key.endswith("num_batches_tracked")}
    given = {key for key in tensors if not key.endswith("num_batches_tracked")}
    wrong = [key for key in sorted(wanted & given) if expected[key].shape != tensors[key].shape]
    for problem, keys in (
        ("lacks", sorted(wanted - given)),
        ("has unknown", sorted(given - wanted)),
        ("has wrong shapes for", wrong),
    ):
        if keys:
            shown = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
            raise VgbenchError(f"{where} {problem} {shown}", "it belongs to another network or version")
    network.load_state_dict({key: tensors[key] for key in wanted}, strict=False)


def is_web_page(data: bytes) -> bool:
    """Whether a download is the page of a link that expired or ran into its quota, by its first bytes."""
    return data[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))


def random_seed(weights: str | Path | None) -> int | None:
    """Seed of "random" (0) or "random:SEED"; None when `weights` asks for no untrained network.

    Raises:
        ConfigError: "random:" followed by something that is not a seed.
    """
    text = str(weights)
    if text != "random" and not text.startswith("random:"):
        return None
    match = re.fullmatch(r"random(?::(\d+))?", text)
    if match is None:
        raise ConfigError(f"weights = {text!r}", 'write "random" or "random:SEED", a whole number from 0')
    return int(match[1] or 0)
