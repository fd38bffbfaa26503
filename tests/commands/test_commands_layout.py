"""`--layout` of every command that takes clips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

REAL = "builtin:moving-shapes/test?size=32&clips=8&frames=8"
FEW = ["-m", "temporal_flicker", "--set", "clips.least=2", "--set", "windows.frames=4"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders that can be read in more than one way, and one that cannot."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), np.uint8)
    names = [f"{clip}/{kind}_{n}.png" for clip in "ab" for kind in ("rgb", "mask") for n in range(4)]
    names += [f"c/clip{clip}_{n}.png" for clip in range(2) for n in range(4)]
    for name, frame in zip(names, pixels, strict=True):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(frame).save(path)
    return tmp_path / "clips"


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "CLIPS", "-a", REAL],
        ["paired", "CLIPS", "-a", "CLIPS"],
        ["audit", "CLIPS"],
        ["stats", "export", "CLIPS", "-o", "x.safetensors"],
        ["data", "inspect", "CLIPS"],
        ["train", "gru-hinge", "--data", "CLIPS", "--steps", "1"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_command_that_takes_clips_takes_a_layout(run, folder: Path, command: list[str]) -> None:
    code, _, err = run(*(str(folder) if word == "CLIPS" else word for word in command), "--layout", "serial")
    assert code == 2
    assert "unknown layout 'serial'" in err


def test_a_question_is_named_and_the_layout_settles_it(run, folder: Path) -> None:
    code, out, err = run("eval", str(folder), "-a", REAL, *FEW, "--json")
    assert code == 0, err
    asked = json.loads(out)["clips"]["generated"]
    assert (asked["layout"], asked["used"], len(asked["skipped"])) == ("auto", 2, 2)
    assert "--layout series" in asked["skipped"][0]["reason"]
    code, out, err = run("eval", str(folder), "-a", REAL, *FEW, "--json", "--layout", "series")
    assert code == 0, err
    told = json.loads(out)["clips"]
    assert (told["generated"]["layout"], told["generated"]["used"]) == ("series", 6)
    assert run("eval", str(folder), "-a", REAL, *FEW, "--strict")[0] == 3


def test_where_nothing_remains_the_exit_code_is_2(run, folder: Path) -> None:
    code, _, err = run("eval", str(folder / "a"), "-a", REAL, *FEW)
    assert code == 2
    assert "can be read in more than one way" in " ".join(err.split())


def test_inspect_counts_the_clips_of_a_layout(run, folder: Path) -> None:
    found = json.loads(run("data", "inspect", str(folder), "--layout", "auto=rgb_*", "--json")[1])
    assert (found["clips"], found["bad"]) == (2, {})
    each = f"layout:auto=rgb_*:{folder}"
    assert json.loads(run("data", "inspect", each, "--json")[1])["clips"] == 2


def test_train_needs_data_for_a_layout(run) -> None:
    code, _, err = run("train", "gru-hinge", "--layout", "series")
    assert code == 2
    assert "--layout says how --data is read" in err
