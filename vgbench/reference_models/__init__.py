"""Reference video GANs: generators, discriminators, losses, regularisers. Importing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vgbench.config import Config, parse
from vgbench.errors import VgbenchError
from vgbench.presets import preset_names, read_source
from vgbench.reference_models.config import ModelConfig

if TYPE_CHECKING:
    from vgbench.reference_models.foreign import ForeignGenerator
    from vgbench.reference_models.generator import Generator

__all__ = ["ModelConfig", "build", "load", "model_config", "preset_names"]

WHICH = {
    "best": ("checkpoints/best.safetensors", "generator.safetensors"),
    "last": ("generator.safetensors",),
    "first": ("checkpoints/first.safetensors",),
}
"""Where `load` looks inside a run folder."""


def model_config(source: str | Path | Mapping[str, Any] | Config) -> ModelConfig:
    """Find the model part of a preset name, a YAML file, a mapping or a config.

    Raises:
        ConfigError: unknown preset, or a key or value that is not allowed.
    """
    if type(source) is ModelConfig:  # a TrainConfig is more than that
        return source
    if isinstance(source, Config):
        values: Mapping[str, Any] = source.model_dump()
        where = type(source).__name__
    elif isinstance(source, Mapping):
        values, where = source, "model config"
    else:
        values, where = read_source(source), str(source)
    known = {key: value for key, value in values.items() if key in ModelConfig.model_fields}
    return parse(ModelConfig, known, where)


def build(preset_or_config: str | Path | Mapping[str, Any] | Config, seed: int = 0) -> Generator:
    """Build a generator with fresh weights.

    Args:
        preset_or_config: preset name, YAML file, mapping, `ModelConfig` or `TrainConfig`; keys that concern
            training are not looked at.
        seed: of the initial weights.
    """
    from vgbench.reference_models.checkpoint import build_generator

    return build_generator(model_config(preset_or_config), seed)


def load(
    source: str | Path, which: Literal["best", "last", "first"] = "best"
) -> Generator | ForeignGenerator:
    """Load a trained generator; the moving average of its weights, as `train` writes it.

    Args:
        source: run folder, `generator.safetensors` (or any checkpoint like it), or `package.module:Object`
            with `sample(n, seed, device)`.
        which: of a run folder: the best by score (the last without scores), the last, or the untrained first.

    Raises:
        VgbenchError: nothing to load there.
    """
    path = Path(source)
    if not path.exists() and ":" in str(source):
        from vgbench.reference_models.foreign import load_foreign

        return load_foreign(str(source))

    from vgbench.reference_models.checkpoint import load_generator

    if path.is_dir():
        for name in WHICH[which]:
            if (path / name).exists():
                return load_generator(path / name)
        raise VgbenchError(
            f"{path}: holds no {which} generator",
            "is it the run folder of `vgbench train`, past its first minute?",
        )
    if not path.exists():
        raise VgbenchError(f"{path}: not there", "give a run folder or a generator.safetensors")
    return load_generator(path)
