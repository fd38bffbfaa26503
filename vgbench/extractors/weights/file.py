"""A weights file in memory: its tensors, its metadata, and the hash that a signature quotes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vgbench.errors import ConfigError, VgbenchError
from vgbench.storage.tensor_file import load_tensors


@dataclass(frozen=True)
class WeightsFile:
    """The contents of a safetensors file.

    Attributes:
        sha256: of the whole file, in hexadecimal digits.
        tensors: by state-dict key; half-precision tensors are widened to float32.
        metadata: the file's text entries.
    """

    sha256: str
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]


def read(path: Path) -> WeightsFile:
    """Read a safetensors file.

    Raises:
        VgbenchError: it does not exist, is not a safetensors file, or has changed since vgbench wrote it.
    """
    tensors, metadata = load_tensors(path)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    widened = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    return WeightsFile(sha256, widened, metadata)


def load_into(network: nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Load a state dict strictly, except for the step counters of batch norm, which inference does not use.

    Raises:
        VgbenchError: keys or shapes do not match this network; the message names the first few.
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
    """Tell by its first bytes whether a download is a web page, as an expired link may return."""
    return data[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))


def random_seed(weights: str | Path | None) -> int | None:
    """Return the seed of "random" (0) or "random:SEED"; None if the network is to be a trained one.

    Raises:
        ConfigError: "random:" is followed by something that is not a seed.
    """
    text = str(weights)
    if text != "random" and not text.startswith("random:"):
        return None
    match = re.fullmatch(r"random(?::(\d+))?", text)
    if match is None:
        raise ConfigError(
            f"weights = {text!r}", 'write "random" or "random:SEED", where SEED is a whole number from 0'
        )
    return int(match[1] or 0)
