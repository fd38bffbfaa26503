from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from vgbench.commands import console

settings.register_profile("no-clock", deadline=None)  # a busy machine is no failure
settings.register_profile("same-cases-every-time", deadline=None, derandomize=True, database=None)
# In CI a change is judged by its own doing; chance finds new cases on people's machines.
settings.load_profile("same-cases-every-time" if os.environ.get("CI") else "no-clock")

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
