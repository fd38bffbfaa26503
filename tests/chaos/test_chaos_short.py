"""Kill -9 in the middle of extraction, and two evaluations on one store."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
COMMAND = [
    sys.executable,
    "-m",
    "vgbench",
    "eval",
    "builtin:moving-shapes/train?size=32&clips=60",
    "--against",
    "builtin:moving-shapes/test?size=32&clips=60",
    "--metrics",
    "fvd,temporal_flicker",
    "--set",
    "clips.least=4",
    "--batch-size",
    "4",
    "--json",
]


def _environment(cache: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(TESTS),
        "VGBENCH_CACHE": str(cache),
        "VGBENCH_RANK_FILE": str(cache / "ranks"),
        "OMP_NUM_THREADS": "1",
    }


def _start(cache: Path, extractor: str) -> subprocess.Popen[str]:
    command = [*COMMAND, "--extractor", f"stub_extractor:{extractor}"]
    return subprocess.Popen(
        command, env=_environment(cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _scores(process: subprocess.Popen[str]) -> dict[str, float]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return {name: score["value"] for name, score in json.loads(out)["scores"].items()}


def _least_segments(store: Path) -> int:
    """Segments in the table that has fewest: frame counts, flicker, dynamic degree beside it, features."""
    tables = [len(list(table.glob("*.safetensors"))) for table in store.glob("*")]
    return min(tables) if len(tables) == 4 else 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return _scores(_start(tmp_path_factory.mktemp("calm"), "StubExtractor"))


def test_killed_extraction_is_taken_up_where_it_was(undisturbed, tmp_path):
    victim = _start(tmp_path, "SlowExtractor")
    store = tmp_path / "features"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _least_segments(store) < 3:
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=30)
    assert victim.returncode == -signal.SIGKILL, "it was killed before it could end"
    assert not list(store.glob("*/.*.tmp"))
    resumed = _start(tmp_path, "CountingExtractor")
    assert _scores(resumed) == undisturbed
    extracted_now = int((tmp_path / "ranks").read_text())
    assert 0 < extracted_now < 120


def test_two_evaluations_on_one_store_are_both_right(undisturbed, tmp_path):
    both = [_start(tmp_path, "StubExtractor") for _ in range(2)]
    for process in both:
        assert _scores(process) == undisturbed
