from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from pathlib import Path

import forked
import numpy as np
import pytest
from rights import without_rights

from vgbench.errors import ConfigError
from vgbench.evaluation.feature_store import FeatureStore, window_key
from vgbench.protocol.pixels import Resize


def _row(k: int) -> dict[str, np.ndarray]:
    return {"features": np.full(4, k, dtype=np.float32), "logits": np.full(2, -k, dtype=np.float32)}


def _key(k: int) -> bytes:
    return window_key(f"clip{k}", range(16), Resize())


def test_entries_come_back_as_they_went_in(tmp_path):
    table = FeatureStore(tmp_path).table("net@1")
    table.put(_key(1), _row(1))
    assert table.get(_key(1))["features"].tolist() == [1, 1, 1, 1]
    table.flush()
    again = FeatureStore(tmp_path).table("net@1")
    row = again.get(_key(1))
    assert row["features"].dtype == np.float32
    assert row["logits"].tolist() == [-1, -1]
    assert again.get(_key(2)) is None


def test_key_covers_bytes_frames_and_policy():
    base = window_key("a", range(16), Resize())
    others = [
        window_key("b", range(16), Resize()),
        window_key("a", range(1, 17), Resize()),
        window_key("a", range(0, 32, 2), Resize()),
        window_key("a", range(16), Resize(size=32)),
        window_key("a", range(16), Resize(rounding="truncate")),
    ]
    assert len({base, *others}) == 6


def test_producers_do_not_mix(tmp_path):
    store = FeatureStore(tmp_path)
    table = store.table("net@1")
    table.put(_key(1), _row(1))
    table.flush()
    assert _key(1) not in store.table("net@2")


def test_the_limit_is_a_variable_of_the_environment_and_what_went_is_counted(tmp_path, monkeypatch):
    monkeypatch.delenv("VGBENCH_STORE_GIGABYTES", raising=False)
    assert FeatureStore(tmp_path).limit_bytes == 20 * 1024**3
    monkeypatch.setenv("VGBENCH_STORE_GIGABYTES", "1e-9")  # one byte
    store = FeatureStore(tmp_path)
    assert store.limit_bytes == 1
    for k in range(2):
        table = store.table("net@1")
        table.put(_key(k), _row(k))
        table.flush()
    size = sum(entry[1] for entry in store.segments())
    assert store.pruned == (0, 0)
    assert store.prune() == store.pruned == (2, size)
    assert store.prune() == (0, 0)
    assert store.pruned == (2, size)
    for wrong in ("0", "-1", "much", "inf", "nan"):
        monkeypatch.setenv("VGBENCH_STORE_GIGABYTES", wrong)
        with pytest.raises(ConfigError, match="positive number of GiB"):
            FeatureStore(tmp_path)


@pytest.mark.parametrize("damage", ["flip a byte", "cut the end", "empty"])
def test_damaged_segment_is_dropped_and_only_its_entries_are_lost(tmp_path, damage):
    table = FeatureStore(tmp_path).table("net@1")
    table.put(_key(1), _row(1))
    table.flush()
    (first,) = table.folder.glob("*.safetensors")
    table.put(_key(2), _row(2))
    table.flush()
    data = bytearray(first.read_bytes())
    if damage == "flip a byte":
        data[-40] ^= 1  # before the keys, which come last
    first.write_bytes({"cut the end": data[:-5], "empty": b""}.get(damage, data))

    store = FeatureStore(tmp_path)
    again = store.table("net@1")
    assert again.get(_key(1)) is None
    assert again.get(_key(2)) is not None
    assert store.damaged == [first.name]
    again.flush()
    assert not first.exists()
    again.put(_key(1), _row(1))
    again.flush()
    assert FeatureStore(tmp_path).table("net@1").get(_key(1)) is not None


@contextlib.contextmanager
def _no_more_open_files():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def shared():
    """A store that everybody may write to, which pytest's folders are not, with one entry."""
    folder = Path(tempfile.mkdtemp(prefix="vgbench-store-"))
    table = FeatureStore(folder).table("net@1")
    table.put(_key(1), _row(1))
    table.flush()
    for place in (folder, table.folder):
        place.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("reason", "opened"),
    [("another user's", "before"), ("another user's", "then"), ("too many open files", "before")],
)
def test_a_segment_that_cannot_be_read_now_is_no_damage(shared, reason, opened):
    (segment,) = shared.glob("*/*.safetensors")
    store = FeatureStore(shared)
    table = store.table("net@1") if opened == "before" else None
    segment.chmod(0 if reason == "another user's" else 0o644)
    with without_rights() if reason == "another user's" else _no_more_open_files():
        table = table or store.table("net@1")
        assert table.get(_key(1)) is None
    table.flush()
    assert store.damaged == []
    segment.chmod(0o644)
    assert FeatureStore(shared).table("net@1").get(_key(1)) is not None


def test_damage_in_a_store_that_may_only_be_read_is_told_and_left(shared):
    (segment,) = shared.glob("*/*.safetensors")
    data = bytearray(segment.read_bytes())
    data[-40] ^= 1
    segment.write_bytes(data)
    segment.chmod(0o644)
    segment.parent.chmod(0o555)
    store = FeatureStore(shared)
    with without_rights():
        table = store.table("net@1")
        assert table.get(_key(1)) is None
        table.flush()
    assert store.damaged == [segment.name]
    assert segment.exists()


def test_a_damaged_segment_that_another_process_wrote_anew_stays(tmp_path):
    table = FeatureStore(tmp_path).table("net@1")
    table.put(_key(1), _row(1))
    table.flush()
    (segment,) = table.folder.glob("*.safetensors")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    again = FeatureStore(tmp_path).table("net@1")
    assert again.get(_key(1)) is None
    segment.write_bytes(whole)
    again.flush()
    assert segment.read_bytes() == whole


def _write(folder, start):
    table = FeatureStore(folder).table("net@1")
    for k in range(start, start + 50):
        table.put(_key(k), _row(k))
        table.flush()


def test_concurrent_writers_lose_nothing(tmp_path):
    works = [functools.partial(_write, tmp_path / "store", start) for start in (0, 25)]
    writers = [forked.start(work, tmp_path / str(number)) for number, work in enumerate(works)]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    table = FeatureStore(tmp_path / "store").table("net@1")
    assert [table.get(_key(k))["features"][0] for k in range(75)] == list(range(75))


def test_prune_removes_least_recently_used_and_readers_recover(tmp_path):
    store = FeatureStore(tmp_path)
    table = store.table("net@1")
    for k, when in ((1, 1000), (2, 3000), (3, 2000)):
        table.put(_key(k), _row(k))
        before = set(table.folder.glob("*.safetensors"))
        table.flush()
        (new,) = set(table.folder.glob("*.safetensors")) - before
        os.utime(new, (when, when))
    reader = store.table("net@1")
    size = store.segments()[0][1]
    files, freed = store.prune(size * 2)
    assert (files, freed) == (1, size)
    assert reader.get(_key(1)) is None
    assert reader.get(_key(2)) is not None
    assert reader.get(_key(3)) is not None


def test_unwritable_store_is_a_clear_error(tmp_path):
    from vgbench.errors import VgbenchError

    (tmp_path / "file").write_text("")
    with pytest.raises(VgbenchError) as error:
        FeatureStore(tmp_path / "file").table("net@1")
    assert "VGBENCH_CACHE" in error.value.remedy


def test_a_segment_that_another_process_is_writing_is_left_alone(tmp_path):
    store = FeatureStore(tmp_path)
    table = store.table("net@1")
    half_written = table.folder / ".abc.123.0123abcd.safetensors"
    half_written.write_bytes(b"half")
    assert len(store.table("net@1")) == 0
    assert store.damaged == []
    assert store.segments() == []
    store.prune(0)
    assert half_written.exists(), "its writer may still be alive"
    os.utime(half_written, (0, 0))
    store.prune(0)
    assert not half_written.exists(), "nobody has been writing it for a day"
