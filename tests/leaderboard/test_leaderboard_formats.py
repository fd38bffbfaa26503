"""What each format says is what was ranked: every format is read back by a parser of that format."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from leaderboard_records import FIELDS, make_record, make_score
from rich.console import Console

from vgbench.errors import VgbenchError
from vgbench.leaderboard import markdown
from vgbench.leaderboard.badge import badge_files, render_badge
from vgbench.leaderboard.comparison import compare
from vgbench.leaderboard.data_frame import data_frame, has_parquet, render_csv, render_parquet, score_frame
from vgbench.leaderboard.gate import gate
from vgbench.leaderboard.history import history, row_history
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.json_document import render_json
from vgbench.leaderboard.latex import render_latex
from vgbench.leaderboard.ranking import rank
from vgbench.leaderboard.rounding import decimals_for, difference_text, p_text, with_error
from vgbench.leaderboard.significance import Difference
from vgbench.leaderboard.table import pairs_table, reading_notes, runs_table
from vgbench.leaderboard.terminal import (
    comparison_table,
    history_table,
    leaderboard_tables,
    record_table,
    verification_table,
)
from vgbench.leaderboard.verification import MetricCheck, Verification
from vgbench.pages.numbers import number, significant
from vgbench.records.record import ExtractorUse

NASTY = r"a|b & 50% of_#{1} ~^$x$ \end{tabular} **x** `y` <script>alert(1)</script> [z](http://z)"


@pytest.fixture
def groups():
    return rank(
        [
            make_record("a", {"fvd": make_score(340.24, 8.12, debiased=312.41), "is": make_score(3.21, 0.1)}),
            make_record("b", {"fvd": make_score(420.0, 7.0, debiased=400.0), "is": make_score(9.87, 0.1)}),
            make_record(NASTY, {"fvd": make_score(415.0, 7.0, debiased=401.0)}),
            make_record("real (test split)", {"fvd": make_score(20.0, 2.0, debiased=9.0)}),
        ]
    )


def test_digits_follow_the_standard_error():
    assert (
        with_error(make_score(312.4159, 8.123), decimals_for([make_score(312.4159, 8.123)])) == "312.4 ± 8.1"
    )
    # One column, one number of decimals: two digits of the largest error, one of the smallest.
    assert decimals_for([make_score(1.0, 12.0), make_score(1.0, 0.3)]) == 1
    assert decimals_for([make_score(1.0, 0.00042)]) == 5
    assert decimals_for([make_score(1234.5, 150.0)]) == 0
    assert decimals_for([make_score(0.123456, None)]) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "NaN"), (float("-inf"), "−∞"), (-1.25, "−1.2"), (-0.01, "0.0")],
)
def test_number(value, text):
    assert number(value, 1) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 4, "–"),
        (float("nan"), 4, "NaN"),
        (float("-inf"), 4, "−∞"),
        (0.012345, 4, "0.01235"),
        (-2280.4, 4, "−2,280"),
        (999.96, 4, "1000"),
        (523.0, 2, "523"),
        (1e9, 3, "1e+09"),
    ],
)
def test_significant_digits(value, digits, text):
    assert significant(value, digits) == text


@pytest.mark.parametrize(
    ("value", "error", "interval", "text"),
    [
        (0.35, 0.15, (0.056, 0.644), "0.35 [0.06, 0.64]"),  # read "0 [0, 1]" with the decimals of the scores
        (3.0, 1.53, (0.0004, 6.0), "3.0000 [0.0004, 6.0000]"),
        (-3.0, 1.53, (-6.0, -0.0004), "−3.0000 [−6.0000, −0.0004]"),
        (3.0, 1.53, (-0.0004, 6.0), "3.0 [0.0, 6.0]"),
        (200.0, 40.0, (120.0, 280.0), "200 [120, 280]"),
        (2e-9, 0.0, (2e-9, 2e-9), "0.000000002 [0.000000002, 0.000000002]"),
        (float("nan"), None, None, "NaN –"),
    ],
)
def test_a_difference_has_the_digits_of_its_own_error_and_never_contradicts_its_verdict(
    value, error, interval, text
):
    assert difference_text(Difference(value, error, interval, None), 0) == text


def test_a_difference_has_no_fewer_decimals_than_its_scores():
    assert difference_text(Difference(200.0, 40.0, (120.0, 280.0), None), 1) == "200.0 [120.0, 280.0]"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (None, "–"),
        (0.0009, "<0.001"),
        (0.0312, "0.031"),
        (0.0499, "0.0499"),
        (0.04999, "0.04999"),
        (0.0501, "0.0501"),
        (0.0546, "0.0546"),
        (0.481, "0.48"),
    ],
)
def test_a_p_value_is_on_its_side_of_the_level(p, text):
    assert p_text(p) == text


def test_every_text_of_a_difference_leaves_out_zero_where_its_interval_does():
    # Errors of 20, but of the same real clips: that of the difference is 0.14.
    shared = ((0.05, -0.05, 0.05, -0.05), (10.0, -10.0, 10.0, -10.0))
    old, new = (
        make_record("m", {"fvd": make_score(v, 20.0, deviations=shared)}, created=f"2026-11-{day}T12:00:00Z")
        for v, day in ((120.0, 20), (120.6, 21))
    )
    old_model = old.model_copy(update={"model": "old"})
    expected = "[0.32, 0.88]"
    assert expected in gate(old, new, max_worse=0.0).reason
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    console.print(comparison_table(compare(old_model, new)))
    console.print(history_table(history(rank([old, new]))))
    assert stream.getvalue().count(f"0.60 {expected}") == 2
    (group,) = rank([old_model, new])
    ((_, _, difference, interval, _, verdict),) = pairs_table(group).rows
    assert (str(difference), str(interval), str(verdict)) == ("0.60", expected, "old is better")
    (group,) = rank([old, new])
    (_, run) = runs_table(row_history(group, group.rows[0])).rows
    assert str(run[3]) == f"0.60 {expected}"


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Cells of every pipe table, split at pipes that are not escaped, as GitHub does."""
    blocks = [block for block in text.split("\n\n") if block.startswith("| ")]
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in block.splitlines()]
        for block in blocks
    ]


def test_markdown_reads_back(groups):
    ((header, rule, *rows),) = markdown_tables(markdown.render_markdown(groups))
    assert header == ["rank", "model", "fvd, corrected ↓", "95 % interval", "fvd, plain", "is ↑"]
    assert {len(row) for row in [header, rule, *rows]} == {6}
    assert [row[0] for row in rows] == ["—", "1", "2", "2"]
    assert rows[1][1:3] == ["a", "**312.4 ± 8.1**"]
    assert rows[1][4] == "340.2"
    assert rows[2][5] == "**9.87 ± 0.10**"
    unescaped = (
        re.sub(r"\\(.)", r"\1", rows[3][1]).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    assert unescaped == NASTY


def test_markdown_holds_no_tag_and_no_live_markup_from_a_name(groups):
    text = markdown.render_markdown(groups, title=NASTY)
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(", text)


def test_markdown_code_survives_backticks():
    assert markdown.code("a`b``c") == "``` a`b``c ```"


def test_csv_reads_back_without_loss(groups):
    rows = list(csv.DictReader(io.StringIO(render_csv(groups))))
    assert [row["model"] for row in rows] == ["real (test split)", "a", "b", NASTY]
    assert [row["rank"] for row in rows] == ["", "1", "2", "2"]
    assert float(rows[1]["fvd.debiased"]) == 312.41
    assert float(rows[1]["fvd.low"]) == pytest.approx(312.41 - 1.96 * 8.12, abs=1e-12)
    assert rows[3]["is.value"] == ""
    assert {row["signature"] for row in rows} == {str(groups[0].signature)}


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x")', "+1", "-1", "@sum"])
def test_csv_names_are_no_formulas(name):
    (row,) = csv.DictReader(io.StringIO(render_csv(rank([make_record(name)]))))
    assert row["model"] == "'" + name


def test_data_frame_holds_numbers_not_text(groups):
    frame = data_frame(groups)
    assert (str(frame["rank"].dtype), str(frame["fvd.n"].dtype)) == ("Int64", "Int64")
    assert str(frame["is.debiased"].dtype) == "float64"  # also where every entry is missing
    assert frame["rank"].isna().tolist() == [True, False, False, False]


def test_score_frame_has_every_score_of_every_row_with_its_rank(groups):
    frame = score_frame(groups)
    ranks = frame.set_index(["model", "metric"])["rank"]
    expected = {
        ("a", "fvd"): 1,
        ("a", "is"): 2,
        ("b", "fvd"): 2,
        ("b", "is"): 1,
        (NASTY, "fvd"): 2,
    }
    assert ranks.dropna().to_dict() == expected
    assert ranks.index[ranks.isna()].tolist() == [("real (test split)", "fvd")]
    assert str(ranks.dtype) == "Int64"
    assert frame.set_index("model").loc["real (test split)", "role"] == "real"
    assert set(frame["group"]) == {groups[0].signature.short_hash}


def test_a_metric_that_only_one_group_has_is_missing_in_the_others():
    other = (*FIELDS[:2], ("frames", "16/s2"), *FIELDS[3:])
    kvd = make_record("b", {"fvd": make_score(3.0), "kvd": make_score(1.0)}, fields=other)
    frame = data_frame(rank([make_record("a", 2.0), kvd])).set_index("model")
    assert frame["fvd.value"].to_dict() == {"a": 2.0, "b": 3.0}
    assert frame["kvd.value"].isna().to_dict() == {"a": True, "b": False}
    assert frame["kvd.n"].isna().to_dict() == {"a": True, "b": False}


@pytest.mark.skipif(not has_parquet(), reason="pyarrow is not installed (extra 'parquet')")
def test_parquet_reads_back_without_loss(groups):
    found = pd.read_parquet(io.BytesIO(render_parquet(groups)))
    pd.testing.assert_frame_equal(found, data_frame(groups))


def test_parquet_without_its_package_is_refused_with_the_remedy(groups, monkeypatch):
    monkeypatch.setattr("vgbench.leaderboard.data_frame.has_parquet", lambda: False)
    with pytest.raises(VgbenchError, match="pyarrow") as error:
        render_parquet(groups)
    assert error.value.remedy == "pip install pyarrow"


def latex_rows(text: str) -> list[list[str]]:
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [re.split(r"(?<!\\) & ", line.removesuffix(r" \\")) for line in body.strip().splitlines()]


def test_latex_reads_back(groups):
    text = render_latex(groups)
    rows = latex_rows(text)
    assert [len(row) for row in rows] == [6, 6, 6, 6]
    assert rows[1][2] == r"\textbf{312.4} {\scriptsize $\pm$ 8.1}"
    assert rows[1][3] == "{[296.5, 328.3]}"
    assert rows[0][0] == "---"


def test_latex_escapes_every_special_character(groups):
    cell = latex_rows(render_latex(groups))[3][1]
    assert r"\end{tabular}" not in cell
    # Take away the commands that escaping itself writes: no special character may be left.
    left = re.sub(r"\\text\w+\{\}|\\[{}$&#%_]", "", cell)
    assert not set(left) & set("\\{}$&#%_^~<>|")
    text = render_latex(rank([make_record("a\nb\x00c\\")]))
    assert "a b c\\textbackslash{}" in text


def test_latex_braces_and_environments_balance(groups):
    text = render_latex(groups)
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 1


def test_json_reads_back(groups):
    document = json.loads(render_json(groups, "T"))
    (group,) = document["groups"]
    assert (document["leaderboard_schema"], document["title"], group["primary"]) == (1, "T", "fvd")
    assert [(row["model"], row["rank"]) for row in group["rows"]][1:3] == [("a", 1), ("b", 2)]
    assert group["rows"][2]["tied_with"] == [NASTY]
    assert group["metrics"] == {"fvd": {"better": "lower"}, "is": {"better": "higher"}}
    assert len([pair for pair in group["pairs"] if pair["metric"] == "fvd"]) == 3


def test_json_has_null_for_what_is_not_finite():
    text = render_json(rank([make_record("a", {"fvd": make_score(float("nan"), None)})]))
    assert (
        json.loads(text, parse_constant=pytest.fail)["groups"][0]["rows"][0]["scores"]["fvd"]["value"] is None
    )


def test_every_format_has_the_same_order(groups):
    order = [row.model for row in groups[0].rows]
    assert [row["model"] for row in csv.DictReader(io.StringIO(render_csv(groups)))] == order
    assert [row["model"] for row in json.loads(render_json(groups))["groups"][0]["rows"]] == order
    assert [row[1][:1] for row in latex_rows(render_latex(groups))] == [name[:1] for name in order]
    ((_, _, *rows),) = markdown_tables(markdown.render_markdown(groups))
    assert [row[1][:1] for row in rows] == [name[:1] for name in order]


def test_footnotes_name_history_and_merge_a_warning_that_all_rows_have():
    warnings = (("few-clips", "generated: 9 windows"),)
    records = [
        make_record("a", warnings=warnings),
        make_record("a", created="2026-11-01T00:00:00Z"),
        make_record("b", warnings=warnings),
    ]
    text = markdown.render_markdown(rank(records))
    assert "a: the latest record (2026-11-20) counts, and an older one is left out" in text
    assert "all: generated: 9 windows (few-clips)" in text


def test_footnotes_that_mean_the_same_are_one_with_what_was_found_for_each():
    slow = [("below-real", f"dynamic_degree {value}, real 0.5: it moves less") for value in ("0.1", "0.2")]
    text = markdown.render_markdown(
        rank(
            [
                make_record("a", warnings=(slow[0],)),
                make_record("b", warnings=(slow[1], ("plain", "as it is"))),
                make_record("c", warnings=(slow[0],)),
            ]
        )
    )
    whom = (
        r"a, c (dynamic\_degree 0.1, real 0.5); b (dynamic\_degree 0.2, real 0.5)",
        r"b (dynamic\_degree 0.2, real 0.5); a, c (dynamic\_degree 0.1, real 0.5)",
    )
    assert any(f"- {one}: it moves less (below-real)\n" in text for one in whom)
    assert text.count("it moves less") == 1
    assert "- b: as it is (plain)" in text


def test_differing_fields_are_listed_for_separate_tables():
    other = (*FIELDS[:1], ("clips", "9+9"), *FIELDS[2:])
    text = markdown.render_markdown(rank([make_record("a"), make_record("b", fields=other)]))
    assert "- clips: " in text
    assert "- frames: " not in text


def test_badge_is_wellformed_xml_with_the_text_intact(groups):
    (group,) = groups
    row = next(row for row in group.rows if row.model == NASTY)
    picture = ET.fromstring(render_badge(group, row))
    space = "{http://www.w3.org/2000/svg}"
    assert picture.find(f"{space}title").text.startswith(NASTY)
    assert picture.findall(f".//{space}text")[1].text == "401.0 ± 7.0 · rank 2 of 3"
    ET.fromstring(render_badge(*_single("\x00\x1b\ud800</svg>")))


def test_badge_names_the_network_where_no_published_scores_were_made_with_it():
    """The warning decides, and only where the score depends on features: pixels know no network."""
    used = ExtractorUse(id="embedded-v1", weights="w", licence="ours", comparable_with="itself")
    pixels = {"fvd": "|".join(f"{key}:{value}" for key, value in FIELDS if key != "feat")}
    said = {"warnings": (("not-comparable", "extractor embedded-v1: compare with itself"),)}

    def label(**changes):
        (group,) = rank([make_record("a", extractor=used, **changes)])
        picture = ET.fromstring(render_badge(group, group.rows[0]))
        return picture.findall(".//{http://www.w3.org/2000/svg}text")[0].text

    assert label(**said) == "fvd (embedded-v1) · quick"
    assert label() == "fvd · quick"
    assert label(**said, signatures=pixels) == "fvd · quick"


def _single(name):
    (group,) = rank([make_record(name)])
    return group, group.rows[0]


def test_badges_are_for_ranked_models_under_safe_names(groups):
    names = badge_files(groups)
    assert len(names) == 3
    assert all(re.fullmatch(r"[\w.-]+\.svg", name) for name in names)


def test_no_badge_takes_the_place_of_another():
    models = ["a-b", "a b", "a/b", "A-B", "模型", "生成", "model", "x" * 90, "x" * 91]
    groups = rank([make_record(model) for model in models])
    names = badge_files(groups)
    assert len({name.casefold() for name in names}) == len(models)
    for row in groups[0].models:
        assert sum(f"<title>{row.model}: " in picture for picture in names.values()) == 1
    assert all(re.fullmatch(r"[\w.-]+\.svg", name, re.ASCII) for name in names)
    (alone,) = badge_files(rank([make_record("gru-hinge_1.0")]))
    assert re.fullmatch(r"gru-hinge_1\.0-[0-9a-f]+\.svg", alone)


def printed(renderable, width=200):
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return stream.getvalue()


def test_terminal_shows_ranks_and_takes_no_commands_from_names(groups):
    text = printed(
        leaderboard_tables(rank([make_record("[red]a[/]", 100.0), make_record("b\x1b[2J", 200.0)]))
    )
    assert re.search(r"1 +\[red\]a\[/\] +100\.0 ± 1\.0", text)
    assert "\x1b" not in text
    assert str(groups[0].signature).split("|")[0] in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal_keeps_every_number_at_any_width(width):
    scores = {f"a_metric_{i}": make_score(10.0 + i, 0.5) for i in range(6)}
    text = printed(
        leaderboard_tables(rank([make_record("model-one", scores), make_record("model-two", scores)])), width
    )
    assert max(map(len, text.splitlines())) <= width
    for i in range(6):
        assert len(re.findall(rf" {10 + i}\.00 ± 0\.50", text)) == 2
    tables = text.count("rank")
    assert text.count("model-one") == tables
    assert (tables == 1) == (width == 200)


def test_record_table_shows_plain_and_corrected_value():
    text = printed(record_table(make_record("a", {"fvd": make_score(340.24, 8.12, debiased=312.41)})))
    assert re.search(r"↓ fvd, corrected +312\.4 ± 8\.1 +\[296\.5, 328\.3\] +plain 340\.2", text)


def test_a_record_of_six_metrics_fits_eighty_columns_unbroken():
    real = {"real": 0.000270581}
    scores = {
        "fvd": make_score(1340.24, 88.12, debiased=1312.41),
        "kvd": make_score(-0.16162, 0.01919),
        "warping_error": make_score(0.000284, 0.000052, **real),
        "temporal_flicker": make_score(0.015877, 0.001019, **real),
        "motion_smoothness": make_score(0.993465, 0.000813, **real),
        "dynamic_degree": make_score(0.000284, 0.000052, **real),
    }
    lines = printed(record_table(make_record("a", scores)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.strip()]) == 2 + len(scores)
    starts = [line.replace(",", " ").split()[:2] for line in lines[2:] if line.strip()]
    marks = dict.fromkeys(scores, "*") | {"fvd": "", "kvd": ""}
    assert starts == [[arrow, name + marks[name]] for arrow, name in zip("↓↓↓↓↑→", scores, strict=True)]
    assert all(
        len(re.findall(rf"{name}[* ,].*\d ± \d.*\[.*, .*\]", "\n".join(lines))) == 1 for name in scores
    )


def test_a_verification_fits_eighty_columns():
    names = ("fvd", "motion_smoothness", "kvd")
    recorded = make_score(0.993465, 0.000813)
    checks = (
        MetricCheck("fvd", recorded, recorded, 0.0, equal=True),
        MetricCheck("motion_smoothness", recorded, make_score(0.9, 0.000813), 0.094, equal=False),
        MetricCheck("kvd", recorded, None, float("inf"), equal=False),
    )
    lines = printed(verification_table(Verification(make_record("a"), checks)), 80).splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines if line.startswith(names)]
    assert [row[:3] for row in rows] == [
        ["fvd", "equal", "0.99347"],
        ["motion_smoothness", "differs,", "9e-02"],
        ["kvd", "differs", "0.99347"],
    ]
    assert rows[2][-1] == "missing"


@pytest.mark.parametrize(("name", "order"), [("fvd-tats", ("340.2", "312.4")), ("quick", ("312.4", "340.2"))])
def test_plain_values_come_first_where_a_protocol_reproduces_published_ones(name, order):
    fields = tuple((key, name if key == "protocol" else value) for key, value in FIELDS)
    score = {"fvd": make_score(340.24, 8.12, debiased=312.41)}
    record = make_record("a", score, fields=fields, protocol={"name": name})
    group = rank([record])
    latex_text = render_latex(group)
    for text in (printed(record_table(record)), markdown.render_markdown(group), latex_text):
        first, second = (text.index(number) for number in order)
        assert first < second
    page = render_html(group)
    note = re.search(r'class="under plain">(.*?)<', page)
    assert note[1].startswith("plain 340.2") == (name == "fvd-tats")
    assert ("plain value comes first" in latex_text) == (name == "fvd-tats")


def test_every_table_says_which_number_it_shows():
    corrected = make_record("a", {"fvd": make_score(340.24, 8.12, debiased=312.41)})
    plain = make_record("a", {"fvd": make_score(340.24, 8.12)})
    later = corrected.model_copy(update={"created": "2026-11-21T12:00:00+00:00"})
    for record, says in ((corrected, True), (plain, False)):
        groups = rank([record])
        texts = [
            printed(record_table(record)),
            printed(leaderboard_tables(groups)),
            printed(comparison_table(compare(record, record))),
            markdown.render_markdown(groups).partition("Scores are")[0],
            render_latex(groups).partition("Scores are")[0],
            re.search(r"<thead.*?</thead>", render_html(groups), re.DOTALL)[0],
            next(iter(badge_files(groups).values())),
            gate(record, record).reason,
        ]
        assert [("corrected" in text) for text in texts] == [says] * len(texts)
    assert "fvd, corrected ↓" in printed(history_table(history(rank([corrected, later]))))


def test_every_format_says_that_a_metric_is_not_the_published_one():
    (group,) = groups = rank([make_record("a", {"fvd": make_score(1.0), "fvmd": make_score(2.0)})])
    assert any(note.startswith("fvmd*: not the paper's FVMD") for note in reading_notes(group))
    assert not any(note.startswith("fvd") for note in reading_notes(group))
    for text in (
        render_html(groups),
        render_latex(groups),
        markdown.render_markdown(groups).replace("\\", ""),
        printed(leaderboard_tables(groups), 200),
    ):
        assert "fvmd*" in text or "FVMD (Lucas–Kanade)*" in text
        assert "instead of PIPs++" in text
    metrics = json.loads(render_json(groups))["groups"][0]["metrics"]
    assert "PIPs++" in metrics["fvmd"]["differs"]
    assert "differs" not in metrics["fvd"]


def test_plain_is_the_literature_s_estimator_only_where_it_is():
    score = make_score(2.0, debiased=1.0)
    for metric, expected in (("fvd", "the literature’s estimator"), ("fvmd", "without this correction")):
        (group,) = rank([make_record("a", {metric: score})], metric)
        assert any(f"“Plain” is {expected}" in note for note in reading_notes(group))
