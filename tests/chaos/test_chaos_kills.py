"""kill -9 at random moments; the same command again ends with what an undisturbed run leaves."""

from __future__ import annotations

import sys

import pytest
from chaos.kills import JOBS, Chaos


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_command_ends_like_an_undisturbed_one(name, chaos):
    for _ in range(20):  # a kill may come too late on a machine that has just become faster
        if chaos.kill_and_finish(name, most_kills=2):
            return
    raise AssertionError("never killed in time")


@pytest.mark.slow
def test_a_hundred_kills(tmp_path_factory, capsys):
    chaos = Chaos(tmp_path_factory.mktemp("chaos"), seed=1)
    while sum(chaos.kills.values()) < 100:
        chaos.kill_and_finish(min(JOBS, key=lambda name: chaos.kills[name]), most_kills=6)
        with capsys.disabled():
            sys.stderr.write(f"\rkills survived: {chaos.kills}")


@pytest.mark.slow
def test_a_killed_bench_goes_on(tmp_path_factory, capsys):
    chaos = Chaos(tmp_path_factory.mktemp("chaos"), seed=2)
    while chaos.kills["bench"] < 5:
        chaos.kill_and_finish("bench", most_kills=5)
        with capsys.disabled():
            sys.stderr.write(f"\rkills survived: {chaos.kills}")
