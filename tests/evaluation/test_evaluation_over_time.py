"""Scores over time: long clips whose later half is damaged, and what a curve must not change."""

from __future__ import annotations

import json

import numpy as np
import pytest
from stub_extractor import StubExtractor
from typer.testing import CliRunner

import vgbench
from vgbench.cli import app
from vgbench.errors import ConfigError, NotEnoughClips, VgbenchError
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.over_time import curve, evaluate_over_time
from vgbench.protocol import load

SETTINGS = ["clips.generated=24", "clips.real=24", "clips.least=8", "windows.frames=8", "resize.size=32"]


def films(seed, n=24, frames=32):
    """Squares of random colour that drift over a grey ground."""
    rng = np.random.default_rng(seed)
    clips = np.full((n, frames, 32, 32, 3), 60, dtype=np.uint8)
    for clip in clips:
        colour, x, y = rng.integers(100, 256, 3), *rng.integers(0, 16, 2)
        for t in range(frames):
            left = (x + t // 2) % 24
            clip[t, y : y + 8, left : left + 8] = colour
    return clips


def half_damaged(seed):
    """The later half of every clip fades to black, each clip at a speed of its own."""
    clips = films(seed)
    for clip, speed in zip(clips, np.random.default_rng(seed).uniform(0.3, 0.9, len(clips)), strict=True):
        clip[16:] = clip[16:] * (1 - speed)
    return clips


def run(generated, real, tmp_path, step=8, **options):
    given = {"settings": SETTINGS, "metrics": ["fvd"], "extractor": StubExtractor(), **options}
    return evaluate_over_time(generated, real, step, "quick", store=FeatureStore(tmp_path), **given)


def test_the_curve_rises_where_the_clips_are_damaged(tmp_path):
    records = run(half_damaged(1), films(2), tmp_path)
    assert list(records) == [0, 8, 16, 24]
    scores = [record.scores["fvd"] for record in records.values()]
    intact, damaged = scores[:2], scores[2:]
    assert max(score.interval[1] for score in intact) < min(score.interval[0] for score in damaged)
    assert [point["value"] for point in curve(records)["fvd"]] == [score.value for score in scores]
    for offset, record in records.items():
        frames = record.clips.generated.windows[0].frames
        assert frames == tuple(range(offset, offset + 8))


def test_intact_clips_have_a_level_curve(tmp_path):
    scores = [record.scores["fvd"] for record in run(films(1), films(2), tmp_path).values()]
    assert max(score.interval[0] for score in scores) < min(score.interval[1] for score in scores)


def test_each_point_is_an_evaluation_of_the_cut_clips(tmp_path):
    generated, real = half_damaged(1), films(2)
    records = run(generated, real, tmp_path, step=16)
    cut = vgbench.evaluate(
        generated[:, 16:],
        real[:, 16:],
        "quick",
        ["fvd"],
        StubExtractor(),
        settings=[*SETTINGS, "windows.start=first"],
        store=FeatureStore(tmp_path),
    )
    assert records[16].scores["fvd"].value == pytest.approx(cut.scores["fvd"].value, rel=1e-9)


def test_the_signature_names_a_later_time_only(tmp_path):
    starts = [dict(record.signature_fields)["start"] for record in run(films(1), films(2), tmp_path).values()]
    times = ("first", "first+8frames", "first+16frames", "first+24frames")
    assert starts == [f"{time},seed0,content" for time in times]


def test_the_curve_ends_where_clips_run_out(tmp_path):
    short = [*films(1, n=17, frames=16), *films(3, n=7)]  # 7 clips are long, 8 are needed
    assert list(run(short, films(2), tmp_path)) == [0, 8]
    with pytest.raises(NotEnoughClips, match="usable windows"):
        run(films(1, frames=4), films(2), tmp_path)


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at least 1"):
        run(films(1), films(2), tmp_path, step=0)
    with pytest.raises(ConfigError, match="one time only"):
        run(films(1), tmp_path / "real.safetensors", tmp_path)
    with pytest.raises(VgbenchError, match="needs start = first"):
        load("quick", ["windows.offset=8"])
    assert load("quick", ["windows.offset=8", "windows.start=first"]).windows.offset == 8


def test_statistics_of_another_time_are_refused(tmp_path):
    early = [*SETTINGS, "windows.start=first"]
    options = {"metrics": ["fvd"], "extractor": StubExtractor(), "store": FeatureStore(tmp_path)}
    path = export_statistics(films(2), tmp_path / "real.safetensors", settings=early, **options)
    with pytest.raises(ConfigError, match=r"\+8"):
        vgbench.evaluate(films(1), path, settings=[*early, "windows.offset=8"], **options)


def test_the_command_prints_the_curve(tmp_path):
    for name, clips in (("generated", half_damaged(1)), ("real", films(2))):
        np.save(tmp_path / f"{name}.npy", clips)
    sides = [str(tmp_path / "generated.npy"), "--against", str(tmp_path / "real.npy")]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = ["eval", *sides, "-m", "temporal_flicker", "--over-time", "12", "--no-store", *settings]
    shown = CliRunner().invoke(app, command, catch_exceptions=False)
    assert shown.exit_code == 0
    assert [offset in shown.stdout for offset in (" 0 ", " 12 ", " 24 ")] == [True] * 3
    printed = CliRunner().invoke(app, [*command, "--json"], catch_exceptions=False)
    points = json.loads(printed.stdout)["temporal_flicker"]
    assert [point["from_frame"] for point in points] == [0, 12, 24]
    assert all(point["interval"][0] <= point["value"] <= point["interval"][1] for point in points)
