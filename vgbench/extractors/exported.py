"""Networks that a user exported to a file: TorchScript programs or `torch.export` archives.

The network takes uint8 [B, T, H, W, 3] and returns features [B, D], or (features, logits). It must include
its preprocessing; the user decides at export time which sizes it accepts.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch

from vgbench.errors import VgbenchError
from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec
from vgbench.extractors.weights import registry

TORCH_EXPORT = ".pt2"


class Exported(Extractor):
    """A user's program as an extractor."""

    def __init__(self, program: torch.nn.Module, spec: ExtractorSpec) -> None:
        super().__init__()
        self.program = program
        self.spec = spec

    def train(self, mode: bool = True) -> Self:
        """Keep the mode that the program was exported in; `torch.export` archives cannot change theirs."""
        self.training = mode
        return self

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`.

        Raises:
            VgbenchError: the program fails on the clips, or returns another shape than [B, D].
        """
        try:
            given: Any = self.program(clips)
        except (RuntimeError, AssertionError) as error:
            raise VgbenchError(
                f"extractor {self.spec.id} fails on uint8 clips {tuple(clips.shape)}: {str(error).strip()}",
                "the network must take uint8 [B, T, H, W, 3] of this size and include its preprocessing",
            ) from error
        features, logits = given if isinstance(given, tuple | list) else (given, None)
        if features.ndim != 2 or len(features) != len(clips):
            raise VgbenchError(
                f"extractor {self.spec.id} returns {tuple(features.shape)} for {len(clips)} clips",
                "return features [B, D], or a pair of features [B, D] and logits [B, K]",
            )
        return Extracted(features.float(), None if logits is None else logits.float())


class I3dTorchScript(Exported):
    """StyleGAN-V's `i3d_torchscript.pt`, which includes resizing and scaling."""

    def forward(self, clips: torch.Tensor) -> Extracted:
        """See `Extractor.forward`."""
        video = clips.permute(0, 4, 1, 2, 3).float()
        logits = self.program(video, rescale=True, resize=True, return_features=True).float()
        return Extracted(logits, logits)


def load(path: Path, least_frames: int = 1) -> Exported:
    """Load a TorchScript file or a `torch.export` archive. Both run code from the file.

    Args:
        path: .pt, .pth, .ts, .jit (TorchScript) or .pt2 (`torch.export`).
        least_frames: length of the shortest clip that the network accepts.

    Raises:
        VgbenchError: the file is missing, or is not such a program.
    """
    program, sha256 = _program(path)
    return Exported(program, user_spec(path.name, sha256, least_frames))


def load_i3d_torchscript(weights: str | Path | None = None) -> I3dTorchScript:
    """Load `i3d_torchscript.pt` from the cache, or from `weights`.

    Raises:
        VgbenchError: the file is not in the cache; the remedy says where to get it.
    """
    name = "i3d-k400-torchscript"
    program, sha256 = _program(registry.require(name) if weights is None else Path(weights))
    spec = user_spec(name, sha256, least_frames=10)
    if weights is None or registry.is_registered(name, sha256):
        comparable = "FVD of StyleGAN-V and of those who use its file"
        licence = registry.REGISTRY[name].licence
        spec = replace(spec, published=True, comparable_with=comparable, licence=licence)
    return I3dTorchScript(program, spec)


def _program(path: Path) -> tuple[torch.nn.Module, str]:
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix == TORCH_EXPORT:
            return torch.export.load(path).module(), sha256
        return torch.jit.load(path, map_location="cpu").eval(), sha256  # type: ignore[no-untyped-call]
    except OSError as error:
        raise VgbenchError(f"extractor {path} cannot be read ({error.strerror})", "check the path") from error
    except Exception as error:  # torch raises many kinds for a file it cannot read
        raise VgbenchError(
            f"extractor {path} is neither a TorchScript program nor a torch.export archive",
            "save it with torch.jit.trace(...).save(path), or torch.export.save(...) as .pt2",
        ) from error


def user_spec(name: str, sha256: str, least_frames: int) -> ExtractorSpec:
    """The specification of a file that a user exported, as far as it is known."""
    return ExtractorSpec(
        id=name,
        weights=sha256,
        least_frames=least_frames,
        preprocessing="inside the file",
        feature_dimension=0,
        classes=(),
        licence="unknown (the user's file)",
        comparable_with="the same file only",
    )
