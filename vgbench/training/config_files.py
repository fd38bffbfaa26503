"""Reading the config of a training run: from a preset, a YAML file, or the folder of an earlier run."""

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
        settings: changes such as `a.b=value` (option `--set`).
        values: top-level keys that override everything else (command-line options); None values are ignored.
            If they include a limit (steps or minutes), both limits of the preset are dropped.

    Raises:
        ConfigError: the preset is unknown, the file cannot be read, or a key or value is not allowed.
    """
    resolved = with_overrides(read_source(source), settings)
    given = {key: value for key, value in (values or {}).items() if value is not None}
    if "steps" in given or "minutes" in given:
        resolved |= {"steps": None, "minutes": None}
    resolved |= given
    return parse(TrainConfig, resolved, where=str(source))


def read_resumed_config(
    folder: Path,
    source: str | Path | None = None,
    settings: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Read the config with which a run is resumed: that of the run, with changes.

    Args:
        folder: of the run.
        source: preset or file that the run was started with; it is only read if there is no checkpoint yet.
        settings: as for `read_config`.
        values: as for `read_config`.

    Raises:
        ConfigError: there is no run, or it was started with other settings than those of `source`.
    """
    own = folder / "config.yaml"
    if source is not None and not (folder / "checkpoints" / "last.safetensors").exists():
        return read_config(source, settings, values)
    if not own.exists():
        raise ConfigError(f"{folder}: contains no run to resume", "name a preset to start one")
    config = read_config(own, settings, values)
    if source is not None:
        changed = fixed_differences(read_config(source, settings, values), config)
        changed = [key for key in changed if key != "classes"]  # filled in from the data
        if changed:
            raise ConfigError(
                f"{folder}: this run was started with another {', '.join(changed)} than {source} has",
                f"leave {source} out to resume it: {resume_command(folder)}",
            )
    return config


def resume_command(folder: Path) -> str:
    """Return the command that resumes a run; `torchrun` would take `--run` for its own `--run-path`."""
    return f"vgbench train -o {shlex.quote(str(folder))} --resume"
