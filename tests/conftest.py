from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from vgbench import cli
from vgbench.commands import console

settings.register_profile("no-clock", deadline=None)  # a busy machine is no failure
settings.register_profile("same-cases-every-time", deadline=None, derandomize=True, database=None)
# In CI a change is judged by its own doing; chance finds new cases on people's machines.
settings.load_profile("same-cases-every-time" if os.environ.get("CI") else "no-clock")


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _own_verbosity(monkeypatch: pytest.MonkeyPatch) -> None:
    """A --quiet of one test does not outlive it."""
    monkeypatch.setattr(console, "verbosity", console.Verbosity())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`run(*arguments)` is `vgbench ARGUMENTS`, without the seconds in which a new process loads torch."""

    def command(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["vgbench", *map(str, arguments)])
        monkeypatch.setattr(console, "verbosity", console.Verbosity())
        with pytest.raises(SystemExit) as end:
            cli.main()
        return Ended(end.value.code, *capsys.readouterr())

    return command


@pytest.fixture
def weizmann() -> Path:
    """Real frame strips: 72 clips, 4 actions, 9 people."""
    folder = SHARED_DATA / "mocogan-actions"
    if not folder.is_dir():
        pytest.skip(f"real data {folder.name} is not beside the checkout")
    return folder


@pytest.fixture
def shape_motion() -> Path:
    """Real frame strips: 8,000 clips of 32 frames, 2 classes."""
    folder = SHARED_DATA / "mocogan-shapes"
    if not folder.is_dir():
        pytest.skip(f"real data {folder.name} is not beside the checkout")
    return folder
