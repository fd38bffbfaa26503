"""Names that users type: an entry of a plain dict, or `package.module:Object` for what they bring."""

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
    """Build the error for a name that is not in `known`, with the nearest names as the remedy."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(f"unknown {kind} '{name}'", f"{hint}known: {', '.join(names)}")


def lookup(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return `known[name]`, or import `package.module:Object` when the name has a colon.

    Args:
        kind: the word for the error message, such as "metric".
        name: a key of `known`, or `package.module:Object`.
        known: what vgbench ships under that kind.

    Raises:
        ConfigError: unknown name, or the user's module or object cannot be imported.
    """
    if name in known:
        return known[name]
    if ":" in name:
        return import_object(name)  # type: ignore[no-any-return]
    raise unknown_name(kind, name, known)


def import_object(path: str) -> Any:
    """Import `package.module:Object`; the working directory counts as a place to look.

    Raises:
        ConfigError: the module or the object is not there.
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
    """Import "module:object", as vgbench's own tables name what they do not want to import themselves."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
