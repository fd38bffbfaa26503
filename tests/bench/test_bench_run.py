"""`vgbench bench` killed in the middle, continued, and run again when all is done."""

from __future__ import annotations

import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import pytest
import yaml
from bench_work import work

from vgbench.bench.processes import Outcome, over_processes
from vgbench.bench.run import make_plan, run_plan
from vgbench.bench.suite import read_suite
from vgbench.bench.work import steps_done
from vgbench.cli import app
from vgbench.errors import VgbenchError
from vgbench.records.record import find_records, load_record

SMOKE = Path(__file__).parents[2] / "suites" / "smoke.yaml"


def _start(place: Path, output: Path, jobs: int) -> BaseProcess:
    folders = ["--work", str(place / "work"), "--results", str(place / "results")]
    work = forked.vgbench("bench", str(SMOKE), *folders, "--jobs", str(jobs))
    return forked.start(work, output, VGBENCH_CACHE=str(place / "cache"), OMP_NUM_THREADS="1")


def _stamps(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_killed_bench_goes_on_and_a_finished_one_does_nothing(tmp_path):
    records = tmp_path / "results" / "records"
    victim = _start(tmp_path, tmp_path / "first", jobs=1)
    limit = time.monotonic() + 90
    while time.monotonic() < limit and not list(tmp_path.glob("work/*/*/run/checkpoints/last.safetensors")):
        time.sleep(0.02)
    forked.kill(victim)
    begun = [path for path in tmp_path.glob("work/*/*") if steps_done(path)]
    assert begun, "some training was under way"
    before = _stamps(records)

    second = _start(tmp_path, tmp_path / "second", jobs=2)
    second.join(180)
    assert second.exitcode == 0, (tmp_path / "second" / "stderr").read_text()
    assert {path: stamp for path, stamp in _stamps(records).items() if path in before} == before
    plan = make_plan(read_suite(SMOKE), tmp_path / "work", tmp_path / "results")
    assert plan.tasks == ()
    found = [load_record(path) for path in find_records([records])]
    assert sorted(record.model for record in found) == sorted(cell.model for cell in plan.cells)
    assert "summary.md" in (tmp_path / "second" / "stdout").read_text()
    assert str(tmp_path) not in "".join(path.read_text() for path in find_records([records]))

    everything = _stamps(tmp_path / "results")
    result = run_plan(plan)
    assert (result.done, result.left, result.failed) == (0, 0, {})
    assert _stamps(tmp_path / "results") == everything


def test_a_row_that_fails_is_named_and_the_others_are_done(tmp_path, capsys):
    suite = {
        "name": "broken",
        "data": {"shapes": {"train": "builtin:moving-shapes?size=16&clips=40"}},
        "steps": 1,
        "evaluations": [{"metrics": ["temporal_flicker"], "settings": {"clips.least": 4, "resize.size": 16}}],
        "references": [
            {"name": "nowhere", "source": str(tmp_path / "nowhere")},
            {"name": "real", "source": "train", "role": "real"},
        ],
    }
    file = tmp_path / "broken.yaml"
    file.write_text(yaml.safe_dump(suite))
    command = ["bench", str(file), "--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    with pytest.raises(VgbenchError, match=r"shapes/nowhere: .*no such file or folder") as caught:
        app(command, standalone_mode=False)
    assert caught.value.exit_code == 2
    assert [load_record(path).model for path in find_records([tmp_path / "results"])] == ["real"]
    assert "summary.md" in capsys.readouterr().out, "the tables of what there is are written all the same"


def test_what_clips_depend_on_makes_new_clips_and_the_rest_does_not(tmp_path, monkeypatch):
    def in_this_process(function, items, jobs, progress, deadline=None):
        for index, item in enumerate(items):
            yield Outcome(index, function(item, lambda *_: None))

    monkeypatch.setattr("vgbench.bench.run.over_processes", in_this_process)
    monkeypatch.setattr("vgbench.bench.run.write_tables", lambda plan: [])
    suite = {
        "name": "changing",
        "data": {"shapes": {"train": "builtin:moving-shapes?size=16&frames=8&clips=40"}},
        "steps": 2,
        "device": "cpu",
        "settings": {"size": 16, "frames": 8, "batch": 2, "generator.channels": 4},
        "sampling": {"clips": 8, "seed": 0},
        "evaluations": [
            {
                "metrics": ["temporal_flicker"],
                "settings": {"clips.least": 4, "clips.generated": 8, "clips.real": 8, "windows.frames": 8},
            }
        ],
        "models": [{"presets": ["gru-hinge"], "data": ["shapes"]}],
    }

    def run(changes):
        file = tmp_path / "suite.yaml"
        file.write_text(yaml.safe_dump(suite | changes))
        plan = make_plan(read_suite(file), tmp_path / "work", tmp_path / "results")
        (task,) = plan.tasks
        assert run_plan(plan).failed == {}
        records = [load_record(path) for path in find_records([tmp_path / "results"])]
        (record,) = (one for one in records if one.details["bench"]["key"] not in known)
        known.add(record.details["bench"]["key"])
        return task.folder, {used.sha256 for used in record.clips.generated.windows}

    known: set[str] = set()
    first_folder, first_clips = run({})
    for changes in (
        {"steps": 3},
        {"settings": suite["settings"] | {"optimiser.generator_lr": 0.1}},
        {"sampling": {"clips": 8, "seed": 7}},
    ):
        folder, clips = run(changes)
        assert folder != first_folder
        assert clips.isdisjoint(first_clips)
    assert run({"evaluations": [suite["evaluations"][0] | {"metrics": ["dynamic_degree"]}]}) == (
        first_folder,
        first_clips,
    )


def test_a_process_that_dies_costs_its_item_alone():
    seen = []
    outcomes = {
        outcome.index: outcome
        for outcome in over_processes(work, ["a", "dies", "fails", "b"], 1, lambda *told: seen.append(told))
    }
    assert [outcomes[i].result for i in range(4)] == ["A", None, None, "B"]
    assert "SIGKILL" in outcomes[1].error
    assert outcomes[2].error == "ValueError: no such thing"
    assert "in work" in outcomes[2].trace
    assert (0, 0, "working", 0, 1) in seen


def test_a_deadline_ends_what_is_under_way():
    begun = time.monotonic()
    assert list(over_processes(work, ["waits"], 1, lambda *_: None, begun + 0.5)) == []
    assert time.monotonic() - begun < 300
