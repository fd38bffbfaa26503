"""The commands and the config that produce a record's scores again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from vgbench.config import yaml_text
from vgbench.errors import ConfigError
from vgbench.records.record import Record


def eval_command(record: Record) -> str:
    """Rebuild the command `vgbench eval …` of a record, quoted for a POSIX shell.

    Settings that differ from the shipped protocol of that name become options. A protocol that is not shipped
    is given as a file, `NAME.yaml`; its text is in the record.
    """
    protocol = record.protocol
    name = str(protocol.get("name", "PROTOCOL"))
    shipped = _shipped(name)
    words = ["vgbench", "eval", record.clips.generated.source, "--against", record.clips.real.source]
    words += ["--protocol", name if shipped is not None else f"{name}.yaml"]
    if shipped is not None:
        words += _options(_leaves(protocol), _leaves(shipped))
    return " ".join(map(shlex.quote, [*words, "--name", record.model]))


def sample_command(record: Record) -> str:
    """The command that wrote the clips, from their sample card; empty if there is none."""
    sampled = record.details.get("sampled")
    command = sampled.get("command") if isinstance(sampled, Mapping) else None
    return command if isinstance(command, str) else ""


def train_config(record: Record) -> str:
    """Config of the training run behind the clips, as YAML for `vgbench train`; empty if there is none."""
    config = record.details.get("train_config")
    return yaml_text(config) if isinstance(config, Mapping) and config else ""


def _shipped(name: str) -> Mapping[str, Any] | None:
    from vgbench.protocol import load, protocol_names

    if name not in protocol_names():
        return None
    try:
        return load(name).model_dump(mode="json")
    except ConfigError:
        return None


def _options(used: Mapping[str, Any], shipped: Mapping[str, Any]) -> Iterator[str]:
    """Turn the differences from the shipped protocol into options."""
    for key, value in used.items():
        if value == shipped.get(key) or key in ("summary", "source", "version"):
            continue
        if key == "metrics":
            yield from ("--metrics", ",".join(map(str, value)))
        elif key == "extractor.name":
            yield from ("--extractor", str(value))
        else:
            yield from ("--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}")


def _leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return leaves
