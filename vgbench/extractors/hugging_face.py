"""Networks in the layout of Hugging Face's transformers, found on disk, never downloaded or unpickled."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vgbench.errors import VgbenchError
from vgbench.extractors.weights import file
from vgbench.protocol.pixels import Resize, resize_float

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NOT_OF_THE_NETWORK = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"}
"""Keys of a config that do not change what the network computes."""


@dataclass(frozen=True)
class Published:
    """A published network and its own preprocessing.

    Attributes:
        repository: on the Hugging Face hub.
        architecture: name of its class in transformers.
        resize: of the shorter side to `resize.size`, with the published kernel.
        crop: side of the centre crop that the network sees.
        mean: of red, green, blue in [0, 1].
        std: the same.
        licence: of the weights.
        citation: of the paper.
    """

    repository: str
    architecture: str
    resize: Resize
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    licence: str
    citation: str

    def preprocess(self, clips: torch.Tensor) -> torch.Tensor:
        """uint8 [B, T, H, W, 3] -> float32 [B, T, 3, crop, crop]; pixels are rounded after the resize."""
        frames = resize_float(clips.flatten(0, 1).permute(0, 3, 1, 2).float(), self.resize)
        margin = (self.resize.size - self.crop) // 2
        frames = frames[..., margin : margin + self.crop, margin : margin + self.crop]
        mean, std = (torch.tensor(x, device=clips.device).view(1, 3, 1, 1) for x in (self.mean, self.std))
        frames = (frames.round().clamp(0, 255) / 255 - mean) / std
        return frames.reshape(*clips.shape[:2], *frames.shape[1:])

    def describe(self) -> str:
        """Signature text, such as `256,crop,bicubic-aa; crop 224; mean 0.485…`."""
        values = ("/".join(f"{x:.3f}" for x in triple) for triple in (self.mean, self.std))
        return f"{self.resize.describe()}; crop {self.crop}; mean {next(values)} std {next(values)}"


class Loaded(NamedTuple):
    """A network of transformers, with the hash and the licence of its weights."""

    network: Any
    weights: str
    licence: str


def load(name: str, published: Published, weights: str | Path | None = None) -> Loaded:
    """Load a network from disk.

    Args:
        name: of the extractor, for messages.
        published: its architecture and its usual repository.
        weights: None for `published.repository` in the user's Hugging Face cache; another repository there;
            a folder with config.json and model.safetensors; "random[:SEED]" for an untrained network of the
            architecture's default size.

    Raises:
        VgbenchError: transformers is not installed, the weights are not on disk, or belong to another
            network.
    """
    transformers = _import("transformers", name)
    architecture = getattr(transformers, published.architecture)
    seed = file.random_seed(weights)
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = architecture(architecture.config_class())
        return Loaded(network.eval(), f"random:{seed}", "none (untrained)")
    folder = find_folder(name, str(weights or published.repository))
    try:
        with _quiet(transformers):
            network, report = architecture.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise VgbenchError(
            f"extractor {name}: {folder} cannot be loaded as {published.architecture} "
            f"({str(error).splitlines()[0]})",
            f"give a folder made by save_pretrained, such as a download of {published.repository}",
        ) from error
    lacking = sorted(map(str, report["missing_keys"]))
    if lacking:  # transformers would continue with random values
        raise VgbenchError(
            f"extractor {name}: {folder} lacks {', '.join(lacking[:3])} of {published.architecture}",
            f"give weights of that network, such as {published.repository}",
        )
    with (folder / "model.safetensors").open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if weights not in (None, published.repository):
        # The config is part of the network too, if the folder is the user's own.
        config = network.config.to_diff_dict()
        facts = {key: value for key, value in config.items() if key not in NOT_OF_THE_NETWORK}
        text = json.dumps(facts, sort_keys=True, default=str)
        sha256 = hashlib.sha256(f"{sha256}|{text}".encode()).hexdigest()
    return Loaded(
        network.eval().float(), sha256, published.licence if weights is None else "unknown (the user's file)"
    )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Hide progress bars and reports on unused entries of a checkpoint."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _import(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise VgbenchError(
            f"extractor {name} needs the package {module} ({error})", "pip install transformers"
        ) from error


def find_folder(name: str, where: str) -> Path:
    """Find the folder of config.json and model.safetensors: a path, or a repository in the hub's cache.

    Raises:
        VgbenchError: the folder is not on this machine; the remedy says how to get it.
    """
    folder = Path(where)
    if not folder.is_dir() and where.count("/") == 1:
        cached = _import("huggingface_hub", name).try_to_load_from_cache(where, "model.safetensors")
        if isinstance(cached, str):
            folder = Path(cached).parent
    missing = [part for part in ("config.json", "model.safetensors") if not (folder / part).is_file()]
    if missing:
        raise VgbenchError(
            f"extractor {name}: {' and '.join(missing)} of {where} not found on this machine",
            f"run `hf download {where} config.json model.safetensors`, or give weights=FOLDER with both",
        )
    return folder
