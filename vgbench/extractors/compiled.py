"""Extractors run with `torch.compile`: equal features up to rounding, after minutes of compilation."""

from __future__ import annotations

import os
import shutil
import sys

import torch

from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors.extractor import Extracted, Extractor

_Tensors = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


class CompiledExtractor(Extractor):
    """Another extractor, compiled at its first call for any number of clips of that size.

    Args:
        extractor: the extractor to compile; its spec is kept, because features differ only by rounding.
        backend: of `torch.compile`.

    Raises:
        ConfigError: on a CPU, there is no C++ compiler.
    """

    def __init__(self, extractor: Extractor, backend: str = "inductor") -> None:
        super().__init__()
        weight = next(extractor.parameters(), None)
        if backend == "inductor" and (weight is None or weight.device.type == "cpu"):
            require_compiler("--compile")
        self.extractor = extractor
        self.spec = extractor.spec
        self._compiled = torch.compile(self._tensors, backend=backend)

    def _tensors(self, clips: torch.Tensor) -> _Tensors:
        extracted = self.extractor.forward(clips)
        return extracted.features, extracted.logits, extracted.frames

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`.

        Raises:
            VgbenchError: the compiler failed.
        """
        from torch._dynamo import maybe_mark_dynamic
        from torch._dynamo.exc import TorchDynamoException

        maybe_mark_dynamic(clips, 0)  # otherwise the last, smaller batch would be compiled again
        try:
            return Extracted(*self._compiled(clips))
        except TorchDynamoException as error:
            reason = " ".join(str(error).strip().splitlines()[:2])  # the backend and its message
            raise VgbenchError(
                f"extractor {self.spec.id}: torch.compile failed: {reason}",
                "leave out --compile; it needs torch 2.7, and on a CPU a C++ compiler and Python.h",
            ) from error


def require_compiler(option: str) -> None:
    """Raise a `ConfigError` that names the option where torch.compile finds no C++ compiler for a CPU."""
    name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch looks for it
    if shutil.which(name) is None:
        raise ConfigError(
            f"{option} needs a C++ compiler, and {name} was not found",
            f"install it, name another in the environment variable CXX, or leave out {option}",
        )
