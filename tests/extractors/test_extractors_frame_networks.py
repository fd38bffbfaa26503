"""Networks of transformers, with tiny untrained ones saved to a folder as the published ones are."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from vgbench import extractors
from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors.frame_networks import RECIPES
from vgbench.extractors.hugging_face import IMAGENET_MEAN, IMAGENET_STD
from vgbench.extractors.transformers_video import V_JEPA_2, VIDEOMAE

NAMES = ("dinov2-vitb14", "clip-vitb32", "videomae-vitb16-k400", "vjepa2-vitl")
CLIPS = np.random.default_rng(0).integers(0, 256, (2, 5, 30, 44, 3), dtype=np.uint8)


def published(name):
    return {"videomae-vitb16-k400": VIDEOMAE, "vjepa2-vitl": V_JEPA_2}.get(name) or RECIPES[name].published


@pytest.fixture(autouse=True)
def no_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def tiny(name):
    """An untrained network of the published architecture, with few and wide patches."""
    transformers = pytest.importorskip(
        "transformers", reason="needs the package transformers", exc_type=ImportError
    )
    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    if name == "dinov2-vitb14":
        config = transformers.Dinov2Config(**size, image_size=224, patch_size=56)
    elif name == "clip-vitb32":
        config = transformers.CLIPVisionConfig(**size, projection_dim=6, image_size=224, patch_size=56)
    elif name == "videomae-vitb16-k400":
        config = transformers.VideoMAEConfig(
            **size, image_size=224, patch_size=56, num_frames=4, num_labels=5, use_mean_pooling=True
        )
    else:
        config = transformers.VJEPA2Config(
            hidden_size=24, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=1, crop_size=256,
            patch_size=64, frames_per_clip=4, pred_hidden_size=24, pred_num_attention_heads=2,
            pred_num_hidden_layers=1,
        )  # fmt: skip
    torch.manual_seed(0)
    network = getattr(transformers, published(name).architecture)(config).eval()
    with torch.no_grad():  # biases begin at zero, the class token too
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return network


@pytest.fixture
def saved(tmp_path):
    def save(name):
        network = tiny(name)
        network.save_pretrained(tmp_path / name)
        return network, tmp_path / name

    return save


@pytest.mark.parametrize("name", NAMES)
def test_without_transformers_the_error_names_the_package(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(VgbenchError, match=f"extractor {name} needs the package transformers") as caught:
        extractors.load(name)
    assert caught.value.remedy == "pip install transformers"


@pytest.mark.parametrize("name", [*RECIPES, "videomae-vitb16-k400"])
def test_preprocessing_is_pillows_resize_a_crop_and_a_normalisation(name):
    """The published processors resize with Pillow: antialiased, whole pixels, shorter side first."""
    steps = published(name)
    kernel = Image.Resampling.BICUBIC if steps.resize.kernel == "bicubic" else Image.Resampling.BILINEAR
    # Pillow rounds between its two passes, so noise that overshoots would differ by more than a level.
    clips = np.random.default_rng(0).integers(60, 196, (1, 1, 300, 450, 3), dtype=np.uint8)
    side = steps.resize.size
    image = Image.fromarray(clips[0, 0]).resize((side * 450 // 300, side), kernel)
    left, top = (image.width - steps.crop) // 2, (image.height - steps.crop) // 2
    image = np.asarray(image.crop((left, top, left + steps.crop, top + steps.crop)))
    frames = steps.preprocess(torch.from_numpy(clips))[0, 0].permute(1, 2, 0).numpy()
    pixels = (frames * steps.std + steps.mean) * 255
    assert np.abs(pixels - image).max() <= 1.01
    assert np.abs(pixels - image).mean() < 0.3
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)


def test_normalisation_constants_are_those_of_imagenet_and_clip():
    assert (IMAGENET_MEAN, IMAGENET_STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    black = torch.zeros(1, 1, 8, 8, 3, dtype=torch.uint8)
    for name in NAMES:
        steps = published(name)
        frames = steps.preprocess(black)
        assert frames.shape == (1, 1, 3, steps.crop, steps.crop)
        expected = -torch.tensor(steps.mean) / torch.tensor(steps.std)
        torch.testing.assert_close(frames[0, 0].amax((1, 2)), expected)


@pytest.mark.parametrize("name", RECIPES)
def test_clip_features_are_the_mean_of_frame_features(name, saved):
    network, folder = saved(name)
    extractor = extractors.load(name, weights=folder)
    features, logits = extractor(CLIPS)
    by_frame = extractor(CLIPS).frames
    assert extractor.spec.per_frame
    assert logits is None
    assert by_frame.shape == (2, 5, extractor.spec.feature_dimension)
    torch.testing.assert_close(features, by_frame.mean(dim=1))
    # One frame alone, by the library's own call.
    frame = published(name).preprocess(torch.from_numpy(CLIPS[1:, 3:4]))[0]
    with torch.inference_mode():
        out = network(pixel_values=frame)
        token = out.image_embeds if name == "clip-vitb32" else out.last_hidden_state[:, 0]
    torch.testing.assert_close(by_frame[1, 3], token[0], rtol=1e-4, atol=1e-5)
    # The order of frames cannot matter.
    torch.testing.assert_close(extractor(CLIPS[:, ::-1]).features, features, rtol=1e-4, atol=1e-5)


def test_videomae_features_give_its_own_logits_and_long_clips_are_averaged(saved):
    name = "videomae-vitb16-k400"
    network, folder = saved(name)
    extractor = extractors.load(name, weights=folder)
    clips = np.concatenate([CLIPS, CLIPS[:, ::-1]], axis=1)  # 10 frames: two windows of four, two left out
    features, logits = extractor(clips)
    frames = VIDEOMAE.preprocess(torch.from_numpy(clips))
    with torch.inference_mode():
        windows = [network(pixel_values=frames[:, start : start + 4]).logits for start in (0, 4)]
    torch.testing.assert_close(logits, torch.stack(windows).mean(dim=0), rtol=1e-4, atol=1e-5)
    assert features.shape == (2, 8)
    assert extractor.spec.classes == tuple(f"LABEL_{i}" for i in range(5))
    with pytest.raises(VgbenchError, match="at least 4"):
        extractor(clips[:, :3])


def test_v_jepa_2_features_are_the_mean_token_and_see_the_order_of_frames(saved):
    network, folder = saved("vjepa2-vitl")
    extractor = extractors.load("vjepa2-vitl", weights=folder)
    clips = CLIPS[:, :4]
    features, logits = extractor(clips)
    frames = V_JEPA_2.preprocess(torch.from_numpy(clips))
    with torch.inference_mode():
        tokens = network(pixel_values_videos=frames, skip_predictor=True).last_hidden_state
    assert tokens.shape == (2, 2 * 4 * 4, 24)
    torch.testing.assert_close(features, tokens.mean(dim=1), rtol=1e-4, atol=1e-5)
    assert logits is None
    assert (extractor(np.ascontiguousarray(clips[:, ::-1])).features - features).abs().max() > 1e-4
    torch.testing.assert_close(extractor(CLIPS).features, features)  # the fifth frame makes no pair


def test_weights_are_named_by_their_hash_and_never_looked_for_on_a_network(saved):
    _, folder = saved("dinov2-vitb14")
    extractor = extractors.load("dinov2-vitb14", weights=folder)
    assert "user's file" in extractor.spec.licence
    copy = shutil.copytree(folder, folder.with_name("copy"))
    assert extractors.load("dinov2-vitb14", weights=copy).spec.weights == extractor.spec.weights
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 0.5}))
    other = extractors.load("dinov2-vitb14", weights=copy)
    assert (other(CLIPS).features - extractor(CLIPS).features).abs().max() > 1e-3
    assert other.spec.weights != extractor.spec.weights, "the same weights in another network"
    words = r"config\.json and model\.safetensors of nobody/nothing not found"
    with pytest.raises(VgbenchError, match=words) as caught:
        extractors.load("dinov2-vitb14", weights="nobody/nothing")
    assert "hf download nobody/nothing" in caught.value.remedy


def test_another_networks_folder_is_refused(saved):
    _, folder = saved("vjepa2-vitl")
    with pytest.raises(VgbenchError, match="dinov2-vitb14"):
        extractors.load("dinov2-vitb14", weights=folder)


def test_unpickled_weights_only(saved):
    _, folder = saved("clip-vitb32")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(VgbenchError, match=r"model\.safetensors of .* not found"):
        extractors.load("clip-vitb32", weights=folder)


def test_unknown_option_is_named():
    with pytest.raises(ConfigError, match="preprocessing"):
        extractors.load("clip-vitb32", preprocessing="tf1")
