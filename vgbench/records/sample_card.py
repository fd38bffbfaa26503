"""Sample card: what `vgbench sample` writes beside its clips, so that `evaluate` can copy it to the record.

It contains the cost of sampling and training and the training curves; no score depends on it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from vgbench.clips.clip import printable
from vgbench.config import Config, read_yaml
from vgbench.errors import ConfigError, VgbenchError
from vgbench.storage import atomic

NAME = "sampling.json"
"""Name of the file in the folder of clips; readers of clips ignore it."""

CURVES = ("fvd", "discriminator_loss", "generator_loss")
"""Curves of a training run that a card contains."""

MAX_BYTES = 2**24
"""Larger files of that name are not read."""

MAX_LEVELS = 32
"""Deepest nesting of lists and mappings in a card."""

POINTS = 120
"""Most points of one curve; a longer log is thinned out evenly and keeps its last point."""

LabelDraw = Literal["counts", "balanced", "given", "uniform"]

Curve = tuple[tuple[float, float], ...]


class SampleCard(Config):
    """How a folder of clips was made.

    Attributes:
        command: command that writes the same clips again.
        clips: number of clips.
        labels: how classes were drawn: by the "counts" of the training clips, "balanced" or "given" by the
            user, or "uniform" because the checkpoint has no counts; None for a model without classes.
        seconds_per_clip: wall-clock time of the generator alone, without writing files.
        device: where the generator ran, such as "cpu, 2 threads".
        gmac_per_clip: 10⁹ multiply-accumulates of one forward pass for one clip; the same on every machine.
        parameters: number of parameters of the generator.
        training_seconds: training time of the run, without scoring.
        training: name -> (step, value) pairs; "fvd" is the score by which the best checkpoint was chosen.
        config: resolved config of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    command: str
    clips: int
    labels: LabelDraw | None = None
    seconds_per_clip: float
    device: str
    gmac_per_clip: float | None = None
    parameters: int | None = None
    training_seconds: float | None = None
    training: dict[str, Curve] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)

    @property
    def trained_size(self) -> int | None:
        """Side of the training clips in pixels."""
        return _positive(self.config.get("size"))

    @property
    def trained_stride(self) -> int | None:
        """Frames of the data from one training frame to the next."""
        return _positive(self.config.get("stride", 1 if self.config else None))

    def details(self) -> dict[str, Any]:
        """Entries for `Record.details`; a page can plot scores against each plain number as a cost."""
        numbers = {
            "sampling_seconds_per_clip": self.seconds_per_clip,
            "sampling_gmac_per_clip": self.gmac_per_clip,
            "generator_parameters": self.parameters,
            "training_seconds": self.training_seconds,
        }
        values: dict[str, Any] = {key: value for key, value in numbers.items() if value is not None}
        values["sampled"] = {"command": self.command, "clips": self.clips, "device": self.device}
        if self.labels is not None:
            values["sampled"]["labels"] = self.labels
        if self.training:
            values["training"] = {name: [list(point) for point in c] for name, c in self.training.items()}
        if self.config:
            values["train_config"] = self.config
        return values


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def write_card(folder: str | Path, card: SampleCard) -> Path:
    """Write the card of a folder of clips."""
    path = Path(folder) / NAME
    atomic.write_text(path, json.dumps(card.model_dump(mode="json", by_alias=True), indent=1) + "\n")
    return path


def read_card(folder: str | Path) -> SampleCard | None:
    """Read the card of a folder of clips; None if there is none, or if the file is from another program.

    Raises:
        VgbenchError: the card is damaged.
    """
    path = Path(folder) / NAME
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:  # a pipe could block for ever
            return None
        values = _printable(json.loads(path.read_text(encoding="utf-8")), MAX_LEVELS)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or values.get("schema") != 1 or "seconds_per_clip" not in values:
        return None
    try:
        return SampleCard.model_validate(values)
    except ValidationError as error:
        raise VgbenchError(
            f"{path}: damaged", "remove it, because the clips can be scored without it, or sample again"
        ) from error


def _printable(value: Any, levels: int) -> Any:
    """Copy a JSON value with texts that a record can hold.

    Raises:
        ValueError: it is nested more deeply than `levels`.
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict | list) and not levels:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {printable(key): _printable(one, levels - 1) for key, one in value.items()}
    return [_printable(one, levels - 1) for one in value] if isinstance(value, list) else value


def training_curves(run: Path) -> dict[str, Curve]:
    """Read the scores and losses that a run folder logged, by step."""
    scores = [(line.get("step"), line.get("score")) for line in _lines(run / "scores.jsonl")]
    log = _lines(run / "log.jsonl")
    found = {"fvd": scores} | {
        name: [(line.get("step"), line.get(name)) for line in log] for name in CURVES[1:]
    }
    curves = {name: _finite(points) for name, points in found.items()}
    return {name: thinned(points) for name, points in curves.items() if len(points) >= 2}


def training_seconds(run: Path) -> float | None:
    """Training time of a run in seconds, from the log in its folder."""
    lines = _lines(run / "log.jsonl")
    seconds = lines[-1].get("seconds") if lines else None
    return float(seconds) if isinstance(seconds, int | float) else None


def run_config(run: Path) -> dict[str, Any]:
    """Resolved config of a run folder; empty if it has none."""
    try:
        return read_yaml(run / "config.yaml")
    except ConfigError:
        return {}


def thinned(points: Sequence[tuple[float, float]]) -> Curve:
    """Thin points out evenly to at most `POINTS`, with the last one kept."""
    stride = math.ceil(len(points) / POINTS)
    return tuple(points[::-1][::stride][::-1])


def _finite(points: Sequence[tuple[Any, Any]]) -> list[tuple[float, float]]:
    numbers = [(x, y) for x, y in points if isinstance(x, int | float) and isinstance(y, int | float)]
    return [(float(x), float(f"{y:.6g}")) for x, y in numbers if math.isfinite(x) and math.isfinite(y)]


def _lines(path: Path) -> list[dict[str, Any]]:
    """Lines of a JSON-lines file; a line that a crash cut off is ignored."""
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for text in texts:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            found.append(line)
    return found
