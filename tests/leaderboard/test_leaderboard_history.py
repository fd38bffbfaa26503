"""Runs of one model: in the order of their making, each held against the one before."""

from __future__ import annotations

import io

import pytest
from leaderboard_records import FIELDS, make_record, make_score
from matplotlib.figure import Figure

from vgbench.errors import ConfigError
from vgbench.leaderboard.history import history
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.plots import trend
from vgbench.leaderboard.ranking import rank
from vgbench.leaderboard.terminal import history_table


def runs(*values, model="gan"):
    days = (f"2026-11-{day:02d}T00:00:00Z" for day in (1, 2, 11, 21))
    return [make_record(model, value, created=day) for value, day in zip(values, days, strict=False)]


def test_runs_are_in_the_order_of_their_making_with_the_change_to_the_one_before():
    records = runs(120.0, 100.0, 101.0, 130.0)
    (found,) = history(rank([*records[::-1], make_record("other")]), "gan")
    assert [run.score.value for run in found.runs] == [120.0, 100.0, 101.0, 130.0]
    assert [run.change and run.change.value for run in found.runs] == pytest.approx([None, -20.0, 1.0, 29.0])
    # Errors 1 and 1: 1 apart is chance, 20 is not.
    assert [run.verdict for run in found.runs] == ["", "better", "no significant change", "worse"]


def test_each_signature_is_a_history_of_its_own():
    other = (*FIELDS[:2], ("frames", "16/s2"), *FIELDS[3:])
    groups = rank([*runs(120.0, 100.0), make_record("gan", 5.0, fields=other)])
    assert sorted(len(found.runs) for found in history(groups, "gan")) == [1, 2]


def test_a_run_without_the_metric_keeps_its_place():
    records = runs(120.0, {"kvd": make_score(1.0)}, 100.0)
    (found,) = history(rank(records), "gan")
    assert [run.score and run.score.value for run in found.runs] == [120.0, None, 100.0]
    assert [run.verdict for run in found.runs] == ["", "", ""]


def test_an_unknown_model_is_named_with_its_nearest():
    with pytest.raises(ConfigError, match="unknown model 'gann'") as error:
        history(rank(runs(1.0)), "gann")
    assert "did you mean gan?" in error.value.remedy


def test_trend_is_spaced_by_date_and_spans_the_intervals():
    day = 24 * 3600
    (found,) = history(rank(runs(100.0, 110.0, 120.0)), "gan")
    drawn = trend(found)
    assert [time - drawn.times[0] for time in drawn.times] == [0, day, 10 * day]
    assert drawn.scores == ((100.0, 98.04, 101.96), (110.0, 108.04, 111.96), (120.0, 118.04, 121.96))
    axes = Figure().subplots()
    drawn.draw(axes)
    line, marks = axes.lines
    assert list(line.get_ydata()) == list(marks.get_ydata()) == [100.0, 110.0, 120.0]
    assert list(marks.get_xdata()) == list(drawn.times)
    (intervals,) = axes.collections
    assert [tuple(segment[:, 1]) for segment in intervals.get_segments()] == [s[1:] for s in drawn.scores]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2026-11-01", "2026-11-11"]


def test_trend_needs_two_finite_scores_and_no_valid_dates():
    (found,) = history(rank(runs(100.0, {"fvd": make_score(float("nan"), None)})), "gan")
    assert trend(found) is None
    records = [
        make_record("gan", value, created=text) for value, text in ((1.0, "x"), (2.0, "y"), (3.0, "z"))
    ]
    (found,) = history(rank(records), "gan")
    assert trend(found).times == (0.0, 1.0, 2.0)


def test_the_page_plots_and_lists_runs_only_where_there_are_several():
    page = render_html(rank([*runs(120.0, 100.0), make_record("once", 50.0)]))
    assert page.count("fvd by date, 2 runs with 95 % intervals</figcaption>") == 1
    assert page.count("<summary>Runs (2)</summary>") == 1
    assert "<td>better</td>" in page


def test_history_table():
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=140).print(history_table(history(rank(runs(120.0, 100.0)), "gan")))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "gan"
    assert lines[1] == "|".join(["quick", *(f"{key}:{value}" for key, value in FIELDS[1:])])
    assert lines[-2].split() == [
        *("2026-11-02", "00:00", "100.0", "±", "1.0", "[98.0,", "102.0]"),
        *("−20.0", "[−22.8,", "−17.2]", "better"),
    ]
