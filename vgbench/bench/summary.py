"""What the finished table says: motion modules × losses, agreement of metrics and seeds, variance of seeds.

Everything here is computed from records. Before ranks are compared, scores are oriented so that lower is
better (`direction.badness`), so a positive correlation always means agreement.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vgbench.leaderboard.markdown import code, escape, pipe_table
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.report import load_groups, write_files
from vgbench.metrics.direction import badness, direction
from vgbench.pages.numbers import MISSING, number, significant
from vgbench.records.record import Record

LEAST_RANKED = 3
"""With fewer models than this, a rank correlation is not meaningful."""

Matrix = Mapping[str, Mapping[str, tuple[float, int]]]
"""Motion module -> loss -> (mean over seeds, number of seeds)."""


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of two orders of the same models.

    Attributes:
        first, second: two metrics, two seeds or two losses.
        models: number of models (for losses, of motion modules) that have both.
        kendall: τ_b, which accounts for ties.
        spearman: ρ.
    """

    first: str
    second: str
    models: int
    kendall: float
    spearman: float


@dataclass(frozen=True)
class Variance:
    """One-way random-effects analysis of variance: score = model + seed within model.

    Attributes:
        metric: name of the score.
        models: number of models with two or more seeds.
        runs: number of runs of these models.
        between: variance of models, (MS_between − MS_within) / n₀, at least 0.
        within: variance of seeds, MS_within.
        scoring: mean squared standard error of a score: the part of `within` that more clips would remove.
        share: between / (between + within), the intraclass correlation; 1 means that seeds do not matter.
    """

    metric: str
    models: int
    runs: int
    between: float
    within: float
    scoring: float | None
    share: float


@dataclass(frozen=True)
class Factors:
    """How much motion modules and losses explain of the complete grid, as shares of the sum of squares.

    Attributes:
        motions, losses: number of modules, and number of losses with which each of them has a score.
        motion: Σ (mean of a module − grand mean)² over Σ (score − grand mean)², both over all cells.
        loss: the same for losses.
        rest: the remaining share: interaction and chance.
    """

    motions: int
    losses: int
    motion: float
    loss: float
    rest: float


@dataclass(frozen=True)
class GroupSummary:
    """What one group of comparable records says.

    Attributes:
        data: data set of the suite.
        signature: signature of the group.
        primary: metric of the matrix.
        matrix: motion module -> loss -> (mean over seeds, number of seeds).
        factors: of the matrix without controls; None if fewer than two modules have all losses.
        losses: agreement of the losses on the order of the motion modules, in the same matrix.
        metrics: agreement of the metrics, over all models and seeds.
        seeds: metric -> agreement of the seeds in it, one entry per pair.
        variance: one entry for each metric in which models have several seeds.
    """

    data: str
    signature: str
    primary: str
    matrix: Matrix
    factors: Factors | None
    losses: tuple[Agreement, ...]
    metrics: tuple[Agreement, ...]
    seeds: Mapping[str, tuple[Agreement, ...]]
    variance: tuple[Variance, ...]


def write_summary(records: Path, folder: Path, primary: str, title: str) -> list[Path]:
    """Write summary.md and summary.json for the records in a folder.

    Raises:
        VgbenchError: there are no records or a damaged one, or nothing can be written.
    """
    found = [summarise(group) for group in load_groups([records], primary)]
    document = json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False) + "\n"
    return write_files(
        {folder / "summary.md": render(found, title), folder / "summary.json": document}, folder
    )


def summarise(group: Group) -> GroupSummary:
    """Analyse one group; controls are part of its matrix only, and reference rows of nothing."""
    trained = trained_scores(row.record for row in group.rows)
    ranked = trained_scores(row.record for row in group.models)
    names = [column.name for column in group.columns]
    models = mean_matrix(ranked, group.primary)
    rows = ranked.pivot(index="model", columns="metric", values="badness")
    data = trained["data"] if len(trained) else [_bench(row.record).get("data", "") for row in group.rows]
    return GroupSummary(
        data=str(next(iter(data))),
        signature=str(group.signature),
        primary=group.primary,
        matrix=mean_matrix(trained, group.primary),
        factors=factor_shares(models),
        losses=loss_agreement(models),
        metrics=agreements(rows.reindex(columns=names)),
        seeds={name: pairs for name in names if (pairs := seed_agreement(ranked, name))},
        variance=tuple(found for name in names if (found := variance_of(ranked, name))),
    )


def trained_scores(records: Iterable[Record]) -> pd.DataFrame:
    """Put the scores of the trained rows of a suite into one frame, one row per score.

    The columns are those of `Record.to_frame`, and `badness` (float64), `data`, `motion`, `loss`,
    `configuration` (the model without its seed) and `seed` (int64).
    """
    frames = []
    for record in records:
        bench = _bench(record)
        if "motion" in bench:
            scores = record.scores.items()
            frame = record.to_frame()
            frame["badness"] = [badness(score, direction(name, record.details)) for name, score in scores]
            frame[["data", "motion", "loss"]] = [str(bench[key]) for key in ("data", "motion", "loss")]
            frame["configuration"], frame["seed"] = str(bench["model"]), int(bench["seed"])
            frames.append(frame)
    columns = ["model", "metric", "estimate", "standard_error", "badness", "data", "motion", "loss"]
    empty = pd.DataFrame(columns=[*columns, "configuration", "seed"])
    return pd.concat(frames, ignore_index=True) if frames else empty


def _bench(record: Record) -> Mapping[str, Any]:
    found = record.details.get("bench")
    return found if isinstance(found, Mapping) else {}


def mean_matrix(scores: pd.DataFrame, metric: str) -> dict[str, dict[str, tuple[float, int]]]:
    """Average one metric over seeds for each motion module and loss, in the order of the rows."""
    matrix: dict[str, dict[str, tuple[float, int]]] = {}
    grouped = scores[scores["metric"] == metric].groupby(["motion", "loss"], sort=False)["estimate"]
    for (motion, loss), estimates in grouped:
        mean = float(estimates.mean(skipna=False))
        matrix.setdefault(str(motion), {})[str(loss)] = mean, len(estimates)
    return matrix


def _means(matrix: Matrix) -> pd.DataFrame:
    """The means of a matrix: one row per motion module, one column per loss in alphabetical order."""
    means = {motion: {loss: mean for loss, (mean, _) in cells.items()} for motion, cells in matrix.items()}
    return pd.DataFrame.from_dict(means, orient="index").sort_index(axis="columns")


def factor_shares(matrix: Matrix) -> Factors | None:
    """Two-way analysis of variance without replication, over the modules that have every loss."""
    scores = _means(matrix).dropna().to_numpy()
    motions, losses = scores.shape
    if motions < 2 or losses < 2:
        return None
    deviations = scores - scores.mean()
    total = float((deviations**2).sum())
    if total == 0:
        return None
    motion = losses * float((deviations.mean(1) ** 2).sum()) / total
    loss = motions * float((deviations.mean(0) ** 2).sum()) / total
    return Factors(motions, losses, motion, loss, 1 - motion - loss)


def loss_agreement(matrix: Matrix) -> tuple[Agreement, ...]:
    """How similarly two losses order the motion modules, for every pair of losses."""
    return agreements(_means(matrix))


def seed_agreement(scores: pd.DataFrame, metric: str) -> tuple[Agreement, ...]:
    """How similarly two seeds order the same models, for every pair of seeds."""
    orders = scores[scores["metric"] == metric].pivot(index="configuration", columns="seed", values="badness")
    return agreements(orders.rename(columns="seed {}".format))


def agreements(orders: pd.DataFrame) -> tuple[Agreement, ...]:
    """Rank correlation of every two columns over the rows that have both.

    Pairs with fewer than `LEAST_RANKED` such rows, or with a column in which all of them are equal, are left
    out.
    """
    orders = orders.astype("float64").where(np.isfinite)
    kendall, spearman = (orders.corr(method, LEAST_RANKED).to_numpy() for method in ("kendall", "spearman"))
    return tuple(
        Agreement(
            str(orders.columns[i]),
            str(orders.columns[j]),
            len(orders.iloc[:, [i, j]].dropna()),
            float(kendall[i, j]),
            float(spearman[i, j]),
        )
        for i, j in combinations(range(len(orders.columns)), 2)
        if np.isfinite(spearman[i, j])
    )


def variance_of(scores: pd.DataFrame, metric: str) -> Variance | None:
    """Components of variance over the models with two or more seeds; None for fewer than two such models."""
    found = scores[(scores["metric"] == metric) & np.isfinite(scores["estimate"].astype("float64"))]
    models = [list(values) for _, values in found.groupby("configuration")["estimate"] if len(values) > 1]
    if len(models) < 2:
        return None
    between, within = components(models)
    total = between + within
    errors = found["standard_error"].dropna() ** 2
    return Variance(
        metric,
        len(models),
        sum(map(len, models)),
        between,
        within,
        float(errors.mean()) if len(errors) else None,
        between / total if total else 0.0,
    )


def components(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """(variance between groups, variance within) by the moments of a one-way random-effects model.

    Groups may have unequal sizes n_i: n₀ = (N − Σ n_i² / N) / (k − 1) (Searle, Casella and McCulloch 1992).
    """
    sizes = np.array([len(group) for group in groups])
    means = np.array([np.mean(group) for group in groups])
    n, k = sizes.sum(), len(groups)
    grand = (sizes * means).sum() / n
    within = sum(((np.asarray(one) - m) ** 2).sum() for one, m in zip(groups, means, strict=True)) / (n - k)
    mean_square = (sizes * (means - grand) ** 2).sum() / (k - 1)
    n0 = (n - (sizes**2).sum() / n) / (k - 1)
    return max(0.0, float((mean_square - within) / n0)), float(within)


def render(summaries: Sequence[GroupSummary], title: str) -> str:
    """Write the summaries of all groups as Markdown."""
    parts = [f"# {escape(title)}: summary", "Made by `vgbench bench` from the records."]
    for one in summaries:
        if one.matrix or one.metrics or one.variance:
            parts += _group_parts(one)
    return "\n\n".join(parts) + "\n"


def _group_parts(one: GroupSummary) -> list[str]:
    parts = [f"## {escape(one.data or 'records')}", code(one.signature)]
    if one.matrix:
        parts += [f"### {escape(one.primary)}: motion module × loss", "Mean over seeds (number of seeds)."]
        parts += [_matrix_table(one.matrix)]
    if one.factors:
        parts += [_factors_sentence(one.factors)]
    if one.losses:
        parts += [
            "### Do losses agree on the motion modules?",
            _table(("losses", "modules", "Kendall τ", "Spearman ρ"), map(_agreement_line, one.losses)),
        ]
    if one.metrics:
        parts += [
            "### Do metrics agree?",
            "Rank correlation over all trained rows, with every metric oriented so that lower is better.",
            _table(("metrics", "rows", "Kendall τ", "Spearman ρ"), map(_agreement_line, one.metrics)),
        ]
    if one.seeds:
        lines = ((metric, *_agreement_line(pair)) for metric, pairs in one.seeds.items() for pair in pairs)
        parts += [
            "### Do seeds agree?",
            "Rank correlation of the same models trained with two seeds.",
            _table(("metric", "seeds", "models", "Kendall τ", "Spearman ρ"), lines),
        ]
    if one.variance:
        parts += [
            "### Seeds compared with models",
            "Standard deviation of models, of seeds within a model (one-way random effects) and of scoring "
            "alone, and the share of the variance that models explain.",
            _table(
                ("metric", "models", "runs", "sd of models", "sd of seeds", "sd of scoring", "share"),
                map(_variance_line, one.variance),
            ),
        ]
    return parts


def _factors_sentence(one: Factors) -> str:
    return (
        f"Of the variance of {one.motions} modules × {one.losses} losses (without controls), modules explain "
        f"{one.motion:.0%}, losses {one.loss:.0%}, and interaction and chance {one.rest:.0%}."
    )


def _matrix_table(matrix: Matrix) -> str:
    losses = list(dict.fromkeys(loss for row in matrix.values() for loss in row))
    lines = []
    for motion in sorted(matrix):
        cells = [matrix[motion].get(loss) for loss in losses]
        lines.append((motion, *(MISSING if cell is None else f"{cell[0]:.1f} ({cell[1]})" for cell in cells)))
    return _table(("", *losses), lines)


def _agreement_line(one: Agreement) -> tuple[str, ...]:
    names = f"{one.first}, {one.second}"
    return names, str(one.models), number(one.kendall, 2), number(one.spearman, 2)


def _variance_line(one: Variance) -> tuple[str, ...]:
    variances = (one.between, one.within, one.scoring)
    deviations = (significant(None if value is None else value**0.5, 3) for value in variances)
    return one.metric, str(one.models), str(one.runs), *deviations, f"{one.share:.0%}"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return pipe_table(header, (map(escape, line) for line in lines))
