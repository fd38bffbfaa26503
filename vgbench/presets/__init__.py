"""Presets: YAML files beside this module that describe a model and its training together.

This module reads them as plain mappings; `vgbench.reference_models` and `vgbench.training` each parse their
own keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vgbench.config import read_yaml
from vgbench.named import unknown_name

FOLDER = Path(__file__).parent

FORMER_NAMES = {
    "digan": "digan-like",
    "dvdgan": "dvdgan-like",
    "dvdgan-64": "dvdgan-like-64",
    "ivgan-64": "ivgan-like-64",
    "mocogan": "mocogan-like",
    "mocogan-64-faithful": "mocogan-64",
    "stylegan-v": "stylegan-v-like",
    "tgan": "tgan-like",
    "tsb": "tsb-like",
    "tsb-128": "tsb-like-128",
    "vgan": "vgan-like",
}
"""Former name of a preset -> its name now; both can be given wherever a preset is named.

Only presets that follow the code of a paper in networks, losses and rates bear its name.
"""


def preset_names() -> list[str]:
    """Return the names of all presets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def present_name(name: str) -> str:
    """Return the name that a preset has now; a name that is no former one is returned as it is."""
    return FORMER_NAMES.get(name, name)


def preset_path(name: str) -> Path:
    """Return the path of a preset's file.

    Raises:
        ConfigError: no preset has that name.
    """
    path = FOLDER / f"{present_name(name)}.yaml"
    if not path.is_file() or path.stem not in preset_names():
        raise unknown_name("preset", name, preset_names())
    return path


def describe(name: str) -> str:
    """Return the first comment line of a preset: one sentence on what it is.

    Raises:
        ConfigError: no preset has that name.
    """
    first = preset_path(name).read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip()


def read_source(source: str | Path) -> dict[str, Any]:
    """Read a preset by its name, or a YAML file by its path, as a plain mapping.

    Raises:
        ConfigError: unknown preset, or a file that cannot be read.
    """
    path = Path(source)
    return read_yaml(path if path.suffix in (".yaml", ".yml") else preset_path(str(source)))
