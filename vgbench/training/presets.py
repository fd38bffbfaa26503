"""Presets: YAML files beside this module, each a complete `TrainConfig` with a comment on what to expect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vgbench.config import parse, read_yaml, with_overrides
from vgbench.named import unknown_name
from vgbench.training.config import TrainConfig

FOLDER = Path(__file__).parent / "presets"


def preset_names() -> list[str]:
    """Names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def describe(name: str) -> str:
    """First comment line of a preset: one sentence on what it is."""
    first = preset_path(name).read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip()


def preset_path(name: str) -> Path:
    """Path of a preset's file.

    Raises:
        ConfigError: unknown name.
    """
    path = FOLDER / f"{name}.yaml"
    if name not in preset_names():
        raise unknown_name("preset", name, preset_names())
    return path


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
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = preset_path(str(source))
    resolved = with_overrides(read_yaml(path), settings)
    given = {key: value for key, value in (values or {}).items() if value is not None}
    if "steps" in given or "minutes" in given:
        resolved |= {"steps": None, "minutes": None}  # a limit that is asked for replaces the preset's
    resolved |= given
    return parse(TrainConfig, resolved, where=str(source))
