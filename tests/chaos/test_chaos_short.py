"""Kill -9 in the middle of extraction, and two evaluations on one store."""

from __future__ import annotations

import json
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import pytest

COMMAND = [
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


def _start(folder: Path, cache: Path, extractor: str) -> BaseProcess:
    work = forked.vgbench(*COMMAND, "--extractor", f"stub_extractor:{extractor}")
    return forked.start(work, folder, VGBENCH_CACHE=str(cache), VGBENCH_RANK_FILE=str(folder / "ranks"))


def _scores(process: BaseProcess, folder: Path) -> dict[str, float]:
    process.join(120)
    assert process.exitcode == 0, (folder / "stderr").read_text()
    scores = json.loads((folder / "stdout").read_text())["scores"]
    return {name: score["value"] for name, score in scores.items()}


def _segments(store: Path) -> int:
    """Segments in the smallest of the tables that grow with every batch: hashes, sizes, metrics, features."""
    tables = sorted((len(list(table.glob("*.safetensors"))) for table in store.glob("*")), reverse=True)
    return tables[GROWING - 1] if len(tables) > GROWING else 0


GROWING = 6
"""Such tables; those of lengths and first frames are written once for each side."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calm")
    return _scores(_start(folder, folder / "cache", "StubExtractor"), folder)


def test_killed_extraction_is_taken_up_where_it_was(undisturbed, tmp_path):
    victim = _start(tmp_path / "killed", tmp_path, "SlowExtractor")
    store = tmp_path / "features"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _segments(store) < 3:
        time.sleep(0.05)
    forked.kill(victim)
    assert not list(store.glob("*/.*.tmp"))
    resumed = tmp_path / "resumed"
    assert _scores(_start(resumed, tmp_path, "CountingExtractor"), resumed) == undisturbed
    extracted_now = int((resumed / "ranks").read_text())
    assert 0 < extracted_now < 120


def test_two_evaluations_on_one_store_are_both_right(undisturbed, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    both = [_start(folder, tmp_path, "StubExtractor") for folder in folders]
    for process, folder in zip(both, folders, strict=True):
        assert _scores(process, folder) == undisturbed
