"""The tutorial and the notebook run as they are printed, with fewer clips."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from vgbench.cli import app
from vgbench.commands import console
from vgbench.records.record import find_records, load_record

ROOT = Path(__file__).parents[2]
FEW = "16"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The two tests score the same real clips, whose features one of them stores."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VGBENCH_CACHE", str(cache))
    monkeypatch.setattr(console.verbosity, "quiet", console.verbosity.quiet)  # --quiet would outlive the test
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "my_gan", raising=False)


def blocks(language: str) -> list[str]:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_every_block_of_the_tutorial_runs(tmp_path, capfd):
    (module,) = blocks("python")
    Path(module.splitlines()[0].removeprefix("# ")).write_text(module)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        program, *arguments = shlex.split(line.replace("256", FEW))
        assert program == "vgbench"
        assert not app([*arguments, "--quiet"], standalone_mode=False), line
    assert "below-real dynamic_degree" in capfd.readouterr().err, "as the page says"
    found = {record.model: record for record in map(load_record, find_records(["results"]))}
    assert set(found) == {"my-gan", "my-gan-2", "real (train split)", "real, frozen"}
    fvd = {model: record.scores["fvd"].best_estimate for model, record in found.items()}
    assert fvd["real (train split)"] < min(fvd["my-gan"], fvd["real, frozen"]), "as the page says"
    assert found["real, frozen"].scores["warping_error"].value == 0, "as the page says"
    page = (tmp_path / "leaderboard" / "leaderboard.html").read_text(encoding="utf-8")
    assert all(model in page for model in found if model != "my-gan-2"), "which comes after the page"


def test_every_cell_of_the_notebook_runs(tmp_path, capsys):
    notebook = json.loads((ROOT / "examples" / "score_your_generator.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    space: dict = {"__name__": "notebook"}
    for source in code:
        exec(compile(source.replace("CLIPS = 256", f"CLIPS = {FEW}"), "notebook", "exec"), space)
    assert "told apart: False" in capsys.readouterr().out, "two draws from one sampler"
    assert space["real"].scores["fvd"].best_estimate < space["record"].scores["fvd"].best_estimate
    assert np.asarray(space["features"]).shape[0] == 8
    assert (tmp_path / "leaderboard" / "leaderboard.html").exists()


def test_tutorial_and_notebook_are_of_one_mind():
    (module,) = blocks("python")
    notebook = (ROOT / "examples" / "score_your_generator.ipynb").read_text(encoding="utf-8")
    for line in module.splitlines()[6:]:
        assert json.dumps(line)[1:-1] in notebook, line
