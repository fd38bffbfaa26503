"""The program as users run it: exit codes, streams, speed of --help."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from vgbench.cli import app

TRAIN = "builtin:moving-shapes/train?size=32&clips=20"
TEST = "builtin:moving-shapes/test?size=32&clips=20"
EVAL = ["eval", TRAIN, "--against", TEST, "-m", "temporal_flicker", "--set", "clips.least=4"]


def _run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vgbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['vgbench', '--help']\n"
        "from vgbench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'scipy', 'pandas', 'cv2', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "eval" in done.stdout


def test_json_is_the_only_thing_on_stdout(tmp_path):
    done = _run(*EVAL, "--json", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    score = document["scores"]["temporal_flicker"]
    assert score["interval"][0] < score["value"] < score["interval"][1]
    assert document["clips"]["generated"]["used"] == 20
    assert [path.suffix for path in tmp_path.iterdir() if path.is_file()] == [".json"]


def test_table_on_stdout_and_progress_on_stderr(run):
    code, out, err = run(*EVAL)
    assert code == 0, err
    assert "signature" in out
    assert "extracting" in err
    assert "extracting" not in out
    assert "\x1b[" not in out + err


def test_quiet_keeps_result_and_warnings(run):
    _, out, err = run(*EVAL, "--quiet")
    assert "signature" in out
    assert "extracting" not in err
    assert "few-clips" in err


def test_a_mistake_ends_the_process_with_2(tmp_path):
    done = _run("eval", "no/such/folder", "--against", TEST, cwd=tmp_path)
    assert (done.returncode, done.stdout, "hint" in done.stderr) == (2, "", True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval", "no/such/folder", "--against", TEST], ["no/such/folder", "hint"]),
        (["eval", TRAIN, "--against", TEST, "-p", "quik"], ["quik", "did you mean quick"]),
        (["eval", TRAIN, "--against", TEST, "-m", "fvdd"], ["fvdd", "did you mean fvd"]),
        (["eval", TRAIN, "--against", TEST, "-e", "embeded"], ["embeded", "did you mean embedded"]),
        (["eval", TRAIN, "--against", TEST, "--set", "windows.strid=2"], ["windows.strid", "stride"]),
        (["eval", TRAIN], ["against"]),
        (["report", "nothing-here"], ["nothing-here"]),
        (["sample", "no-run", "--out", "x"], ["no-run"]),
        (["train", "no-preset"], ["no-preset"]),
        (["nonsense"], ["nonsense"]),
        (
            ["eval", TRAIN, "--against", TEST, "--value-range", "0,inf"],
            ["value_range", "too narrow or not finite"],
        ),
        (
            ["eval", TRAIN, "--against", TEST, "--value-range=-1e308,1e308"],
            ["value_range", "too narrow or not finite"],
        ),
        (
            ["eval", TRAIN, "--against", TEST, "--set", "windows.frames=99999999999999999999"],
            ["windows.frames"],
        ),
        (["eval", TRAIN, "--against", TEST, "--set", "resize.size=10000000"], ["resize.size", "8192"]),
        (["cache", "prune", "--max-size", "inf"], ["--max-size inf"]),
    ],
)
def test_mistakes_exit_2_and_name_the_remedy_without_traceback(arguments, words, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert len(err.splitlines()) < 25
    for word in words:
        assert word in err, err


def test_eval_of_all_metrics_names_what_cannot_be_scored(run):
    settings = [f"--set={key}" for key in ("clips.least=4", "clips.generated=8", "clips.real=8")]
    code, out, err = run("eval", TRAIN, "--against", TEST, "-m", "all", "--json", *settings)
    assert code == 0, err
    document = json.loads(out)
    unscored = document["details"]["unscored"]
    assert "needs features of every frame" in unscored["frame_fid"]
    assert {"fvd", "kvd", "warping_error", "acd"} <= set(document["scores"])
    assert set(document["protocol"]["metrics"]).isdisjoint(unscored)


def test_every_command_has_the_common_options_and_a_word_for_each_of_its_own():
    from typer.main import get_command

    def commands(group, path=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, (*path, name))
            else:
                yield " ".join((*path, name)), command

    found = dict(commands(get_command(app)))
    assert {"eval", "weights list", "cache info", "cache prune", "stats export"} <= set(found)
    for name, command in found.items():
        options = {flag for parameter in command.params for flag in parameter.opts}
        assert {"--quiet", "--debug"} <= options, name
        silent = {parameter.name for parameter in command.params if not parameter.help}
        assert silent <= ({"seed"} if name == "sample" else set()), name


def test_pruning_the_cache_needs_to_be_told_how_far(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path))
    features = tmp_path / "features" / "table"
    features.mkdir(parents=True)
    (features / "a.safetensors").write_bytes(b"x" * 1024)
    for wrong in ([], ["--all", "--max-size", "1"]):
        code, _, err = run("cache", "prune", *wrong)
        assert (code, "--all" in err) == (2, True)
        assert list(features.iterdir())
    assert run("cache", "prune", "--max-size", "1").out == "removed 0 files, 0.0 MiB\n"
    assert run("cache", "prune", "--all").out == "removed 1 files, 0.0 MiB\n"
    assert list(features.iterdir()) == []


def test_an_evaluation_says_what_it_removed_from_the_store(run, tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("VGBENCH_STORE_GIGABYTES", "1e-9")
    code, _, err = run(*EVAL)
    assert code == 0, err
    assert re.search(
        r"feature store: removed the \d+ least recently used files, .*\(VGBENCH_STORE_GIGABYTES\)", err
    )
    assert not list(tmp_path.glob("features/*/*.safetensors"))
    monkeypatch.setenv("VGBENCH_STORE_GIGABYTES", "1")
    assert "feature store" not in run(*EVAL).err
    assert list(tmp_path.glob("features/*/*.safetensors"))


def test_debug_shows_the_traceback(run):
    assert "Traceback" in run("eval", "no/such/folder", "--against", TEST, "--debug").err


def test_dry_run_prints_the_resolved_protocol_and_writes_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*EVAL, "--dry-run", "--results", tmp_path / "r")
    assert code == 0, err
    assert "least: 4" in out
    assert "20 clips" in out
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m vgbench --help | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["--help"], ["cache", "info"]])
def test_a_reader_that_left_before_the_first_line_is_no_error(arguments, monkeypatch, capsys):
    from vgbench import cli
    from vgbench.commands import console

    reader, writer = os.pipe()
    os.close(reader)
    monkeypatch.setattr(sys, "argv", ["vgbench", *arguments])
    monkeypatch.setattr(console.stdout, "quiet", False)  # which rich sets for good when a reader leaves
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert (end.value.code, capsys.readouterr().err) == (0, "")


def test_a_dry_run_is_one_json_document_too(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vgbench.training.preview.step_memory", lambda config: 2**20)

    def document(*arguments):
        code, out, err = run(*arguments, "--dry-run", "--json")
        assert code == 0, err
        return json.loads(out)

    scored = document(*EVAL)
    assert scored["protocol"]["clips"]["least"] == 4
    assert (scored["generated"]["clips"], scored["real"]["skipped"]) == (20, 0)
    trained = document("train", "gru-hinge", "--data", TRAIN, "--set", "size=32")
    assert trained["config"]["data"] == TRAIN
    assert trained["step_bytes"] == 2**20
    assert {"name", "takes", "gives", "parameters"} == set(trained["parts"][0])
    assert list(tmp_path.iterdir()) == []


def test_an_internal_error_is_logged_whatever_the_command_line_holds(tmp_path, monkeypatch):
    from vgbench import cli

    monkeypatch.setattr(sys, "argv", ["vgbench", "eval", "--name", "a\udcff"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.print_internal_error(KeyError("b\ud800")) == 1
    (log,) = tmp_path.glob("vgbench-*.log")
    assert "command: vgbench eval --name a\\udcff" in log.read_text(encoding="utf-8")
