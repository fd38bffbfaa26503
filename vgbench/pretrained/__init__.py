"""Trained generators that come with vgbench: one `NAME.safetensors` beside this module for each.

This module only knows the files; `vgbench.reference_models` reads them. `pretrained:NAME` stands for one of
them wherever a run is taken, and `pretrained:NAME?clips=512&seed=0` for its samples wherever clips are taken.
"""

from __future__ import annotations

from pathlib import Path

from vgbench.named import unknown_name

FOLDER = Path(__file__).parent
PREFIX = "pretrained:"


def pretrained_names() -> list[str]:
    """Return the names of all pretrained generators, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def pretrained_path(name: str) -> Path:
    """Return the path of a pretrained generator's file.

    Args:
        name: with or without "pretrained:" before it.

    Raises:
        ConfigError: no pretrained generator has that name.
    """
    name = name.removeprefix(PREFIX)
    if name not in pretrained_names():
        raise unknown_name("pretrained generator", name, pretrained_names())
    return FOLDER / f"{name}.safetensors"
