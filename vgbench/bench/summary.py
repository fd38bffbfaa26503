"""What the finished table says: losses × motion modules, agreement of metrics and of seeds, noise of seeds.

Everything here is a function of records. Scores are turned so that lower is better
(`direction.badness`) before ranks are compared, hence a positive correlation always means agreement.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean

import numpy as np

from vgbench.leaderboard.direction import badness, direction
from vgbench.leaderboard.markdown import code, escape
from vgbench.leaderboard.ranking import Group
from vgbench.leaderboard.report import load_groups, write_files
from vgbench.leaderboard.rounding import number
from vgbench.records.record import Record

LEAST_RANKED = 3
"""Fewer models than this have no rank correlation worth a number."""

Matrix = Mapping[str, Mapping[str, tuple[float, int]]]
"""Motion module -> loss -> (mean over seeds, number of seeds)."""


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of two orders of the same models.

    Attributes:
        first, second: two metrics, two seeds or two losses.
        models: how many have both; motion modules for losses.
        kendall: τ_b, which allows for ties.
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
        metric: whose scores.
        models: with two or more seeds.
        runs: of these models.
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
    """How far motion module and loss explain the scores of the complete grid: shares of the sum of squares.

    Attributes:
        motions, losses: how many modules, and how many losses that each of them has a score with.
        motion: Σ (mean of a module − grand mean)² over Σ (score − grand mean)², both over all cells.
        loss: the same for losses.
        rest: what is left: what both do together, and chance.
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
        signature: of the group.
        primary: metric of the matrix.
        matrix: motion module -> loss -> (mean over seeds, number of seeds).
        factors: of the matrix without controls; None where fewer than two modules have all losses.
        losses: agreement of the losses on the order of the motion modules, in the same matrix.
        metrics: agreement of the metrics over all models and seeds.
        seeds: agreement of the seeds in each metric: metric -> pairs.
        variance: one entry a metric where models have several seeds.
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
    """Write summary.md and summary.json of the records below a folder.

    Raises:
        VgbenchError: no or damaged records, or a place that cannot be written to.
    """
    found = [summarise(group) for group in load_groups([records], primary)]
    document = json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False) + "\n"
    return write_files(
        {folder / "summary.md": render(found, title), folder / "summary.json": document}, folder
    )


def summarise(group: Group) -> GroupSummary:
    """Analyse one group; rows of reference and controls are in its matrix and in nothing else."""
    trained = [row.record for row in group.rows if "motion" in _bench(row.record)]
    ranked = [row.record for row in group.models if "motion" in _bench(row.record)]
    names = [column.name for column in group.columns]
    some = trained or [row.record for row in group.rows]
    models = _matrix(ranked, group.primary)
    return GroupSummary(
        data=str(_bench(some[0]).get("data", "")),
        signature=str(group.signature),
        primary=group.primary,
        matrix=_matrix(trained, group.primary),
        factors=factor_shares(models),
        losses=loss_agreement(models),
        metrics=_agreements({name: _bad(ranked, name) for name in names}),
        seeds={name: pairs for name in names if (pairs := seed_agreement(ranked, name))},
        variance=tuple(filter(None, (variance_of(ranked, name) for name in names))),
    )


def _bench(record: Record) -> Mapping[str, str | int]:
    found = record.details.get("bench")
    return found if isinstance(found, Mapping) else {}


def _bad(records: Iterable[Record], metric: str) -> dict[str, float]:
    """Model's row -> its score in a metric, lower better."""
    values = {
        record.model: badness(record.scores[metric], direction(metric, record.details))
        for record in records
        if metric in record.scores
    }
    return {model: value for model, value in values.items() if np.isfinite(value)}


def _matrix(records: Sequence[Record], metric: str) -> dict[str, dict[str, tuple[float, int]]]:
    cells: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if metric in record.scores:
            facts = _bench(record)
            cells[str(facts["motion"])][str(facts["loss"])].append(record.scores[metric].best_estimate)
    return {
        motion: {loss: (mean(values), len(values)) for loss, values in losses.items()}
        for motion, losses in cells.items()
    }


def factor_shares(matrix: Matrix) -> Factors | None:
    """Two-way analysis of variance without replication, over the modules that have every loss."""
    losses = sorted({loss for cells in matrix.values() for loss in cells})
    complete = [[cells[loss][0] for loss in losses] for cells in matrix.values() if len(cells) == len(losses)]
    if len(complete) < 2 or len(losses) < 2:
        return None
    scores = np.array(complete)
    deviations = scores - scores.mean()
    total = float((deviations**2).sum())
    if total == 0:
        return None
    motion = len(losses) * float((deviations.mean(1) ** 2).sum()) / total
    loss = len(scores) * float((deviations.mean(0) ** 2).sum()) / total
    return Factors(len(scores), len(losses), motion, loss, 1 - motion - loss)


def loss_agreement(matrix: Matrix) -> tuple[Agreement, ...]:
    """How alike two losses order the motion modules, for every pair of losses."""
    by_loss: dict[str, dict[str, float]] = defaultdict(dict)
    for motion, cells in matrix.items():
        for loss, (value, _) in cells.items():
            by_loss[loss][motion] = value
    return _agreements({loss: by_loss[loss] for loss in sorted(by_loss)})


def _agreements(orders: Mapping[str, Mapping[str, float]]) -> tuple[Agreement, ...]:
    """Agreement of every two of several named orders of the same models, as far as they have one."""
    pairs = combinations(orders, 2)
    return tuple(filter(None, (_agreement(a, b, orders[a], orders[b]) for a, b in pairs)))


def _agreement(
    first: str, second: str, left: Mapping[str, float], right: Mapping[str, float]
) -> Agreement | None:
    """Correlate two orders over the models that both have; None for too few, or all ties."""
    from scipy.stats import kendalltau, spearmanr

    both = sorted(left.keys() & right.keys())
    x, y = [left[model] for model in both], [right[model] for model in both]
    if len(both) < LEAST_RANKED or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return Agreement(
        first, second, len(both), float(kendalltau(x, y).statistic), float(spearmanr(x, y).statistic)
    )


def seed_agreement(records: Sequence[Record], metric: str) -> tuple[Agreement, ...]:
    """How alike two seeds order the same models, for every pair of seeds."""
    by_seed: dict[int, dict[str, float]] = defaultdict(dict)
    for record in records:
        value = _bad([record], metric).get(record.model)
        if value is not None:
            by_seed[int(_bench(record)["seed"])][str(_bench(record)["model"])] = value
    return _agreements({f"seed {seed}": by_seed[seed] for seed in sorted(by_seed)})


def variance_of(records: Sequence[Record], metric: str) -> Variance | None:
    """Components of variance over the models that have two or more seeds; None for fewer than two models."""
    values: dict[str, list[float]] = defaultdict(list)
    errors: list[float] = []
    for record in records:
        score = record.scores.get(metric)
        if score is not None and np.isfinite(score.best_estimate):
            values[str(_bench(record)["model"])].append(score.best_estimate)
            if score.standard_error is not None:
                errors.append(score.standard_error**2)
    groups = [one for one in values.values() if len(one) > 1]
    if len(groups) < 2:
        return None
    between, within = components(groups)
    total = between + within
    return Variance(
        metric,
        len(groups),
        sum(map(len, groups)),
        between,
        within,
        mean(errors) if errors else None,
        between / total if total else 0.0,
    )


def components(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """(variance between groups, variance within) by the moments of a one-way random-effects model.

    Groups may have unequal sizes n_i: n₀ = (N − Σ n_i² / N) / (k − 1) (Searle, Casella and McCulloch 1992).
    """
    sizes = np.array([len(group) for group in groups])
    means = np.array([mean(group) for group in groups])
    n, k = sizes.sum(), len(groups)
    grand = (sizes * means).sum() / n
    within = sum(((np.asarray(one) - m) ** 2).sum() for one, m in zip(groups, means, strict=True)) / (n - k)
    mean_square = (sizes * (means - grand) ** 2).sum() / (k - 1)
    n0 = (n - (sizes**2).sum() / n) / (k - 1)
    return max(0.0, float((mean_square - within) / n0)), float(within)


def render(summaries: Sequence[GroupSummary], title: str) -> str:
    """Markdown of all groups."""
    parts = [
        f"# {escape(title)}: summary",
        "Made by `vgbench bench` from the records.",
    ]
    for one in filter(_says_something, summaries):
        parts += [f"## {escape(one.data or 'records')}", code(one.signature)]
        if one.matrix:
            parts += [f"### {escape(one.primary)}: motion module × loss", _matrix_table(one)]
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
                "Rank correlation over all trained rows, every metric turned so that lower is better.",
                _table(("metrics", "rows", "Kendall τ", "Spearman ρ"), map(_agreement_line, one.metrics)),
            ]
        if one.seeds:
            lines = (
                (metric, *_agreement_line(pair)) for metric, pairs in one.seeds.items() for pair in pairs
            )
            parts += [
                "### Do seeds agree?",
                "Rank correlation of the same models trained with two seeds.",
                _table(("metric", "seeds", "models", "Kendall τ", "Spearman ρ"), lines),
            ]
        if one.variance:
            parts += [
                "### Seeds against models",
                "Standard deviation of models and of seeds within a model (one-way random effects); the part "
                "of scoring alone; and the share of the variance that models explain.",
                _table(
                    ("metric", "models", "runs", "sd of models", "sd of seeds", "sd of scoring", "share"),
                    map(_variance_line, one.variance),
                ),
            ]
    return "\n\n".join(parts) + "\n"


def _says_something(one: GroupSummary) -> bool:
    return bool(one.matrix or one.metrics or one.variance)


def _factors_sentence(one: Factors) -> str:
    return (
        f"Of the variance of {one.motions} modules × {one.losses} losses (controls left out) modules explain "
        f"{one.motion:.0%}, losses {one.loss:.0%}, both together and chance {one.rest:.0%}."
    )


def _matrix_table(one: GroupSummary) -> str:
    losses = list(dict.fromkeys(loss for row in one.matrix.values() for loss in row))
    lines = []
    for motion in sorted(one.matrix):
        cells = [one.matrix[motion].get(loss) for loss in losses]
        lines.append((motion, *("–" if cell is None else f"{cell[0]:.1f} ({cell[1]})" for cell in cells)))
    return "Mean over seeds (number of seeds).\n\n" + _table(("", *losses), lines)


def _agreement_line(one: Agreement) -> tuple[str, ...]:
    names = f"{one.first}, {one.second}"
    return names, str(one.models), number(one.kendall, 2), number(one.spearman, 2)


def _variance_line(one: Variance) -> tuple[str, ...]:
    deviations = [one.between, one.within, one.scoring]
    texts = ["–" if value is None else f"{value**0.5:.3g}" for value in deviations]
    return one.metric, str(one.models), str(one.runs), *texts, f"{one.share:.0%}"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---", *["---:"] * (len(header) - 1)]]
    rows += [[escape(cell) for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
