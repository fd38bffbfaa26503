"""Safetensors with a hash of everything in them, so that a flipped bit on a disk never becomes a weight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from vgbench.errors import VgbenchError
from vgbench.storage import atomic

HASH = "sha256"


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text, whole or not at all.

    Raises:
        VgbenchError: the disk is full or cannot be written to; an older file stays as it was.
    """
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = {**metadata, HASH: _digest(own, metadata)}
    try:
        atomic.write_bytes(path, safetensors.torch.save(own, about))
    except OSError as error:
        raise VgbenchError(
            f"{path}: cannot be written ({error.strerror})", "free space or choose another folder"
        ) from error


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read tensors and text, and hold them against their hash (files of other programs may have none).

    Raises:
        VgbenchError: not there, not safetensors, or changed since it was written.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    promised = metadata.pop(HASH, None)
    if promised is not None and promised != _digest(tensors, metadata):
        raise VgbenchError(
            f"{path}: damaged, its content is not what was written (sha256 differs)",
            "use a backup, or make it again",
        )
    return tensors, metadata


def load_metadata(path: Path) -> dict[str, str]:
    """Read the text alone, without the tensors and without a check of the hash.

    Raises:
        VgbenchError: not there, or not safetensors.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
    metadata.pop(HASH, None)
    return metadata


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as error:
        raise VgbenchError(f"{path}: there is no such file", "check the path") from error
    except (OSError, SafetensorError) as error:
        raise VgbenchError(
            f"{path}: cannot be read as safetensors ({error})", "it is damaged, or a file of another kind"
        ) from error


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
