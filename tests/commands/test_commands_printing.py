"""What is printed of records: on which stream, what only once, and what is cut short."""

from __future__ import annotations

import json
from pathlib import Path

from small_record import small_record

from vgbench.commands import console, printing
from vgbench.records.record import CHANGED, SkippedClip


def _record(**changes):
    return small_record().model_copy(update=changes)


def _with_skipped(count):
    record = small_record()
    skipped = tuple(SkippedClip(path=f"{number}.mp4", reason="is cut off") for number in range(count))
    generated = record.clips.generated.model_copy(update={"skipped": skipped})
    return _record(clips=record.clips.model_copy(update={"generated": generated}))


def test_a_record_s_result_is_on_stdout_and_what_limits_it_on_stderr(capsys):
    record = _record(warnings=(("few-clips", "2 clips only"),), details={"unscored": {"acd": "no tracks"}})
    printing.print_record(record, Path("results"), as_json=False)
    printed = capsys.readouterr()
    out = printed.out.splitlines()
    assert "signature  quick|clips:2+2" in out
    assert f"saved      results/{record.stem}.json" in out
    assert "fvd" in printed.out
    assert printed.err.splitlines() == [
        "warning few-clips 2 clips only",
        "warning left-out acd: no tracks",
        "compare: vgbench report results",
    ]


def test_quiet_hides_the_hint_and_no_warning(monkeypatch, capsys):
    monkeypatch.setattr(console, "verbosity", console.Verbosity(quiet=True))
    printing.print_record(_record(warnings=(("few-clips", "2 clips"),)), Path("results"), as_json=False)
    assert capsys.readouterr().err == "warning few-clips 2 clips\n"


def test_a_record_as_json_is_its_file(capsys):
    record = _record(warnings=(("few-clips", "2 clips only"),))
    printing.print_record(record, None, as_json=True)
    printed = capsys.readouterr()
    assert json.loads(printed.out) == json.loads(record.to_json())
    assert printed.err == ""


def test_five_skipped_clips_are_named_and_the_others_counted(capsys):
    printing.print_record(_with_skipped(5), None, as_json=False)
    five = capsys.readouterr().err.splitlines()
    assert five == [f"warning skipped {number}.mp4: is cut off" for number in range(5)]
    printing.print_record(_with_skipped(7), None, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        *five,
        "warning skipped … and 2 more, which the record names",
    ]


def test_a_curve_gives_each_warning_only_once(capsys):
    early = _record(warnings=(("few-clips", "2 clips"),), details={"unscored": {"acd": "no tracks"}})
    late = _record(warnings=(("few-clips", "2 clips"), ("slow", "1 minute")), details=early.details)
    printing.print_curve({0: early, 16: late}, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "warning few-clips 2 clips",
        "warning slow 1 minute",
        "warning left-out acd: no tracks",
    ]
    printing.print_curve({0: early, 16: late}, as_json=True)
    points = json.loads(capsys.readouterr().out)["fvd"]
    assert [(point["from_frame"], point["debiased"]) for point in points] == [(0, 1.2), (16, 1.2)]


def test_of_many_records_only_those_that_were_changed_are_named(capsys):
    changed = _record(warnings=((CHANGED, "b.json was changed"), ("few-clips", "2 clips")))
    printing.print_changed_records([_record(warnings=(("few-clips", "2 clips"),)), changed, changed])
    assert capsys.readouterr().err == f"warning {CHANGED} b.json was changed\n"


def test_brackets_of_names_are_no_markup(capsys):
    console.print_warning("skipped", "[bold]clip[/].mp4")
    console.print_hint("wrote [red]page[/].html")
    assert capsys.readouterr().err == "warning skipped [bold]clip[/].mp4\nwrote [red]page[/].html\n"
