"""A user's ONNX file, run by onnxruntime on the CPU; optional extra `onnx`."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import torch

from vgbench.errors import VgbenchError
from vgbench.extractors.exported import Exported, user_spec

SUFFIX = ".onnx"


class OnnxProgram(torch.nn.Module):
    """An onnxruntime session as a module: uint8 [B, T, H, W, 3] -> the graph's outputs, in order."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.input = session.get_inputs()[0].name

    def forward(self, clips: torch.Tensor) -> tuple[torch.Tensor, ...]:
        try:
            outputs = self.session.run(None, {self.input: clips.contiguous().numpy()})
        except Exception as error:  # onnxruntime has an error class of its own for each status
            raise RuntimeError(str(error)) from error  # which `Exported` explains
        return tuple(torch.from_numpy(output) for output in outputs[:2])


def load(path: Path, least_frames: int = 1) -> Exported:
    """Load an ONNX file. Its first output is features [B, D], its second, if any, logits [B, K].

    Args:
        path: of the .onnx file.
        least_frames: length of the shortest clip that the network accepts.

    Raises:
        VgbenchError: onnxruntime is not installed, or the file is missing or not an ONNX model.
    """
    try:
        onnxruntime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise VgbenchError(
            f"extractor {path} needs the package onnxruntime ({error})", "pip install onnxruntime"
        ) from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VgbenchError(f"extractor {path} cannot be read ({error.strerror})", "check the path") from error
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an error class of its own for each status
        raise VgbenchError(
            f"extractor {path} is not an ONNX model that onnxruntime runs", "export it again"
        ) from error
    return Exported(
        OnnxProgram(session), user_spec(path.name, hashlib.sha256(data).hexdigest(), least_frames)
    )
