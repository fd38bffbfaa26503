"""C3D: layers against published sizes, preprocessing against numpy and OpenCV, Chainer's file layout."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch

from vgbench import extractors
from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors import c3d
from vgbench.extractors.c3d import CHANNEL_MEANS, PREPROCESSING, C3d
from vgbench.extractors.weights import registry
from vgbench.protocol import load as load_protocol

LAYERS = {
    "conv1a": (64, 3), "conv2a": (128, 64), "conv3a": (256, 128), "conv3b": (256, 256),
    "conv4a": (512, 256), "conv4b": (512, 512), "conv5a": (512, 512), "conv5b": (512, 512),
    "fc6": (4096, 8192), "fc7": (4096, 4096), "fc8": (101, 4096),
}  # fmt: skip
"""Output and input widths as the C3D paper and its Caffe prototxt give them."""

CLIPS = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 40, 3), dtype=np.uint8)
MEAN = np.random.default_rng(1).uniform(60, 140, c3d.MEAN_SHAPE).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return C3d().eval()


@pytest.fixture
def mean_file(tmp_path):
    np.savez(tmp_path / "mean2.npz", mean=MEAN)
    return tmp_path / "mean2.npz"


def test_layers_are_the_published_ones(network):
    shapes = {name: tuple(getattr(network, name).weight.shape) for name in LAYERS}
    kernels = {name: (3, 3, 3) if name.startswith("conv") else () for name in LAYERS}
    assert shapes == {name: LAYERS[name] + kernels[name] for name in LAYERS}
    weights = sum(out * into * (27 if name.startswith("conv") else 1) for name, (out, into) in LAYERS.items())
    biases = sum(out for out, _ in LAYERS.values())
    assert sum(p.numel() for p in network.parameters()) == weights + biases == 78_409_573


def test_features_are_the_layers_one_by_one():
    """Ceiling pools as Chainer's `cover_all`; only the fifth, 7 × 7 to 4 × 4, tells them from floor."""
    extractor = extractors.load("c3d-ucf101", weights="random:3", preprocessing="tgan")
    network = extractor.network
    features, logits = extractor(CLIPS)
    assert features.shape == (1, 4096)
    assert logits.shape == (1, 101)
    x = PREPROCESSING["tgan"](torch.from_numpy(CLIPS), extractor.mean)
    blocks = [["conv1a"], ["conv2a"], ["conv3a", "conv3b"], ["conv4a", "conv4b"], ["conv5a", "conv5b"]]
    sizes = []
    with torch.inference_mode():
        for names in blocks:
            for name in names:
                x = torch.relu(getattr(network, name)(x))
            x = torch.nn.MaxPool3d((1, 2, 2) if names == ["conv1a"] else 2, ceil_mode=True)(x)
            sizes.append(tuple(x.shape[2:]))
        for name in ("fc6", "fc7"):
            x = torch.relu(getattr(network, name)(x.reshape(1, -1)))
        torch.testing.assert_close(features, x)
        torch.testing.assert_close(logits, network.fc8(x))
    assert sizes == [(16, 56, 56), (8, 28, 28), (4, 14, 14), (2, 7, 7), (1, 4, 4)]
    assert features.min() == 0  # after the ReLU


def test_tgan_preprocessing_is_opencvs_bicubic_less_the_middle_of_the_mean():
    frames = [cv2.resize(f.astype(np.float32), (128, 128), interpolation=cv2.INTER_CUBIC) for f in CLIPS[0]]
    expected = np.stack(frames).transpose(3, 0, 1, 2)[::-1] - MEAN[:, :, :, 21 : 21 + 128]
    actual = PREPROCESSING["tgan"](torch.from_numpy(CLIPS), torch.from_numpy(MEAN))
    np.testing.assert_allclose(actual[0], expected[:, :, 8:120, 8:120], atol=2e-2)


def test_tganv2_preprocessing_aligns_corners_and_takes_the_left_of_the_mean():
    actual = PREPROCESSING["tganv2"](torch.from_numpy(CLIPS), torch.from_numpy(MEAN))[0].numpy()
    # By hand in float64: output i reads row i · (H − 1) / 111, two taps; the same along columns.
    video = CLIPS[0].astype(np.float64)
    for axis in (1, 2):
        source = np.arange(112) * (video.shape[axis] - 1) / 111
        low = np.minimum(source.astype(int), video.shape[axis] - 2)
        shape = [1] * 4
        shape[axis] = -1
        weight = (source - low).reshape(shape)
        video = video.take(low, axis) * (1 - weight) + video.take(low + 1, axis) * weight
    # x = (u − 128) / 128 enters; the network swaps channels × 128 and adds 128 − mean, cut at 8 both ways.
    x = (video - 128) / 128
    expected = x.transpose(3, 0, 1, 2)[::-1] * 128 + (128 - MEAN[:, :, 8:120, 8:120].astype(np.float64))
    np.testing.assert_allclose(actual, expected, atol=1e-3)
    corner = CLIPS[0, 0, 0, 0, ::-1] - MEAN[:, 0, 8, 8]
    np.testing.assert_allclose(actual[:, 0, 0, 0], corner, atol=1e-4)


def test_longer_clips_are_seen_by_their_first_16_frames():
    longer = np.concatenate([CLIPS, CLIPS[:, :4] // 2], axis=1)
    mean = torch.from_numpy(MEAN)
    for steps in PREPROCESSING.values():
        assert torch.equal(steps(torch.from_numpy(longer), mean), steps(torch.from_numpy(CLIPS), mean))


def test_chainers_file_and_mean_load(tmp_path, mean_file, monkeypatch):
    """Chainer's `save_npz` writes one array a parameter, named link/parameter: W and b."""
    monkeypatch.setattr(c3d, "FEATURES", 64)  # a file of 300 MB would test nothing more
    torch.manual_seed(0)
    network = C3d().eval()
    arrays = {}
    for name in LAYERS:
        layer = getattr(network, name)
        arrays |= {f"{name}/W": layer.weight.detach().numpy(), f"{name}/b": layer.bias.detach().numpy()}
    np.savez(tmp_path / "c3d.npz", **arrays)
    extractor = extractors.load("c3d-ucf101", tmp_path / "c3d.npz", preprocessing="tgan", mean=mean_file)
    for key, value in network.state_dict().items():
        assert torch.equal(extractor.network.state_dict()[key], value), key
    assert np.array_equal(extractor.mean.numpy(), MEAN)
    sha256 = hashlib.sha256((tmp_path / "c3d.npz").read_bytes()).hexdigest()
    assert extractor.spec.weights == sha256
    assert extractor.spec.classes == tuple(f"ucf101-{i}" for i in range(101))
    assert not extractor.spec.published
    registry.add("c3d-ucf101", tmp_path / "c3d.npz")
    registry.add("c3d-mean", mean_file)
    assert extractors.load("c3d-ucf101").spec.published
    assert not extractors.load("c3d-ucf101", mean="channels").spec.published


def test_the_mean_is_part_of_the_preprocessings_name(mean_file):
    channels = extractors.load("c3d-ucf101", weights="random:1")
    measured = extractors.load("c3d-ucf101", weights="random:1", mean=mean_file)
    assert "mean channels" in channels.spec.preprocessing
    assert channels.spec.preprocessing != measured.spec.preprocessing
    assert channels.mean.shape == measured.mean.shape == c3d.MEAN_SHAPE
    assert torch.allclose(channels.mean[:, 3, 5, 7], torch.tensor(CHANNEL_MEANS))


def test_an_added_mean_is_found_and_a_missing_one_says_where_to_get_it(mean_file):
    with pytest.raises(VgbenchError, match="weights c3d-mean are not in the cache") as caught:
        c3d.load_mean(None)
    assert "vgbench weights add c3d-mean FILE" in caught.value.remedy
    assert "mean2.npz" in caught.value.remedy
    registry.add("c3d-mean", mean_file)
    assert "no complete hash has been published" in registry.verify("c3d-mean")
    values, name = c3d.load_mean(None)
    assert np.array_equal(values.numpy(), MEAN)
    assert name == hashlib.sha256(mean_file.read_bytes()).hexdigest()[:8]


def test_absent_weights_say_how_to_get_them():
    with pytest.raises(VgbenchError, match="c3d-ucf101 are not in the cache") as caught:
        extractors.load("c3d-ucf101")
    assert "conv3d_deepnetA_ucf.npz" in caught.value.remedy


def test_objects_in_an_npz_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "evil.npz", **{"conv1a/W": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(VgbenchError, match=r"not an \.npz archive of plain arrays"):
        extractors.load("c3d-ucf101", weights=tmp_path / "evil.npz")
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 junk")
    with pytest.raises(VgbenchError, match=r"not an \.npz archive of plain arrays"):
        extractors.load("c3d-ucf101", weights=tmp_path / "junk.npz")


def test_a_web_page_saved_as_weights_is_called_one(tmp_path):
    (tmp_path / "conv3d_deepnetA_ucf.npz").write_bytes(b"<!DOCTYPE html><html>Not found</html>")
    with pytest.raises(VgbenchError) as caught:
        registry.add("c3d-ucf101", tmp_path / "conv3d_deepnetA_ucf.npz")
    assert "web page" in caught.value.remedy


def test_a_mean_of_another_shape_is_refused(tmp_path):
    np.savez(tmp_path / "mean.npz", mean=np.zeros((3, 112, 112), np.float32))
    with pytest.raises(VgbenchError, match=r"no array 'mean' of shape \(3, 16, 128, 171\)"):
        c3d.load_mean(tmp_path / "mean.npz")


def test_unknown_preprocessing_lists_the_known():
    with pytest.raises(ConfigError, match="unknown preprocessing 'tgan3'") as caught:
        extractors.load("c3d-ucf101", weights="random", preprocessing="tgan3")
    assert "tganv2" in caught.value.remedy


class Probabilities(torch.nn.Module):
    """As StyleGAN-V's file does: [B, 3, 16, H, W] pixels to class probabilities; class 3 never occurs."""

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        x = video.float().mean(dim=[2, 3, 4]).repeat(1, 34)[:, :101]
        p = torch.softmax(x / 10, dim=1)
        p[:, 3] = 0
        return p / p.sum(dim=1, keepdim=True)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the field's files are such programs
def test_the_torchscript_files_probabilities_come_back_from_the_logits(tmp_path):
    path = tmp_path / "c3d_ucf101.pt"
    torch.jit.trace(Probabilities(), torch.zeros(2, 3, 16, 8, 8, dtype=torch.uint8)).save(path)
    registry.add("c3d-ucf101-torchscript", path, trust=True)
    extractor = extractors.load("c3d-ucf101-torchscript")
    clips = np.concatenate([CLIPS, CLIPS // 3])
    logits = extractor(np.concatenate([clips, clips], axis=1)).logits
    expected = Probabilities()(torch.from_numpy(clips).permute(0, 4, 1, 2, 3))
    torch.testing.assert_close(torch.softmax(logits, dim=1), expected)
    assert torch.isfinite(logits).all()
    with pytest.raises(VgbenchError, match="at least 16"):
        extractor(clips[:, :15])
    assert extractor.spec.published
    assert not extractors.load("c3d-ucf101-torchscript", weights=path).spec.published


@pytest.mark.parametrize(
    ("name", "generated", "extractor", "preprocessing", "options"),
    [
        ("is-tgan", 9984, "c3d-ucf101", "tgan", {"variant": "tgan"}),  # 10,000 in batches of 48
        ("is-tganv2", 2048, "c3d-ucf101", "tganv2", {"variant": "tganv2"}),
        ("is-stylegan-v", 2048, "c3d-ucf101-torchscript", None, {"variant": "stylegan-v", "splits": 10}),
    ],
)
def test_protocols_state_the_published_choices(name, generated, extractor, preprocessing, options):
    from vgbench.metrics import parse_list

    protocol = load_protocol(name)
    assert protocol.clips.generated == protocol.clips.least_for("generated") == generated
    assert protocol.clips.least_for("real") == 2
    assert protocol.windows.frames == 16
    assert protocol.extractor.name == extractor
    assert protocol.extractor.preprocessing == preprocessing
    (choice,) = parse_list(protocol.metrics)
    assert dict(choice.given) == options
    assert extractor in extractors.EXTRACTORS
