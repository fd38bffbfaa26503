"""FID's Inception-v3: values that torch-fidelity 0.4.0 gave with the same weights on the same frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vgbench import extractors
from vgbench.errors import VgbenchError

CLIPS = np.random.default_rng(0).integers(0, 256, (1, 2, 40, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def extractor():
    return extractors.load("inception-v3-fid", weights="random:0")


@pytest.fixture(scope="module")
def extracted(extractor):
    return extractor(CLIPS)


def test_frames_are_those_of_torch_fidelity(extracted):
    assert extracted.frames.shape == (1, 2, 2048)
    expected = [
        [6.882676473196625e-08, 2.5362680844409624e-08, 1.681396177843908e-08, 0, 5.617082621256486e-08],
        [7.409375513134364e-08, 2.614278216128696e-08, 1.758459511336241e-08, 0, 5.201624730943877e-08],
    ]
    np.testing.assert_allclose(extracted.frames[0, :, ::500].numpy(), expected, rtol=1e-3)
    norms = [2.4926353034970816e-06, 2.5175747850880725e-06]
    np.testing.assert_allclose(extracted.frames[0].norm(dim=1).numpy(), norms, rtol=1e-4)
    logits = [0.002268436597660184, -0.020810358226299286, -0.005374952219426632]
    np.testing.assert_allclose(extracted.logits[0, :3].numpy(), logits, rtol=1e-3)


def test_a_clip_is_the_mean_of_its_frames_and_their_order_does_not_matter(extractor, extracted):
    features, logits = extracted
    torch.testing.assert_close(features, extracted.frames.mean(dim=1))
    backwards = extractor(np.ascontiguousarray(CLIPS[:, ::-1]))
    torch.testing.assert_close(backwards.frames.flip(1), extracted.frames, rtol=1e-4, atol=1e-10)
    assert logits.shape == (1, len(extractor.spec.classes))
    assert extractor.spec.per_frame


def test_it_has_the_published_networks_parameters(extractor):
    # torchvision states 27,161,264 with its auxiliary head (3,326,696) and 1,000 classes: 8 more have 16,392.
    assert sum(x.numel() for x in extractor.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049


def test_absent_weights_say_where_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path))
    with pytest.raises(VgbenchError, match="not in the cache") as caught:
        extractors.load("inception-v3-fid")
    assert "vgbench weights add inception-v3-fid FILE" in caught.value.remedy
