"""What several commands print: a record, a curve of records, warnings of records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vgbench.commands import console

if TYPE_CHECKING:
    from vgbench.clips.clip import ClipSource
    from vgbench.records.record import Record

MOST_SKIPPED = 5
"""Skipped clips of one side that are named; the record has them all."""


def print_record(record: Record, results: Path | None, as_json: bool) -> None:
    """Print a record as a table, with its signature, its warnings and where it was saved; or as JSON."""
    if as_json:
        console.print_json(record.to_json())
        return
    from vgbench.clips.suffixes import describe
    from vgbench.leaderboard.table import differs_notes
    from vgbench.leaderboard.terminal import record_table

    console.stdout.print(record_table(record))
    for note in differs_notes(record.scores, record.details):
        typer.echo(note)
    typer.echo(f"signature  {record.signature}")
    if results is not None:
        typer.echo(f"saved      {results / (record.stem + '.json')}")
    _print_warnings([record])
    for side in (record.clips.generated, record.clips.real):
        if side.left_out:
            console.print_hint(f"{side.source}: {describe(side.left_out)}")
        for entry in side.skipped[:MOST_SKIPPED]:
            console.print_warning("skipped", f"{entry.path}: {entry.reason}")
        if len(side.skipped) > MOST_SKIPPED:
            more = len(side.skipped) - MOST_SKIPPED
            console.print_warning("skipped", f"… and {more} more, which the record names")
    if results is not None:
        console.print_hint(f"compare: vgbench report {results}")


def print_notes(source: ClipSource | str) -> None:
    """Print what a user should know of how a source was read; nothing for a statistics file."""
    if not isinstance(source, str):
        for note in source.notes:
            console.print_hint(note)


def print_curve(records: Mapping[int, Record], as_json: bool) -> None:
    """Print the scores of `evaluate_over_time` as a table with a row for each time, or as JSON."""
    from vgbench.evaluation.over_time import curve
    from vgbench.leaderboard.terminal import curve_table

    if as_json:
        console.print_json(curve(records))
        return
    console.stdout.print(curve_table(records))
    _print_warnings(records.values())


def _print_warnings(records: Iterable[Record]) -> None:
    """Print the warnings of records, and the metrics that could not be scored; the same text only once."""
    records = list(records)
    for code, text in dict.fromkeys(warning for record in records for warning in record.warnings):
        console.print_warning(code, text)
    unscored = (record.details.get("unscored", {}).items() for record in records)
    for metric, reason in dict.fromkeys(entry for entries in unscored for entry in entries):
        console.print_warning("left-out", f"{metric}: {reason}")


def print_changed_records(records: Iterable[Record]) -> None:
    """Name the records that are not what an evaluation wrote."""
    from vgbench.records.record import ALTERED

    for code, text in dict.fromkeys(warning for record in records for warning in record.warnings):
        if code in ALTERED:
            console.print_warning(code, text)
