"""Scores as others printed them: a data file with sources, shown beside measured scores, never among them.

Nobody recorded how these were made down to the clips, so no test can hold them against a measured score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from vgbench.config import NOT_YAML, Config, parse
from vgbench.errors import ConfigError
from vgbench.leaderboard.direction import ARROWS
from vgbench.leaderboard.ranking import Group
from vgbench.named import unknown_name

READ = {
    "source": "read in the source itself",
    "copy": "read in a later work that cites it",
    "thread": "read in a public thread of the code's repository",
}

HOW_TO_READ = (
    "These numbers are as others printed them. They are never ranked, and no measured score compares with "
    "them unless “compares with” names its table: which clips, frames, pixels and weights made them is not "
    "known well enough."
)


class PublishedRow(Config):
    """One number: `error` is whatever the source prints after ±."""

    model: str
    value: float
    error: float | None = None


class PublishedTable(Config):
    """Numbers of one metric that one source gives for one data set under one protocol.

    Attributes:
        dataset: name to ask for it by.
        metric, better: what was measured, and which way is better.
        protocol: what the source says of how.
        source: the paper, file or thread.
        read: where the number was read, see `READ`.
        signature: vgbench signature line that the numbers were made under, where one is known.
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


class _File(Config):
    tables: tuple[PublishedTable, ...]


@cache
def shipped() -> tuple[PublishedTable, ...]:
    """The tables that vgbench ships."""
    text = resources.files("vgbench.leaderboard").joinpath("published.yaml").read_text(encoding="utf-8")
    return _tables(text, "published.yaml")


def load_published(names: Iterable[str]) -> tuple[PublishedTable, ...]:
    """Collect the tables of data sets, or of YAML files laid out like the shipped one.

    Raises:
        ConfigError: an unknown data set, or a file that is not there or damaged.
    """
    found: list[PublishedTable] = []
    for name in names:
        if name.endswith((".yaml", ".yml")):
            try:
                found += _tables(Path(name).read_text(encoding="utf-8"), name)
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{name}: cannot be read ({error})") from error
        else:
            chosen = [table for table in shipped() if table.dataset == name]
            if not chosen:
                known = {table.dataset for table in shipped()}
                raise unknown_name("data set with published scores", name, known)
            found += chosen
    return tuple(found)


def _tables(text: str, where: str) -> tuple[PublishedTable, ...]:
    try:
        values: Any = yaml.safe_load(text)
    except NOT_YAML as error:
        raise ConfigError(f"{where}: not valid YAML ({error})") from error
    return parse(_File, {"tables": values}, where).tables


@dataclass(frozen=True)
class PublishedLine:
    """One line of a report's table "As published", as plain text before any format's escaping."""

    dataset: str
    metric: str
    model: str
    score: str
    protocol: str
    source: str
    comparable: str


HEADER = ("data set", "metric", "model", "score", "protocol, as stated", "source", "compares with")


def published_lines(tables: Sequence[PublishedTable], groups: Sequence[Group]) -> tuple[PublishedLine, ...]:
    """Lay the tables out; the last column names the group of equal signature, if there is one."""
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
    """Source with its protocol -> number, in order of appearance; for tables too narrow to hold them."""
    return {source: place for place, source in enumerate(dict.fromkeys(map(origin, lines)), start=1)}


def origin(line: PublishedLine) -> str:
    """Key of `numbered_sources`."""
    return f"{line.source}. Protocol: {line.protocol}"
