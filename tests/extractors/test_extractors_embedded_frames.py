"""The embedded network frame by frame, and features of frames on their way to a metric."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from extracting import extract
from stub_extractor import StubExtractor

from vgbench import extractors
from vgbench.clips import moving_shapes, open_source
from vgbench.evaluation.choices import measures_for, resolve_protocol
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.execution import Execution
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.measure import measure
from vgbench.evaluation.measured import EXTRACTOR
from vgbench.evaluation.statistics_file import load_statistics
from vgbench.extractors.batch_size import Batches
from vgbench.extractors.extractor import Extracted

OPTIONS = moving_shapes.Options(size=32)
CLIPS = np.stack([moving_shapes.render(OPTIONS, "test", index)[:9] for index in range(2)])


@pytest.fixture(scope="module")
def extractor():
    return extractors.load("embedded-frames")


def test_a_frame_has_the_features_of_its_still_clip(extractor):
    features, logits = extractor(CLIPS)
    frames = extractor(CLIPS).frames
    assert frames.shape == (2, 9, extractor.spec.feature_dimension)
    assert logits is None
    torch.testing.assert_close(features, frames.mean(dim=1))
    whole = extractors.load("embedded")
    still, grey = np.repeat(CLIPS[1:, 4:5], 16, axis=1), np.full_like(CLIPS[:1], 128)
    expected = whole(still).features - whole(grey).features
    torch.testing.assert_close(frames[1, 4:5], expected, rtol=1e-4, atol=1e-4)


def test_it_sees_each_frame_alone_and_one_is_enough(extractor):
    frames = extractor(CLIPS).frames
    backwards = extractor(np.ascontiguousarray(CLIPS[:, ::-1])).frames
    torch.testing.assert_close(backwards.flip(1), frames, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(extractor(CLIPS[:, :1]).frames, frames[:, :1], rtol=1e-4, atol=1e-4)
    assert (frames[0] - frames[1]).norm(dim=1).min() > 1


def test_its_table_and_signature_are_its_own(extractor):
    spec = extractors.load("embedded").spec
    assert extractor.spec.id == f"{spec.id}-frames"
    assert extractor.spec.weights == spec.weights
    assert "still clip" in extractor.spec.preprocessing


class MeanOfEachFrame(StubExtractor):
    def __init__(self):
        super().__init__()
        self.spec = replace(self.spec, feature_dimension=3, classes=(), per_frame=True)

    def forward(self, clips):
        self.calls.append(len(clips))
        frames = clips.float().mean((2, 3))
        return Extracted(frames.mean(1), None, frames)


def test_features_of_frames_reach_metrics_and_are_kept(tmp_path):
    plan = resolve_protocol("quick", ["fvd"], None, ["clips.real=12", "clips.least=4", "resize.size=32"])
    source = open_source("builtin:moving-shapes/test?size=32&clips=12")
    store, network = FeatureStore(tmp_path), MeanOfEachFrame()
    measures = measures_for([], network)
    first = measure(source, "real", plan, measures, Execution(Batches(5), store=store)).samples[EXTRACTOR]
    again = measure(source, "real", plan, measures, Execution(store=store)).samples[EXTRACTOR]
    assert sum(network.calls) == 12
    assert first.frames.shape == (12, plan.windows.frames, 3)
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_allclose(first.frames.mean(1), first.features, rtol=1e-5)
    # A network that sees clips whole has none, though its id and weights may be the same.
    whole = measure(source, "real", plan, measures_for([], StubExtractor()), Execution(store=store))
    assert whole.samples[EXTRACTOR].frames is None
    path = export_statistics(source, tmp_path / "real.safetensors", plan, extractor=network, store=store)
    np.testing.assert_array_equal(
        load_statistics(path, plan, measures).samples[EXTRACTOR].frames, first.frames
    )


def test_extract_gives_features_of_frames_in_arrays():
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        extract(MeanOfEachFrame(), clips, batch_size=2).frames, clips.mean((2, 3)), rtol=1e-5
    )
    assert extract(StubExtractor(), clips).frames is None
