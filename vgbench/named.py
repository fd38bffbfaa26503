"""Names that users type: a key of a plain dict, or `package.module:Object` for their own objects."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from vgbench.errors import ConfigError

T = TypeVar("T")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Make the error for a name that is not in `known`; its remedy suggests the most similar names."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(f"unknown {kind} '{name}'", f"{hint}known: {', '.join(names)}")


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return `known[name]`, or import `package.module:Object` when the name has a colon.

    Args:
        kind: what the name stands for, for the error message, such as "metric".
        name: a key of `known`, or `package.module:Object`.
        known: what vgbench itself provides of that kind.

    Raises:
        ConfigError: the name is unknown, or the user's module or object cannot be imported.
    """
    if name in known:
        return known[name]
    if ":" in name:
        return import_object(name)  # type: ignore[no-any-return]
    raise unknown_name(kind, name, known)


def import_object(path: str) -> Any:
    """Import `package.module:Object`, also from the working directory.

    Raises:
        ConfigError: the module or the object does not exist or cannot be imported.
    """
    here = str(Path.cwd())
    if here not in sys.path:  # as `python -m` does; a console script does not
        sys.path.append(here)
    try:
        return load_target(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"cannot load '{path}': {error}",
            "write it as package.module:Object, importable from the working directory",
        ) from error


def load_target(path: str) -> Any:
    """Import "module:object", the form in which vgbench's tables name objects without importing them."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
