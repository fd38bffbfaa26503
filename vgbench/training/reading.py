"""Reads the config of a training run: from a preset, a YAML file, or the run folder that is resumed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vgbench.config import parse, with_overrides
from vgbench.errors import ConfigError
from vgbench.presets import read_source
from vgbench.training.config import TrainConfig, fixed_differences


def read_config(
    source: str | Path, settings: Iterable[str] = (), values: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Read a preset or a YAML file.

    Args:
        source: preset name, or path of a YAML file.
        settings: `a.b=value` changes (`--set`).
        values: top-level keys that win over everything else (flags); None values are left out.
            A limit among them (steps, minutes) replaces both of the preset's.

    Raises:
        ConfigError: names the key and what is allowed.
    """
    resolved = with_overrides(read_source(source), settings)
    given = {key: value for key, value in (values or {}).items() if value is not None}
    if "steps" in given or "minutes" in given:
        resolved |= {"steps": None, "minutes": None}  # a limit that is asked for replaces the preset's
    resolved |= given
    return parse(TrainConfig, resolved, where=str(source))


def read_resumed_config(
    folder: Path,
    source: str | Path | None = None,
    settings: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Read the config to go on with in a run folder: the run's own, but for what is asked for anew.

    Args:
        folder: of the run.
        source: preset or file that the run was begun with; it begins a run where there is no checkpoint yet.
        settings: as for `read_config`.
        values: as for `read_config`.

    Raises:
        ConfigError: there is no run, or it was begun with another model or training than `source`.
    """
    own = folder / "config.yaml"
    if source is not None and not (folder / "checkpoints" / "last.safetensors").exists():
        return read_config(source, settings, values)
    if not own.exists():
        raise ConfigError(f"{folder}: holds no run to resume", "name a preset to begin one")
    config = read_config(own, settings, values)
    if source is not None:
        changed = fixed_differences(read_config(source, settings, values), config)
        changed = [key for key in changed if key != "classes"]  # filled in from the data
        if changed:
            raise ConfigError(
                f"{folder}: this run was begun with another {', '.join(changed)} than {source} has",
                f"leave {source} out to go on with it: {resume_command(folder)}",
            )
    return config


def resume_command(folder: Path) -> str:
    """Command that goes on with a run; `-o` because `torchrun` takes `--run` for an option of its own."""
    return f"vgbench train -o {shlex.quote(str(folder))} --resume"
