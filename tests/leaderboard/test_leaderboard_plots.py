"""What plots show is what the records hold: every mark, in its place, with its name."""

from __future__ import annotations

import re
from xml.etree.ElementTree import fromstring

import pytest
from leaderboard_records import make_record, make_score, motion
from matplotlib.figure import Figure

from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.plots import curves, flow_bars, motion_curves, motion_tops
from vgbench.leaderboard.ranking import rank
from vgbench.leaderboard.tradeoffs import measures, tradeoffs
from vgbench.pages.svg import svg


def drawn(plot):
    axes = Figure().subplots()
    plot.draw(axes)
    return axes


def of(artists, *classes):
    """Artists that the page styles by these classes."""
    return [a for a in artists if a.get_gid() and set(classes) <= set(a.get_gid().split(":")[0].split("."))]


# ---- one model ----


def test_curves_read_what_a_run_kept_and_pass_over_the_rest():
    found = curves(
        {
            "training": {"fvd": [[0, 400.0], [1000, 200.0], [500, 300.0]], "bad": [[1]], "text": "abc"},
            "per_frame": {"flicker": [0.1, 0.2]},
            "note": {"x": [1, 2]},
        }
    )
    assert [(curve.title, curve.across, curve.keys) for curve in found] == [
        ("FVD during training", "step", ()),
        ("flicker", "frame", ()),
    ]
    axes = drawn(found[0])
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[0, 400], [500, 300], [1000, 200]]
    assert axes.get_xlabel() == "step"
    assert found[0].description() == "FVD during training: generated 400 at step 0, 200 at 1,000"


@pytest.mark.parametrize("extreme", [1e300, 1e99, 5e-324, 0.0])
def test_extreme_values_are_drawn_or_passed_over(extreme):
    details = {
        "training": {"fvd": [[0, extreme], [extreme, 1.0], [2, -extreme]]},
        "motion": motion([extreme, 1.0], [extreme, extreme]),
        "seconds": extreme,
        "more": -extreme,
    }
    made = make_record("a", {"fvd": make_score(extreme), "kvd": make_score(1.0)}, details=details)
    older = make_record("a", {"fvd": make_score(-extreme)}, created="2026-11-01T00:00:00Z")
    assert "<svg" in render_html(rank([older, made]))


def test_motion_curves_start_at_zero_and_share_their_axis_among_models():
    a = make_record("a", details={"motion": motion([0.1, 0.1], [0.2, 0.2])})
    b = make_record("b", details={"motion": motion([0.4, 0.4], [0.2, 0.2])})
    noise = make_record("noise", details={"role": "control", "motion": motion([9.0, 9.0], [0.2, 0.2])})
    (group,) = rank([a, b, noise])
    tops = motion_tops(group.rows)
    assert tops == {"flow": 0.4}
    (curve,) = motion_curves(a.details, tops)
    assert curve.keys == ("generated", "real")
    axes = drawn(curve)
    assert axes.get_ylim() == (0, 0.4)
    (generated,), (real,) = (of(axes.lines, side) for side in ("generated", "real"))
    assert generated.get_xydata().tolist() == [[1, 0.1], [2, 0.1]]
    assert real.get_xydata().tolist() == [[1, 0.2], [2, 0.2]]
    assert drawn(motion_curves(noise.details, tops)[0]).get_ylim() == (0, 9)


def test_a_band_is_two_standard_errors_wide_on_each_side():
    details = {"motion": {"schema": 1, "curves": {"drift": {"real": {"mean": [5.0, 5.0], "error": [1, 1]}}}}}
    axes = drawn(motion_curves(details, {"drift": 10.0})[0])
    assert not of(axes.lines, "generated")
    (band,) = of(axes.collections, "band", "real")
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == pytest.approx((5 - 1.96, 5 + 1.96))


def test_flow_bars_sum_the_histogram_over_directions_and_over_speeds():
    histogram = [0.5] + [0.0] * 40
    histogram[1 + 2], histogram[1 + 8 + 2], histogram[1 + 8] = 0.1, 0.2, 0.2  # slow down; faster down, right
    speed, direction = flow_bars({"motion": motion([1, 1], [1, 1], histogram)})
    assert speed.note.endswith("50 % of the generated pixels and 100 % of the real pixels do not move")
    for plot, shares in ((speed, [0.1, 0.4, 0, 0, 0]), (direction, [0.2, 0, 0.3, 0, 0, 0, 0, 0])):
        axes = drawn(plot)
        bars = of(axes.patches, "bar", "generated")
        assert [bar.get_height() for bar in bars] == pytest.approx(shares)
        assert [round(bar.get_x() + bar.get_width() / 2) for bar in bars] == list(range(len(shares)))
        assert [text.get_text() for text in axes.get_xticklabels()] == list(plot.labels)
        assert all(bar.get_height() == 0 for bar in of(axes.patches, "bar", "real"))


@pytest.mark.parametrize(
    "damaged",
    [
        {"motion": 3},
        {"motion": {"schema": 2, "curves": {"flow": {"real": {"mean": [1, 2]}}}, "flow_histogram": {}}},
        {"motion": {"schema": 1, "curves": [], "flow_histogram": {"real": ["<b>"] * 41}}},
        {"motion": {"schema": 1, "curves": {"flow": {"real": {"mean": "<b>"}, "generated": 1}}}},
    ],
)
def test_motion_of_another_form_is_passed_over(damaged):
    assert motion_curves(damaged, {}) == []
    assert flow_bars(damaged) == []
    render_html(rank([make_record("a", details=damaged)]))


# ---- two measures ----


def group_of(*models, **better):
    """Models of (fvd, kvd, seconds); an older made-up metric may have a direction of its own."""
    rows = [
        make_record(
            name, {"fvd": make_score(fvd), "own": make_score(own)}, details={"seconds": s, "better": better}
        )
        for name, fvd, own, s in models
    ]
    (group,) = rank(rows)
    return group


def test_any_two_measures_have_a_plot_but_two_costs():
    records = [
        make_record("a", {"fvd": make_score(1.0), "kvd": make_score(2.0)}, details={"s": 1.0, "mac": 2.0}),
        make_record("b", {"fvd": make_score(2.0)}, details={"s": 3.0, "note": "x", "flag": True}),
    ]
    (group,) = rank(records)
    assert [measure.name for measure in measures(group)] == ["fvd", "kvd", "s", "mac"]
    found = tradeoffs(group)
    assert list(found) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    assert [spot.model for spot in found[0, 2].spots] == ["a", "b"]
    assert [spot.model for spot in found[0, 1].spots] == ["a"]  # b has no kvd


def test_a_scatter_plot_has_every_model_at_its_scores():
    models = [("a", 100.0, 5.0, 1.0), ("b", 200.0, 6.0, 2.0), ("c", 300.0, 7.0, 4.0)]
    plot = tradeoffs(group_of(*models))[0, 2]
    axes = drawn(plot)
    marks = of(axes.lines, "mark")
    assert [mark.get_xydata().tolist()[0] for mark in marks] == [[s, fvd] for _, fvd, _, s in models]
    assert marks[0].get_gid().split(":", 1)[1] == "a: Seconds 1, FVD 100"
    assert {text.get_text() for text in of(axes.texts, "name")} == {"a", "b", "c"}
    assert axes.get_xlabel() == "Seconds (lower is better)"
    spans = [cross.get_segments()[0][:, 1].tolist() for cross in of(axes.collections, "cross")]
    assert [100 - 1.96, 100 + 1.96] in spans
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")


def test_values_far_apart_are_on_a_logarithmic_axis():
    axes = drawn(tradeoffs(group_of(("a", 10.0, 1.0, 0.01), ("b", 20.0, 1.0, 9.0)))[0, 2])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")


@pytest.mark.parametrize(
    ("better", "front"),
    [("lower", ["cheap", "good"]), ("higher", ["cheap", "middle", "worst"]), ("real", [])],
)
def test_the_front_holds_the_models_that_no_other_beats(better, front):
    # (own, seconds): the control is best in both and counts for nothing.
    models = [
        ("cheap", 1.0, 5.0, 1.0),
        ("good", 1.0, 2.0, 3.0),
        ("middle", 1.0, 6.0, 4.0),
        ("worst", 1.0, 9, 9.0),
    ]
    plot = tradeoffs(group_of(*models, own=better))[1, 2]
    assert [spot.model for spot in plot.front()] == front
    lines = of(drawn(plot).lines, "front")
    assert len(lines) == bool(front)
    for line in lines:
        assert list(line.get_xdata()) == [s for name, _, _, s in models if name in front]


def test_references_and_controls_are_hollow_and_not_of_the_front():
    control = make_record("best", 1.0, details={"role": "control", "s": 0.1})
    (group,) = rank([make_record("a", 5.0, details={"s": 1.0}), control])
    plot = tradeoffs(group)[0, 1]
    assert [spot.model for spot in plot.front()] == ["a"]
    assert len(of(drawn(plot).lines, "mark", "reference")) == 1


def test_names_do_not_overlap():
    models = [(f"model number {k}", 100.0 + k % 4, 1.0, 1.0 + k / 10) for k in range(20)]
    figure = Figure(dpi=72)
    axes = figure.subplots()
    tradeoffs(group_of(*models))[0, 2].draw(axes)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent().shrunk(0.8, 0.8) for text in of(axes.texts, "name")]
    assert 2 <= len(boxes) <= 20
    assert not any(box.count_overlaps(boxes[:k]) for k, box in enumerate(boxes))


# ---- as SVG ----


def line_plot(axes):
    axes.plot([0, 1], [2, 3], "o", gid=".mark.real:a <b> & $c$")
    axes.set(xlim=(0, 1), ylim=(2, 3))


def test_svg_is_one_element_that_a_page_can_style_and_a_reader_can_hear():
    text = svg(line_plot, (300, 150), (50, 10, 10, 30), "p1", 'said "aloud"')
    root = fromstring(text)
    assert (root.get("role"), root.get("aria-label"), root.get("viewBox")) == (
        "img",
        'said "aloud"',
        "0 0 300 150",
    )
    (mark,) = (group for group in root.iter("g") if group.get("class") == "mark real")
    assert mark.findtext("title") == "a <b> & $c$"
    assert [(use.get("x"), use.get("y")) for use in mark.iter("use")] == [("50", "120"), ("290", "10")]
    assert "style" not in text  # the page's policy allows no styles within elements
    assert "#000" not in text
    assert "font-family" not in text


def test_equal_drawings_are_equal_text_and_two_of_them_share_no_id():
    first, again, other = (svg(line_plot, (300, 150), (9, 9, 9, 9), name, "") for name in ("a", "a", "b"))
    assert first == again
    ids = [set(re.findall(r'id="([^"]*)"', text)) for text in (first, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_names_of_any_kind_stay_text():
    names = ["$\\frac{$", "日本語 \U0001f600", "a\x00b\x1b", "x\ny", "\u202eright to left", "l" * 999, "<b>&"]
    models = [(name, 10.0 * k, 1.0, 10.0 * k) for k, name in enumerate(names, start=1)]
    plot = tradeoffs(group_of(*models))[0, 2]
    text = svg(plot.draw, (900, 900), (60, 250, 10, 40), "p", plot.description())
    root = fromstring(text)
    assert {node.tag for node in root.iter()} == {*("svg", "g", "path", "text", "title", "defs", "use")}
    shown = {node.text for group in root.iter("g") if group.get("class") == "name" for node in group}
    assert shown == {
        "$\\frac{$",
        "日本語 \U0001f600",
        "a�b�",
        "x y",
        "\u202eright to left",
        "l" * 27 + "…",
        "<b>&",
    }
