"""Live displays in a log: which lines are written, and when there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from vgbench.bench.run import BenchProgress
from vgbench.commands import console, panels
from vgbench.progress import no_progress
from vgbench.training.run import TrainingProgress


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when told to."""
    seconds = [1000.0]
    monkeypatch.setattr(panels.time, "monotonic", lambda: seconds[0])
    return seconds


def _training(step, **changes):
    values = {
        "step": step,
        "clips": 8 * step,
        "seconds": 60.0,
        "seconds_per_step": 2.0,
        "steps": 100,
        "minutes": None,
        "measured": {"loss": 0.12345},
        "best_score": None,
        "sample": None,
    }
    return TrainingProgress(**values | changes)


def test_a_log_gets_a_line_for_each_stage_each_tenth_and_each_half_minute(clock, capsys):
    with panels.progress() as report:
        for done in range(41):
            report("reading", done, 40)
        clock[0] += 31
        report("reading", 40, 40)
        report("scoring", 1, 40)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [*(f"reading {4 * tenth}/40" for tenth in range(11)), "reading 40/40", "scoring 1/40"]


def test_quiet_and_other_ranks_show_nothing(monkeypatch, capsys):
    monkeypatch.setattr(console, "verbosity", console.Verbosity(quiet=True))
    with panels.progress() as report:
        assert report is no_progress
    monkeypatch.setattr(console, "verbosity", console.Verbosity())
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with panels.progress() as report, panels.training_panel(Path("run")) as show:
        report("reading", 1, 2)
        show(_training(100))
    assert capsys.readouterr().err == ""


def test_training_is_logged_every_half_minute_and_at_its_last_step(clock, capsys):
    with panels.training_panel(Path("run")) as show:
        show(_training(10))
        clock[0] += 29
        show(_training(11))
        clock[0] += 2
        show(_training(12))
        show(_training(100))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["10", "12", "100"]
    assert lines[0] == "step 10  1.0 min, 3.0 min left  loss 0.123"


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"steps": 100, "minutes": None}, "1.0 min, 3.0 min left"),
        ({"steps": 100, "minutes": 2.0}, "1.0 min, 1.0 min left"),
        ({"steps": 11, "minutes": 2.0}, "1.0 min, 0.0 min left"),
        ({"steps": None, "minutes": 0.5}, "1.0 min, 0.0 min left"),
        ({"steps": None, "minutes": None}, "1.0 min"),
    ],
)
def test_the_nearer_limit_says_how_much_time_is_left(limits, words, clock, capsys):
    """Step 10 of 2 s each, after a minute."""
    with panels.training_panel(Path("run")) as show:
        show(_training(10, **limits))
    assert f"step 10  {words}  loss" in capsys.readouterr().err


def test_a_benchmark_logs_each_row_that_ends_and_where_its_jobs_are(clock, capsys):
    now = {0: ("shapes/gru", "training", 5, 10)}
    with panels.bench_panel() as show:
        clock[0] += 60
        show(BenchProgress(1, 4, 0.25, now))
        show(BenchProgress(1, 4, 0.25, now))
        show(BenchProgress(2, 4, 0.5, now, "shapes/lstm: done"))
    assert capsys.readouterr().err.splitlines() == [
        "1/4 rows, 1.0 min, 3 min left; shapes/gru: training 5/10",
        "[2/4] shapes/lstm: done",
    ]
