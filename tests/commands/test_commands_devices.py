"""Every command that takes a device: one that is not there ends with exit code 2, and before any work."""

from __future__ import annotations

import sys

import pytest
import yaml

from vgbench import cli
from vgbench.cli import app
from vgbench.errors import ConfigError
from vgbench.evaluation.evaluate import evaluate

CLIPS = "builtin:moving-shapes/train?size=16&clips=8"
REAL = "builtin:moving-shapes/test?size=16&clips=8"
FEW = ["--set", "clips.least=4", "--set", "resize.size=32"]
MISSING = "cuda:99"

SUITE = {
    "name": "small",
    "data": {"shapes": {"train": CLIPS}},
    "steps": 1,
    "references": [{"name": "real", "source": "train", "role": "real"}],
}


@pytest.fixture
def record(tmp_path):
    settings = ("clips.least=4", "resize.size=32", "windows.frames=8")
    evaluate(CLIPS, REAL, metrics=["fvd"], settings=settings).save(tmp_path / "record.json")
    return tmp_path / "record.json"


@pytest.mark.parametrize("device", [MISSING, "nowhere"])
@pytest.mark.parametrize(
    "command",
    [
        ["eval", CLIPS, "-a", REAL, "-m", "fvd", *FEW, "-r", "out", "--device"],
        ["paired", CLIPS, "-a", CLIPS, "-m", "lpips", "--set", "weights=random:0", "-r", "out", "--device"],
        ["audit", REAL, "-m", "fvd", *FEW, "-o", "out", "--device"],
        ["stats", "export", REAL, "-m", "fvd", *FEW, "-o", "out/real.safetensors", "--device"],
        ["sample", "run", "--out", "out", "--device"],
        ["sample", "stub_extractor:sample", "--out", "out", "--device"],
        ["train", "gru-hinge", "-o", "run", "-d", CLIPS, "--set", "size=16", "--no-score", "--set"],
        ["bench", "small.yaml", "-r", "out", "--set"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_missing_device_is_bad_input(command, device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SUITE))
    last = f"device={device}" if command[-1] == "--set" else device
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used") as caught:
        app([*command, last], standalone_mode=False)
    assert caught.value.exit_code == 2
    assert caught.value.remedy.startswith("choose one of auto, cpu")
    assert not (tmp_path / "out").exists()


def test_verify_refuses_a_missing_device(record):
    command = ["verify", str(record), "--clips", CLIPS, "--against", REAL, "--device"]
    with pytest.raises(ConfigError, match=f"device '{MISSING}' cannot be used"):
        app([*command, MISSING], standalone_mode=False)


@pytest.mark.parametrize("command", ["train", "paired"])
def test_the_screen_of_a_missing_device_names_those_that_are_there(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = {
        "train": ["gru-hinge", "-d", CLIPS, "--set", "size=16", "--no-score", "--set", f"device={MISSING}"],
        "paired": [CLIPS, "-a", CLIPS, "-m", "lpips", "--set", "weights=random:0", "--device", MISSING],
    }
    monkeypatch.setattr(sys, "argv", ["vgbench", command, *arguments[command]])
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert f"error: device '{MISSING}' cannot be used" in printed
    assert "hint: choose one of auto, cpu" in printed
    assert "bug" not in printed


def test_paired_takes_auto(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pairs = ["paired", CLIPS, "-a", CLIPS, "-m", "lpips", "--set", "weights=random:0", "--frames", "1"]
    app(
        [*pairs, "--set", "resize.fit=crop", "--set", "resize.size=64", "--device", "auto"],
        standalone_mode=False,
    )
    assert "lpips" in capsys.readouterr().out
