"""A submission is unpacked as it was sent, or not at all."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile

import pytest
from leaderboard_records import make_record

from vgbench.errors import VgbenchError
from vgbench.leaderboard.submission import (
    MANIFEST,
    RECORD,
    read_submission,
    unpack_submission,
    write_submission,
)
from vgbench.records.record import load_record


@pytest.fixture
def record_path(tmp_path):
    record = make_record("my gan")
    name = f"{record.stem}.clips/generated-0.webp"
    picture = tmp_path / "results" / name
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"RIFF picture")
    sha256 = hashlib.sha256(b"RIFF picture").hexdigest()
    return record.model_copy(update={"thumbnails": {name: sha256}}).save(tmp_path / "results")


@pytest.fixture
def sent(record_path, tmp_path):
    return write_submission(record_path, tmp_path / "sent")


def contents(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, changes, sign=True):
    """Tamper as an attacker would: change files, and (with `sign`) mend the manifest to match."""
    files = {name: data for name, data in {**contents(path), **changes}.items() if data is not None}
    if sign:
        manifest = json.loads(files[MANIFEST])
        manifest["files"] = {n: hashlib.sha256(d).hexdigest() for n, d in files.items() if n != MANIFEST}
        files[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def test_round_trip(record_path, sent, tmp_path):
    arrived = unpack_submission(sent, tmp_path / "board")
    assert load_record(arrived) == load_record(record_path)
    (name,) = load_record(arrived).thumbnails
    assert (arrived.parent / name).read_bytes() == b"RIFF picture"
    assert unpack_submission(sent, tmp_path / "board") == arrived  # again changes nothing


def test_records_from_before_names_ended_in_a_hash_are_packed_too(tmp_path):
    record = make_record("my gan")
    name = f"{record.older_stem}.clips/generated-0.webp"
    assert name.startswith("my-gan-")
    assert name.endswith("-20261120T120000.clips/generated-0.webp")
    picture = tmp_path / "results" / name
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"RIFF picture")
    thumbnails = {name: hashlib.sha256(b"RIFF picture").hexdigest()}
    path = tmp_path / "results" / f"{record.older_stem}.json"
    record.model_copy(update={"thumbnails": thumbnails}).save(path)
    arrived = unpack_submission(write_submission(path, tmp_path / "sent"), tmp_path / "board")
    assert load_record(arrived) == load_record(path)
    assert (arrived.parent / name).read_bytes() == b"RIFF picture"


def test_a_submission_of_the_published_format_is_read_whatever_wrote_it(tmp_path):
    """Format 1 by hand, without thumbnails: the names and keys that older versions wrote."""
    record = make_record("my gan")
    files = {"record.json": record.to_json().encode(), "environment.json": b"{}"}
    about = {"pack": 1, "model": "my gan", "signature": record.signature, "created": record.created}
    about["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        for name, data in {"manifest.json": json.dumps(about).encode(), **files}.items():
            archive.writestr(name, data)
    assert read_submission(tmp_path / "old.zip") == (record, {**contents(tmp_path / "old.zip")})


def test_equal_input_gives_equal_bytes(record_path, sent, tmp_path):
    assert write_submission(record_path, tmp_path / "again.zip").read_bytes() == sent.read_bytes()


def test_manifest_lists_every_file(sent):
    files = contents(sent)
    listed = json.loads(files[MANIFEST])["files"]
    assert set(listed) == set(files) - {MANIFEST}
    assert "environment.json" in listed


def test_packing_refuses_a_changed_thumbnail(record_path, tmp_path):
    (name,) = load_record(record_path).thumbnails
    (record_path.parent / name).write_bytes(b"another")
    with pytest.raises(VgbenchError, match="has changed"):
        write_submission(record_path, tmp_path)


def refused(sent, tmp_path, match):
    board = tmp_path / "board"
    with pytest.raises(VgbenchError, match=match):
        unpack_submission(sent, board)
    assert not board.exists() or not any(board.rglob("*"))


def test_changed_bytes_are_refused(sent, tmp_path):
    rewrite(sent, {RECORD: contents(sent)[RECORD].replace(b"my gan", b"my gam")}, sign=False)
    refused(sent, tmp_path, "hash is not that of the manifest")


def test_a_record_that_contradicts_its_manifest_is_refused(sent, tmp_path):
    rewrite(sent, {RECORD: contents(sent)[RECORD].replace(b"my gan", b"my gam")})
    refused(sent, tmp_path, "describes another record|thumbnails of this record belong")


def test_a_signature_line_that_its_fields_do_not_spell_is_refused(sent, tmp_path):
    files = contents(sent)
    record, manifest = json.loads(files[RECORD]), json.loads(files[MANIFEST])
    record["signature"] = manifest["signature"] = record["signature"].replace("256+256", "2048+2048")
    rewrite(sent, {RECORD: json.dumps(record).encode(), MANIFEST: json.dumps(manifest).encode()})
    refused(sent, tmp_path, "does not agree with its fields")


def test_missing_and_unlisted_files_are_refused(sent, tmp_path):
    keep = sent.read_bytes()
    rewrite(sent, {"environment.json": None}, sign=False)
    refused(sent, tmp_path, "environment.json is missing")
    sent.write_bytes(keep)
    rewrite(sent, {"extra.txt": b"x"}, sign=False)
    refused(sent, tmp_path, "extra.txt is not in the manifest")
    sent.write_bytes(keep)
    rewrite(sent, {"extra.txt": b"x"})
    refused(sent, tmp_path, "not those that the record names")
    sent.write_bytes(keep)
    rewrite(sent, {MANIFEST: None}, sign=False)
    refused(sent, tmp_path, "it has no manifest.json")


@pytest.mark.parametrize(
    "name", ["../evil.json", "/etc/evil", "a/../../evil", "..\\evil", "C:evil", "a//b", "./a", "a/"]
)
def test_names_that_lead_out_of_the_folder_are_refused(sent, tmp_path, name):
    rewrite(sent, {name: b"x"})
    refused(sent, tmp_path, "not a safe file name")


def test_a_thumbnail_cannot_take_the_place_of_another_record(sent, tmp_path):
    files = contents(sent)
    record = json.loads(files[RECORD])
    record["thumbnails"]["rival.json"] = hashlib.sha256(b"{}").hexdigest()
    rewrite(sent, {RECORD: json.dumps(record).encode(), "rival.json": b"{}"})
    refused(sent, tmp_path, "not where thumbnails of this record belong")


def test_links_are_refused(sent, tmp_path):
    with zipfile.ZipFile(sent, "a") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    refused(sent, tmp_path, "link is not a plain file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_are_there_twice_are_refused(sent, tmp_path):
    with zipfile.ZipFile(sent, "a") as archive:
        archive.writestr(RECORD.upper(), b"{}")
    refused(sent, tmp_path, "occurs twice")


def test_a_bomb_is_refused_before_it_fills_the_memory(sent, tmp_path, monkeypatch):
    monkeypatch.setattr("vgbench.leaderboard.submission.LARGEST_FILE", 1000)
    with zipfile.ZipFile(sent, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"\0" * 100_000)
    refused(sent, tmp_path, "is too large")


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_what_is_no_zip_is_refused(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    refused(tmp_path / "x.zip", tmp_path, "not a readable submission")


def test_damaged_bytes_inside_the_zip_are_refused(sent, tmp_path):
    data = bytearray(sent.read_bytes())
    data[200] ^= 0xFF
    sent.write_bytes(bytes(data))
    refused(sent, tmp_path, "not a readable submission|damaged|hash")


def test_a_record_that_is_there_is_never_overwritten(sent, record_path, tmp_path):
    board = tmp_path / "board"
    arrived = unpack_submission(sent, board)
    arrived.write_text("{}")
    with pytest.raises(VgbenchError, match="another record already exists"):
        unpack_submission(sent, board)
