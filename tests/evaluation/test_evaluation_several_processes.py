"""Evaluation under torchrun equals one process; a rank that fails ends the run with a message."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from stub_extractor import StubExtractor

import vgbench
from vgbench.distributed import alone, gather, joined_world, timeout_minutes
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.feature_store import FeatureStore

TESTS = Path(__file__).parents[1]
COMMAND = [
    "eval",
    "builtin:moving-shapes/train?size=32&clips=40",
    "--against",
    "builtin:moving-shapes/test?size=32&clips=40",
    "--metrics",
    "fvd,kvd,is,temporal_flicker",
    "--set",
    "clips.least=4",
    "--json",
]


def _work(extractor: str) -> Callable[[], object]:
    return forked.vgbench(*COMMAND, "--extractor", f"stub_extractor:{extractor}")


def _here(folder: Path) -> dict[str, str]:
    return {"VGBENCH_CACHE": str(folder), "VGBENCH_RANK_FILE": str(folder / "ranks")}


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    process = forked.start(_work("StubExtractor"), folder, **_here(folder))
    process.join(180)
    assert process.exitcode == 0, (folder / "stderr").read_text()
    return json.loads((folder / "stdout").read_text())


EVALUATIONS = """
import json, os, sys, vgbench
from pathlib import Path
shapes = "builtin:moving-shapes/{}?size=32&clips=40"
noise = "builtin:noise?size=16&clips=8&seed={}"
few = ["clips.least=4", "clips.generated=8", "clips.real=8"]
stub = "stub_extractor:CountingExtractor"
evaluations = [
    (shapes.format("train"), shapes.format("test"), "fvd,kvd,is,temporal_flicker", few[:1], stub),
    *((noise.format(seed), noise.format(9), "temporal_flicker", few, None) for seed in range(2)),
]
for number, (generated, real, metrics, settings, extractor) in enumerate(evaluations):
    options = dict(metrics=metrics.split(","), settings=settings, extractor=extractor)
    record = vgbench.evaluate(generated, real, results=sys.argv[1], **options)
    scores = {name: [score.value, *score.interval] for name, score in record.scores.items()}
    Path(sys.argv[1], f"{number}-{os.environ['RANK']}").write_text(
        json.dumps([record.stem, scores, sorted(record.details)])
    )
"""


@pytest.fixture(scope="module")
def double(tmp_path_factory):
    """Three evaluations, one after the other, in two ranks of `torchrun`."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "evaluations.py").write_text(EVALUATIONS)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(folder / "evaluations.py"), str(folder)]
    environment = {
        **os.environ,
        **_here(folder),
        "PYTHONPATH": f"{TESTS.parent}:{TESTS}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_two_ranks_equal_one(single, double):
    _, scores, _ = json.loads((double / "0-0").read_text())
    assert scores.keys() == single["scores"].keys()
    for name, score in single["scores"].items():
        assert scores[name] == pytest.approx([score["value"], *score["interval"]], rel=1e-6)
    shares = [int(line) for line in (double / "ranks").read_text().split()]
    assert sorted(shares) == [40, 40], "each rank extracted half of the 40 + 40 windows"


def test_one_process_group_after_the_other_works_and_every_rank_gets_the_record(double):
    for number in range(3):
        first, second = (json.loads((double / f"{number}-{rank}").read_text()) for rank in range(2))
        assert first == second
        assert "motion" in first[2]


def test_a_rank_that_fails_ends_the_run_with_a_message_and_the_next_run_resumes(single, tmp_path):
    failed = forked.start_ranks(_work("FailsOnRankOne"), tmp_path / "failed", **_here(tmp_path))
    for process in failed:
        process.join(120)
        assert process.exitcode not in (None, 0)
    assert "rank one is out of memory" in (tmp_path / "failed" / "1" / "stderr").read_text()
    assert "another rank died" in (tmp_path / "failed" / "0" / "stderr").read_text()
    resumed = forked.start_ranks(_work("CountingExtractor"), tmp_path / "resumed", **_here(tmp_path))
    for rank, process in enumerate(resumed):
        process.join(120)
        assert process.exitcode == 0, (tmp_path / "resumed" / str(rank) / "stderr").read_text()
    scores = json.loads((tmp_path / "resumed" / "0" / "stdout").read_text())["scores"]
    assert (tmp_path / "resumed" / "1" / "stdout").read_text() == "", "one rank speaks for all"
    assert scores["fvd"]["value"] == pytest.approx(single["scores"]["fvd"]["value"], rel=1e-6)
    done_now = sum(int(line) for line in (tmp_path / "ranks").read_text().split())
    assert done_now < 80, "what the living rank had stored was not extracted again"


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (("audit", "--clips", "8", "--distortions", "noise", "--strengths", "1"), "audit.html"),
        (("stats", "export"), "real.safetensors"),
    ],
)
def test_one_rank_writes_and_prints_what_both_computed(command, written, tmp_path):
    output = tmp_path / "audit" if command[0] == "audit" else tmp_path / written
    real = ["builtin:moving-shapes/test?size=32&clips=16", "--output", str(output)]
    settings = ["--metrics", "temporal_flicker", "--set", "clips.least=4"]
    work = forked.vgbench(*command, *real, *settings)
    ranks = forked.start_ranks(work, tmp_path / "ranks", **_here(tmp_path))
    for rank, process in enumerate(ranks):
        process.join(120)
        assert process.exitcode == 0, (tmp_path / "ranks" / str(rank) / "stderr").read_text()
    assert list(tmp_path.rglob(written))
    assert (tmp_path / "ranks" / "0" / "stdout").read_text()
    assert (tmp_path / "ranks" / "1" / "stdout").read_text() == "", "one rank speaks for all"


def test_a_rank_that_hangs_ends_the_run_with_a_message(tmp_path):
    patience = {"VGBENCH_TIMEOUT_MINUTES": "0.1"}
    waiting, hanging = forked.start_ranks(_work("HangsOnRankOne"), tmp_path, **_here(tmp_path), **patience)
    waiting.join(120)
    forked.kill(hanging)
    assert waiting.exitcode not in (None, 0)
    said = (tmp_path / "0" / "stderr").read_text()
    assert "another rank died, or did not answer for 0.1 minutes" in said


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RANK": "abc", "WORLD_SIZE": "2"}, "RANK = 'abc': must be a whole number"),
        ({"RANK": "0", "WORLD_SIZE": "-1"}, "WORLD_SIZE = '-1': must be a whole number"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK = 2: not below WORLD_SIZE = 2"),
        ({"RANK": "1"}, "RANK = 1: not below WORLD_SIZE = 1"),
        ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "x"}, "LOCAL_RANK = 'x'"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "rank 0 of 2: cannot join the others .*MASTER_ADDR"),
        ({"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, "rank 0 of 2: cannot join the others"),
    ],
)
def test_a_world_that_cannot_be_joined_says_why(environment, words, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    if "MASTER_ADDR" in environment:  # where nobody else will ever come
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("VGBENCH_TIMEOUT_MINUTES", "0.02")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(VgbenchError, match=words) as error, joined_world():
        pass
    assert "torchrun" in (error.value.remedy or "")


@pytest.mark.parametrize("text", ["soon", "0", "inf"])
def test_patience_must_be_a_number(monkeypatch, text):
    monkeypatch.setenv("VGBENCH_TIMEOUT_MINUTES", text)
    with pytest.raises(ConfigError, match="VGBENCH_TIMEOUT_MINUTES"):
        timeout_minutes()


def _score_own_clips(folder: Path) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    rng = np.random.default_rng(0)
    fake, real = rng.integers(0, 256, (2, 24, 4, 16, 16, 3), dtype=np.uint8)
    fake //= 2
    network = StubExtractor()

    def fvd(clips, store, **more):
        settings = ["clips.least=4", "windows.frames=4", "resize.size=16"]
        options = {"settings": settings, "extractor": network, "store": FeatureStore(folder / store)}
        try:
            record = vgbench.evaluate(clips, real, metrics=["fvd"], **options, **more)
        except VgbenchError as error:
            return error.message
        return record.scores["fvd"].value, record.clips.generated.used

    found = {}
    with alone():
        found["whole"] = fvd(fake, f"own{rank}")
    found["refused"] = fvd(fake[rank::2], "shared")
    found["unequal"] = fvd(fake[:23][rank::2], "shared")
    found["sharded"] = fvd(fake[rank::2], "shared", sharded=True)
    found["sharded, unequal"] = fvd(fake[:23][rank::2], "shared", sharded=True)
    with alone():
        found["23 alone"] = fvd(fake[:23], f"own{rank}")
        found["whole, from what the ranks stored"] = fvd(fake, "shared")
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def test_ranks_with_clips_of_their_own_are_told_and_scored_as_one_set_where_that_is_meant(tmp_path):
    ranks = forked.start_ranks(functools.partial(_score_own_clips, tmp_path), tmp_path / "ranks")
    for rank, process in enumerate(ranks):
        process.join(120)
        assert process.exitcode == 0, (tmp_path / "ranks" / str(rank) / "stderr").read_text()
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert "the ranks have different clips (12, 12 of them)" in first["refused"]
    assert "the ranks have different clips (12, 11 of them)" in first["unequal"]
    for sharded, whole in (("sharded", "whole"), ("sharded, unequal", "23 alone")):
        assert first[sharded][1] == first[whole][1]
        assert first[sharded][0] == pytest.approx(first[whole][0], rel=1e-6)
    assert first["whole, from what the ranks stored"][0] == pytest.approx(first["whole"][0], rel=1e-6)


def _join_again_and_again() -> None:
    """Rank 0 leaves each group late, so that rank 1 is early for the next one."""
    for number in range(4):
        with joined_world() as world:
            assert gather((number, world.rank), world) == [(number, 0), (number, 1)]
            if world.is_main:
                time.sleep(0.3)


def test_a_rank_that_is_early_for_the_next_group_waits_for_the_others(tmp_path):
    """As the scores of one audit, each of which joins the ranks anew."""
    ranks = forked.start_ranks(_join_again_and_again, tmp_path / "ranks", VGBENCH_TIMEOUT_MINUTES="0.3")
    for rank, process in enumerate(ranks):
        process.join(60)
        assert process.exitcode == 0, (tmp_path / "ranks" / str(rank) / "stderr").read_text()
