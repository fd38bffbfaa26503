from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from small_record import small_record

from vgbench.errors import VgbenchError
from vgbench.metrics.score import Score
from vgbench.records.record import Clips, ExtractorUse, find_records, load_record, require_unchanged

SIDE = small_record().clips.real


@pytest.fixture
def record():
    return small_record().model_copy(update={"model": "../../my model <b>"})


def test_saved_record_is_the_same_record(record, tmp_path):
    path = record.save(tmp_path)
    assert load_record(path) == record
    document = json.loads(path.read_text())
    assert document["schema"] == 1
    assert document["scores"]["fvd"]["interval"] == [0.1, 2.2]


def test_a_frame_has_one_row_per_score_and_one_type_per_column(record):
    scores = {
        "fvd": Score(3.0, 0.5, (0.1, 2.2), 2, debiased=1.2, method="jackknife"),
        "is": Score(2.0, None, None, 2),
        "own": Score(4.0, 0.1, (3.8, 4.2), 2, real=5.0, real_error=0.2),
    }
    extractor = ExtractorUse(id="i3d", weights="w", licence="l", comparable_with="c")
    details = {"better": {"own": "real"}}
    record = record.model_copy(update={"scores": scores, "extractor": extractor, "details": details})
    frame = record.to_frame()
    assert frame["metric"].tolist() == ["fvd", "is", "own"]
    assert frame["better"].tolist() == ["lower", "higher", "real"]
    assert frame["signature"].tolist() == ["fvd|clips:2+2", record.signature, record.signature]
    assert frame["estimate"].tolist() == [1.2, 2.0, 4.0]
    assert frame[["low", "high"]].loc[[0, 2]].to_numpy().tolist() == [[0.1, 2.2], [3.8, 4.2]]
    missing = frame.columns[frame.loc[1].isna()].tolist()
    assert missing == ["debiased", "standard_error", "low", "high", "real", "real_error"]
    assert frame["created"].tolist() == [pd.Timestamp("2026-01-02T03:04:05.678", tz="UTC")] * 3
    kinds = {str(frame[name].dtype) for name in ("model", "protocol", "extractor", "metric", "method")}
    assert kinds == {"string"}
    assert {str(frame[name].dtype) for name in ("value", "debiased", "low", "real")} == {"float64"}
    assert str(frame["n"].dtype) == "Int64"


def test_frames_of_records_without_numbers_or_dates_still_join(record):
    bare = record.model_copy(update={"scores": {"fvd": Score(float("nan"), None, None, 0)}, "created": "?"})
    empty = record.model_copy(update={"scores": {}})
    joined = pd.concat([one.to_frame() for one in (bare, empty, record)], ignore_index=True)
    assert joined["created"].isna().tolist() == [True, False]
    assert joined.dtypes.to_dict() == record.to_frame().dtypes.to_dict()


@pytest.mark.parametrize("name", ["reference-cpu", "presets-cpu"])
def test_published_records_load_unchanged(name):
    folder = Path(__file__).parents[2] / "docs" / "results" / name / "records"
    if not folder.is_dir():
        pytest.skip("the published results are not part of this checkout")
    for path in sorted(folder.rglob("*.json"))[::10]:
        require_unchanged(load_record(path))


def test_file_name_cannot_leave_the_folder(record, tmp_path):
    path = record.save(tmp_path / "results")
    assert path.parent == tmp_path / "results"
    assert path.name.startswith("my-model-b-")


@pytest.mark.parametrize(
    "other",
    [
        {"model": "-my-model--b-"},  # as a file name, the same
        {"created": "2026-01-02T03:04:05.679Z"},
        {"seconds": {"total": 1.001}},
        {"clips": Clips(generated=SIDE.model_copy(update={"manifest_hash": "1" * 64}), real=SIDE)},
    ],
)
def test_two_evaluations_within_one_second_leave_two_records(record, other, tmp_path):
    paths = [record.save(tmp_path), record.model_copy(update=other).save(tmp_path)]
    assert len(set(paths)) == len(find_records([tmp_path])) == 2


def test_a_record_with_sorted_keys_is_found_and_other_json_is_not(record, tmp_path):
    path = record.save(tmp_path / "sorted.json")
    text = json.dumps(json.loads(path.read_text()), sort_keys=True)
    assert '"schema"' not in text[:64]
    path.write_text(text)
    (tmp_path / "list.json").write_text(f"[{text}]")
    (tmp_path / "group.json").write_text(json.dumps({"rows": [{"schema": 1, "signature_fields": {}}]}))
    (tmp_path / "half.json").write_text(text[:-1])
    assert find_records([tmp_path]) == [path]
    assert load_record(path) == record  # and as unchanged as it is


def test_names_are_sorted_by_time(record, tmp_path):
    times = [
        "2026-01-02T03:04:05.678Z",
        "2026-01-02T03:04:05.679Z",
        "2026-01-02T03:04:06.001Z",
        "2026-11-01T00:00:00.000Z",
    ]
    made = [record.model_copy(update={"created": time}).save(tmp_path).name for time in times]
    assert sorted(made) == made


def test_a_record_is_never_overwritten(record, tmp_path):
    path = record.save(tmp_path)
    assert record.save(tmp_path) == path, "the same record again is no other"
    other = record.model_copy(update={"details": {"role": "control"}})
    with pytest.raises(VgbenchError, match="another record already exists"):
        other.save(tmp_path)
    assert load_record(path) == record


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a vgbench record"),
        ('{"schema": 99}', "record schema 99"),
        ('{"schema": 1, "model": 3}', "damaged record"),
    ],
)
def test_damaged_records_are_named(tmp_path, text, words):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(VgbenchError, match=words) as error:
        load_record(tmp_path / "r.json")
    assert "r.json" in error.value.message


def test_finding_records_ignores_other_json(record, tmp_path):
    saved = record.save(tmp_path / "deep")
    (tmp_path / "other.json").write_text('{"a": 1}')
    assert find_records([tmp_path, saved]) == [saved]
    with pytest.raises(VgbenchError, match="no records"):
        find_records([_empty(tmp_path)])


def test_what_only_looks_like_a_record_is_passed_over(record, tmp_path):
    saved = record.save(tmp_path)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "dangling.json").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle.json").symlink_to(tmp_path / "circle.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")  # opening it would wait for ever
    assert find_records([tmp_path]) == [saved]


def test_a_record_without_signature_fields_is_damaged(record, tmp_path):
    document = json.loads(record.to_json())
    document["signature_fields"] = []
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(VgbenchError, match=r"r\.json: damaged record: 'signature_fields'"):
        load_record(tmp_path / "r.json")


def _empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def test_a_changed_record_is_reported_however_it_is_laid_out(record, tmp_path):
    path = record.save(tmp_path)
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document))
    assert load_record(path) == record, "another layout is the same record"
    document["scores"]["fvd"]["value"] = 2.0
    path.write_text(json.dumps(document))
    (code, sentence) = load_record(path).warnings[-1]
    assert code == "changed-record"
    assert path.name in sentence
    del document["sha256"]
    path.write_text(json.dumps(document))
    (code, sentence) = load_record(path).warnings[-1]
    assert (code, "its sha256 is gone" in sentence) == ("changed-record", True)
    with pytest.raises(VgbenchError, match="its sha256 is gone"):
        require_unchanged(load_record(path))


@pytest.mark.parametrize("text", ['{"schema": 1, "x": ' + "[" * 100_000, '{"schema": 1, "model": "\\ud800"}'])
def test_json_that_python_itself_cannot_take_is_damaged(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(VgbenchError, match=r"r\.json"):
        load_record(tmp_path / "r.json")
