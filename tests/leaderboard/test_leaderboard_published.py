"""Published scores: the shipped file is sound, and no report mixes them with measured ones."""

from __future__ import annotations

import json
import math

import pytest
from leaderboard_records import make_record

from vgbench.errors import ConfigError
from vgbench.leaderboard.data_frame import render_csv
from vgbench.leaderboard.html_page import render_html
from vgbench.leaderboard.json_document import render_json
from vgbench.leaderboard.latex import render_latex
from vgbench.leaderboard.markdown import render_markdown
from vgbench.leaderboard.published import load_published, published_lines, shipped
from vgbench.leaderboard.ranking import rank
from vgbench.leaderboard.report import write_report
from vgbench.leaderboard.site import write_site

OWN = """
- dataset: mine
  metric: fvd
  better: lower
  protocol: ours
  source: a <b>paper</b>
  read: source
  signature: {signature}
  rows:
    - {{model: "</td><script>alert(1)</script>", value: 12.5, error: 0.25}}
    - {{model: other, value: 1209}}
"""


def test_every_shipped_number_names_its_source_and_stands_once():
    tables = shipped()
    assert {table.dataset for table in tables} >= {"ucf101", "sky", "faceforensics", "taichi"}
    keys = [(t.dataset, t.metric, t.protocol, t.source, row.model) for t in tables for row in t.rows]
    assert len(keys) == len(set(keys))
    for table in tables:
        assert table.source
        assert table.protocol
        assert all(math.isfinite(row.value) and row.value >= 0 for row in table.rows)
        assert all(row.error is None or 0 < row.error < row.value for row in table.rows)


def test_shipped_numbers_are_those_of_the_sources():
    values = {(t.dataset, t.metric, t.source[:9], r.model): r.value for t in shipped() for r in t.rows}
    assert values["ucf101", "is", "MoCoGAN (", "MoCoGAN"] == 12.42
    assert values["ucf101", "is", "README of", "TGANv2"] == 25.07
    assert values["ucf101", "fvd", "CogVideo ", "MoCoGAN-HD"] == 838
    assert values["sky", "fvd", "tables of", "StyleGAN-V"] == 79.5


def test_published_scores_change_no_rank_and_no_table_of_measured_ones():
    groups = rank([make_record("a", 100.0), make_record("b", 900.0)])
    lines = published_lines(load_published(["ucf101"]), groups)
    assert render_csv(groups, "", lines) == render_csv(groups)
    with_them, without = (json.loads(render_json(groups, "t", shown)) for shown in (lines, ()))
    assert with_them.pop("as_published")[0]["model"] == "VGAN"
    assert with_them == without
    for render in (render_markdown, render_latex):
        assert render(groups, "t", lines).startswith(render(groups, "t").rstrip("\n"))
    page, bare = render_html(groups, "t", lines), render_html(groups, "t")
    assert page.split('<section id="published">')[0] == bare.split("</main>")[0].rstrip() + "\n\n"
    assert {line.comparable for line in lines} == {"none here"}


def test_latex_of_published_scores_balances():
    lines = published_lines(load_published(["ucf101"]), [])
    text = render_latex([], "a & b", lines)
    assert text.count(r"\begin{longtable}") == text.count(r"\end{longtable}") == 1
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.count("}")
    body = text.split(r"\endfoot")[1].split(r"\end{longtable}")[0].strip().splitlines()
    assert len(body) == len(lines)
    assert all(line.replace(r"\&", "").count("&") == 5 and line.endswith(r" \\") for line in body)


def test_only_an_equal_signature_lets_a_number_be_read_beside_measured_ones(tmp_path):
    groups = rank([make_record("a", 100.0)])
    for signature, expected in (
        (str(groups[0].signature), groups[0].signature.short_hash),
        ("quick|other", "none here"),
        ("null", "none here"),
    ):
        path = tmp_path / "own.yaml"
        path.write_text(OWN.format(signature=signature if signature == "null" else json.dumps(signature)))
        lines = published_lines(load_published([str(path)]), groups)
        assert [line.comparable for line in lines] == [expected] * 2
        assert [line.score for line in lines] == ["12.5 ± 0.25", "1209"]
    page = render_html(groups, "t", lines)
    assert "<script>alert" not in page
    assert "a &lt;b&gt;paper" in page


def test_unknown_data_sets_and_damaged_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match="unknown data set with published scores 'ucf10'"):
        load_published(["ucf10"])
    with pytest.raises(ConfigError, match="os:system"):  # a name is never imported here
        load_published(["os:system"])
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_published([str(tmp_path / "none.yaml")])
    (tmp_path / "bad.yaml").write_text("- {dataset: x, metric: fvd}")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_published([str(tmp_path / "bad.yaml")])


def test_report_and_site_show_them(tmp_path):
    make_record("a", 100.0).save(tmp_path / "results")
    (page,) = write_report([tmp_path / "results"], tmp_path / "x.md", ["md"], published=["sky"])
    assert "## As published" in page.read_text()
    write_site([tmp_path / "results"], tmp_path / "site", published=["sky"])
    assert 'id="published"' in (tmp_path / "site" / "index.html").read_text()
    assert "as_published" in json.loads((tmp_path / "site" / "leaderboard.json").read_text())
