"""LPIPS against a second statement of its formula, and its weights in every form that people have."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vgbench.errors import VgbenchError
from vgbench.extractors import lpips
from vgbench.extractors.weights import registry
from vgbench.extractors.weights.registry import Package


@pytest.fixture(scope="module")
def network():
    return lpips.load("random:3")


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, 40, 56, 3), dtype=np.uint8) for _ in range(2)]


def restated(state, first, second):
    """Zhang et al. 2018, eq. 1, in float64, one pixel's vector at a time."""
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    x = torch.from_numpy(np.stack([first, second]) / 127.5 - 1)
    x = ((x - torch.from_numpy(shift)) / torch.from_numpy(scale)).permute(0, 3, 1, 2)
    plan = {0: (4, 2, False), 3: (1, 2, True), 6: (1, 1, True), 8: (1, 1, False), 10: (1, 1, False)}
    total = 0.0
    for number, (layer, (stride, padding, pooled)) in enumerate(plan.items()):
        x = F.max_pool2d(x, 3, 2) if pooled else x
        weight, bias = (state[f"features.{layer}.{part}"].double() for part in ("weight", "bias"))
        x = F.relu(F.conv2d(x, weight, bias, stride, padding))
        a, b = x.numpy().reshape(2, x.shape[1], -1)
        unit = [v / (np.sqrt((v**2).sum(axis=0)) + 1e-10) for v in (a, b)]
        w = state[f"lin{number}.model.1.weight"].double().numpy().ravel()
        total += (w @ (unit[0] - unit[1]) ** 2).mean()
    return total


def test_equals_the_formula(network, frames):
    expected = [restated(network.state_dict(), a, b) for a, b in zip(*frames, strict=True)]
    np.testing.assert_allclose(network.distance(*frames), expected, rtol=1e-4)
    assert min(expected) > 0


def test_is_zero_for_equal_frames_and_symmetric(network, frames):
    first, second = frames
    assert network.distance(first, first).tolist() == [0, 0, 0]
    np.testing.assert_allclose(network.distance(first, second), network.distance(second, first), rtol=1e-5)


def test_the_number_of_frames_at_once_moves_nothing(network, frames, monkeypatch):
    whole = network.distance(*frames)
    monkeypatch.setattr(lpips, "FRAMES_AT_ONCE", 1)
    np.testing.assert_allclose(network.distance(*frames), whole, rtol=1e-5)


def test_refuses_what_alexnet_cannot_take(network, frames):
    with pytest.raises(VgbenchError, match="at least 31"):
        network.distance(*(clip[:, :30] for clip in frames))
    assert np.isfinite(network.distance(*(clip[:, :31, :31] for clip in frames))).all()
    with pytest.raises(VgbenchError, match="same shape"):
        network.distance(frames[0][:2], frames[1])


def test_absent_weights_say_how_to_get_them():
    with pytest.raises(VgbenchError, match="lpips-alex are not in the cache") as caught:
        lpips.load()
    assert "vgbench weights fetch lpips-alex" in caught.value.remedy


def test_the_authors_state_dict_is_read(network, frames, tmp_path):
    """Its keys: slices of AlexNet, heads twice (as attributes and as a list), and the input scaling."""
    slice_of = {"0": 1, "3": 2, "6": 3, "8": 4, "10": 5}
    state = {"scaling_layer.shift": torch.zeros(1), "scaling_layer.scale": torch.ones(1)}
    for key, value in network.state_dict().items():
        part, number, rest = key.split(".", 2) if key.startswith("features") else (key, "", "")
        if part == "features":
            state[f"net.slice{slice_of[number]}.{number}.{rest}"] = value
        else:
            state |= {key: value, f"lins.{key[3:]}": value}
    torch.save(state, tmp_path / "alex.pth")
    read = lpips.load(tmp_path / "alex.pth")
    np.testing.assert_array_equal(read.distance(*frames), network.distance(*frames))
    assert read.describe().startswith("lpips-alex@")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(VgbenchError, match="lacks"):
        lpips.load(tmp_path / "other.pth")


def test_the_package_becomes_the_networks_state_dict(network, frames, tmp_path, monkeypatch):
    convolution = {"0": 0, "3": 1, "6": 2, "8": 3, "10": 4}
    tree: dict = {"AlexNet_0": {}}
    for key, value in network.state_dict().items():
        array = np.ascontiguousarray(value.numpy().transpose(2, 3, 1, 0) if value.ndim == 4 else value)
        if key.startswith("features"):
            _, number, leaf = key.split(".")
            unit = tree["AlexNet_0"].setdefault(f"Conv_{convolution[number]}", {})
            unit["kernel" if leaf == "weight" else "bias"] = array
        else:
            tree[f"NetLinLayer_{key[3]}"] = {"Conv_0": {"kernel": array}}
    data = pickle.dumps(tree)
    path = tmp_path / "pack-1.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=0) as tar:
        info = tarfile.TarInfo("pack-1/alexnet.ckpt")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    package = Package("pack==1", hashlib.sha256(path.read_bytes()).hexdigest(), "pack-1/alexnet.ckpt")
    known = hashlib.sha256(data).hexdigest()
    entry = replace(registry.REGISTRY["lpips-alex"], sha256=known, package=package)
    monkeypatch.setitem(registry.REGISTRY, "lpips-alex", entry)
    registry.add("lpips-alex", path)
    loaded = lpips.load()
    assert loaded.describe() == f"lpips-alex@{known[:8]}"
    np.testing.assert_array_equal(loaded.distance(*frames), network.distance(*frames))
