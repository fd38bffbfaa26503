"""Ranks with ties, worked out by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaderboard_records import FIELDS, make_record, make_score

from vgbench.leaderboard.ranking import explain, rank, role
from vgbench.leaderboard.significance import holm, score_difference
from vgbench.metrics import score_clips


def ranks(records, primary="fvd"):
    (group,) = rank(records, primary)
    return {row.model: row.rank for row in group.rows}


def test_clear_differences_give_ranks_in_order():
    # Errors 1, so the difference has error 1.414; 20 apart is 14 standard errors.
    assert ranks([make_record("c", 140.0), make_record("a", 100.0), make_record("b", 120.0)]) == {
        "a": 1,
        "b": 2,
        "c": 3,
    }


def test_models_share_a_rank_where_the_interval_of_their_difference_contains_zero():
    # b - a = 2.0 with error 1.414: interval [-0.77, 4.77] contains 0. c is far off.
    (group,) = rank([make_record("a", 100.0), make_record("b", 102.0), make_record("c", 150.0)])
    assert {row.model: row.rank for row in group.rows} == {"a": 1, "b": 1, "c": 3}
    assert {row.model: row.tied_with for row in group.rows} == {"a": ("b",), "b": ("a",), "c": ()}
    assert [row.cells["fvd"].best for row in group.rows] == [True, True, False]


def test_ties_are_not_transitive():
    # a-b and b-c differ by 3 (z = 2.12; Holm: 0.034 * 2 > 0.05, tied); a-c by 6 (z = 4.24; 2e-5 * 3, apart).
    # So nothing is better than a or b, and one model (a) is better than c.
    records = [make_record("a", 100.0), make_record("b", 103.0), make_record("c", 106.0)]
    assert ranks(records) == {"a": 1, "b": 1, "c": 2}


def test_holm_keeps_a_tie_that_a_single_test_would_break():
    # z = 3 / 1.414 = 2.12, p = 0.034: apart when it is the only question, tied when it is one of three.
    alone = [make_record("a", 100.0), make_record("b", 103.0)]
    assert ranks(alone) == {"a": 1, "b": 2}
    assert ranks([*alone, make_record("c", 103.0)]) == {"a": 1, "b": 1, "c": 1}


def test_order_follows_the_bias_corrected_value():
    # The plain value puts a first; less its bias, b is better.
    a = make_record("a", {"fvd": make_score(100.0, 1.0, debiased=90.0)})
    b = make_record("b", {"fvd": make_score(120.0, 1.0, debiased=60.0)})
    assert ranks([a, b]) == {"b": 1, "a": 2}


def test_higher_is_better_where_the_metric_says_so():
    records = [
        make_record(name, {"smile": make_score(value)}, details={"better": {"smile": "higher"}})
        for name, value in (("low", 10.0), ("high", 90.0))
    ]
    (group,) = rank(records)
    assert group.primary == "smile"
    assert [row.model for row in group.rows] == ["high", "low"]


def test_closer_to_real_is_better_where_the_metric_says_so():
    records = [
        make_record(name, {"pace": make_score(value, real=50.0)}, details={"better": {"pace": "real"}})
        for name, value in (("slow", 10.0), ("near", 45.0), ("fast", 80.0))
    ]
    assert ranks(records) == {"near": 1, "fast": 2, "slow": 3}


def test_without_standard_errors_nothing_can_be_told_apart():
    records = [make_record(name, {"fvd": make_score(v, None)}) for name, v in (("a", 1.0), ("b", 9.0))]
    assert ranks(records) == {"a": 1, "b": 1}


def test_one_model_is_rank_one():
    assert ranks([make_record("only")]) == {"only": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_not_finite_come_last_without_a_rank(value):
    records = [make_record("broken", {"fvd": make_score(value, None)}), make_record("fine", 100.0)]
    (group,) = rank(records)
    assert [(row.model, row.rank) for row in group.rows] == [("fine", 1), ("broken", None)]


def test_a_model_without_the_primary_metric_comes_last():
    records = [make_record("other", {"kvd": make_score(1.0)}), make_record("fine", 100.0)]
    (group,) = rank(records)
    assert [(row.model, row.rank) for row in group.rows] == [("fine", 1), ("other", None)]
    assert [column.name for column in group.columns] == ["fvd", "kvd"]


def test_reference_rows_have_no_rank_and_take_no_part_in_the_tests():
    records = [
        make_record("real (test split)", 5.0),
        make_record("static copies", 300.0, details={"role": "control"}),
        make_record("a", 100.0),
        make_record("b", 400.0),
    ]
    (group,) = rank(records)
    assert [(row.model, row.rank, row.role) for row in group.rows] == [
        ("real (test split)", None, "real"),
        ("a", 1, "model"),
        ("static copies", None, "control"),
        ("b", 2, "model"),
    ]
    assert [(pair.first, pair.second) for pair in group.pairs] == [("a", "b")]


@pytest.mark.parametrize(
    ("model", "details", "expected"),
    [
        ("real", {}, "real"),
        ("Real (test split)", {}, "real"),
        ("real-esrgan", {}, "model"),
        ("my-gan", {"role": "reference"}, "real"),
        ("my-gan", {"role": "control"}, "control"),
        ("real", {"role": "model"}, "model"),
    ],
)
def test_role(model, details, expected):
    assert role(make_record(model, details=details)) == expected


def test_two_signatures_are_two_tables():
    other = (*FIELDS[:2], ("frames", "16/s2"), *FIELDS[3:])
    groups = rank([make_record("a"), make_record("b"), make_record("a", fields=other)])
    assert [len(group.rows) for group in groups] == [2, 1]
    assert explain(groups) == {"frames": ("16/s1", "16/s2")}


def test_the_latest_record_counts_and_older_ones_are_history():
    days = ("2026-11-02T00:00:00+00:00", "2026-11-03T00:00:00+00:00", "2026-11-01T00:00:00+00:00")
    values = (200.0, 300.0, 100.0)
    (group,) = rank([make_record("a", v, created=d) for v, d in zip(values, days, strict=True)])
    (row,) = group.rows
    assert row.record.scores["fvd"].value == 300.0
    assert [older.scores["fvd"].value for older in row.history] == [200.0, 100.0]


def test_paths_stay_with_their_records(tmp_path):
    paths = [tmp_path / "b.json", tmp_path / "a.json"]
    (group,) = rank([make_record("b", 200.0), make_record("a", 100.0)], paths=paths)
    assert [(row.model, row.path.name) for row in group.rows] == [("a", "a.json"), ("b", "b.json")]


@given(
    values=st.lists(st.floats(0, 1000), min_size=2, max_size=6),
    errors=st.lists(st.floats(0, 50), min_size=6, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_ranks_do_not_depend_on_the_order_of_records(values, errors, order):
    records = [
        make_record(f"m{i}", {"fvd": make_score(value, error)})
        for i, (value, error) in enumerate(zip(values, errors, strict=False))
    ]
    shuffled = list(records)
    order.shuffle(shuffled)
    assert rank(shuffled) == rank(records)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0.1, 50)), min_size=2, max_size=6))
def test_the_best_estimate_is_rank_one_and_ties_are_mutual(scores):
    records = [make_record(f"m{i}", {"fvd": make_score(*score)}) for i, score in enumerate(scores)]
    (group,) = rank(records)
    assert group.rows[0].rank == 1
    tied = {row.model: set(row.tied_with) for row in group.rows}
    for a, b in itertools.permutations(tied, 2):
        assert (b in tied[a]) == (a in tied[b])


def test_holm_against_a_table_worked_by_hand():
    # 0.01 * 4; 0.03 * 2 = 0.06 keeps 0.04 * 1 from falling below it; 0.02 * 3 = 0.06. (Holm 1979)
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.floats(-100, 100), st.floats(0.01, 50), st.integers(5, 10_000))
def test_p_is_below_the_level_exactly_where_the_interval_leaves_out_zero(gap, error, n):
    found = score_difference(make_score(0.0, error, n=n), make_score(gap, error, n=n))
    low, high = found.interval
    if min(abs(low), abs(high)) > 1e-6:
        assert found.significant == (low > 0 or high < 0)


def test_a_shared_real_set_cancels_out_of_the_difference():
    # Each error: generated blocks 4 * 1², real blocks 4 * 5². The real part is common to both models.
    blocks = ((1.0, -1.0, 1.0, -1.0), (5.0, -5.0, 5.0, -5.0))
    a, b = (make_score(v, math.sqrt(104), deviations=blocks) for v in (100.0, 110.0))
    shared = score_difference(a, b)
    assert shared.standard_error == pytest.approx(math.sqrt(8))
    apart = score_difference(a, b, same_real=False)
    assert apart.standard_error == pytest.approx(math.sqrt(208))


@pytest.mark.parametrize(
    ("values", "known", "error"),
    [
        # 2 r - a - b: variance 3² + 4² + 4 * 6²; an older record does not say 6, and 4 stands in.
        ((8.0, 13.0), {"real_error": 6.0}, 13.0),
        ((8.0, 13.0), {}, math.sqrt(25 + 64)),
        # On one side r cancels.
        ((11.0, 13.0), {"real_error": 6.0}, 5.0),
        ((7.0, 8.0), {}, 5.0),
    ],
)
def test_the_error_of_the_real_value_counts_between_models_on_opposite_sides_of_it(values, known, error):
    a, b = (make_score(v, e, real=10.0, **known) for v, e in zip(values, (3.0, 4.0), strict=True))
    found = score_difference(a, b, "real")
    assert found.value == abs(values[1] - 10) - abs(values[0] - 10)
    assert found.standard_error == pytest.approx(error)
    half = 1.96 * error
    assert found.interval == pytest.approx((found.value - half, found.value + half), rel=1e-4)
    # Where lower is better nothing is measured from r.
    assert score_difference(a, b, "lower").standard_error == pytest.approx(5)


def test_distances_from_two_real_sets_have_the_errors_of_both():
    a, b = (make_score(v, 0.0, real=10.0, real_error=e) for v, e in ((11.0, 3.0), (15.0, 4.0)))
    found = score_difference(a, b, "real", same_real=False)
    assert found.standard_error == pytest.approx(5)
    assert not found.significant
    assert score_difference(a, b, "real").significant


def test_equal_distances_on_opposite_sides_are_seldom_told_apart():
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(300):
        real = score_clips(rng.standard_normal(64))
        known = {"real": real.value, "real_error": real.standard_error}
        a, b = (replace(score_clips(rng.normal(mean, 1, 64)), **known) for mean in (-0.5, 0.5))
        false += score_difference(a, b, "real").significant
    assert false <= 25  # of 300: 5 % are 15; it was 72


@pytest.mark.parametrize("code", ["dependent-sets", "collapsed-set"])
def test_a_model_whose_clips_are_copies_has_no_rank_and_moves_no_other(code):
    honest = [make_record("a", 100.0), make_record("b", 120.0)]
    copied = make_record("copied", -6.0).model_copy(update={"warnings": ((code, "copies"),)})
    assert ranks([*honest, copied]) == {**ranks(honest), "copied": None}


def test_an_inception_score_over_foreign_classes_has_no_rank_and_the_other_scores_have_theirs():
    scores = {"fvd": make_score(100.0), "is": make_score(5.0)}
    record = make_record("a", scores).model_copy(update={"warnings": (("other-classes", "is: …"),)})
    (group,) = rank([record, make_record("b", scores)])
    cells = {row.model: row.cells for row in group.rows}
    assert (cells["a"]["fvd"].rank, cells["a"]["is"].rank, cells["a"]["is"].best) == (1, None, False)
    assert cells["b"]["is"].rank == 1


def test_models_of_one_name_are_rows_of_their_own_where_submitter_or_folder_differ():
    def submitted(lab, value, **others):
        return make_record("gan", value, details={"meta": {"submitter": lab}}, **others)

    def unnamed(folder, value):
        record = make_record("samples", value)
        generated = record.clips.generated.model_copy(update={"source": f"{folder}/samples"})
        return record.model_copy(update={"clips": record.clips.model_copy(update={"generated": generated})})

    again = submitted("lab A", 120.0, created="2026-11-21T12:00:00+00:00")
    records = [submitted("lab A", 100.0), again, submitted("lab B", 110.0), make_record("other", 105.0)]
    (group,) = rank([*records, unnamed("step_1", 90.0), unnamed("step_2", 80.0)])
    assert [(row.model, len(row.history)) for row in group.rows] == [
        ("samples (step_2/samples)", 0),
        ("samples (step_1/samples)", 0),
        ("other", 0),
        ("gan (lab B)", 0),
        ("gan (lab A)", 1),
    ]
    (group,) = rank(records[:2])
    assert [row.model for row in group.rows] == ["gan"], "a name that is not shared stays as it is"


def test_no_two_rows_have_one_name():
    submitted = [make_record("gan", details={"meta": {"submitter": lab}}) for lab in ("a", "b")]
    (group,) = rank([*submitted, make_record("gan (a)")])
    assert len({row.model for row in group.rows}) == 3
