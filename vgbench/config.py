"""Typed configs: strict pydantic models, read from YAML, changed by `--set key=value`.

An unknown key or a bad value is a `ConfigError` that names the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vgbench.errors import ConfigError
from vgbench.named import unknown_name

MAX_VALUES = 100_000
"""Values that one YAML file may hold, aliases written out."""

NOT_YAML = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""Raised by the loader: for days that no calendar has, endless numbers, tags on what they do not fit."""


class Config(BaseModel):
    """Base of every config: frozen, hashable, refuses unknown keys, never coerces text into numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, ser_json_inf_nan="constants")


C = TypeVar("C", bound=Config)


def parse(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Validate `values` as a `kind`.

    Args:
        kind: the config class.
        values: nested mapping, as YAML gives it.
        where: the file or flag that the values came from, for the message.

    Raises:
        ConfigError: names every offending key, its value and what is allowed.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = [_explain(kind, problem) for problem in error.errors(include_url=False)]
        raise ConfigError(f"{where}: " + "; ".join(lines), "see docs/configuration.md") from error


def _explain(kind: type[BaseModel], problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *parents, last = problem["loc"]
        fields = _fields_at(kind, parents)
        return f"unknown key '{key}' ({unknown_name('key', str(last), fields).remedy})"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    return f"'{key}' = {reprlib.repr(problem['input'])}: {message}" if key else message


def _fields_at(kind: type[BaseModel], path: Iterable[Any]) -> list[str]:
    """Names allowed below `path`; falls back to the root's where the path leaves plain models."""
    node: Any = kind
    for part in path:
        if _is_model(node):
            field = node.model_fields.get(str(part))
            node = field.annotation if field else None
        else:  # a list or mapping of models
            node = next(filter(_is_model, get_args(node)), None)
    return sorted((node if _is_model(node) else kind).model_fields)


def _is_model(node: Any) -> bool:
    return isinstance(node, type) and issubclass(node, BaseModel)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping of keys to values.

    Raises:
        ConfigError: the file does not exist, is not YAML, or does not hold a mapping.
    """
    values = read_yaml_values(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a mapping of keys to values")
    return values


def read_yaml_values(path: Path | Traversable) -> Any:
    """Read a YAML file with the safe loader, whatever it holds.

    Raises:
        ConfigError: the file does not exist, is not YAML, or stands for too many values.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except NOT_YAML as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if _written_out(values, {}) > MAX_VALUES:
        raise ConfigError(f"{path}: its aliases stand for more than {MAX_VALUES} values", "write them out")
    return values


def _written_out(value: Any, known: dict[int, int]) -> int:
    """Count the values below `value` as if every alias were a copy: a few lines can stand for billions."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_VALUES + 1  # what an alias inside of its own anchor stands for
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_written_out(one, known) for one in inner)
    return known[id(value)]


def with_overrides(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Apply `--set a.b=value` settings; values are YAML, so `lr=2e-4`, `on=true`, `sizes=[1,2]` work.

    A list is entered by position: `--set discriminators.0.channels=32`.

    Raises:
        ConfigError: a setting has no `=`, or its path runs through something that holds no keys.
    """
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(values)))  # a deep, plain copy
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise ConfigError(f"--set {setting}: expected key=value", "for example --set loss.name=hinge")
        _assign(result, path.split("."), _scalar(text), setting)
    return result


def _assign(node: Any, parts: list[str], value: Any, setting: str) -> None:
    *parents, last = parts
    for part in parents:
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict):
            node = node.setdefault(part, {})
        else:
            raise ConfigError(f"--set {setting}: '{part}' is not a group of keys")
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {setting}: '{last}' has no place there")


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except NOT_YAML as error:
        raise ConfigError(f"--set: '{text}' is not a YAML value") from error
    if isinstance(value, str):
        try:  # YAML 1.1 reads 2e-4 as text, since it has no dot
            return float(value)
        except ValueError:
            return value
    return value


def to_yaml(config: Config) -> str:
    """Write the resolved config as YAML, in the order in which its fields are declared."""
    return yaml_text(config.model_dump(mode="json"))


def yaml_text(values: Mapping[str, Any]) -> str:
    """Write plain values as YAML, in their order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
