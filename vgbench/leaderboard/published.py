"""Scores as published by others: a data file with sources, shown beside measured scores but never ranked.

How these scores were made is not recorded in every detail, so no test can compare them with measured scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal

from vgbench.config import Config, parse, read_yaml_values
from vgbench.leaderboard.ranking import Group
from vgbench.metrics.direction import ARROWS
from vgbench.named import unknown_name
from vgbench.pages.text_table import TextTable, text_table

READ = {
    "source": "read in the source itself",
    "copy": "read in a later work that cites it",
    "thread": "read in a public discussion of the code's repository",
}

HOW_TO_READ = (
    "These numbers are as published by others. They are never ranked, and they are not comparable with any "
    "measured score unless “comparable with” names its table: too little is known about the clips, frames, "
    "pixels and weights behind them."
)


class PublishedRow(Config):
    """One number; `error` is whatever the source states after ±."""

    model: str
    value: float
    error: float | None = None


class PublishedTable(Config):
    """Numbers of one metric that one source states for one data set under one protocol.

    Attributes:
        dataset: name by which users ask for it.
        metric, better: what was measured, and which direction is better.
        protocol: what the source says about the measurement.
        source: the paper, file or discussion.
        read: where the number was read, see `READ`.
        signature: vgbench signature under which the numbers were made, if one is known.
        rows: in the order of the source.
    """

    dataset: str
    metric: str
    better: Literal["lower", "higher", "real"]
    protocol: str
    source: str
    read: Literal["source", "copy", "thread"]
    signature: str | None = None
    rows: tuple[PublishedRow, ...]


class PublishedFile(Config):
    """A YAML file of published scores: a list of tables."""

    tables: tuple[PublishedTable, ...]


@cache
def shipped() -> tuple[PublishedTable, ...]:
    """The tables that vgbench ships."""
    return _read(resources.files("vgbench.leaderboard") / "published.yaml")


def load_published(names: Iterable[str]) -> tuple[PublishedTable, ...]:
    """Collect the tables of data sets, or of YAML files in the layout of the shipped one.

    Raises:
        ConfigError: an unknown data set, or a file that does not exist or is damaged.
    """
    found: list[PublishedTable] = []
    for name in names:
        if name.endswith((".yaml", ".yml")):
            found += _read(Path(name))
        else:
            chosen = [table for table in shipped() if table.dataset == name]
            if not chosen:
                known = {table.dataset for table in shipped()}
                raise unknown_name("data set with published scores", name, known)
            found += chosen
    return tuple(found)


def _read(path: Path | Traversable) -> tuple[PublishedTable, ...]:
    return parse(PublishedFile, {"tables": read_yaml_values(path)}, str(path)).tables


@dataclass(frozen=True)
class PublishedLine:
    """One line of a report's table of published scores, as plain text before any format's escaping."""

    dataset: str
    metric: str
    model: str
    score: str
    protocol: str
    source: str
    comparable: str

    @property
    def origin(self) -> str:
        """The source together with the protocol that it states."""
        return f"{self.source}. Protocol: {self.protocol}"


HEADER = ("data set", "metric", "model", "score", "protocol, as stated", "source", "comparable with")


def published_lines(tables: Sequence[PublishedTable], groups: Sequence[Group]) -> tuple[PublishedLine, ...]:
    """Lay the tables out; the last column names the group with an equal signature, if there is one."""
    hashes = {str(group.signature): group.signature.short_hash for group in groups}
    return tuple(
        PublishedLine(
            table.dataset,
            f"{table.metric} {ARROWS[table.better]}",
            row.model,
            f"{row.value:.10g}" + ("" if row.error is None else f" ± {row.error:g}"),
            table.protocol,
            f"{table.source}; {READ[table.read]}",
            hashes.get(table.signature or "", "none here"),
        )
        for table in tables
        for row in table.rows
    )


def numbered_sources(lines: Sequence[PublishedLine]) -> dict[str, int]:
    """Number the sources in order of appearance, for tables that are too narrow to hold them."""
    return {
        origin: place for place, origin in enumerate(dict.fromkeys(line.origin for line in lines), start=1)
    }


def numbered_table(lines: Sequence[PublishedLine]) -> TextTable:
    """Lay the lines out with the number of each source in place of the source."""
    sources = numbered_sources(lines)
    rows = [
        (line.dataset, line.metric, line.model, line.score, str(sources[line.origin]), line.comparable)
        for line in lines
    ]
    header = ("data set", "metric", "model", "score", "source", HEADER[-1])
    return text_table(header, ((row, False) for row in rows))
