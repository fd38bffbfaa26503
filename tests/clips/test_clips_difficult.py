"""Everything that can be wrong with clips: each is scored or skipped with its reason, and none is lost."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from difficult_clips import DIFFICULT, FLOATS, NOISE, SCORED, changed, write_all
from encoded_clips import encode
from stub_extractor import StubExtractor

from vgbench import evaluate
from vgbench.clips import open_source
from vgbench.environment import positive_number
from vgbench.errors import BadClip, ConfigError, VgbenchError
from vgbench.records.record import load_record

SETTINGS = ["clips.least=2", "clips.generated=99", "clips.real=4", "windows.frames=4", "windows.per_clip=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("difficult")
    write_all(folder)
    return folder


@pytest.fixture(scope="module")
def record(folder, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        made = evaluate(
            folder,
            [NOISE] * 4,
            metrics=["fvd", "temporal_flicker"],
            extractor=StubExtractor(),
            settings=SETTINGS,
            results=results,
        )
    (path,) = results.glob("*.json")
    assert load_record(path) == made, "whatever the names are, the record can be read again"
    return made


@pytest.mark.parametrize("name", DIFFICULT, ids=ascii)
def test_each_difficult_clip_has_its_outcome(name, record):
    wanted = DIFFICULT[name][1]
    used = [window.id for window in record.clips.generated.windows]
    reasons = [s.reason for s in record.clips.generated.skipped if s.path.endswith(printable(name))]
    if wanted == SCORED:
        assert printable(name) in used
        assert not reasons
    else:
        assert printable(name) not in used
        assert len(reasons) == 1
        assert re.search(wanted, reasons[0]), reasons[0]


def printable(name):
    return name.encode("utf-8", "backslashreplace").decode()


def test_nothing_is_lost_and_nothing_is_counted_twice(record):
    side = record.clips.generated
    assert len(side.windows) + len(side.skipped) == len(DIFFICULT)
    assert side.used == sum(outcome == SCORED for _, outcome in DIFFICULT.values())
    assert np.isfinite(record.scores["fvd"].value)


def test_floats_are_told_apart_by_their_range_alone(tmp_path):
    for low, high in ((0, 1), (-1, 1), (0, 255)):
        np.save(tmp_path / "a.npy", FLOATS * (high - low) + low)
        (clip,) = open_source(tmp_path, value_range=(low, high)).clips
        np.testing.assert_array_equal(clip.read(range(16)), NOISE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5, -0.5])
def test_one_wrong_number_makes_a_bad_clip(value, tmp_path):
    np.save(tmp_path / "a.npy", changed(value))
    (clip,) = open_source(tmp_path, value_range=(0, 1)).clips
    with pytest.raises(BadClip, match=r"NaN or infinite|are outside the range 0\.\.1"):
        clip.read(range(16))


def test_ten_bits_become_the_nearest_eight(tmp_path):
    ramp = np.broadcast_to(np.arange(0, 1024, 4, dtype=np.uint16) + 1, (2, 16, 256))  # 10-bit grey
    path = encode(tmp_path / "a.mkv", "ffv1", "gray10le", ramp, source_format="gray10le")
    (clip,) = open_source(path).clips
    wanted = np.rint(ramp[0] * (255 / 1023))
    assert np.abs(clip.read([0])[0, ..., 0] - wanted).max() <= 1


def test_interlaced_video_keeps_both_fields_of_a_frame(tmp_path):
    rows = np.zeros((2, 32, 32, 3), np.uint8)
    rows[:, ::2] = 200
    options = {"flags": "+ildct+ilme", "qp": "0"}
    path = encode(tmp_path / "a.mp4", "libx264rgb", "rgb24", rows, **options)
    (clip,) = open_source(path).clips
    np.testing.assert_array_equal(clip.read([0, 1]), rows)


def test_an_empty_folder_exits_with_2(run, tmp_path):
    code, _, err = run("eval", tmp_path, "--against", "builtin:moving-shapes")
    assert (code, "nothing here looks like a clip" in err) == (2, True), err


def test_a_limit_that_is_no_number_exits_with_2(monkeypatch):
    for value in ("many", "inf", "nan", "0"):
        monkeypatch.setenv("VGBENCH_MAX_FRAMES", value)
        with pytest.raises(ConfigError, match="VGBENCH_MAX_FRAMES"):
            positive_number("VGBENCH_MAX_FRAMES", 1.0)
    command = [sys.executable, "-m", "vgbench", "eval", "x", "--against", "y"]
    done = subprocess.run(command, capture_output=True, text=True)  # limits are read when they are loaded
    assert (done.returncode, "VGBENCH_MAX_FRAMES" in done.stderr) == (2, True), done.stderr


def test_a_folder_of_nothing_usable_names_reasons(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(VgbenchError, match=r"a\.mp4: zero bytes"):
        open_source(tmp_path)
