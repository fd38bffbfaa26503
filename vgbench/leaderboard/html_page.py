"""Leaderboard as one self-contained HTML page: no network, no script but its own, every text escaped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import vgbench
from vgbench.leaderboard import thumbnails
from vgbench.leaderboard.direction import ARROWS, WORDS, badness
from vgbench.leaderboard.history import History, row_history
from vgbench.leaderboard.plots import (
    Bars,
    Curve,
    Trend,
    curves,
    flow_bars,
    is_number,
    motion_curves,
    motion_tops,
    short,
    trend,
)
from vgbench.leaderboard.published import HOW_TO_READ, PublishedLine
from vgbench.leaderboard.ranking import Cell, Column, Group, Row, explain
from vgbench.leaderboard.reproduce import eval_command, sample_command, train_config
from vgbench.leaderboard.rounding import decimals_for_difference, interval_text, number, p_text, with_error
from vgbench.leaderboard.table import column_decimals, footnotes, reading_notes
from vgbench.leaderboard.tradeoffs import costs, measures, metric_title, tradeoffs, words
from vgbench.leaderboard.whiskers import Whisker, column_axis, whisker
from vgbench.pages.svg import svg
from vgbench.pages.templates import csp_hash, templates
from vgbench.records.record import Record

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
class PlotView:
    """One plot of a model; `keys` are the kinds of clips that it tells apart."""

    title: str
    keys: tuple[str, ...]
    svg: str
    note: str = ""


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
    record: Record
    runs: list[dict[str, str]]
    plots: list[PlotView]
    motion: list[PlotView]
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
    real_source: str
    protocol: str
    measures: list[str]
    tradeoffs: dict[tuple[int, int], str]
    first_tradeoff: tuple[int, int]

    @property
    def plot_bytes(self) -> int:
        """Size of all plots."""
        plots = [plot.svg for row in self.rows for plot in (*row.plots, *row.motion)]
        return sum(map(len, (*plots, *self.tradeoffs.values())))


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
    views = [_group(f"g{index}", group, links or {}) for index, group in enumerate(groups, start=1)]
    album = thumbnails.collect(groups, thumbnails.BUDGET - sum(view.plot_bytes for view in views))
    style, script = _file("page.css"), _file("page.js")
    return (
        templates("vgbench.leaderboard")
        .get_template("page.html")
        .render(
            title=title,
            groups=views,
            metrics=_metrics(groups),
            differing=explain(groups),
            models=len({row.model for group in groups for row in group.models}),
            album=album,
            made=dt.datetime.now(dt.UTC).date().isoformat(),
            version=vgbench.__version__,
            downloads=downloads,
            published=published,
            published_note=HOW_TO_READ,
            most_skipped=MOST_SKIPPED,
            style=style,
            script=script,
            style_hash=csp_hash(style),
            script_hash=csp_hash(script),
        )
    )


def _file(name: str) -> str:
    return resources.files("vgbench.leaderboard").joinpath("templates", name).read_text(encoding="utf-8")


def _group(identity: str, group: Group, links: Mapping[Path, str]) -> GroupView:
    columns = [_column(group, column) for column in group.columns]
    newest = group.rows[0].record
    tops = motion_tops(group.rows)
    scatters = tradeoffs(group)
    shown = measures(group)
    return GroupView(
        id=identity,
        name=group.name,
        signature=str(group.signature),
        hash=group.signature.short_hash,
        fields=group.signature.fields,
        primary=group.primary,
        columns=columns,
        rows=[
            _row(f"{identity}-{index}", group, row, columns, tops, links)
            for index, row in enumerate(group.rows, start=1)
        ],
        notes=reading_notes(group),
        footnotes=footnotes(group),
        pairs=_pairs(group),
        real_source=newest.clips.real.source,
        protocol=_yaml(newest.protocol),
        measures=[measure.title for measure in shown],
        tradeoffs={
            pair: svg(plot.draw, (500, 380), (62, 16, 12, 42), f"{identity}-{pair}", plot.words())
            for pair, plot in scatters.items()
        },
        first_tradeoff=next(
            (pair for pair, plot in scatters.items() if plot.across.is_cost), next(iter(scatters), (0, 0))
        ),
    )


def _column(group: Group, column: Column) -> ColumnView:
    axis = column_axis(group, column)
    decimals = column_decimals(group, column)
    estimates = [r.cells[column.name].score.best_estimate for r in group.rows if column.name in r.cells]
    return ColumnView(
        name=column.name,
        title=metric_title(column.name),
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
    links: Mapping[Path, str],
) -> RowView:
    past, details = row_history(group, row), row.record.details
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
        record=row.record,
        runs=_runs(past, columns[0].decimals) if row.history and columns else [],
        plots=_plots(f"{identity}-a", filter(None, (trend(past), *curves(details)))),
        motion=_plots(f"{identity}-b", (*motion_curves(details, tops), *flow_bars(details))),
        motion_windows=_motion_windows(row.record),
        costs=[(words(name), short(details[name])) for name in costs([row])],
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
            "change": number(run.change.value, decimals_for_difference(run.change, decimals))
            if run.change
            else "",
            "verdict": run.verdict,
        }
        for run in reversed(past.runs)
    ]


def _pairs(group: Group) -> list[dict[str, Any]]:
    """Tests behind the ranks of the primary metric."""
    least = column_decimals(group, group.columns[0]) if group.columns else 0
    found = []
    for pair in group.pairs:
        if pair.metric != group.primary:
            continue
        decimals = decimals_for_difference(pair.difference, least)
        found.append(
            {
                "first": pair.first,
                "second": pair.second,
                "difference": number(pair.difference.value, decimals),
                "interval": interval_text(pair.difference.interval, decimals),
                "p": p_text(pair.p_adjusted),
                "significant": pair.significant,
            }
        )
    return found


def _plots(identity: str, plots: Iterable[Trend | Curve | Bars]) -> list[PlotView]:
    found = []
    for index, plot in enumerate(plots):
        drawn = svg(plot.draw, (304, 150), (52, 14, 8, 34), f"{identity}{index}", plot.words())
        found.append(PlotView(plot.title, plot.keys, drawn, plot.note))
    return found


def _motion_windows(record: Record) -> int:
    motion = record.details.get("motion")
    windows = motion.get("windows") if isinstance(motion, Mapping) else None
    counts = windows.values() if isinstance(windows, Mapping) else ()
    return max((int(count) for count in counts if is_number(count)), default=0)


def _metrics(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """(name, title) of every metric in the page, for the choice of order."""
    names = dict.fromkeys(column.name for group in groups for column in group.columns)
    return [(name, metric_title(name)) for name in names]


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
