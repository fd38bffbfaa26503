"""The summary against scipy, counting by hand and a simulation whose variances are known."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from leaderboard.leaderboard_records import make_record, make_score
from scipy import stats

from vgbench.bench.summary import (
    agreements,
    components,
    factor_shares,
    loss_agreement,
    render,
    seed_agreement,
    summarise,
    trained_scores,
    variance_of,
    write_summary,
)
from vgbench.leaderboard.ranking import rank

ROOT = Path(__file__).parents[2]


def trained(motion, loss, seed, fvd, precision=None, role=None):
    scores = {"fvd": make_score(fvd, 2.0)}
    if precision is not None:
        scores["precision"] = make_score(precision, 0.1)
    bench = {"suite": "s", "key": f"{motion}{loss}{seed}", "data": "shapes", "steps": 1, "preset": "p"}
    bench |= {"motion": motion, "loss": loss, "model": f"{motion} {loss}", "seed": seed}
    details = {"bench": bench} | ({"role": role} if role else {})
    return make_record(f"{motion} {loss}, seed {seed}", scores, details=details)


RECORDS = [
    trained("gru", "hinge", 0, 10.0, 0.9),
    trained("gru", "hinge", 1, 14.0, 0.7),
    trained("gru", "lsgan", 0, 20.0, 0.8),
    trained("gru", "lsgan", 1, 24.0, 0.4),
    trained("lstm", "hinge", 0, 30.0, 0.6),
    trained("lstm", "hinge", 1, 22.0, 0.5),
    trained("static", "hinge", 0, 90.0, 0.1, role="control"),
    make_record("real", {"fvd": make_score(1.0), "precision": make_score(1.0)}, details={"role": "real"}),
]


def summary():
    (group,) = rank(RECORDS)
    return summarise(group)


def test_matrix_is_the_mean_over_seeds():
    matrix = summary().matrix
    assert matrix["gru"] == {"hinge": (12.0, 2), "lsgan": (22.0, 2)}
    assert matrix["lstm"] == {"hinge": (26.0, 2)}
    assert matrix["static"] == {"hinge": (90.0, 1)}, "controls are in the matrix"


def test_agreement_of_metrics_is_scipys_with_lower_better():
    (one,) = summary().metrics
    ranked = RECORDS[:6]  # without the control and the real clips
    fvd = [r.scores["fvd"].value for r in ranked]
    precision = [r.scores["precision"].value for r in ranked]
    assert {one.first, one.second} == {"fvd", "precision"}
    assert one.models == 6
    assert one.kendall == pytest.approx(-stats.kendalltau(fvd, precision).statistic)
    assert one.spearman == pytest.approx(-stats.spearmanr(fvd, precision).statistic)
    pairs = list(combinations(range(6), 2))
    signs = [np.sign(fvd[i] - fvd[j]) * np.sign(precision[j] - precision[i]) for i, j in pairs]
    assert one.kendall == pytest.approx(sum(signs) / len(pairs)), "counted by hand; there are no ties"


def test_agreement_of_seeds_compares_the_same_models():
    (one,) = seed_agreement(trained_scores(RECORDS[:6]), "fvd")
    assert (one.first, one.second, one.models) == ("seed 0", "seed 1", 3)
    assert one.kendall == pytest.approx(1 / 3)  # 10 20 30 against 14 24 22: one of three pairs turned round
    assert one.spearman == pytest.approx(0.5)
    assert seed_agreement(trained_scores(RECORDS[:4]), "fvd") == (), "too few models"


def test_components_of_a_hand_made_case():
    # Means 12, 22, 26; within: (8 + 8 + 32) / 3 = 16; between mean square: 2 · 104 / 2 = 104; (104 − 16) / 2.
    assert components([[10, 14], [20, 24], [30, 22]]) == pytest.approx((44.0, 16.0))
    one = variance_of(trained_scores(RECORDS[:6]), "fvd")
    assert (one.models, one.runs, one.between, one.within) == (3, 6, pytest.approx(44), pytest.approx(16))
    assert one.share == pytest.approx(44 / 60)
    assert one.scoring == pytest.approx(4.0)
    assert variance_of(trained_scores(RECORDS[:2]), "fvd") is None, "one model alone"


def test_components_find_what_was_put_in_also_with_unequal_groups():
    random = np.random.default_rng(0)
    groups = [list(random.normal(random.normal(0, 3.0), 1.5, size)) for size in random.integers(2, 6, 4000)]
    between, within = components(groups)
    assert between == pytest.approx(9.0, rel=0.1)
    assert within == pytest.approx(2.25, rel=0.1)
    assert components([[1.0, 3.0], [1.0, 3.0]])[0] == 0.0, "a variance is never negative"


def grid(scores):
    losses = ("hinge", "lsgan")
    return {name: {loss: (v, 1) for loss, v in zip(losses, row, strict=True)} for name, row in scores.items()}


def test_shares_of_modules_and_losses_of_hand_made_grids():
    additive = factor_shares(grid({"gru": (0, 2), "lstm": (4, 6)}))  # 20 in all: 2 (4 + 4) and 2 (1 + 1)
    assert (additive.motion, additive.loss, additive.rest) == pytest.approx((0.8, 0.2, 0.0))
    crossed = factor_shares(grid({"gru": (0, 0), "lstm": (0, 4)}) | {"fourier": {"hinge": (99.0, 1)}})
    assert (crossed.motion, crossed.loss, crossed.rest) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (crossed.motions, crossed.losses) == (2, 2), "a module without every loss is left out"
    assert factor_shares(grid({"gru": (1, 2)})) is None
    assert factor_shares(grid({"gru": (1, 1), "lstm": (1, 1)})) is None


def test_losses_agree_as_far_as_they_order_modules_alike():
    (one,) = loss_agreement(grid({"a": (1, 10), "b": (2, 30), "c": (3, 20)}))
    assert (one.first, one.second, one.models) == ("hinge", "lsgan", 3)
    assert one.kendall == pytest.approx(1 / 3)


def test_controls_are_not_among_the_modules_that_losses_order():
    (group,) = rank([*RECORDS, trained("static", "lsgan", 0, 80.0, role="control")])
    assert summarise(group).factors is None, "gru alone has both losses"
    (group,) = rank([*RECORDS, trained("lstm", "lsgan", 0, 36.0)])  # with gru: 12, 22; 26, 36
    one = summarise(group)
    assert (one.factors.motion, one.factors.rest) == pytest.approx((196 / 296, 0.0))
    text = render([one], "t")
    assert "Of the variance of 2 modules × 2 losses (without controls), modules explain 66%" in text


def test_page_says_it_in_words():
    text = render([summary()], "A | B")
    assert "# A \\| B: summary" in text
    assert "| gru | 12.0 (2) | 22.0 (2) |" in text
    assert "| fvd, precision | 6 |" in text
    assert "| fvd | seed 0, seed 1 | 3 | 0.33 | 0.50 |" in text
    assert "| fvd | 3 | 6 | 6.63 | 4 | 2 | 73% |" in text


def test_a_group_without_trained_rows_has_an_empty_summary():
    (group,) = rank([make_record("a", 1.0), make_record("b", 2.0)])
    one = summarise(group)
    assert (one.matrix, one.metrics, one.variance) == ({}, (), ())
    assert "##" not in render([one], "t")


@pytest.mark.parametrize("extra", [float("nan"), float("inf"), None])
def test_scores_that_are_not_finite_or_missing_take_no_part_in_an_agreement(extra):
    orders = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 5.0], "b": [1.0, 3.0, 2.0, 4.0, extra]})
    (one,) = agreements(orders)
    assert (one.models, one.kendall) == (
        4,
        pytest.approx(stats.kendalltau([1, 2, 3, 4], [1, 3, 2, 4]).statistic),
    )
    assert one.spearman == pytest.approx(stats.spearmanr([1, 2, 3, 4], [1, 3, 2, 4]).statistic)
    assert agreements(orders.assign(b=7.0)) == (), "a constant has no order"
    ties = pd.DataFrame({"a": [1.0, 1.0, 2.0, 3.0], "b": [2.0, 1.0, 2.0, 2.0]})
    (one,) = agreements(ties)
    assert one.kendall == pytest.approx(stats.kendalltau(ties["a"], ties["b"]).statistic)
    assert one.spearman == pytest.approx(stats.spearmanr(ties["a"], ties["b"]).statistic)


def test_published_records_give_their_published_summary(tmp_path):
    """To rounding: another implementation wrote the published file."""
    published = ROOT / "docs" / "results" / "presets-cpu"
    if not published.is_dir():
        pytest.skip("the published results are not part of this checkout")
    write_summary(published / "records", tmp_path, "fvd", "t")
    found, expected = (json.loads((folder / "summary.json").read_text()) for folder in (tmp_path, published))
    assert flat(found) == pytest.approx(flat(expected), rel=1e-9)


def flat(node, path=""):
    """Every number of a JSON document by its path; texts become keys."""
    if isinstance(node, dict | list):
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        return {key: value for name, child in entries for key, value in flat(child, f"{path}/{name}").items()}
    return {path: node} if isinstance(node, int | float) else {f"{path}={node}": 0}
