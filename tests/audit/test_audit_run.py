"""The whole audit, with a network without weights on procedural clips."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console
from stub_extractor import StubExtractor

from vgbench.audit.page import panels, render_html, write_audit
from vgbench.audit.result import AuditResult
from vgbench.audit.run import audit
from vgbench.audit.terminal import audit_tables
from vgbench.clips import ClipSource, open_source
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.evaluate import evaluate
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.metrics import METRICS

SHAPES = "builtin:moving-shapes/test?size=32&clips=40&frames=24"
SETTINGS = ("resize.size=32", "clips.least=4")
DISTORTIONS = ("noise", "freeze", "reverse", "speed-up", "mode-drop", "memorise")


def _audit(real=SHAPES, metrics=("fvd", "temporal_flicker"), **options):
    options = {
        "distortions": DISTORTIONS,
        "strengths": (1.0, 0.5),
        "clips": 20,
        "settings": SETTINGS,
        **options,
    }
    return audit(real, "quick", list(metrics), options.pop("extractor", StubExtractor()), **options)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return FeatureStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def result(store):
    return _audit(store=store)


def _reaction(result, metric, distortion):
    found = next(m for m in result.metrics if m.metric == metric)
    return next(r for r in found.reactions if r.distortion == distortion)


def test_distance_to_itself_is_zero_when_all_is_memorised(result):
    points = _reaction(result, "fvd", "memorise").points
    assert points[-1].score.value == pytest.approx(0, abs=1e-6)
    assert points[0].score.value > 1e-3


def test_every_strength_scores_the_same_windows(store, monkeypatch):
    """Also of pairs that begin alike, one of which may be left out."""
    clips = np.random.default_rng(0).integers(0, 256, (24, 20, 8, 8, 3), dtype=np.uint8)
    clips[1::2, 0] = clips[::2, 0]
    records = []

    def keep(*sources, **options):
        records.append(evaluate(*sources, **options))
        return records[-1]

    monkeypatch.setattr("vgbench.audit.run.evaluate", keep)
    settings = ("windows.frames=8", "resize.size=8", "clips.least=4")
    kinds = ("blur", "freeze", "drop")
    _audit(clips, ["temporal_flicker"], settings=settings, clips=6, distortions=kinds, store=store)
    assert len(records) == 7
    assert len({record.clips.real.manifest_hash for record in records}) == 1
    drawn = [[(one.id, one.frames) for one in record.clips.generated.windows] for record in records]
    assert all(windows == drawn[0] for windows in drawn)


def test_flicker_sees_noise_as_worse_and_a_frozen_clip_as_better(result):
    noise, frozen = (_reaction(result, "temporal_flicker", name) for name in ("noise", "freeze"))
    assert noise.detects_from == 0.5
    assert noise.monotone
    assert frozen.rewards_from == 0.5
    assert frozen.points[-1].score.value == 0


def test_flicker_cannot_see_time_run_backwards(result):
    """Mean difference of neighbouring frames: the same in either direction."""
    backwards = _reaction(result, "temporal_flicker", "reverse")
    assert backwards.rank_correlation is None
    assert backwards.sensitivity == pytest.approx(0, abs=1e-6)


def test_strengths_rise_from_the_undamaged_half(result):
    assert result.strengths == (0.5, 1.0)
    for metric in result.metrics:
        assert {p.score.value for r in metric.reactions for p in r.points[:1]} == {metric.baseline.value}
        assert [p.strength for p in metric.reactions[0].points] == [0.0, 0.5, 1.0]


def test_what_clips_do_not_allow_is_left_out_with_the_reason(result):
    """24 frames at double speed are 12, too few for a window of 16."""
    reasons = {(entry.distortion, entry.strength): entry.reason for entry in result.omitted}
    assert reasons[("speed-up", 1.0)].startswith("0 usable windows")
    assert [p.strength for p in _reaction(result, "fvd", "speed-up").points] == [0.0, 0.5]


def test_clips_without_classes_have_no_modes_to_drop(store):
    clips = [dataclasses.replace(clip, label=None) for clip in open_source(SHAPES).clips]
    result = _audit(ClipSource("x", clips), ["fvd"], distortions=["mode-drop"], store=store)
    assert {entry.reason for entry in result.omitted} == {"the clips have no classes"}
    assert result.metrics[0].reactions == ()


@pytest.fixture(scope="module")
def everything(store):
    """Clips of two classes only, so that each half has both."""
    shapes = open_source(SHAPES).clips
    clips = [dataclasses.replace(clip, label="ab"[number % 2]) for number, clip in enumerate(shapes)]
    options = {"distortions": ["noise", "mode-drop"], "strengths": [1.0], "clips": 8}
    return _audit(ClipSource("two classes", clips), METRICS, store=store, **options)


def test_every_metric_is_audited_or_named_with_the_reason(everything):
    """The stub sees clips whole, so metrics of single frames are out; nothing else is."""
    frames = {m.name for m in METRICS.values() if m.sees == "frames"}
    assert {entry.metric for entry in everything.not_audited} == frames
    assert {entry.reason for entry in everything.not_audited} == {
        "needs features of every frame, and extractor 'stub' sees clips whole"
    }
    scores = [n for m in METRICS.values() if m.name not in frames for n in m.directions]
    assert [metric.metric for metric in everything.metrics] == scores
    assert AuditResult.from_json(everything.to_json()) == everything
    for text in (render_html(everything), _printed(everything)):
        assert all(name in text for name in frames)
        assert "not audited" in text


def test_a_metric_that_one_damage_does_not_allow_loses_that_point_only(everything):
    """Full mode-drop leaves one class, so the distance within each class has no value there."""
    left_out = {entry.metric: str(entry) for entry in everything.omitted}
    assert left_out["intra_fvd"].startswith("intra_fvd, mode-drop at 1: class '")
    distortions = {m.metric: [r.distortion for r in m.reactions] for m in everything.metrics}
    assert distortions["intra_fvd"] == ["noise"]
    assert distortions["fvd"] == ["noise", "mode-drop"]


def test_nothing_left_to_audit_is_an_error(store):
    with pytest.raises(VgbenchError, match=r"no metric is left.*stream: needs features of every frame"):
        _audit(metrics=["stream"], store=store)


def test_metrics_of_single_clips_are_not_asked_about_the_choice_of_clips(result):
    kinds = {m.metric: {reaction.kind for reaction in m.reactions} for m in result.metrics}
    assert kinds == {"fvd": {"spatial", "temporal", "set"}, "temporal_flicker": {"spatial", "temporal"}}


def test_listing_order_changes_nothing(result, store):
    source = open_source(SHAPES)
    backwards = _audit(ClipSource(source.name, source.clips[::-1]), store=store)
    assert backwards.metrics == result.metrics


def test_a_second_audit_computes_nothing(result, store):
    network = StubExtractor()
    again = _audit(extractor=network, store=store)
    assert network.calls == []
    assert again.metrics == result.metrics


def test_equal_files_in_both_halves_are_reported(tmp_path, store):
    source = open_source(SHAPES)
    twins = [dataclasses.replace(clip, id=f"copy-{clip.id}") for clip in source.clips]
    found = _audit(
        ClipSource("twins", [*source.clips, *twins]), ["temporal_flicker"], distortions=["blur"], store=store
    )
    assert "shared-clips" in dict(found.warnings)


def test_progress_reaches_its_total(store):
    steps = []
    _audit(metrics=["temporal_flicker"], store=store, progress=lambda *step: steps.append(step))
    damaged = [step for step in steps if step[0] == "damaged clips"]
    assert damaged[-1] == ("damaged clips", 160, 160)
    assert [done for _, done, _ in damaged] == sorted(done for _, done, _ in damaged)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"distortions": ["blurr"]}, "blurr"),
        ({"distortions": []}, "no distortion"),
        ({"strengths": [0.5, 1.5]}, "1.5"),
        ({"strengths": [0.0]}, "strength 0"),
        ({"strengths": []}, "no strength"),
        ({"clips": 1}, "clips"),
    ],
)
def test_mistakes_are_named(options, word):
    with pytest.raises(ConfigError, match=re.escape(word)):
        _audit(**options)


def test_json_round_trip(result):
    text = result.to_json()
    assert json.loads(text)["schema"] == 1
    assert AuditResult.from_json(text) == result
    assert "deviations" not in text


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d | {"schema": 2}, "schema 1"),
        (lambda d: {k: v for k, v in d.items() if k != "schema"}, "schema 1"),
        (lambda d: d | {"strengths": ["much"]}, "strengths"),
        (lambda d: {k: v for k, v in d.items() if k != "signature"}, "signature"),
        (lambda d: [d], "schema 1"),
    ],
)
def test_other_json_is_refused(result, change, word):
    with pytest.raises(VgbenchError, match=word):
        AuditResult.from_json(json.dumps(change(json.loads(result.to_json()))))


def test_not_json_is_refused():
    with pytest.raises(VgbenchError, match="not valid JSON"):
        AuditResult.from_json("{")


class _Page(HTMLParser):
    """Collects what a browser would fetch or run, and checks that tags close."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset") and not v.startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_stands_alone_and_has_one_plot_a_kind(result):
    page = _Page(render_html(result))
    assert page.links == []
    assert "script" not in page.tags
    assert page.tags.count("svg") == 3 + 2


def test_page_escapes_every_name(result):
    bad = "<script>alert(1)</script>\"'&"
    metric = result.metrics[0]
    reaction = dataclasses.replace(metric.reactions[0], distortion=bad)
    metric = dataclasses.replace(metric, metric=bad, title=bad, reactions=(reaction,))
    entry = dataclasses.replace(result.omitted[0], distortion=bad, reason=bad)
    names = {"source": bad, "protocol": bad, "signature": bad, "extractor": bad, "warnings": ((bad, bad),)}
    hostile = dataclasses.replace(
        result, **names, metrics=(metric,), omitted=(entry,), environment={bad: bad}
    )
    text = render_html(hostile)
    assert "<script" not in text
    assert "alert(1)" in text
    _Page(text)


def test_panels_draw_every_point_where_it_was_measured(result):
    metric = result.metrics[0]
    for panel in panels(metric):
        axes = Figure().subplots()
        panel.draw(axes)
        named = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
        assert list(named) == [r.distortion for r in metric.reactions if r.kind == panel.reactions[0].kind]
        for reaction in panel.reactions:
            x, y = named[reaction.distortion].get_data()
            assert list(x) == [point.strength for point in reaction.points]
            assert list(y) == [point.score.best_estimate for point in reaction.points]
        marks = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o")
        assert marks == sum(p.verdict in ("worse", "better") for r in panel.reactions for p in r.points)
        # Names stand in the order in which the lines end.
        ends = [named[text.get_text()].get_ydata()[-1] for text in axes.get_legend().get_texts()]
        assert ends == sorted(ends, reverse=True)


def test_a_panel_without_any_finite_score_is_empty(result):
    nothing = dataclasses.replace(result.metrics[0].baseline, value=math.nan, debiased=None, interval=None)
    reaction = result.metrics[0].reactions[0]
    points = tuple(dataclasses.replace(point, score=nothing) for point in reaction.points)
    metric = dataclasses.replace(
        result.metrics[0], baseline=nothing, reactions=(dataclasses.replace(reaction, points=points),)
    )
    assert "<svg" in render_html(dataclasses.replace(result, metrics=(metric,)))


def _printed(result):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(audit_tables(result))
    return console.export_text()


def test_terminal_names_what_is_rewarded(result):
    text = _printed(result)
    assert "temporal_flicker ↓" in text
    assert "rewards" in text
    last = text.split("Mean increase of badness")[1]
    assert re.search(r"temporal_flicker.*freeze", last)
    assert re.search(r"^fvd (rewards copying|does not notice copies)", last, re.MULTILINE)


def test_files_are_written_whole(result, tmp_path):
    paths = write_audit(result, tmp_path / "deep" / "folder")
    assert sorted(path.name for path in paths) == ["audit.html", "audit.json"]
    assert sorted(p.name for p in (tmp_path / "deep" / "folder").iterdir()) == ["audit.html", "audit.json"]
    (tmp_path / "file").write_text("")
    with pytest.raises(VgbenchError, match="cannot be written"):
        write_audit(result, tmp_path / "file")


COMMAND = ["audit", SHAPES, "-m", "temporal_flicker", "--set", "clips.least=4", "--clips", "8"]


def test_command_writes_and_prints_json(run, tmp_path):
    options = ["--distortions", "noise,freeze", "--strengths", "0.5,1", "--json", "-o", str(tmp_path)]
    code, out, err = run(*COMMAND, *options)
    assert code == 0, err
    printed = AuditResult.from_json(out)
    assert AuditResult.from_json((tmp_path / "audit.json").read_text()) == printed
    assert [r.distortion for r in printed.metrics[0].reactions] == ["noise", "freeze"]
    assert (tmp_path / "audit.html").exists()


def test_page_has_a_table_of_every_metric_by_every_distortion(result):
    table = render_html(result).split("Smallest strength that is detected</h2>")[1].split("</table>")[0]
    flicker = table.split("Temporal flicker")[1].split("</tr>")[0]
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", flicker)
    header = re.findall(r'class="n">([^<]*)</th>', table)
    assert dict(zip(header, cells, strict=True)) == {
        "noise": "0.5",
        "freeze": "rewards",
        "reverse": "never",
        "speed-up": cells[3],
        "mode-drop": "–",
        "memorise": "–",
    }


def test_command_takes_all_metrics(run, monkeypatch):
    command = ["audit", SHAPES, "-m", "all", "--set", "clips.least=4", "--clips", "4", "--json"]
    asked = []

    def stand_in(real, protocol, metrics, *rest, **options):
        asked.extend(metrics)
        raise VgbenchError("seen", "enough")

    monkeypatch.setattr("vgbench.audit.run.audit", stand_in)
    assert run(*command).code == 2
    assert asked == list(METRICS)


def test_command_shows_tables_and_what_was_left_out(run):
    code, out, err = run(*COMMAND, "--distortions", "freeze,speed-up", "--strengths", "1")
    assert code == 0, err
    assert "undamaged: " in out
    assert "speed-up at 1: 0 usable windows" in err
    assert "damaged clips 8/16" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--distortions", "frieze"], ["frieze", "did you mean freeze"]),
        (["--strengths", "a,b"], ["--strengths", "numbers"]),
        (["--strengths", "2"], ["strength 2", "at most 1"]),
        (["--clips", "200", "--set", "clips.least=100"], ["usable windows", "hint"]),
    ],
)
def test_command_mistakes_exit_2(options, words, run):
    code, out, err = run(*COMMAND, "--distortions", "noise", *options)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_both_halves_are_real_clips_and_take_their_stride(store):
    stride = ("windows.real_stride=3", "windows.frames=4")
    found = _audit(metrics=("fvd",), distortions=("freeze",), settings=(*SETTINGS, *stride), store=store)
    assert "frames:4/s3|" in found.signature
    intact = _reaction(found, "fvd", "freeze").points[0].score
    assert intact.interval[0] <= 0 <= intact.interval[1], "both halves play at the same speed"
