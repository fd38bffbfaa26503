"""The leaderboard as one HTML page: no network, no script but its own, and every text escaped."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import vgbench
from vgbench.config import yaml_text
from vgbench.leaderboard import thumbnails
from vgbench.leaderboard.history import row_history
from vgbench.leaderboard.plots import (
    Bars,
    Curve,
    Trend,
    curves,
    flow_bars,
    is_number,
    motion_curves,
    motion_tops,
    trend,
)
from vgbench.leaderboard.published import HOW_TO_READ, PublishedLine
from vgbench.leaderboard.ranking import Column, Group, RankedScore, Row, explain
from vgbench.leaderboard.reproduce import eval_command, sample_command, train_config
from vgbench.leaderboard.rounding import interval_text
from vgbench.leaderboard.table import (
    column_decimals,
    footnotes,
    is_corrected,
    pairs_table,
    plain_first,
    reading_notes,
    runs_table,
)
from vgbench.leaderboard.tradeoffs import cost_title, costs, measures, metric_title, tradeoffs
from vgbench.leaderboard.whiskers import Whisker, column_axis, whisker
from vgbench.metrics.differs import MARK, differs
from vgbench.metrics.direction import ARROWS, WORDS, badness
from vgbench.pages.numbers import number, significant
from vgbench.pages.svg import svg
from vgbench.pages.templates import render_page
from vgbench.pages.text_table import TextTable
from vgbench.records.record import Record

MOST_SKIPPED = 50
"""Skipped clips that are listed for one side; the record names all of them."""

ROLES = {"model": "", "real": "reference row: real clips", "control": "reference row: control"}


@dataclass(frozen=True)
class ColumnView:
    """Heading of one metric: names, direction, and the ends of the axis that its interval bars share."""

    name: str
    title: str
    arrow: str
    words: str
    ends: tuple[str, str] | None
    decimals: int
    width: int


@dataclass(frozen=True)
class CellView:
    """One score as text; `order` sorts the best first, `padding` aligns the decimal points of a column.

    `note` is shown below the primary score: its interval, and the plain value if the score is corrected.
    """

    metric: str
    number: str
    error: str
    plain: str
    real: str
    interval: str
    note: str
    n: int
    method: str
    padding: str
    best: bool
    rank: int | None
    order: str
    whisker: Whisker | None


@dataclass(frozen=True)
class PlotView:
    """One plot of a model; `keys` are the entries of its legend."""

    title: str
    keys: tuple[str, ...]
    svg: str
    note: str = ""


@dataclass(frozen=True)
class RowView:
    """One model: its row in the table and its section of the page."""

    id: str
    rank: str
    shared: bool
    model: str
    role: str
    tied: str
    tied_short: str
    cells: list[CellView | None]
    record: Record
    runs: TextTable | None
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
    primary: str
    columns: list[ColumnView]
    rows: list[RowView]
    notes: list[str]
    footnotes: list[str]
    pairs: TextTable
    real_source: str
    protocol: str
    measures: list[str]
    tradeoffs: dict[tuple[int, int], str]
    first_tradeoff: tuple[int, int]

    @property
    def plot_bytes(self) -> int:
        """Size of all plots in characters."""
        plots = [plot.svg for row in self.rows for plot in (*row.plots, *row.motion)]
        return sum(map(len, (*plots, *self.tradeoffs.values())))


def render_html(
    groups: Sequence[Group],
    title: str = "Leaderboard",
    published: Sequence[PublishedLine] = (),
    links: Mapping[Path, str] | None = None,
    downloads: Sequence[str] = (),
) -> str:
    """Write the page: tables, plots, and a section for each model with its thumbnails, of at most about 5 MB.

    Args:
        groups: from `ranking.rank`.
        title: heading.
        published: published scores, shown in a section of their own.
        links: record file -> URL relative to the page, if the page is published beside its records. Without
            `links` and `downloads` the page stands alone and names no other file.
        downloads: URLs of the same tables as files.
    """
    views = [_group(f"g{index}", group, links or {}) for index, group in enumerate(groups, start=1)]
    album = thumbnails.collect(groups, thumbnails.BUDGET - sum(view.plot_bytes for view in views))
    return render_page(
        "vgbench.leaderboard",
        "page",
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
    )


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
        primary=group.primary,
        columns=columns,
        rows=[
            _row(f"{identity}-{index}", group, row, columns, tops, links)
            for index, row in enumerate(group.rows, start=1)
        ],
        notes=reading_notes(group),
        footnotes=footnotes(group),
        pairs=pairs_table(group),
        real_source=newest.clips.real.source,
        protocol=yaml_text(newest.protocol),
        measures=[measure.title for measure in shown],
        tradeoffs={
            pair: svg(plot.draw, (500, 380), (62, 16, 12, 42), f"{identity}-{pair}", plot.description())
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
        title=metric_title(column.name)
        + MARK * bool(differs(column.name))
        + ", corrected" * is_corrected(group, column),
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
        runs=runs_table(past) if row.history else None,
        plots=_plots(f"{identity}-a", filter(None, (trend(past), *curves(details)))),
        motion=_plots(f"{identity}-b", (*motion_curves(details, tops), *flow_bars(details))),
        motion_windows=_motion_windows(row.record),
        costs=[(cost_title(name), significant(details[name])) for name in costs([row])],
        command=eval_command(row.record),
        sample_command=sample_command(row.record),
        train_config=train_config(row.record),
        link=links.get(row.path, "") if row.path else "",
    )


def _cell(group: Group, column: Column, view: ColumnView, cell: RankedScore) -> CellView:
    axis = column_axis(group, column)
    score = cell.score
    order = badness(score, column.better)
    text = number(score.best_estimate, view.decimals)
    interval = interval_text(score.interval, view.decimals)
    plain = "" if score.debiased is None else number(score.value, view.decimals)
    notes = [f"plain {plain}", interval] if plain_first(group) else [interval, f"plain {plain}"]
    return CellView(
        metric=column.name,
        number=text,
        padding="\N{FIGURE SPACE}" * (view.width - len(text)),
        error="" if score.standard_error is None else number(score.standard_error, view.decimals),
        plain=plain,
        real="" if score.real is None else number(score.real, view.decimals),
        interval=interval,
        note=" · ".join(notes if plain else [interval]),
        n=score.n,
        method=score.method,
        best=cell.best,
        rank=cell.rank,
        order=repr(order) if is_number(order) else "",
        whisker=whisker(cell, axis) if axis else None,
    )


def _plots(identity: str, plots: Iterable[Trend | Curve | Bars]) -> list[PlotView]:
    found = []
    for index, plot in enumerate(plots):
        drawn = svg(plot.draw, (304, 150), (52, 14, 8, 34), f"{identity}{index}", plot.description())
        found.append(PlotView(plot.title, plot.keys, drawn, plot.note))
    return found


def _motion_windows(record: Record) -> int:
    motion = record.details.get("motion")
    windows = motion.get("windows") if isinstance(motion, Mapping) else None
    counts = windows.values() if isinstance(windows, Mapping) else ()
    return max((int(count) for count in counts if is_number(count)), default=0)


def _metrics(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """(name, title) of every metric in the page, for the list of possible orders."""
    names = dict.fromkeys(column.name for group in groups for column in group.columns)
    return [(name, metric_title(name)) for name in names]
