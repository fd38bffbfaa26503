"""Building a part by its name: one that vgbench ships, or a user's own class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vgbench.errors import ConfigError
from vgbench.named import lookup

T = TypeVar("T")


def build_part(
    kind: str,
    name: str,
    known: Mapping[str, Callable[..., T]],
    base: type[T],
    *arguments: Any,
    options: Mapping[str, Any],
) -> T:
    """Call the class that `name` stands for, and check what comes out.

    Args:
        kind: the word for error messages, such as "decoder".
        name: a key of `known`, or `package.module:Class`.
        known: what vgbench ships under that kind.
        base: what the result must be.
        arguments: positional arguments of the class.
        options: the user's keyword arguments, from `options` in the config.

    Raises:
        ConfigError: unknown name, a class that does not take these arguments, or one of another kind.
    """
    factory = lookup(kind, name, known)
    expected = f"derive it from {base.__module__}.{base.__name__}"
    try:
        part = factory(*arguments, **options)
    except TypeError as error:
        raise ConfigError(f"{kind} '{name}' cannot be built: {error}", expected) from error
    if not isinstance(part, base):
        raise ConfigError(f"{kind} '{name}' builds a {type(part).__name__}, not a {base.__name__}", expected)
    return part
