"""Read the config of a training run: from a preset, a YAML file, or a run folder to resume."""

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
        values: top-level keys that override everything else; keys with the value None are left out. A limit
            among them (steps, minutes) replaces both limits of the preset.

    Raises:
        ConfigError: a key or value that is not allowed; names the key and what is allowed.
    """
    resolved = with_overrides(read_source(source), settings)
    given = {key: value for key, value in (values or {}).items() if value is not None}
    if "steps" in given or "minutes" in given:
        resolved |= {"steps": None, "minutes": None}  # a limit that was given replaces those of the preset
    resolved |= given
    return parse(TrainConfig, resolved, where=str(source))


def read_resumed_config(
    folder: Path,
    source: str | Path | None = None,
    settings: Iterable[str] = (),
    values: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Read the config with which a run continues: its own, with the changes that were asked for.

    Args:
        folder: of the run.
        source: preset or file that the run was started from; starts a new run if there is no checkpoint yet.
        settings: as for `read_config`.
        values: as for `read_config`.

    Raises:
        ConfigError: there is no run, or its model or training differs from that of `source`.
    """
    own = folder / "config.yaml"
    if source is not None and not (folder / "checkpoints" / "last.safetensors").exists():
        return read_config(source, settings, values)
    if not own.exists():
        raise ConfigError(f"{folder}: holds no run to resume", "give a preset to start one")
    config = read_config(own, settings, values)
    if source is not None:
        changed = fixed_differences(read_config(source, settings, values), config)
        changed = [key for key in changed if key != "classes"]  # filled in from the data
        if changed:
            raise ConfigError(
                f"{folder}: this run was started with another {', '.join(changed)} than {source} has",
                f"to continue it, leave {source} out: {resume_command(folder)}",
            )
    return config


def resume_command(folder: Path) -> str:
    """Return the command that continues a run; with `-o`, because `torchrun` has a `--run` of its own."""
    return f"vgbench train -o {shlex.quote(str(folder))} --resume"
