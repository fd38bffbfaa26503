"""Typed suites: which models are trained on which data, and how all of them are scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vgbench.config import Config, parse, read_yaml, with_overrides
from vgbench.errors import ConfigError

Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Overrides = dict[str, Any]
"""Dotted key of `TrainConfig` -> value; `regularisers+` adds to the list that is there."""


class Data(Config):
    """One data set.

    Attributes:
        train: source that models are trained on; None where the user gives it: `--data NAME=PATH`.
        test: source that all are scored against; None holds back a share of `train`. "train" scores against
            the training clips themselves, as some published protocols do.
        test_share: how much is held back: the last clips of each class in the order of their ids, so that
            neighbours (the same person, the mirrored copy) stay on one side.
        about: what it is and where to get it, for the message that it is missing.
    """

    train: str | None = None
    test: str | None = None
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    about: str = ""


class Sampling(Config):
    """Clips that are drawn from every trained model, from its last moving average.

    Attributes:
        clips: how many.
        seed: of the latents.
    """

    clips: Positive = 256
    seed: Seed = 0


class Evaluation(Config):
    """One protocol that every row is scored under; arguments of `vgbench.evaluate`."""

    protocol: str = "quick"
    metrics: tuple[str, ...] = ()
    extractor: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class Models(Config):
    """A grid: every preset × loss × motion module × seed × data set of the lists.

    Attributes:
        presets: names, or YAML files.
        losses, motions: names of the suite's `losses` and `motions`, or of vgbench's own; the preset's
            where the list is empty.
        seeds: one training run each.
        data: names of the suite's `data`.
        steps: of the generator, instead of the suite's.
        settings: changes to all of them, applied last.
        role: "control" is listed in tables without a rank.
    """

    presets: Annotated[tuple[str, ...], Field(min_length=1)]
    losses: tuple[str, ...] = ()
    motions: tuple[str, ...] = ()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    data: Annotated[tuple[str, ...], Field(min_length=1)]
    steps: Positive | None = None
    settings: Overrides = Field(default_factory=dict)
    role: Literal["model", "control"] = "model"


class Reference(Config):
    """A row that nothing is trained for.

    Attributes:
        name: in tables.
        source: "train" or "test" of the data set, `distort:NAME=STRENGTH:train`, or what `eval` takes.
        data: names of the suite's `data`; all of them where the list is empty.
        role: "real" and "control" are listed without a rank.
    """

    name: str
    source: str
    data: tuple[str, ...] = ()
    role: Literal["real", "control"] = "control"


class Suite(Config):
    """The whole benchmark.

    Attributes:
        name: of folders and records.
        title: heading of the leaderboard.
        data: data set -> where it is.
        losses, motions: name -> what it changes in a preset.
        steps: of the generator, the same for all models.
        settings: changes to every preset, applied first.
        sampling: clips drawn from each model.
        evaluations: protocols.
        models, references: the rows.
        primary: metric that orders tables.
        results: folder for records and tables; `results/NAME` unless given.
        device: for training and extractors, see `device_of`; "auto" takes a GPU where there is one.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str = "Leaderboard"
    data: Annotated[dict[str, Data], Field(min_length=1)]
    losses: dict[str, Overrides] = Field(default_factory=dict)
    motions: dict[str, Overrides] = Field(default_factory=dict)
    steps: Positive
    settings: Overrides = Field(default_factory=dict)
    sampling: Sampling = Sampling()
    evaluations: Annotated[tuple[Evaluation, ...], Field(min_length=1)] = (Evaluation(),)
    models: tuple[Models, ...] = ()
    references: tuple[Reference, ...] = ()
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
            raise ValueError("neither models nor references: there is nothing to score")
        return self


def read_suite(path: str | Path, settings: list[str] | None = None, data: list[str] | None = None) -> Suite:
    """Read a suite.

    Args:
        path: YAML file.
        settings: `a.b=value` changes (`--set`).
        data: `NAME=PATH` for data sets of the suite; a folder with `train.csv` and `test.csv`, as
            `vgbench data prepare` makes them, gives both sides. `NAME.test=PATH` gives the test side.

    Raises:
        ConfigError: names the key and what is allowed.
    """
    suite = parse(Suite, with_overrides(read_yaml(Path(path)), settings or ()), str(path))
    given = dict(suite.data)
    for entry in data or ():
        name, equals, place = entry.partition("=")
        name, _, side = name.partition(".")
        if not equals or not place or side not in ("", "train", "test"):
            raise ConfigError(f"--data {entry}: expected NAME=PATH or NAME.test=PATH")
        if name not in given:
            raise ConfigError(
                f"--data {entry}: this suite has no data '{name}'", f"it has {', '.join(given)}"
            )
        found = {"train": Path(place) / "train.csv", "test": Path(place) / "test.csv"}
        if not side and all(file.is_file() for file in found.values()):
            changes = {key: str(file) for key, file in found.items()}
        else:
            changes = {side or "train": place}
        given[name] = given[name].model_copy(update=changes)
    return suite.model_copy(update={"data": given})
