"""Clips that the source declares to be of one group: from the manifest to the record, ranks and files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from stub_extractor import StubExtractor

import vgbench
from vgbench.clips import open_source, write_clips
from vgbench.distributed import World
from vgbench.evaluation import ranks
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.paired import evaluate_pairs

RNG = np.random.default_rng(0)
SETTINGS = ["clips.least=2", "windows.frames=4", "windows.start=first", "resize.size=16"]
VIDEOS, PIECES = 12, 4


def pieces(seed):
    """Clips cut from videos, uint8 [48, 4, 16, 16, 3]: those of one video are alike."""
    rng = np.random.default_rng(seed)
    videos = rng.integers(0, 256, (VIDEOS, 1, 1, 2, 2, 3)).repeat(PIECES, 1).repeat(4, 2)
    cut = np.clip(videos + rng.integers(-9, 10, videos.shape), 0, 255).astype(np.uint8)
    return cut.reshape(-1, 4, 2, 2, 3).repeat(8, 2).repeat(8, 3)


GENERATED, REAL = pieces(1), pieces(2)
NAMES = [f"video {number // PIECES}" for number in range(VIDEOS * PIECES)]


def grouped(clips, names=NAMES):
    return [{"clip": clip, "group": name} for clip, name in zip(clips, names, strict=True)]


@pytest.fixture
def evaluate(tmp_path):
    def run(generated, real, metrics=("fvd", "kvd", "prdc(k=3)"), **more):
        store, network = FeatureStore(tmp_path / "store"), StubExtractor()
        options = {"metrics": list(metrics), "settings": SETTINGS, "extractor": network, "store": store}
        return vgbench.evaluate(generated, real, **options, **more)

    return run


def fields(record):
    return dict(record.signature_fields)


def test_declared_groups_are_one_clip_each_in_values_and_errors(evaluate):
    alone, declared = evaluate(GENERATED, REAL), evaluate(grouped(GENERATED), grouped(REAL))
    assert declared.scores["fvd"].value == alone.scores["fvd"].value
    assert "jackknife(12+12 blocks)" in declared.scores["fvd"].method
    assert declared.scores["fvd"].standard_error > 1.3 * alone.scores["fvd"].standard_error
    assert declared.scores["kvd"].value < alone.scores["kvd"].value  # no pairs of one video
    assert declared.scores["coverage"].value > alone.scores["coverage"].value
    single = evaluate(GENERATED[::PIECES], REAL[::PIECES])
    for name in ("precision", "recall", "coverage"):
        assert declared.scores[name].value == pytest.approx(single.scores[name].value, abs=0.15)


def test_record_and_signature_say_how_many_groups_there_are(evaluate):
    declared = evaluate(grouped(GENERATED), grouped(REAL))
    for side in (declared.clips.generated, declared.clips.real):
        assert (side.used, side.clips, side.groups) == (48, 48, 12)
    assert fields(declared)["clips"] == "48of12+48of12"
    assert fields(declared)["options"] == "kvd@2,prdc(k=3)@2"
    assert declared.signatures["kvd"].startswith("kvd@2|")
    assert declared.signatures["fvd"].startswith("fvd|")
    other = evaluate(grouped(GENERATED), grouped(REAL, [NAMES[(7 * k) % 48] for k in range(48)]))
    assert fields(other)["clips"] == fields(declared)["clips"]
    assert fields(other)["groups"] != fields(declared)["groups"]  # as many groups, of other clips


def test_without_several_windows_of_a_recording_the_signature_is_as_before(evaluate):
    alone = evaluate(GENERATED, REAL)
    assert fields(alone)["clips"] == "48+48"
    assert fields(alone)["options"] == "prdc(k=3)"
    assert "groups" not in fields(alone)
    assert (alone.clips.real.clips, alone.clips.real.groups) == (48, 48)
    own = [str(number) for number in range(48)]
    assert evaluate(grouped(GENERATED, own), grouped(REAL, own)).signature == alone.signature
    copied = evaluate(np.concatenate([GENERATED[:40], GENERATED[:8]]), REAL)
    assert copied.signature == alone.signature
    assert copied.clips.generated.groups == 40


def test_windows_of_one_clip_are_counted_as_one_clip(evaluate):
    """Twelve clips of sixteen frames, of which four windows are cut, are those pieces joined again."""
    joined = [side.reshape(VIDEOS, 4 * PIECES, *side.shape[2:]) for side in (GENERATED, REAL)]
    record = evaluate(*joined)
    assert fields(record)["clips"] == "48of12+48of12"
    assert "groups" not in fields(record)  # which window is of which clip shows in the hashes
    assert (record.clips.real.clips, record.clips.real.groups) == (12, 12)
    declared = evaluate(grouped(GENERATED), grouped(REAL))
    for name, score in declared.scores.items():
        assert record.scores[name].value == pytest.approx(score.value, rel=0.3, abs=0.1)


def test_a_manifest_brings_its_groups(evaluate, tmp_path):
    paths = write_clips(list(REAL), tmp_path / "clips", "mkv", fps=8)
    lines = [f"{path.relative_to(tmp_path)},{name}" for path, name in zip(paths, NAMES, strict=True)]
    (tmp_path / "real.csv").write_text("\n".join(["path,group", *lines]))
    record = evaluate(grouped(GENERATED), tmp_path / "real.csv")
    assert (record.clips.real.clips, record.clips.real.groups) == (48, 12)
    assert fields(record)["clips"] == "48of12+48of12"


def test_a_statistics_file_keeps_the_groups(evaluate, tmp_path):
    path = tmp_path / "real.safetensors"
    options = {"metrics": ["fvd", "kvd", "prdc(k=3)"], "settings": SETTINGS, "extractor": StubExtractor()}
    export_statistics(grouped(REAL), path, **options)
    from_file, from_clips = evaluate(grouped(GENERATED), path), evaluate(grouped(GENERATED), grouped(REAL))
    assert from_file.scores == from_clips.scores
    assert from_file.signature == from_clips.signature
    assert (from_file.clips.real.clips, from_file.clips.real.groups) == (48, 12)


def test_the_union_over_ranks_keeps_groups_that_span_ranks(monkeypatch):
    parts = [
        open_source(grouped(GENERATED[:6], NAMES[:6])),
        open_source(grouped(GENERATED[6:12], NAMES[6:12])),
    ]

    def gather(value, world):
        if isinstance(value, tuple | dict):
            return [value, type(value)()]
        return [[(clip.id, clip.label, clip.origin, clip.group) for clip in part.clips] for part in parts]

    monkeypatch.setattr(ranks, "gather", gather)
    shared = ranks.share_source(parts[0], World(rank=0, size=2), sharded=True)
    assert sorted(clip.recording for clip in shared.source.clips) == sorted(NAMES[:12])
    assert len({clip.origin for clip in shared.source.clips}) == 12
    assert [type(clip).__name__ for clip in shared.source.clips].count("ClipElsewhere") == 6


def test_ranks_that_declare_other_groups_are_refused(monkeypatch):
    source = open_source(grouped(GENERATED))
    seen = []
    monkeypatch.setattr(ranks, "gather", lambda value, _: seen.append(value) or [value, "other"])
    assert not ranks._are_equal(source, World(rank=0, size=2), lambda clip: clip.id)
    others = replace(source, clips=[replace(clip, group="one") for clip in source.clips])
    ranks._are_equal(others, World(rank=0, size=2), lambda clip: clip.id)
    assert seen[0] != seen[1]


def test_few_independent_clips_are_warned_of_however_many_windows_they_give(evaluate):
    dimensions = 2 * StubExtractor().spec.feature_dimension
    assert VIDEOS < dimensions <= len(GENERATED)
    assert "small-sample" not in dict(evaluate(GENERATED, REAL).warnings)
    warned = dict(evaluate(grouped(GENERATED), grouped(REAL)).warnings)
    assert "48 windows of 12 independent clips for" in warned["small-sample"]


def test_pairs_of_one_group_count_as_one(tmp_path):
    lines = []
    for side, clips in (("generated", GENERATED), ("reference", REAL)):
        for path, name in zip(write_clips(list(clips), tmp_path / side, "mkv", fps=8), NAMES, strict=True):
            lines.append(json.dumps({"path": path.name, "group": name}))
        (tmp_path / side / "list.jsonl").write_text("\n".join(lines))
        lines.clear()
    alone = evaluate_pairs(tmp_path / "generated", tmp_path / "reference")
    declared = evaluate_pairs(tmp_path / "generated" / "list.jsonl", tmp_path / "reference" / "list.jsonl")
    for name in ("psnr", "tof"):
        assert declared.scores[name].value == pytest.approx(alone.scores[name].value)
    assert declared.scores["psnr"].method.startswith("mean of clips(12 source clips)")
    assert len(declared.scores["psnr"].deviations[1]) == 12
    assert declared.scores["psnr"].standard_error > 1.3 * alone.scores["psnr"].standard_error
    assert (declared.clips.real.clips, declared.clips.real.groups) == (48, 12)
