"""The shipped network: repeatable, independent of batches, and it sees both looks and motion."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from extracting import extract

from vgbench import extractors
from vgbench.clips import moving_shapes
from vgbench.errors import VgbenchError
from vgbench.extractors import embedded
from vgbench.extractors.weights import file
from vgbench.metrics.frechet import frechet_distance

OPTIONS = moving_shapes.Options(size=32)


def shapes(count: int, split: str = "test", options: moving_shapes.Options = OPTIONS) -> np.ndarray:
    return np.stack([moving_shapes.render(options, split, index) for index in range(count)])


@pytest.fixture(scope="module")
def extractor():
    return extractors.load("embedded")


@pytest.fixture(scope="module")
def real():
    return shapes(96)


@pytest.fixture(scope="module")
def real_features(extractor, real):
    return extract(extractor, real).features


@pytest.fixture(scope="module")
def train():
    return shapes(96, "train")


@pytest.fixture(scope="module")
def train_features(extractor, train):
    return extract(extractor, train).features


def test_spec_states_the_shipped_files_hash(extractor):
    assert extractor.spec.weights == hashlib.sha256(embedded.WEIGHTS.read_bytes()).hexdigest()
    assert extractor.spec.describe() == f"{extractor.spec.id}@{extractor.spec.weights[:8]}"
    assert "not I3D" in extractor.spec.comparable_with


def test_weights_are_small_and_say_how_they_were_made():
    assert embedded.WEIGHTS.stat().st_size <= 8 * 2**20
    metadata = file.read(embedded.WEIGHTS).metadata
    assert "scripts/train_embedded_extractor.py" in metadata["command"]
    assert tuple(json.loads(metadata["classes"])) == moving_shapes.CLASSES


def test_shapes_of_the_result_match_the_spec(extractor, real):
    features, logits = extractor(real[:3])
    assert features.shape == (3, extractor.spec.feature_dimension)
    assert logits.shape == (3, len(extractor.spec.classes))


@pytest.mark.parametrize(("frames", "size"), [(8, 64), (9, 17), (33, 48)])
def test_any_length_and_size_from_eight_frames_on(extractor, frames, size):
    clips = shapes(2, options=moving_shapes.Options(size=size, frames=frames))
    assert torch.isfinite(extractor(clips).features).all()
    with pytest.raises(VgbenchError, match="at least 8"):
        extractor(clips[:, :7])


def test_wide_frames_are_accepted(extractor):
    clips = np.random.default_rng(0).integers(0, 256, (1, 8, 40, 72, 3), dtype=np.uint8)
    assert extractor(clips).features.shape == (1, 256)


def test_two_loads_give_equal_bits(extractor, real):
    again = extractors.load("embedded")
    assert torch.equal(extractor(real[:8]).features, again(real[:8]).features)


def test_features_and_distance_do_not_depend_on_the_batch_size(extractor, real, train_features):
    whole, other = extract(extractor, real[:32], batch_size=32).features, train_features[:32]
    for size in (1, 7):
        parts = extract(extractor, real[:32], batch_size=size).features
        scale = np.linalg.norm(whole, axis=1)
        assert (np.linalg.norm(parts - whole, axis=1) / scale).max() < 1e-5
        expected = frechet_distance(whole, other)
        assert frechet_distance(parts, other) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_untrained_network_is_a_function_of_its_seed(real):
    one, same, other = (extractors.load("embedded", weights=w) for w in ("random", "random:0", "random:1"))
    assert torch.equal(one(real[:2]).features, same(real[:2]).features)
    assert not torch.equal(one(real[:2]).features, other(real[:2]).features)
    assert other.spec.weights == "random:1"


def test_loading_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    extractors.load("embedded", weights="random:3")
    assert torch.equal(torch.rand(3), expected)


def test_folding_batch_norms_changes_nothing_but_rounding(real):
    stored = file.read(embedded.WEIGHTS)
    plain = embedded.EmbeddedNetwork(len(moving_shapes.CLASSES))
    file.load_into(plain, stored.tensors, "test")
    plain.eval()
    frames = embedded.to_frames(torch.from_numpy(real[:4]))
    with torch.inference_mode():
        before, _ = plain(frames)
        plain.fold()
        after, _ = plain(frames)
    torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-4)


def test_it_names_the_classes_of_moving_shapes(extractor, real):
    truth = [moving_shapes.CLASSES.index(moving_shapes.label(OPTIONS, "test", i)) for i in range(len(real))]
    guesses = extract(extractor, real).logits.argmax(axis=1)
    assert (guesses == np.array(truth)).mean() > 0.8  # chance: 1 in 24


def distort(clips: np.ndarray, name: str, strength: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    if name == "noise":
        return np.clip(clips + rng.normal(0, 60 * strength, clips.shape), 0, 255).astype(np.uint8)
    if name == "freeze":
        return clips[:, np.minimum(np.arange(16), round(1 + 15 * (1 - strength)) - 1)]
    order = np.arange(16)
    out = []
    for clip in clips:
        moved = rng.permutation(16)[: round(16 * strength)]
        mixed = order.copy()
        mixed[np.sort(moved)] = order[moved]
        out.append(clip[mixed])
    return np.stack(out)


@pytest.mark.parametrize("name", ["noise", "freeze", "shuffle"])
def test_distance_to_real_clips_grows_with_the_damage(extractor, real_features, train, train_features, name):
    distances = [frechet_distance(real_features, train_features)]
    for strength in (0.4, 1.0):
        damaged = extract(extractor, distort(train, name, strength)).features
        distances.append(frechet_distance(real_features, damaged))
    assert distances == sorted(distances)
    assert distances[-1] > 5 * distances[0]


def test_playing_faster_is_seen(extractor, real_features, train_features):
    double = shapes(96, "train", moving_shapes.Options(size=32, frames=32))[:, ::2]
    fast = extract(extractor, double).features
    assert frechet_distance(real_features, fast) > 2 * frechet_distance(real_features, train_features)
