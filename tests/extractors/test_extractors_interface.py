"""Loading by name, by file and by import path; what an extractor refuses."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from extracting import extract

from vgbench import extractors
from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors.extractor import (
    Extracted,
    Extractor,
    ExtractorSpec,
    check_clips,
    own_precision,
    to_device,
)

CLIPS = np.random.default_rng(0).integers(0, 256, (5, 8, 16, 16, 3), dtype=np.uint8)


def spec(**changes: object) -> ExtractorSpec:
    values: dict[str, object] = {
        "id": "mean", "weights": "random:0", "least_frames": 4, "preprocessing": "none",
        "feature_dimension": 3, "classes": (), "licence": "none", "comparable_with": "itself",
    }  # fmt: skip
    return ExtractorSpec(**(values | changes))


class MeanColour(Extractor):
    spec = spec()

    def forward(self, clips: torch.Tensor) -> Extracted:
        return Extracted(clips.float().mean(dim=(1, 2, 3)), None)


def test_importing_the_package_imports_no_torch():
    code = "import sys, vgbench.extractors as e; assert e.EXTRACTORS; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_array_and_tensor_give_the_same_features_without_gradients():
    extractor = MeanColour()
    from_array, from_tensor = extractor(CLIPS), extractor(torch.from_numpy(CLIPS))
    torch.testing.assert_close(from_array.features, from_tensor.features)
    np.testing.assert_allclose(from_array.features.numpy(), CLIPS.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert from_array.features.is_inference()


def test_extract_gives_arrays_whatever_the_batch_size():
    whole = extract(MeanColour(), CLIPS)
    parts = extract(MeanColour(), CLIPS, batch_size=2)
    assert whole.features.dtype == np.float32
    assert whole.logits is None
    np.testing.assert_array_equal(whole.features, parts.features)


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (CLIPS.astype(np.float32), "float32, not uint8"),
        (torch.zeros(1, 8, 16, 16, 3), "float32, not uint8"),
        (CLIPS[0], r"shape \(8, 16, 16, 3\)"),
        (CLIPS.transpose(0, 4, 1, 2, 3), r"not \[B, T, H, W, 3\]"),
        (CLIPS[:, :3], "3 frames, the network needs at least 4"),
    ],
)
def test_wrong_clips_are_refused_with_a_remedy(clips, words):
    with pytest.raises(VgbenchError, match=words) as caught:
        check_clips(clips, spec())
    assert caught.value.remedy


def test_unknown_name_suggests_the_near_one():
    with pytest.raises(ConfigError, match="unknown extractor 'embeded'") as caught:
        extractors.load("embeded")
    assert "did you mean embedded" in caught.value.remedy


def test_unknown_option_is_named():
    with pytest.raises(ConfigError, match="preprocesing"):
        extractors.load("i3d-k400", weights="random", preprocesing="tf1")


def test_a_users_class_loads_by_import_path(tmp_path, monkeypatch):
    (tmp_path / "mine_for_vgbench_test.py").write_text(
        textwrap.dedent(
            """
            import torch
            from vgbench.extractors.extractor import Extracted, Extractor, ExtractorSpec

            class Mine(Extractor):
                spec = ExtractorSpec("mine", "random:0", 1, 0, "none", 3, (), "mine", "itself")

                def __init__(self):
                    super().__init__()
                    self.drop = torch.nn.Dropout(0.5)

                def forward(self, clips):
                    return Extracted(self.drop(clips.float().mean((1, 2, 3))), None)
            """
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    extractor = extractors.load("mine_for_vgbench_test:Mine")
    assert not extractor.training  # dropout must be off without the user's doing
    np.testing.assert_allclose(extractor(CLIPS).features.numpy(), CLIPS.mean(axis=(1, 2, 3)), rtol=1e-5)


class Network(torch.nn.Module):
    def forward(self, clips: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = clips.float().mean(dim=(1, 2, 3))
        return mean, mean * 2


@pytest.fixture(scope="module")
def exported_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        Network(), (torch.zeros(2, 8, 16, 16, 3, dtype=torch.uint8),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, path)
    return path


def test_an_exported_network_is_an_extractor(exported_file):
    extractor = extractors.load(str(exported_file))
    features, logits = extractor(CLIPS)
    np.testing.assert_allclose(features.numpy(), CLIPS.mean(axis=(1, 2, 3)), rtol=1e-5)
    torch.testing.assert_close(logits, 2 * features)
    assert len(extractor.spec.weights) == 64


def test_an_exported_network_that_fails_says_what_it_must_take(exported_file):
    extractor = extractors.load(str(exported_file))
    with pytest.raises(VgbenchError, match=r"net\.pt2 fails on uint8 clips") as caught:
        extractor(CLIPS[:, :, :8])
    assert "uint8 [B, T, H, W, 3]" in caught.value.remedy


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "junk.pt"
    path.write_bytes(b"not a network")
    with pytest.raises(VgbenchError, match="neither a TorchScript program"):
        extractors.load(str(path))


def test_a_missing_network_file_is_named(tmp_path):
    with pytest.raises(VgbenchError, match=r"absent\.pt2 cannot be read"):
        extractors.load(str(tmp_path / "absent.pt2"))


def test_clips_reach_a_gpu_through_pinned_memory_and_others_as_they_are(monkeypatch):
    steps = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda clips: steps.append("pin") or clips)
    monkeypatch.setattr(torch.Tensor, "to", lambda clips, *to, **how: steps.append((*to, how)) or clips)
    clips = torch.zeros(1, 4, 2, 2, 3, dtype=torch.uint8)
    for name in ("cpu", "cuda", "mps"):
        to_device(clips, torch.device(name))
    assert steps == [
        (torch.device("cpu"), {"non_blocking": False}),
        "pin",
        (torch.device("cuda"), {"non_blocking": True}),
        (torch.device("mps"), {"non_blocking": False}),
    ]


def test_convolutions_on_a_gpu_stay_in_float32_and_the_callers_setting_stays_his():
    before = torch.backends.cudnn.allow_tf32
    with own_precision(torch.device("cuda")):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == before
    with own_precision(torch.device("cpu")):
        assert torch.backends.cudnn.allow_tf32 == before
