"""Commands that are killed at random moments and run again: what they leave must be that of a calm run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import forked
from safetensors import safe_open

from vgbench.config import to_yaml
from vgbench.records.record import CHANGED, find_records, load_record

TESTS = Path(__file__).parents[1]
for folder_of_modules in (TESTS, TESTS / "training", TESTS.parent):
    if str(folder_of_modules) not in sys.path:
        sys.path.append(str(folder_of_modules))
CLIPS = "builtin:moving-shapes/{}?size=16&frames=16&clips={}"


@dataclass(frozen=True)
class Job:
    """A command in a folder of its own.

    Attributes:
        arguments: of `vgbench`, given the folder.
        outcome: what the command left, in a form that is equal for equal runs.
        needs: jobs whose calm folder it starts from.
    """

    arguments: Callable[[Path], list[str]]
    outcome: Callable[[Path], Any]
    needs: str | None = None


def _train(folder: Path) -> list[str]:
    from tiny import config

    path = folder / "tiny.yaml"
    path.write_text(to_yaml(config(data=CLIPS.format("train", 8), checkpoint_minutes=1e-6)))
    return ["train", str(path), "--run", str(folder / "run"), "--steps", "8", "--resume", "--no-score", "-q"]


def _trained(folder: Path) -> Any:
    found: dict[str, str] = {}
    for name in ("checkpoints/last.safetensors", "generator.safetensors"):
        with safe_open(folder / "run" / name, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118  not a dict
                found[f"{name}:{key}"] = hashlib.sha256(file.get_tensor(key).tobytes()).hexdigest()
    lines = (folder / "run" / "log.jsonl").read_text().splitlines()
    return found, [json.loads(line)["step"] for line in lines], _litter(folder)


def _eval(folder: Path) -> list[str]:
    sides = [CLIPS.format("train", 24), "--against", CLIPS.format("test", 24)]
    measures = ["-e", "stub_extractor:StubExtractor", "-m", "fvd,kvd,temporal_flicker"]
    options = ["--set", "clips.least=4", "--batch-size", "4", "--results", str(folder / "results"), "-q"]
    return ["eval", *sides, *measures, *options]


def _scored(folder: Path) -> Any:
    records = [load_record(path) for path in find_records([folder / "results"])]
    assert not [code for record in records for code, _ in record.warnings if code == CHANGED]
    assert all((folder / "results" / name).exists() for record in records for name in record.thumbnails)
    newest = max(records, key=lambda record: record.created)
    return newest.signature, newest.scores, newest.clips, newest.thumbnails.values()


def _files(name: str, pattern: str = "*") -> Callable[[Path], Any]:
    def outcome(folder: Path) -> Any:
        paths = sorted(path for path in (folder / name).rglob(pattern) if path.is_file())
        return [
            (str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest())
            for path in paths
            if not path.name.startswith(".")
        ]

    return outcome


def _litter(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob(".*.*.*"))


JOBS = {
    "train": Job(_train, _trained),
    "sample": Job(
        lambda folder: ["sample", str(folder / "run"), "--out", str(folder / "out"), "-n", "40", "-q"],
        _files("out", "*.mkv"),  # sampling.json beside them tells how long it took
        needs="train",
    ),
    "eval": Job(_eval, _scored),
    "report": Job(
        lambda folder: [
            *("report", str(folder / "results"), "--output", str(folder / "board")),
            *("--format", "html,md,csv,latex,json,badges", "-q"),
        ],
        _files("board"),
        needs="eval",
    ),
}

SMOKE = TESTS.parent / "suites" / "smoke.yaml"


def _summarised(folder: Path) -> Any:
    records = [load_record(path) for path in find_records([folder / "results" / "records"])]
    return sorted((record.model, repr(record.scores)) for record in records)


SLOW_JOBS = {
    "bench": Job(
        lambda folder: [
            *("bench", str(SMOKE), "--work", str(folder / "work")),
            *("--results", str(folder / "results"), "-q"),
        ],
        _summarised,
    ),
}
"""Too long for the suite: it starts processes of its own."""


def start(arguments: list[str], folder: Path, largest_file: int | None = None) -> BaseProcess:
    """Begin `vgbench ARGUMENTS` with a cache in `folder`, where its output goes too."""
    work = forked.vgbench(*arguments, largest_file=largest_file)
    return forked.start(work, folder, VGBENCH_CACHE=str(folder / "cache"))


class Chaos:
    """Runs jobs calmly or with kills, all below one folder."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.kills = dict.fromkeys(JOBS | SLOW_JOBS, 0)
        self._calm: dict[str, tuple[Path, Any, float]] = {}

    def calm(self, name: str) -> tuple[Path, Any, float]:
        """Folder, outcome and seconds of an undisturbed run; made once."""
        if name not in self._calm:
            folder = self._prepared(name, "calm")
            if not self._calm:
                self.run(name, folder)  # starts the server
                folder = self._prepared(name, "calm")
            began = time.monotonic()
            assert self.run(name, folder) == 0, (folder / "stderr").read_text()
            self._calm[name] = folder, (JOBS | SLOW_JOBS)[name].outcome(folder), time.monotonic() - began
        return self._calm[name]

    def kill_and_finish(self, name: str, most_kills: int = 3) -> int:
        """Kill a job one to `most_kills` times at random, let it finish, compare; returns the kills."""
        _, expected, seconds = self.calm(name)
        folder = self._prepared(name, "killed")
        killed = 0
        for _ in range(self.chance.randint(1, most_kills)):
            code = self.run(name, folder, kill_after=self.chance.uniform(0.02, 1.0) * seconds)
            assert code in (0, -signal.SIGKILL), (folder / "stderr").read_text()
            killed += code == -signal.SIGKILL
        code = self.run(name, folder)
        assert code == 0, (folder / "stderr").read_text()
        found = (JOBS | SLOW_JOBS)[name].outcome(folder)
        assert repr(found) == repr(expected), f"{name}: another outcome after {killed} kills"
        self.kills[name] += killed
        return killed

    def _prepared(self, name: str, kind: str) -> Path:
        folder = self.folder / f"{name}-{kind}"
        shutil.rmtree(folder, ignore_errors=True)
        needed = (JOBS | SLOW_JOBS)[name].needs
        if needed is None:
            folder.mkdir(parents=True)
        else:
            shutil.copytree(self.calm(needed)[0], folder)
        return folder

    def run(
        self, name: str, folder: Path, kill_after: float | None = None, largest_file: int | None = None
    ) -> int:
        """Run a job in a folder; returns its exit code. Its stderr goes to a file there."""
        process = start((JOBS | SLOW_JOBS)[name].arguments(folder), folder, largest_file)
        process.join(kill_after if kill_after is not None else 600)
        if process.exitcode is None:
            assert kill_after is not None, f"{name} hangs"
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
        assert process.exitcode is not None
        return process.exitcode
