"""What a metric declares of itself, and how users spell one: `fvd`, `prdc(k=3)`, `package.module:Object`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vgbench.errors import ConfigError
from vgbench.metrics.score import Score
from vgbench.metrics.uncertainty import score_clips, score_share
from vgbench.named import lookup, unknown_name

Value = bool | int | float | str
Better = Literal["lower", "higher", "real"]
"""Which way is better; "real": near the value of the real clips."""


@dataclass(frozen=True)
class Option:
    """A parameter of a metric.

    Attributes:
        default: also fixes the type.
        meaning: one phrase for the reference.
        allowed: the values of a choice; any of the type if empty.
        least: smallest number allowed.
    """

    default: Value
    meaning: str
    allowed: tuple[Value, ...] = ()
    least: float = -math.inf


@dataclass(frozen=True)
class SetMetric:
    """Compares two sets of clips by what an extractor saw of them.

    Attributes:
        name: as users type it.
        title: as tables and papers print it.
        score: called as score(generated, real, **options); gives one `Score` for each name in `better`.
        needs: "features", "logits" or "frames" (features of single frames) of the extractor.
        better: score name -> direction.
        citation: the paper that defines it.
        options: parameters, in the order in which they print.
        labels: whether every clip of both sets must have a class label.
        beside: a metric that must be read beside it, and is measured with it.
        fits_covariance: it fits a covariance to the features, for which clips must outnumber dimensions.
    """

    name: str
    title: str
    score: Callable[..., Mapping[str, Score]]
    needs: Literal["features", "logits", "frames"]
    better: Mapping[str, Better]
    citation: str
    options: Mapping[str, Option] = field(default_factory=dict)
    labels: bool = False
    beside: str = ""
    fits_covariance: bool = False


@dataclass(frozen=True)
class DescriptorMetric:
    """Describes each clip by a vector of numbers made from its pixels, then compares the two sets of vectors.

    Attributes:
        name: as users type it.
        title: as tables and papers print it.
        describe: uint8 [T, H, W, 3] -> float64 [D], the same D for clips of one length.
        score: as `SetMetric.score`; the vectors are the features of its `Samples`.
        version: changes whenever `describe` gives another vector for a clip; part of the signature.
        better: score name -> direction.
        citation: the paper that defines it, or what it derives from.
        options: parameters of `score`, in the order in which they print.
        least_frames: shortest clip that it can describe.
        fits_covariance: as in `SetMetric`, to the vectors.
    """

    name: str
    title: str
    describe: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]
    score: Callable[..., Mapping[str, Score]]
    version: str
    better: Mapping[str, Better]
    citation: str
    options: Mapping[str, Option] = field(default_factory=dict)
    least_frames: int = 2
    fits_covariance: bool = False

    def measure(self, clip: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """As `ClipMetric.measure`, so that both are measured and stored alike."""
        return self.describe(clip)


@dataclass(frozen=True)
class ClipMetric:
    """Measures single clips; the score of a set is the mean over its clips.

    Attributes:
        name: as users type it, and the name of its score.
        title: as tables and papers print it.
        measure: uint8 [T, H, W, 3] -> float.
        version: changes whenever the number that `measure` gives for a clip changes; part of the signature.
        better: direction.
        citation: the paper that defines it, or what it derives from.
        least_frames: shortest clip that it can measure.
        least_size: smallest side of a frame, in pixels, that it can measure.
        beside: a metric that must be read beside it, and is measured with it.
        below_real: what it means when the score lies below that of the real clips, as a warning; "" for
            nothing.
        is_share: `measure` gives 0 or 1, and the mean is a share.
    """

    name: str
    title: str
    measure: Callable[[npt.NDArray[np.uint8]], float]
    version: str
    better: Better
    citation: str
    least_frames: int = 2
    least_size: int = 1
    options: Mapping[str, Option] = field(default_factory=dict)
    beside: str = ""
    below_real: str = ""
    is_share: bool = False

    def score(self, values: npt.ArrayLike, groups: npt.ArrayLike) -> Score:
        """Mean over clips, see `uncertainty.score_clips` and `score_share`."""
        return score_share(values, groups) if self.is_share else score_clips(values, groups)


PixelMetric = ClipMetric | DescriptorMetric
"""What is measured on the pixels of each clip, without a network."""
Metric = SetMetric | PixelMetric


@dataclass(frozen=True)
class Choice:
    """A metric and its parameters, as chosen by a user or a protocol.

    Attributes:
        name: name in the table, or `package.module:Object`.
        metric: what it stands for.
        given: (option, value) where the value is not the default, in declared order; so equal meaning is
            equal.
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


def parse(text: str, known: Mapping[str, Metric]) -> Choice:
    """Read one metric, such as "fvd", "fvd(covariance=biased)" or "my_package.metrics:sharpness".

    Raises:
        ConfigError: unknown metric or option, a value that is not allowed, or unbalanced brackets.
    """
    name, bracket, rest = text.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise ConfigError(f"metric '{text}': the bracket is not closed", "write it as name(option=value)")
    name = name.strip()
    metric = lookup("metric", name, known)
    if not isinstance(metric, Metric):
        raise ConfigError(
            f"'{name}' is a {type(metric).__name__}, not a metric",
            "it must be a vgbench.metrics.SetMetric, DescriptorMetric or ClipMetric",
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


def parse_list(texts: str | Iterable[str], known: Mapping[str, Metric]) -> list[Choice]:
    """Read several metrics: a sequence, or one text with commas between them (`fvd,prdc(k=3,…),is`).

    Raises:
        ConfigError: as `parse`, or two entries would give scores of one name.
    """
    if isinstance(texts, str):
        texts = _split(texts)
    choices = [parse(text, known) for text in texts]
    owner: dict[str, Choice] = {}
    for choice in choices:
        for score_name in score_names(choice.metric):
            if score_name in owner:
                raise ConfigError(
                    f"'{owner[score_name]}' and '{choice}' both give a score named '{score_name}'",
                    "score them in two runs",
                )
            owner[score_name] = choice
    return choices


def with_companions(choices: Iterable[Choice], known: Mapping[str, Metric]) -> list[Choice]:
    """Add the metrics that chosen ones must be read beside, at the end, each once."""
    found = list(choices)
    present = {choice.name for choice in found}
    for choice in tuple(found):
        companion = getattr(choice.metric, "beside", "")
        if companion and companion not in present:
            present.add(companion)
            found.append(Choice(companion, known[companion]))
    return found


def score_names(metric: Metric) -> tuple[str, ...]:
    """Names of the scores that a metric gives."""
    return (metric.name,) if isinstance(metric, ClipMetric) else tuple(metric.better)


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
