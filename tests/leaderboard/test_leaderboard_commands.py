"""The commands around a leaderboard, as users run them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from leaderboard_records import FIELDS, make_record, make_score

from vgbench.evaluation.evaluate import evaluate
from vgbench.leaderboard.submission import write_submission
from vgbench.records.record import Clips, ClipSet, ClipUse

REAL = "builtin:moving-shapes/test?size=32&clips=12"
GENERATED = "builtin:moving-shapes/train?size=32&clips=12"
SETTINGS = ["clips.generated=12", "clips.real=12", "clips.least=4", "resize.size=32"]


@pytest.fixture
def results(tmp_path):
    for name, value in (("a", 100.0), ("b", 200.0), ("c", 300.0)):
        make_record(name, value).save(tmp_path / "results" / f"{name}.json")
    return tmp_path / "results"


def test_submit_and_verify(run, tmp_path):
    record = evaluate(
        GENERATED, REAL, metrics=["temporal_flicker"], settings=SETTINGS, results=tmp_path / "results"
    )
    sent = tmp_path / "sent.zip"
    code, out, _ = run("submit", tmp_path / "results" / f"{record.stem}.json", "--output", sent)
    assert (code, out.startswith(f"{sent}: ")) == (0, True)
    code, out, _ = run("verify", sent)
    assert (code, "as recorded (hashes and manifest, without the clips)" in out) == (0, True)
    code, out, _ = run("verify", sent, "--clips", GENERATED, "--against", REAL, "--json")
    found = json.loads(out)
    assert (code, found["holds"], found["metrics"]["temporal_flicker"]["equal"]) == (0, True, True)
    code, out, _ = run("verify", sent, "--clips", REAL, "--against", REAL)
    assert code == 3
    assert re.search(r"temporal_flicker +differs", out)
    assert "not as recorded (clips and scores)" in out
    sent.write_bytes(sent.read_bytes()[:-40])
    code, _, err = run("verify", sent)
    assert (code, "not a readable submission" in err) == (2, True)


def test_compare_holds_every_further_record_against_the_first(run, results):
    code, out, _ = run("compare", *(results / f"{name}.json" for name in "abc"))
    assert code == 0
    assert out.count("a is better") == 2
    assert out.index("200.0 ± 1.0") < out.index("300.0 ± 1.0")
    other = make_record("d", fields=FIELDS[:-1]).save(results / "d.json")
    code, out, err = run("compare", results / "a.json", results / "b.json", other)
    assert (code, out, "not measured in the same way: v: 1.0 against -" in err) == (2, "", True)


def test_history(run, results):
    make_record("a", 120.0, created="2026-11-01T00:00:00Z").save(results / "old.json")
    code, out, _ = run("history", results, "--model", "a")
    assert code == 0
    assert out.index("2026-11-01 00:00") < out.index("2026-11-20 12:00")
    assert "better" in out
    assert run("history", results, "--model", "nobody")[0] == 2
    code, out, _ = run("history", results)
    assert code == 0
    assert [line for line in out.splitlines() if line in ("a", "b", "c")] == ["a", "b", "c"]
    assert out.count("100.0 ± 1.0") == out.count("200.0 ± 1.0") == out.count("300.0 ± 1.0") == 1


def test_a_record_that_was_edited_is_named_and_never_passes_the_gate(run, results):
    edited = results / "b.json"
    edited.write_text(edited.read_text().replace("200.0", "20.0"))
    said = "b.json was changed after it was written"
    for arguments in (
        ("report", results),
        ("history", results),
        ("compare", results / "a.json", edited),
        ("compare", edited, results / "a.json"),
    ):
        code, out, err = run(*arguments)
        assert (code, err.count(said), said in out) == (0, 1, False), arguments
    for candidate, baseline in (("a.json", "b.json"), ("b.json", "a.json")):
        code, out, err = run("gate", results / candidate, "-b", results / baseline)
        assert (code, out, said in err) == (2, "", True)
    make_record("b", 190.0, created="2026-11-21T00:00:00Z").save(results / "later.json")
    for command in ("report", "history"):  # an older run is shown there too
        assert run(command, results)[2].count(said) == 1


@pytest.mark.parametrize("share", ["nan", "nan%", "inf", "inf%", "-1%", "-0.1", "2", "1.01", "%", "x"])
def test_a_gate_that_would_let_everything_pass_is_refused(run, results, share):
    code, out, err = run("gate", results / "b.json", "-b", results / "a.json", f"--max-worse={share}")
    assert (code, out, f"--max-worse {share}" in err, "0 to 1" in err) == (2, "", True, True)


def test_a_gate_takes_percent_and_shares(run, results):
    for share, code in (("2%", 3), ("0.02", 3), ("99%", 3), ("0", 3), ("1", 0), ("150%", 0)):
        assert run("gate", results / "b.json", "-b", results / "a.json", f"--max-worse={share}")[0] == code


def test_a_metric_that_no_record_has_is_refused(run, results, tmp_path):
    for arguments in (("history", "--metric"), ("report", "-o", tmp_path / "board", "--primary")):
        code, out, err = run(*arguments, "fvdd", results)
        assert (code, out, "unknown metric 'fvdd'" in err, "did you mean fvd?" in err) == (2, "", True, True)
        assert run(*arguments, "fvd", results)[0] == 0
    make_record("d", {"kvd": make_score(1.0)}).save(tmp_path / "kvd" / "d.json")
    for command in ("history", "report"):  # nobody asked for fvd: the first that is there
        code, out, _ = run(command, tmp_path / "kvd")
        assert (code, "1.0" in out) == (0, True)


def test_a_site_needs_a_folder(run, results, tmp_path):
    code, _, err = run("report", results, "--site")
    assert (code, "--output" in err) == (2, True)
    assert run("report", results, "--site", "-o", tmp_path / "site")[0] == 0
    assert (tmp_path / "site" / "index.html").is_file()


def test_a_report_s_json_is_one_document_whatever_else_is_asked(run, results):
    make_record("d", fields=FIELDS[:-1]).save(results / "d.json")
    code, out, _ = run("report", results, "--json", "--explain")
    assert (code, set(json.loads(out)["differing_fields"])) == (0, {"v"})
    assert "v: " in run("report", results, "--explain")[1]


def test_formats_may_have_blanks_between_them(run, results, tmp_path):
    assert run("report", results, "-o", tmp_path / "board", "-f", "csv, md")[0] == 0
    assert {path.name for path in (tmp_path / "board").iterdir()} == {"leaderboard.csv", "leaderboard.md"}


def test_a_record_that_is_no_submission_is_not_scored_before_that_is_said(
    run, results, monkeypatch, tmp_path
):
    monkeypatch.setattr("vgbench.leaderboard.verification.verify", None)
    code, _, err = run("verify", results / "a.json", "-c", GENERATED, "-a", REAL, "--unpack", tmp_path / "in")
    assert (code, "--unpack" in err) == (2, True)


def test_watching_prints_no_json(run, results):
    code, _, err = run("report", results, "--watch", "--json")
    assert (code, "--watch" in err) == (2, True)


def test_watch_writes_again_and_ends_cleanly(results, tmp_path):
    table = tmp_path / "out" / "leaderboard.csv"
    command = [sys.executable, "-m", "vgbench", "report", results, "-w", "-f", "csv", "-o", tmp_path / "out"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        _wait_for(lambda: table.is_file())
        (results / "broken.json").write_text('{"schema": 1, "model": 1}')
        time.sleep(0.1)
        (results / "broken.json").unlink()
        make_record("newcomer", 50.0).save(results)
        _wait_for(lambda: "newcomer" in table.read_text())
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list((tmp_path / "out").iterdir()) == [table]


def _wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.05)


def test_the_example_s_workflow_turns_submissions_into_a_site(tmp_path):
    example = Path(__file__).parents[2] / "examples" / "leaderboard-pages"
    workflow = yaml.safe_load((example / ".github" / "workflows" / "leaderboard.yml").read_text())
    steps = workflow["jobs"]["build"]["steps"]
    scripts = [step["run"] for step in steps if "vgbench" in step.get("run", "").split()]
    assert len(scripts) == 2
    for name, value in (("a", 100.0), ("b", 200.0)):
        path = make_listed_record(name, value).save(tmp_path / "made")
        write_submission(path, tmp_path / "submissions" / f"{name}.zip")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vgbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vgbench "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "TITLE": "My board"}

    def run_workflow(folder):
        for script in scripts:  # each in a shell of its own, as there
            command = ["bash", "-e", "-c", script]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
            )
            assert done.returncode == 0, done.stderr

    run_workflow(tmp_path)
    artifact = next(step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", ""))
    assert "<title>My board</title>" in (tmp_path / artifact / "index.html").read_text()
    assert len(list((tmp_path / artifact / "records").glob("*.json"))) == 2
    (tmp_path / "new" / "submissions").mkdir(parents=True)
    run_workflow(tmp_path / "new")
    assert "No submissions yet." in (tmp_path / "new" / artifact / "index.html").read_text()


def make_listed_record(name, value):
    """A record whose manifest adds up, as that of every evaluation does."""
    windows = tuple(ClipUse(id=str(i), sha256=f"{i:064x}", frames=(0, 1)) for i in range(4))
    digest = hashlib.sha256("".join(f"{w.sha256}|0,1\n" for w in windows).encode()).hexdigest()
    side = ClipSet(source="x", used=4, clips=4, found=4, manifest_hash=digest, windows=windows)
    fields = tuple((key, digest[:8] if key == "real" else text) for key, text in FIELDS)
    return make_record(name, value, fields=fields, clips=Clips(generated=side, real=side))
