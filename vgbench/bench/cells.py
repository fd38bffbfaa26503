"""From a suite to its cells: every row of the table, with its config, its data and a key of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

from vgbench.bench.suite import Evaluation, ModelGrid, Overrides, Suite
from vgbench.config import parse, read_yaml, with_overrides
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.choices import resolve_protocol
from vgbench.presets import FORMER_NAMES, present_name, preset_path
from vgbench.protocol import Protocol
from vgbench.records.record import Record, content_hash, file_name, find_records, load_record
from vgbench.training.config import MAY_CHANGE, TrainConfig

DOES_NOT_MATTER = {key for key in MAY_CHANGE if "." not in key} - {"steps", "micro_batch"}
"""Keys of a training config that do not change the weights; "data" is part of the key separately.

Nested keys, that is, the learning rates, may be changed when a run is resumed, but do change its weights.
"""


@dataclass(frozen=True)
class Preparation:
    """How training prepares its clips, which real clips are given too before models are scored against them.

    Attributes:
        size: side in pixels.
        stride: frames of the data from one frame to the next.
    """

    size: int
    stride: int

    def __str__(self) -> str:
        return f"{self.size} pixels, stride {self.stride}"


@dataclass(frozen=True)
class Cell:
    """One row of the table, which is trained and scored, or only scored.

    Attributes:
        name: unique in the suite.
        model: its name in tables.
        data: name of the data set.
        role: see `vgbench.leaderboard.ranking.Role`.
        config: config of the training; None for rows that are not trained.
        source: source of the clips; None for rows that are trained.
        coordinates: position of a trained row in the grid, for the summary: preset, loss, motion, model and
            seed.
        preparation: of its model; of a row that is not trained, that of the models it is compared with. None
            if there are no models on this data.
        repeated: whether another cell is the same row, prepared for other models.
        former: its name in tables before its preset was renamed; None if it was not. Keys contain this name,
            so that published rows stay what they are.
    """

    name: str
    model: str
    data: str
    role: Literal["model", "real", "control"]
    config: TrainConfig | None
    source: str | None
    coordinates: Mapping[str, str | int]
    preparation: Preparation | None = None
    repeated: bool = False
    former: str | None = None

    @property
    def steps(self) -> int:
        """Generator steps of the training; 0 for rows that are not trained."""
        return (self.config.steps or 0) if self.config else 0


def protocol_of(evaluation: Evaluation) -> Protocol:
    """The protocol of one entry of a suite, with its changes and with the companions of its metrics.

    Raises:
        ConfigError: an unknown protocol, metric or key, or a value that is not allowed.
    """
    settings = [f"{key}={json.dumps(value)}" for key, value in evaluation.settings.items()]
    return resolve_protocol(evaluation.protocol, evaluation.metrics, evaluation.extractor, settings)


def expand(suite: Suite) -> list[Cell]:
    """Expand a suite to its cells: rows that are not trained first, then the models, seed by seed.

    In this order the table fills up evenly. A cell that several grids have in common occurs once.

    Raises:
        ConfigError: a config or protocol is not valid, or two different cells have the same name.
    """
    for evaluation in suite.evaluations:
        protocol_of(evaluation)
    cells: dict[str, Cell] = {}
    models = sorted(_models(suite), key=lambda one: one.coordinates["seed"])
    for cell in (*_references(suite, models), *models):
        if cells.setdefault(cell.name, cell) != cell:
            raise ConfigError(
                f"suite {suite.name}: two grids contain '{cell.name}', but with different settings",
                "give both the same steps, settings and role, or different presets",
            )
    return list(cells.values())


def _references(suite: Suite, models: Iterable[Cell]) -> Iterator[Cell]:
    """Make the rows that are not trained: one for each way in which models on the same data are prepared.

    Models of different sizes are in tables apart, and each table gets its reference rows.
    """
    found: dict[str, dict[Preparation | None, None]] = {data: {} for data in suite.data}
    for model in models:
        found[model.data][model.preparation] = None
    for row in suite.references:
        for data in row.data or suite.data:
            for number, preparation in enumerate(found[data] or [None]):
                name = row.name if number == 0 else f"{row.name}, {preparation}"
                file = f"{data}/{_file_name(name)}"
                yield Cell(
                    file, row.name, data, row.role, None, row.source, {}, preparation, repeated=number > 0
                )


def _models(suite: Suite) -> Iterator[Cell]:
    several_seeds = len({seed for grid in suite.models for seed in grid.seeds}) > 1
    for grid in suite.models:
        for preset, loss, motion, data, seed in product(
            grid.presets, grid.losses or (None,), grid.motions or (None,), grid.data, grid.seeds
        ):
            config = _config(suite, grid, preset, loss, motion, seed)
            name = present_name(Path(preset).stem)
            named = len(grid.presets) > 1 or not (loss or motion)
            model = " ".join(filter(None, (name if named else None, motion, loss)))
            row = f"{model}, seed {seed}" if several_seeds else model
            before = CALLED_BEFORE.get(name)
            former = before + row.removeprefix(name) if named and before else None
            coordinates: dict[str, str | int] = {
                "preset": name,
                "loss": loss or config.loss.name,
                "motion": motion or config.generator.motion.name,
                "model": model,
                "seed": seed,
            }
            preparation = Preparation(config.size, config.stride)
            file = f"{data}/{_file_name(row)}"
            yield Cell(file, row, data, grid.role, config, None, coordinates, preparation, former=former)


def _config(
    suite: Suite, grid: ModelGrid, preset: str, loss: str | None, motion: str | None, seed: int
) -> TrainConfig:
    """Apply to a preset the suite's settings, the loss, the motion module and the grid's settings."""
    path = Path(preset) if preset.endswith((".yaml", ".yml")) else preset_path(preset)
    values = read_yaml(path)
    layers: list[Overrides] = [suite.settings]
    if loss is not None:
        layers.append(suite.losses.get(loss, {"loss.name": loss}))
    if motion is not None:
        layers.append(suite.motions.get(motion, {"generator.motion.name": motion}))
    for layer in (*layers, grid.settings):
        values = _apply(values, layer)
    values |= {"steps": grid.steps or suite.steps, "minutes": None, "seed": seed, "device": suite.device}
    where = f"suite {suite.name}, " + " + ".join(filter(None, (Path(preset).stem, motion, loss)))
    config = parse(TrainConfig, values, where)
    if config.generator.first_frame:
        raise ConfigError(
            f"{where}: a model that continues first frames is not comparable with models that get none",
            "train and score it separately: vgbench train, sample --first-frame, eval",
        )
    return config


def _apply(values: dict[str, Any], layer: Overrides) -> dict[str, Any]:
    changes = {key: value for key, value in layer.items() if not key.endswith("+")}
    values = with_overrides(values, [f"{key}={json.dumps(value)}" for key, value in changes.items()])
    added = {key[:-1]: value for key, value in layer.items() if key.endswith("+")}
    return values | {key: [*values.get(key, []), *value] for key, value in added.items()}


def _file_name(name: str) -> str:
    return file_name(name, longest=None)  # cutting a name could make two cells one


def model_key(config: TrainConfig) -> str:
    """A key that is equal for configs whose training step takes equally long."""
    return _training_key(config, {"steps", "seed"} | DOES_NOT_MATTER)


def score_key(suite: Suite, cell: Cell, evaluation: Evaluation) -> str:
    """A key of everything that a score of this cell depends on, except for the bytes of the data."""
    return _key(
        {
            **_made_from(suite, cell),
            "model": cell.former or cell.model,
            "evaluation": evaluation.model_dump(mode="json"),
            "metrics": protocol_of(evaluation).metrics,
        }
    )


def folder_name(suite: Suite, cell: Cell) -> str:
    """Name of the folder for the run and the clips of a cell; different settings have different folders."""
    return f"{cell.name}-{_key(_made_from(suite, cell))[:8]}"


def _made_from(suite: Suite, cell: Cell) -> dict[str, Any]:
    """Everything that the clips of a cell depend on, except for the bytes of the data."""
    data = suite.data[cell.data]
    built_in = [spec for spec in (data.train, data.test) if spec and spec.startswith("builtin:")]
    return {
        "data": [cell.data, data.test_share, *built_in],
        "source": cell.source,
        "training": cell.config and _training_key(cell.config, DOES_NOT_MATTER),
        "sampling": suite.sampling.model_dump(mode="json") if cell.config else None,
        **({"preparation": str(cell.preparation)} if cell.repeated else {}),
    }


def _training_key(config: TrainConfig, without: Iterable[str]) -> str:
    values = config.model_dump(mode="json", exclude=set(without))
    discriminators = [_without_new_defaults(one, NEW_OF_DISCRIMINATORS) for one in values["discriminators"]]
    generator = values["generator"]
    decoder = _without_new_defaults(generator["decoder"], NEW_OF_DECODERS)
    return _key(
        {
            **_without_new_defaults(values, NEW),
            "discriminators": discriminators,
            "generator": {**generator, "decoder": decoder},
        }
    )


NEW = {"augment_target": None, "augment_clips": 500_000, "patience": None}
NEW_OF_DECODERS = {"spectral": False}
NEW_OF_DISCRIMINATORS = {
    "blocks": "plain",
    "deviation": False,
    "bias": True,
    "noise": 0.0,
    "weights": "pytorch",
}
"""Keys that were added after results had been published, with their defaults. Training with the defaults is
what it was before, so they are no part of the keys of published rows."""

CALLED_BEFORE = {now: before for before, now in FORMER_NAMES.items()}
"""Name of a preset -> its former name."""


def _without_new_defaults(values: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in new or value != new[key]}


def _key(parts: Mapping[str, Any]) -> str:
    return content_hash(parts)[:16]


def recorded(folder: Path) -> dict[str, Record]:
    """Score key -> record, for all records of a suite in `folder`.

    Raises:
        VgbenchError: a record is damaged.
    """
    try:
        records = [load_record(path) for path in find_records([folder])]
    except VgbenchError:
        if folder.is_dir() and any(folder.rglob("*.json")):
            raise
        return {}
    found = {}
    for record in records:
        key = record.details.get("bench", {}).get("key")
        if key:
            found[str(key)] = record
    return found
