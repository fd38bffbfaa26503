"""`vgbench data inspect` on a folder whose contents are known."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from vgbench.clips import write_clips
from vgbench.datasets.inspect import inspect_source


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)

    def clip(frames, height=16, width=16):
        return random.integers(0, 256, (frames, height, width, 3), np.uint8)

    write_clips([clip(5), clip(9)], tmp_path / "a", "mkv", fps=12)
    write_clips([clip(7, 16, 24)], tmp_path / "b", "webp")
    (tmp_path / "b" / "broken.mp4").write_bytes(b"not a video at all")
    (tmp_path / "b" / "empty.mp4").write_bytes(b"")
    return tmp_path


def test_everything_is_counted(folder):
    found = inspect_source(str(folder))
    assert found.clips == 3
    assert found.frames == (5, 7, 9)
    assert found.sizes == {"16x16": 2, "24x16": 1}
    assert found.rates == {"12": 2, "8": 1}, "an animation states a rate too"
    assert found.classes == {"a": 2, "b": 1}
    assert len(found.bad) == 2
    assert any("zero bytes" in reason for reason in found.bad.values())


def test_damage_in_the_middle_is_found_by_decoding(folder):
    path = folder / "a" / "00001.mkv"
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 400):
        data[place] ^= 0xFF
    path.write_bytes(data)
    assert len(inspect_source(str(folder), decode=True).bad) == 3


def test_a_long_clip_is_decoded_without_being_whole_in_memory(tmp_path, monkeypatch):
    flat = np.zeros((150, 96, 128, 3), np.uint8)
    write_clips([flat], tmp_path, "mkv")
    monkeypatch.setattr("vgbench.clips.clip.BLOCK_BYTES", 8 * flat[0].nbytes)
    inspect_source(str(tmp_path))  # whatever is imported once
    tracemalloc.start()
    found = inspect_source(str(tmp_path), decode=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.frames == (150, 150, 150)
    assert found.sizes == {"128x96": 1}
    assert peak < flat.nbytes / 2


def test_command_prints_words_and_json(folder):
    command = [sys.executable, "-m", "vgbench", "data", "inspect", str(folder)]
    words = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "3 clips, 2 bad" in words
    assert "frames   5 to 9, median 7" in words
    document = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(document.stdout)["sizes"] == {"16x16": 2, "24x16": 1}


def test_groups_are_counted_where_the_source_declares_them(folder):
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mkv"))
    (folder / "two.csv").write_text("\n".join(["path,group", *(f"{name},v1" for name in names)]))
    found = inspect_source(str(folder / "two.csv"))
    assert (found.clips, found.groups) == (2, 1)
    assert "groups   1 independent group of clips" in found.lines()
    (folder / "windows.csv").write_text(f"path,start\n{names[0]},0\n{names[0]},2\n{names[1]},0\n")
    assert inspect_source(str(folder / "windows.csv")).groups == 2
    assert inspect_source(str(folder)).groups == 0
    assert not any(line.startswith("groups") for line in inspect_source(str(folder)).lines())
