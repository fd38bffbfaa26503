"""Typed configs: strict pydantic models that are read from YAML and changed by `--set key=value`.

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
"""Most values that one YAML file may hold, with each alias counted as a copy."""

NOT_YAML = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""Raised by the YAML loader, also for impossible dates, endless numbers and tags on the wrong values."""


class Config(BaseModel):
    """Base of every config: frozen and hashable; refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, ser_json_inf_nan="constants")


C = TypeVar("C", bound=Config)


def parse(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Validate `values` as a `kind`.

    Args:
        kind: the config class.
        values: nested mapping, as read from YAML.
        where: the file or flag that the values came from, for the message.

    Raises:
        ConfigError: a key or value is not allowed; the message names each, and what is allowed.
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
    """Names allowed below `path`; those of the root where the path leads through other types than models."""
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
        raise ConfigError(f"{path}: its aliases expand to more than {MAX_VALUES} values", "write them out")
    return values


def _written_out(value: Any, known: dict[int, int]) -> int:
    """Count the values below `value` with every alias as a copy: a few lines can expand to billions."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = MAX_VALUES + 1  # the count of an alias inside its own anchor
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_written_out(one, known) for one in inner)
    return known[id(value)]


def with_overrides(values: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Apply `--set a.b=value` settings; values are YAML, so `lr=2e-4`, `on=true` and `sizes=[1,2]` work.

    An element of a list is named by its position: `--set discriminators.0.channels=32`.

    Raises:
        ConfigError: a setting has no `=`, or its path leads through a value that has no keys.
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
            if node.get(part) is None:  # an optional group that is not set
                node[part] = {}
            node = node[part]
        else:
            raise ConfigError(f"--set {setting}: '{part}' is not a group of keys")
    if isinstance(node, list) and last.isdigit() and int(last) < len(node):
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise ConfigError(f"--set {setting}: there is no '{last}' to set")


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except NOT_YAML as error:
        raise ConfigError(f"--set: '{text}' is not a YAML value") from error
    if isinstance(value, str):
        try:  # YAML 1.1 reads 2e-4 as text, because it has no dot
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
