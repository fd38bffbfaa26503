"""Safetensors files with a hash of their whole content, so that damage on a disk is noticed."""

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
from vgbench.storage.writing import writing_to

HASH = "sha256"


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text atomically.

    Raises:
        VgbenchError: the disk is full or cannot be written to; an older file is then unchanged.
    """
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = {**metadata, HASH: _digest(own, metadata)}
    with writing_to(path, "free space or choose another folder"):
        atomic.write_bytes(path, safetensors.torch.save(own, about))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read tensors and text, and check them against their hash (files of other programs may have none).

    Raises:
        VgbenchError: the file is missing, not a safetensors file, or has changed since it was written.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    promised = metadata.pop(HASH, None)
    if promised is not None and promised != _digest(tensors, metadata):
        raise VgbenchError(
            f"{path}: damaged, its content differs from what was written (sha256 differs)",
            "use a backup, or create it again",
        )
    return tensors, metadata


def load_metadata(path: Path) -> dict[str, str]:
    """Read only the text, without checking the hash.

    Raises:
        VgbenchError: the file is missing, or not a safetensors file.
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
            f"{path}: cannot be read as safetensors ({error})", "the file is damaged or of another kind"
        ) from error


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
