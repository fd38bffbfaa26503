"""What records and commands say of clips whose values or files were not read as they were meant."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import vgbench
from vgbench.audit.run import audit
from vgbench.bench.sources import open_split, open_untrained
from vgbench.bench.suite import SuiteData
from vgbench.clips import open_source, write_clips
from vgbench.clips.value_range import ValueUse
from vgbench.commands.train import _print_about
from vgbench.errors import SkippedClips
from vgbench.evaluation.evaluate import export_statistics
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.inputs import Values, of_values, unexpected, values_of
from vgbench.evaluation.over_time import evaluate_over_time
from vgbench.evaluation.paired import PairedProtocol, evaluate_pairs
from vgbench.evaluation.statistics_file import is_statistics
from vgbench.leaderboard.verification import verify
from vgbench.training.config_files import read_config
from vgbench.training.trainer import open_data

CLIPS = np.random.default_rng(6).integers(0, 256, (8, 16, 8, 8, 3), dtype=np.uint8)
REAL = np.random.default_rng(7).integers(0, 256, (8, 16, 8, 8, 3), dtype=np.uint8)
UNIT = (CLIPS / 255).astype(np.float32)
FEW = ["clips.least=4", "resize.fit=keep"]


def scored(generated, real=REAL, **options):
    return vgbench.evaluate(generated, real, metrics=["temporal_flicker"], settings=FEW, **options)


def told(record, code):
    return [sentence for found, sentence in record.warnings if found == code]


@pytest.mark.parametrize(
    ("floats", "value_range", "sentence"),
    [
        (UNIT, (-1, 1), "generated: read with the range -1 to 1, but all values lie between 0.0"),
        (UNIT, (0, 255), "generated: read with the range 0 to 255, but all values lie between 0 and 1"),
        (UNIT, (0, 1), None),
        (UNIT * 2 - 1, (-1, 1), None),
        (UNIT * 0.6, (0, 1), None),
    ],
)
def test_a_range_that_cannot_be_right_is_told(floats, value_range, sentence):
    record = scored(floats, value_range=value_range)
    assert record.clips.generated.value_range == value_range
    assert record.clips.real.value_range is None
    found = told(record, "value-range")
    assert [text.startswith(sentence) for text in found] == ([True] if sentence else [])


@pytest.mark.parametrize("in_store", [False, True])
def test_bytes_that_were_floats_are_told(in_store, tmp_path):
    cast = (CLIPS > 127).astype(np.uint8)
    store = FeatureStore(tmp_path)
    if in_store:
        scored(cast, store=store)
    assert "0 or 1 of 255" in told(scored(cast, store=store), "value-range")[0]
    assert told(scored(cast * 255, store=store), "value-range") == []


def test_clamped_values_and_bad_clips_are_in_the_record():
    floats = UNIT.copy()
    floats[0, 0, 0, 0, :2], floats[1, 3, 0, 0, 0], floats[2, 0, 0, 0, 0] = 1.01, -0.01, 1.5
    record = scored(floats, value_range=(0, 1))
    assert record.clips.generated.clamped == 3
    assert "3 values in 2 clips" in told(record, "clamped-values")[0]
    assert [entry.path for entry in record.clips.generated.skipped] == ["#000002"]


def test_values_of_several_ranges_have_no_common_one():
    uses = [ValueUse((0, 1), 0), ValueUse((-1, 1), 2), None]
    assert values_of([(0, 9), (3, 200)], uses) == Values(0, 200, None, 2, 1)
    assert values_of([], []) is None
    assert list(of_values("x", None)) == []


@pytest.fixture
def files(tmp_path):
    """The same clips as floats in a file, as bytes in another, and four axes."""
    np.save(tmp_path / "unit.npy", UNIT)
    np.save(tmp_path / "real.npy", REAL)
    np.save(tmp_path / "grey.npy", np.ascontiguousarray(CLIPS[..., 0].swapaxes(0, 1)))
    return tmp_path


def test_the_range_and_the_axes_work_wherever_clips_are_taken(files):
    unit, real = str(files / "unit.npy"), str(files / "real.npy")
    expected = scored(CLIPS).scores
    record = scored(unit, real, value_range=(0, 1))
    assert record.scores == expected
    assert verify(record, unit, real).holds  # by the range in the record
    curve = evaluate_over_time(unit, real, 8, metrics=["temporal_flicker"], value_range=(0, 1),
                               settings=[*FEW, "windows.frames=8"])  # fmt: skip
    assert curve[0].clips.generated.value_range == (0, 1)
    pairs = evaluate_pairs(unit, real, PairedProtocol(metrics=("psnr",)), value_range=(0, 1))
    assert pairs.scores == evaluate_pairs(CLIPS, REAL, PairedProtocol(metrics=("psnr",))).scores
    assert pairs.clips.generated.value_range == (0, 1)
    wrong = evaluate_pairs(unit, real, PairedProtocol(metrics=("psnr",)), value_range=(-1, 1))
    assert told(wrong, "value-range")[0].startswith("generated: read with")
    warned = []
    export_statistics(unit, files / "s.safetensors", metrics=["temporal_flicker"], settings=FEW,
                      value_range=(-1, 1), warn=lambda *entry: warned.append(entry))  # fmt: skip
    assert [code for code, _ in warned] == ["value-range"]
    result = audit(unit, metrics=["temporal_flicker"], distortions=["noise"], strengths=[1], clips=4,
                   settings=FEW, value_range=(0, 1))  # fmt: skip
    assert result.other[0] == 4
    grey = scored(files / "grey.npy", real, axes="TNHW")
    assert grey.scores == scored(CLIPS[..., :1].repeat(3, -1)).scores


def commands(files):
    unit, real = str(files / "unit.npy"), str(files / "real.npy")
    quick = ["-m", "temporal_flicker", *(word for one in FEW for word in ("--set", one))]
    audited = ["--distortions", "noise", "--strengths", "1", "--clips", "4"]
    return {
        "eval": ["eval", unit, "-a", real, *quick],
        "paired": ["paired", unit, "-a", real, "-m", "psnr"],
        "audit": ["audit", unit, *quick, *audited],
        "stats": ["stats", "export", unit, "-o", str(files / "s.safetensors"), *quick],
        "inspect": ["data", "inspect", unit],
    }


@pytest.mark.parametrize("name", ["eval", "paired", "audit", "stats", "inspect"])
def test_every_command_that_asks_for_the_range_takes_it(name, files, run):
    command = commands(files)[name]
    ended = run(*command)
    assert ended.code == 2
    assert "value_range (--value-range), such as 0,1 or -1,1" in ended.err
    ended = run(*command, "--value-range", "0,1")
    assert ended.code == 0
    assert "value-range" not in ended.err
    ended = run(*command, "--value-range=-1,1")
    assert ended.code == 0
    assert "warning value-range" in ended.err


def test_verify_takes_the_range(files, run):
    unit, real = str(files / "unit.npy"), str(files / "real.npy")
    record = scored(CLIPS)  # from bytes, so that the record states no range
    record.save(files / "record.json")
    command = ["verify", str(files / "record.json"), "--clips", unit, "--against", real]
    assert run(*command).code == 2
    ended = run(*command, "--value-range", "0,1")
    assert ended.code == 0
    assert "as recorded" in ended.out


def test_training_takes_the_range_and_tells_a_wrong_one(files, run, capsys, monkeypatch):
    monkeypatch.setattr("vgbench.training.preview.preview", lambda config, _: pytest.fail(str(config)))
    unit = str(files / "unit.npy")
    options = ["--value-range", "0,1", "--axes", "NTHWC"]
    with pytest.raises(pytest.fail.Exception, match=r"value_range=\(0\.0, 1\.0\) axes='NTHWC'"):
        run("train", "gru-hinge", "-d", unit, "--dry-run", *options)
    config = read_config("gru-hinge", ["value_range=[-1, 1]"], {"data": unit})
    _print_about(open_data(config))
    assert "warning value-range" in capsys.readouterr().err


def test_suites_state_the_range(files):
    data = SuiteData.model_validate({"train": str(files / "unit.npy"), "value_range": "0,1"})
    assert len(open_split("x", data, "train").clips) == 6
    np.testing.assert_array_equal(
        open_untrained(str(files / "unit.npy"), "x", data).clips[3].read(range(16)), CLIPS[3]
    )


@pytest.fixture
def folder(tmp_path):
    write_clips(CLIPS, tmp_path / "made", "mkv")
    return tmp_path / "made"


def test_files_that_may_be_clips_are_told_and_strict_refuses_them(folder, run):
    for name in ("a.txt", "b.txt", "c.csv", "README"):
        (folder / name).write_text("x")
    torch.save({"weight": torch.zeros(3)}, folder / "model.pt")
    record = scored(folder, strict=True)
    assert record.clips.generated.left_out == {".txt": 2, ".csv": 1, "README": 1, ".pt without clips": 1}
    assert told(record, "other-files") == []
    (folder / "d.rar").write_text("x")
    record = scored(folder)
    assert told(record, "other-files")[0].startswith("generated: 1 file left out: 1 .rar")
    with pytest.raises(SkippedClips, match=r"1 file left out: 1 \.rar"):
        scored(folder, strict=True)
    np.save(folder.parent / "real.npy", REAL)
    command = ["eval", str(folder), "-a", str(folder.parent / "real.npy"), "-m", "temporal_flicker"]
    command += [word for one in FEW for word in ("--set", one)]
    ended = run(*command)
    assert ended.code == 0
    assert "6 files left out: 2 .txt, 1 .csv, 1 .pt without clips, 1 .rar, 1 README" in ended.err
    assert run(*command, "--strict").code == 3
    ended = run(*command, "--dry-run", "--json")
    assert json.loads(ended.out)["generated"]["left_out"][".rar"] == 1
    assert "6 files left out: 2 .txt" in run("data", "inspect", folder).out


def test_other_files_on_this_machine_do_not_fail_a_verification(folder):
    record = scored(folder)
    (folder / "d.rar").write_text("x")
    assert verify(record, folder, REAL).holds


def test_unexpected_files():
    assert unexpected({".txt": 3, ".rar": 1, "README": 1, "(no suffix)": 2, ".npy without clips": 4}) == {
        ".rar": 1,
        "(no suffix)": 2,
    }


def test_clips_in_safetensors_are_no_statistics(tmp_path):
    from safetensors.numpy import save_file

    save_file({"clips": CLIPS}, tmp_path / "clips.safetensors")
    assert not is_statistics(tmp_path / "clips.safetensors")
    export_statistics(REAL, tmp_path / "s.safetensors", metrics=["temporal_flicker"], settings=FEW)
    assert is_statistics(tmp_path / "s.safetensors")
    assert is_statistics(tmp_path / "none.safetensors")
    assert scored(tmp_path / "clips.safetensors", tmp_path / "s.safetensors").scores == scored(CLIPS).scores


def test_columns_that_are_not_used_are_told(tmp_path, run):
    np.save(tmp_path / "a.npy", CLIPS)
    (tmp_path / "t.csv").write_text("path,text\na.npy,a ball\n")
    assert [note[-4:] for note in open_source(tmp_path / "t.csv").notes] == ["text"]
    assert "these columns are not used: text" in run("data", "inspect", tmp_path / "t.csv").out
