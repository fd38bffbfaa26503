"""Suites: which models are trained on which data, and how all of them are scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vgbench.clips.axes import GivenAxes
from vgbench.clips.value_range import GivenRange
from vgbench.config import Config, parse, read_yaml, with_overrides
from vgbench.errors import ConfigError

Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Overrides = dict[str, Any]
"""Dotted key of `TrainConfig` -> value; `regularisers+` adds to the list that is there."""


class SuiteData(Config):
    """One data set.

    Attributes:
        train: source of the clips to train on; None if the user has to give it by `--data NAME=PATH`.
        test: source of the clips to score against; None holds back a share of `train`. With "train", models
            are scored against the training clips themselves, as in some published protocols.
        test_share: the share that is held back: the last clips of each class, ordered by id, so that
            neighbours (the same person, a mirrored copy) stay in one split.
        value_range: range of float arrays in both, and in references, such as [0, 1].
        axes: names of the axes of these arrays, such as TNHW; see `vgbench.clips.axes`.
        about: what the data set is and where to get it, for the message that it is missing.
    """

    train: str | None = None
    test: str | None = None
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    value_range: GivenRange = None
    axes: GivenAxes | None = None
    about: str = ""


class Sampling(Config):
    """Clips that are sampled from the last moving average of every trained model.

    Attributes:
        clips: number of clips.
        seed: seed of the latents.
    """

    clips: Positive = 256
    seed: Seed = 0


class Evaluation(Config):
    """One protocol under which every row is scored; the fields are arguments of `vgbench.evaluate`."""

    protocol: str = "quick"
    metrics: tuple[str, ...] = ()
    extractor: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class ModelGrid(Config):
    """A grid: every combination of preset, loss, motion module, seed and data set of the lists.

    Attributes:
        presets: names, or YAML files.
        losses, motions: names of the suite's `losses` and `motions`, or of vgbench's own; if the list is
            empty, that of the preset is used.
        seeds: one training run each.
        data: names of the suite's `data`.
        steps: generator steps; overrides those of the suite.
        settings: changes to all of them, applied last.
        role: "control" makes unranked reference rows.
    """

    presets: Annotated[tuple[str, ...], Field(min_length=1)]
    losses: tuple[str, ...] = ()
    motions: tuple[str, ...] = ()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    data: Annotated[tuple[str, ...], Field(min_length=1)]
    steps: Positive | None = None
    settings: Overrides = Field(default_factory=dict)
    role: Literal["model", "control"] = "model"


class UntrainedRow(Config):
    """A reference row for which nothing is trained.

    Attributes:
        name: name in tables.
        source: "train" or "test" of the data set, `distort:NAME=STRENGTH:train`, or any source that `eval`
            takes.
        data: names of the suite's `data`; all of them if the list is empty.
        role: the kind of reference row; neither is ranked.
    """

    name: str
    source: str
    data: tuple[str, ...] = ()
    role: Literal["real", "control"] = "control"


class Suite(Config):
    """The whole benchmark.

    Attributes:
        name: name used for folders and records.
        title: heading of the leaderboard.
        data: data set -> its sources.
        losses, motions: name -> the settings that it stands for.
        steps: generator steps, the same for all models.
        settings: changes to every preset, applied first.
        sampling: clips that are sampled from each model.
        evaluations: protocols.
        models, references: the rows that are trained, and those that are not.
        primary: metric that orders the tables.
        results: folder for records and tables; `results/NAME` by default.
        device: for training and extractors, see `device_of`; "auto" uses a GPU if there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = "Leaderboard"
    data: Annotated[dict[str, SuiteData], Field(min_length=1)]
    losses: dict[str, Overrides] = Field(default_factory=dict)
    motions: dict[str, Overrides] = Field(default_factory=dict)
    steps: Positive
    settings: Overrides = Field(default_factory=dict)
    sampling: Sampling = Sampling()
    evaluations: Annotated[tuple[Evaluation, ...], Field(min_length=1)] = (Evaluation(),)
    models: tuple[ModelGrid, ...] = ()
    references: tuple[UntrainedRow, ...] = ()
    primary: str = "fvd"
    results: str | None = None
    device: str = "auto"

    @model_validator(mode="after")
    def _known_data(self) -> Suite:
        named = [name for grid in self.models for name in grid.data]
        named += [name for row in self.references for name in row.data]
        if unknown := [name for name in named if name not in self.data]:
            raise ValueError(f"data '{unknown[0]}' is not one of {', '.join(self.data)}")
        if not self.models and not self.references:
            raise ValueError("neither models nor references, so there is nothing to score")
        return self


def read_suite(path: str | Path, settings: list[str] | None = None, data: list[str] | None = None) -> Suite:
    """Read a suite.

    Args:
        path: YAML file.
        settings: `a.b=value` changes (`--set`).
        data: `NAME=PATH` for data sets of the suite. A folder with `train.csv` and `test.csv`, as made by
            `vgbench data prepare`, gives both splits, and `NAME.test=PATH` gives the test split.

    Raises:
        ConfigError: a key or value is not valid; the message names it and what is allowed.
    """
    suite = parse(Suite, with_overrides(read_yaml(Path(path)), settings or ()), str(path))
    given = dict(suite.data)
    for entry in data or ():
        name, equals, place = entry.partition("=")
        name, _, split = name.partition(".")
        if not equals or not place or split not in ("", "train", "test"):
            raise ConfigError(f"--data {entry}: expected NAME=PATH or NAME.test=PATH")
        if name not in given:
            raise ConfigError(
                f"--data {entry}: this suite has no data set '{name}'", f"it has {', '.join(given)}"
            )
        folder = Path(place).expanduser()
        found = {"train": folder / "train.csv", "test": folder / "test.csv"}
        if not split and all(file.is_file() for file in found.values()):
            changes = {key: str(file) for key, file in found.items()}
        else:
            changes = {split or "train": place}
        given[name] = given[name].model_copy(update=changes)
    return suite.model_copy(update={"data": given})
