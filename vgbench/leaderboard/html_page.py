"""Leaderboard as one self-contained HTML page: no network, no script but its own, every text escaped."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vgbench
from vgbench.leaderboard import thumbnails
from vgbench.leaderboard.direction import ARROWS, WORDS, badness
from vgbench.leaderboard.history import History, row_history
from vgbench.leaderboard.plots import (
    Bars,
    Curve,
    Trend,
    Whisker,
    column_axis,
    curves,
    flow_bars,
    is_number,
    motion_curves,
    motion_tops,
    short,
    trend,
    whisker,
)
from vgbench.leaderboard.published import HOW_TO_READ, PublishedLine
from vgbench.leaderboard.ranking import Cell, Column, Group, Row, explain
from vgbench.leaderboard.reproduce import eval_command, sample_command, train_config
from vgbench.leaderboard.rounding import interval_text, number, p_text, with_error
from vgbench.leaderboard.table import column_decimals, footnotes, reading_notes
from vgbench.leaderboard.thumbnails import Album, Picture
from vgbench.metrics import METRICS
from vgbench.metrics.score import Score
from vgbench.results import Record

if TYPE_CHECKING:
    import jinja2

MOST_SKIPPED = 50
"""Skipped clips listed for one side; the record names all of them."""

ROLES = {"model": "", "real": "reference: real clips", "control": "control"}


@dataclass(frozen=True)
class ColumnView:
    """Heading of one metric: names, direction, and the ends of the axis that its whiskers share."""

    name: str
    title: str
    arrow: str
    words: str
    ends: tuple[str, str] | None
    decimals: int
    width: int


@dataclass(frozen=True)
class CellView:
    """One score as text; `order` sorts the best first, `padding` lines up the decimal points of a column."""

    metric: str
    number: str
    error: str
    plain: str
    real: str
    interval: str
    n: int
    method: str
    padding: str
    best: bool
    rank: int | None
    order: str
    whisker: Whisker | None


@dataclass(frozen=True)
class RowView:
    """One model: its line in the table and its part of the page."""

    id: str
    rank: str
    shared: bool
    model: str
    role: str
    tied: str
    tied_short: str
    cells: list[CellView | None]
    pictures: list[Picture]
    record: Record
    runs: list[dict[str, str]]
    trend: Trend | None
    curves: list[Curve]
    motion: list[Curve]
    bars: list[Bars]
    motion_windows: int
    costs: list[tuple[str, str]]
    command: str
    sample_command: str
    train_config: str
    link: str


@dataclass(frozen=True)
class GroupView:
    """One table with everything that belongs to it."""

    id: str
    name: str
    signature: str
    hash: str
    fields: tuple[tuple[str, str], ...]
    primary: str
    columns: list[ColumnView]
    rows: list[RowView]
    notes: list[str]
    footnotes: list[str]
    pairs: list[dict[str, Any]]
    real_pictures: list[Picture]
    real_source: str
    protocol: str
    scatter: dict[str, Any]


def render_html(
    groups: Sequence[Group],
    title: str = "Leaderboard",
    published: Sequence[PublishedLine] = (),
    links: Mapping[Path, str] | None = None,
    downloads: Sequence[str] = (),
) -> str:
    """Write the page: tables, plots, one part a model with its thumbnails, at most about 5 MB.

    Args:
        groups: of `ranking.rank`.
        title: heading.
        published: scores as others printed them, shown in a section of their own.
        links: record file -> URL relative to the page, where it is published beside its records; without
            it, and without `downloads`, the page stands alone and names no other file.
        downloads: URLs of the same tables as files.
    """
    album = thumbnails.collect(groups)
    views = [_group(f"g{index}", group, album, links or {}) for index, group in enumerate(groups, start=1)]
    style, script = _file("page.css"), _file("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            groups=views,
            metrics=_metrics(groups),
            differing=explain(groups),
            models=len({row.model for group in groups for row in group.models}),
            made=dt.datetime.now(dt.UTC).date().isoformat(),
            version=vgbench.__version__,
            over_budget=album.over_budget,
            unusable=album.unusable,
            downloads=downloads,
            published=published,
            published_note=HOW_TO_READ,
            most_skipped=MOST_SKIPPED,
            style=style,
            script=script,
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
        )
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("vgbench.leaderboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _file(name: str) -> str:
    return resources.files("vgbench.leaderboard").joinpath("templates", name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """Source expression that lets a browser run exactly this text and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _group(identity: str, group: Group, album: Album, links: Mapping[Path, str]) -> GroupView:
    key = group.signature.short_hash
    columns = [_column(group, column) for column in group.columns]
    newest = group.rows[0].record
    tops, pictures = motion_tops(group.rows), album.generated
    return GroupView(
        id=identity,
        name=group.name,
        signature=str(group.signature),
        hash=key,
        fields=group.signature.fields,
        primary=group.primary,
        columns=columns,
        rows=[
            _row(
                f"{identity}-{index}",
                group,
                row,
                columns,
                tops,
                pictures[key, row.model],
                links,
            )
            for index, row in enumerate(group.rows, start=1)
        ],
        notes=reading_notes(group),
        footnotes=footnotes(group),
        pairs=_pairs(group),
        real_pictures=album.real.get(key, []),
        real_source=newest.clips.real.source,
        protocol=_yaml(newest.protocol),
        scatter=_scatter(group),
    )


def _column(group: Group, column: Column) -> ColumnView:
    axis = column_axis(group, column)
    decimals = column_decimals(group, column)
    estimates = [r.cells[column.name].score.best_estimate for r in group.rows if column.name in r.cells]
    return ColumnView(
        name=column.name,
        title=_title(column.name),
        arrow=ARROWS[column.better],
        words=WORDS[column.better],
        ends=(number(axis.low, decimals), number(axis.high, decimals)) if axis else None,
        decimals=decimals,
        width=max(len(number(s, decimals)) for s in estimates),
    )


def _row(
    identity: str,
    group: Group,
    row: Row,
    columns: Sequence[ColumnView],
    tops: Mapping[str, float],
    pictures: list[Picture],
    links: Mapping[Path, str],
) -> RowView:
    past = row_history(group, row)
    cells = [
        _cell(group, column, view, row.cells[column.name]) if column.name in row.cells else None
        for column, view in zip(group.columns, columns, strict=True)
    ]
    shared = sum(other.rank == row.rank for other in group.models) > 1
    return RowView(
        id=identity,
        rank="—" if row.rank is None else str(row.rank),
        shared=shared and row.rank is not None,
        model=row.model,
        role=ROLES[row.role],
        tied=", ".join(row.tied_with),
        tied_short=", ".join(row.tied_with) if len(row.tied_with) <= 2 else f"{len(row.tied_with)} others",
        cells=cells,
        pictures=pictures,
        record=row.record,
        runs=_runs(past, columns[0].decimals) if row.history and columns else [],
        trend=trend(past),
        curves=curves(row.record.details),
        motion=motion_curves(row.record.details, tops),
        bars=flow_bars(row.record.details),
        motion_windows=_motion_windows(row.record),
        costs=[(_words(name), short(row.record.details[name])) for name in _costs([row])],
        command=eval_command(row.record),
        sample_command=sample_command(row.record),
        train_config=train_config(row.record),
        link=links.get(row.path, "") if row.path else "",
    )


def _cell(group: Group, column: Column, view: ColumnView, cell: Cell) -> CellView:
    axis = column_axis(group, column)
    score = cell.score
    order = badness(score, column.better)
    text = number(score.best_estimate, view.decimals)
    return CellView(
        metric=column.name,
        number=text,
        padding="\N{FIGURE SPACE}" * (view.width - len(text)),
        error="" if score.standard_error is None else number(score.standard_error, view.decimals),
        plain="" if score.debiased is None else number(score.value, view.decimals),
        real="" if score.real is None else number(score.real, view.decimals),
        interval=interval_text(score.interval, view.decimals),
        n=score.n,
        method=score.method,
        best=cell.best,
        rank=cell.rank,
        order=repr(order) if is_number(order) else "",
        whisker=whisker(cell, axis) if axis else None,
    )


def _runs(past: History, decimals: int) -> list[dict[str, str]]:
    """Lines of a model's table of runs, the newest first."""
    return [
        {
            "created": run.record.created[:16].replace("T", " "),
            "score": with_error(run.score, decimals) if run.score else "–",
            "interval": interval_text(run.score.interval if run.score else None, decimals),
            "change": number(run.change.value, decimals) if run.change else "",
            "verdict": run.verdict,
        }
        for run in reversed(past.runs)
    ]


def _pairs(group: Group) -> list[dict[str, Any]]:
    """Tests behind the ranks of the primary metric."""
    decimals = column_decimals(group, group.columns[0]) if group.columns else 0
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "difference": number(pair.difference.value, decimals),
            "interval": interval_text(pair.difference.interval, decimals),
            "p": p_text(pair.p_adjusted),
            "significant": pair.significant,
        }
        for pair in group.pairs
        if pair.metric == group.primary
    ]


def _scatter(group: Group) -> dict[str, Any]:
    """Data for the trade-off plot: axes to choose from (metrics, then costs), and one point a row."""
    costs = _costs(group.rows)
    axes = [{"key": c.name, "label": _title(c.name), "better": c.better} for c in group.columns]
    axes += [{"key": cost, "label": _words(cost), "better": "lower"} for cost in costs]
    points = []
    for row in group.rows:
        values = {name: _point(cell.score) for name, cell in row.cells.items()}
        values |= {
            name: [row.record.details[name]] for name in costs if is_number(row.record.details.get(name))
        }
        points.append({"name": row.model, "role": row.role, "values": {k: v for k, v in values.items() if v}})
    return {"axes": axes, "points": points, "across": next(iter(costs), None)}


def _costs(rows: Iterable[Row]) -> list[str]:
    """Names of the plain numbers in the rows' details."""
    named = (name for row in rows for name, value in row.record.details.items() if is_number(value))
    return list(dict.fromkeys(named))


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("gmac", "GMAC")


def _motion_windows(record: Record) -> int:
    motion = record.details.get("motion")
    windows = motion.get("windows") if isinstance(motion, Mapping) else None
    counts = windows.values() if isinstance(windows, Mapping) else ()
    return max((int(count) for count in counts if is_number(count)), default=0)


def _point(score: Score) -> list[float]:
    """[estimate] or [estimate, low, high]; empty where not finite."""
    values = [score.best_estimate, *(score.interval or ())]
    return values if all(map(is_number, values)) else values[:1] * is_number(values[0])


def _metrics(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """(name, title) of every metric in the page, for the choice of order."""
    names = dict.fromkeys(column.name for group in groups for column in group.columns)
    return [(name, _title(name)) for name in names]


def _title(name: str) -> str:
    metric = METRICS.get(name)
    return metric.title if metric else name.replace("_", " ")


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
