"""The training script: an interrupted run ends where an uninterrupted one does."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

from vgbench.clips import moving_shapes
from vgbench.errors import ConfigError
from vgbench.extractors.embedded import EmbeddedNetwork


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    import train_embedded_extractor as script

    monkeypatch.setattr(script, "factor_scales", lambda _: torch.ones(len(script.FACTORS)))
    monkeypatch.setattr(script, "validate", lambda *_: {})
    return script


def trained(script, output: Path, command: str = "same") -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    network, heads = EmbeddedNetwork(len(moving_shapes.CLASSES)), script.Heads()
    options = argparse.Namespace(seed=1, steps=4, batch=3, lr=2e-3, workers=0, bf16=False, output=output)
    script.train(network, heads, options, {"command": command})
    return dict(network.state_dict())


def test_an_interrupted_training_ends_as_an_uninterrupted_one(script, tmp_path, monkeypatch):
    whole = trained(script, tmp_path / "whole.safetensors")

    output, plain, calls = tmp_path / "parts.safetensors", script.losses, []

    def cut_off_in_the_third(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(script, "CHECKPOINT_STEPS", 1)
    monkeypatch.setattr(script, "losses", cut_off_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        trained(script, output)
    with pytest.raises(ConfigError, match="was made by `same`"):
        trained(script, output, command="other")
    resumed = trained(script, output)
    assert len(calls) == 3 + 2  # steps 3 and 4 only
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
