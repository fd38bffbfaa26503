"""How users spell a metric: `fvd`, `prdc(k=3)`, `package.module:Object`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vgbench.errors import ConfigError
from vgbench.metrics.metric import Metric, Option, Value
from vgbench.metrics.table import METRICS
from vgbench.named import lookup, unknown_name

GONE = {
    "vgbench.metrics.niqe:NIQE": "it needed scikit-video 1.2 or newer, which the package index does not have",
}
"""Metric of an earlier version, which protocols and records may still name -> why it was removed."""


@dataclass(frozen=True)
class Choice:
    """A metric and its parameters, as chosen by a user or a protocol.

    Attributes:
        name: name in `METRICS`, or `package.module:Object`.
        metric: the metric that the name stands for.
        given: (option, value) where the value is not the default, in declared order, so that two choices
            with the same meaning are equal.
    """

    name: str
    metric: Metric
    given: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        options = ",".join(f"{key}={_spell(value)}" for key, value in self.given)
        return f"{self.name}({options})" if options else self.name

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def options(self) -> dict[str, Value]:
        """Every option with its value, defaults included."""
        return {key: option.default for key, option in self.metric.options.items()} | dict(self.given)

    @property
    def is_shipped(self) -> bool:
        """Whether the metric is part of vgbench, and not the user's own."""
        return self.name in METRICS


def parse(text: str) -> Choice:
    """Read one metric, such as "fvd", "fvd(covariance=biased)" or "my_package.metrics:sharpness".

    Raises:
        ConfigError: unknown metric or option, a value that is not allowed, or unbalanced brackets.
    """
    name, bracket, rest = text.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise ConfigError(f"metric '{text}': the bracket is not closed", "write it as name(option=value)")
    name = name.strip()
    if name in GONE:
        raise ConfigError(f"metric '{name}' is gone: {GONE[name]}", "leave it out")
    metric = lookup("metric", name, METRICS)
    if not isinstance(metric, Metric):
        raise ConfigError(
            f"'{name}' is a {type(metric).__name__}, not a metric",
            "it must be a vgbench.metrics.Metric, such as vgbench.metrics.per_clip_metric returns",
        )
    given: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in rest.removesuffix(")").split(","))):
        key, equals, word = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ConfigError(f"metric '{text}': '{part}' is not option=value")
        if key not in metric.options:
            raise unknown_name(f"option of metric '{name}'", key, metric.options)
        if key in given:
            raise ConfigError(f"metric '{text}': option '{key}' is given twice")
        given[key] = _read(word, metric.options[key], f"metric '{text}': {key}")
    return Choice(
        name,
        metric,
        tuple((k, given[k]) for k, o in metric.options.items() if given.get(k, o.default) != o.default),
    )


def parse_list(texts: str | Iterable[str]) -> list[Choice]:
    """Read several metrics: a sequence, or one text with commas between them (`fvd,prdc(k=3),is`).

    Raises:
        ConfigError: as for `parse`, or two metrics would give scores of the same name.
    """
    if isinstance(texts, str):
        texts = _split(texts)
    choices = [parse(text) for text in texts]
    owner: dict[str, Choice] = {}
    for choice in choices:
        for score_name in choice.metric.directions:
            if score_name in owner:
                raise ConfigError(
                    f"'{owner[score_name]}' and '{choice}' both give a score named '{score_name}'",
                    "score them in two runs",
                )
            owner[score_name] = choice
    return choices


def with_companions(choices: Iterable[Choice]) -> list[Choice]:
    """Append each companion of the chosen metrics once, such as `dynamic_degree` for `warping_error`."""
    found = list(choices)
    present = {choice.name for choice in found}
    for choice in tuple(found):
        companion = choice.metric.companion
        if companion and companion not in present:
            present.add(companion)
            found.append(Choice(companion, METRICS[companion]))
    return found


def _split(text: str) -> list[str]:
    """Cut at the commas outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _read(word: str, option: Option, where: str) -> Value:
    value = _as(type(option.default), word)
    if value is None:
        kind = {bool: "true or false", int: "a whole number", float: "a number"}[type(option.default)]
        raise ConfigError(f"{where} = {word}: must be {kind}")
    if option.allowed and value not in option.allowed:
        raise ConfigError(f"{where} = {word}: must be one of {', '.join(map(_spell, option.allowed))}")
    if isinstance(value, int | float) and not (math.isfinite(value) and value >= option.least):
        raise ConfigError(f"{where} = {word}: must be a finite number of at least {option.least:g}")
    return value


def _as(kind: type[Any], word: str) -> Value | None:
    if kind is bool:
        return {"true": True, "false": False}.get(word.lower())
    if kind is str:
        return word
    try:
        return kind(word)  # type: ignore[no-any-return]
    except ValueError:
        return None


def _spell(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)  # signatures must tell all numbers apart
    return str(value)
