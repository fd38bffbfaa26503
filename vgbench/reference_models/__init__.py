"""Reference video GANs: generators, discriminators, losses, regularisers. Importing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vgbench.config import Config, parse
from vgbench.errors import VgbenchError
from vgbench.presets import read_source
from vgbench.pretrained import PREFIX, pretrained_path
from vgbench.reference_models.config import ModelConfig

if TYPE_CHECKING:
    from vgbench.reference_models.generator import Generator
    from vgbench.reference_models.user_sampler import UserSampler

__all__ = ["ModelConfig", "build", "load", "model_config"]

WHICH = {
    "best": ("checkpoints/best.safetensors", "generator.safetensors"),
    "last": ("generator.safetensors",),
    "first": ("checkpoints/first.safetensors",),
}
"""Files of a run folder that `load` looks for, in this order."""


def model_config(source: str | Path | Mapping[str, Any] | Config) -> ModelConfig:
    """Return the model part of a preset, a YAML file, a mapping or a config.

    Args:
        source: preset name, path of a YAML file, mapping, `ModelConfig` or `TrainConfig`; keys that only
            concern training are ignored.

    Raises:
        ConfigError: the preset is unknown, or a key or value is not allowed.
    """
    if type(source) is ModelConfig:  # a TrainConfig is a ModelConfig with further keys
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
    """Build an untrained generator.

    Args:
        preset_or_config: as for `model_config`.
        seed: seed of the initial weights.

    Raises:
        ConfigError: see `model_config`; or parts that do not fit together.
    """
    from vgbench.reference_models.checkpoint import build_generator

    return build_generator(model_config(preset_or_config), seed)


def load(source: str | Path, which: Literal["best", "last", "first"] = "best") -> Generator | UserSampler:
    """Load a trained generator, with the moving average of its weights, or a user's own sampler.

    Args:
        source: run folder, `generator.safetensors` (or a file of the same kind), `pretrained:NAME` for one
            that comes with vgbench, or `package.module:Object` with `sample(n, seed, device)`.
        which: generator of a run folder: the one with the best score (the last one if there are no scores),
            the last one, or the untrained first one.

    Raises:
        ConfigError: the user's sampler cannot be imported, or no pretrained generator has that name.
        VgbenchError: there is nothing to load.
    """
    path = pretrained_path(str(source)) if str(source).startswith(PREFIX) else Path(source)
    if not path.exists() and ":" in str(source):
        from vgbench.reference_models.user_sampler import load_user_sampler

        return load_user_sampler(str(source))

    from vgbench.reference_models.checkpoint import load_generator

    if path.is_dir():
        for name in WHICH[which]:
            if (path / name).exists():
                return load_generator(path / name)
        raise VgbenchError(
            f"{path}: contains no {which} generator",
            "give the run folder of `vgbench train`; it writes its first checkpoint after a minute",
        )
    if not path.exists():
        raise VgbenchError(f"{path}: does not exist", "give a run folder or a generator.safetensors")
    return load_generator(path)
