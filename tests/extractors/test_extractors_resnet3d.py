"""R(2+1)D-18 and R3D-18: published sizes and keys, preprocessing against OpenCV, blocks by hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vgbench import extractors
from vgbench.errors import VgbenchError
from vgbench.extractors import resnet3d
from vgbench.extractors.resnet3d import Block, factorised, joint
from vgbench.extractors.weights import registry

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 8, 30, 40, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("name", "parameters", "keys"),
    [  # torchvision's weights metadata state these sizes
        ("r2plus1d-18-k400", 31_505_325, ("stem.3.weight", "stem.4.running_var", "layer1.0.conv1.0.3.weight",
         "layer3.1.conv2.0.1.bias", "layer4.1.conv2.1.running_mean", "layer2.0.downsample.0.weight",
         "layer4.0.downsample.1.bias", "fc.bias")),
        ("r3d-18-k400", 33_371_472, ("stem.0.weight", "layer1.0.conv1.0.weight", "layer1.1.conv2.1.bias",
         "layer2.0.downsample.0.weight", "layer4.1.conv2.0.weight", "fc.weight")),
    ],
)  # fmt: skip
def test_sizes_and_keys_are_torchvisions(name, parameters, keys):
    network = resnet3d.NETWORKS[name]()
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert set(keys) <= set(network.state_dict())


@pytest.mark.parametrize(("channels", "out", "stride"), [(64, 64, 1), (64, 128, 2), (256, 512, 2)])
def test_factorised_convolution_costs_at_most_what_a_joint_one_does(channels, out, stride):
    """Section 3.5 of the paper: the middle width is the largest that keeps the parameters of 3 × 3 × 3."""
    block = Block(factorised, channels, out, stride)
    weights = [p.numel() for p in block.conv1[0].parameters() if p.ndim == 5]
    per_middle_channel = 9 * channels + 3 * out
    assert sum(weights) <= 27 * channels * out < sum(weights) + per_middle_channel


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("convolution", [joint, factorised])
def test_a_block_is_two_convolutions_and_a_shortcut(convolution, stride):
    torch.manual_seed(0)
    out = 4 if stride == 1 else 6
    block = Block(convolution, 4, out, stride).eval()
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    x = torch.randn(1, 4, 5, 6, 6)

    def norm(layer, y):
        return F.batch_norm(y, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=1e-5)

    def convolve(layer, y, step):
        if convolution is joint:
            return F.conv3d(y, layer.weight, stride=step, padding=1)
        y = F.conv3d(y, layer[0].weight, stride=(1, step, step), padding=(0, 1, 1))
        return F.conv3d(norm(layer[1], y).relu(), layer[3].weight, stride=(step, 1, 1), padding=(1, 0, 0))

    with torch.no_grad():
        y = norm(block.conv1[1], convolve(block.conv1[0], x, stride)).relu()
        y = norm(block.conv2[1], convolve(block.conv2[0], y, 1))
        shortcut = x
        if stride == 2:
            shortcut = norm(block.downsample[1], F.conv3d(x, block.downsample[0].weight, stride=2))
        torch.testing.assert_close(block(x), (y + shortcut).relu())
    assert block(x).shape == (1, out, *[-(-n // stride) for n in (5, 6, 6)])


def test_preprocessing_is_opencvs_resize_rounded_and_cropped():
    actual = resnet3d.preprocess(torch.from_numpy(CLIPS)).numpy()
    for b, t in [(0, 0), (1, 7)]:
        frame = cv2.resize(CLIPS[b, t].astype(np.float32), (171, 128), interpolation=cv2.INTER_LINEAR)
        frame = frame[8:120, 30:142].transpose(2, 0, 1) / 255
        mean, std = ([0.43216, 0.394666, 0.37645], [0.22803, 0.22145, 0.216989])
        expected = (frame - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
        half_a_pixel = 0.5 / 255 / 0.216
        np.testing.assert_allclose(actual[b, :, t], expected, atol=half_a_pixel * 1.01)
        whole = (actual[b, :, t] * np.reshape(std, (3, 1, 1)) + np.reshape(mean, (3, 1, 1))) * 255
        np.testing.assert_allclose(whole, whole.round(), atol=1e-3)


@pytest.mark.parametrize("name", resnet3d.NETWORKS)
def test_features_are_the_pooled_channels_and_logits_their_linear_map(name):
    extractor = extractors.load(name, weights="random:1")
    features, logits = extractor(CLIPS[:1])
    assert features.shape == (1, 512)
    fc = extractor.network.fc
    torch.testing.assert_close(logits, features @ fc.weight.T + fc.bias)
    assert logits.shape == (1, 400)
    again = extractors.load(name, weights="random:1")
    assert torch.equal(next(again.parameters()), next(extractor.parameters()))
    assert extractor.spec.describe() == f"{name}@random:1"
    with pytest.raises(VgbenchError, match="at least 8"):
        extractor(CLIPS[:, :7])


def test_a_file_is_known_by_the_digits_that_torchvision_puts_into_its_name(tmp_path, monkeypatch):
    name = "r3d-18-k400"
    path = tmp_path / "r3d_18.pth"
    torch.save({"fc.bias": torch.arange(3.0)}, path)
    with pytest.raises(VgbenchError, match="expected sha256 b3b3357e"):
        registry.add(name, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(registry.REGISTRY, name, replace(registry.REGISTRY[name], sha256=sha256[:8]))
    registry.add(name, path)
    assert "registered" in registry.verify(name)
    assert sha256 in registry.stored(name).metadata["vgbench"]
    assert "BSD" in registry.stored(name).metadata["vgbench"]


def test_a_state_dict_loads_and_the_other_networks_is_refused(tmp_path):
    keys = resnet3d.r3d_18().state_dict()
    state = {key: torch.full((), 0.01 * i).expand(keys[key].shape) for i, key in enumerate(keys)}
    torch.save(state, tmp_path / "r3d_18.pth")  # one number a tensor: a small file
    with pytest.raises(VgbenchError, match="lacks layer1"):
        extractors.load("r2plus1d-18-k400", weights=tmp_path / "r3d_18.pth")
    loaded = extractors.load("r3d-18-k400", weights=tmp_path / "r3d_18.pth").network.state_dict()
    for key, value in state.items():
        assert key.endswith("num_batches_tracked") or torch.equal(loaded[key], value), key
