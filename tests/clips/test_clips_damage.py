"""Whatever happened to a file on its way, it is a bad clip, a skipped file or a mended one; never a crash."""

from __future__ import annotations

import io
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from vgbench.clips import open_source, write_clips
from vgbench.clips.clip import blocks
from vgbench.errors import BadClip, VgbenchError

CLIP = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)


def stored(kind: str, folder: Path) -> Path:
    path = folder / f"a.{kind}"
    images = [PIL.Image.fromarray(pixels) for pixels in CLIP]
    if kind in ("mp4", "mkv", "webp", "gif", "npz"):
        (path,) = write_clips([CLIP], folder, kind, names=["a"])
    elif kind == "npy":
        np.save(path, CLIP[None])
    elif kind == "pt":
        torch.save(torch.from_numpy(CLIP), path)
    elif kind == "apng":
        images[0].save(path, "PNG", save_all=True, append_images=images[1:])
    elif kind in ("png", "jpg"):
        PIL.Image.fromarray(np.concatenate(list(CLIP), axis=1)).save(path)
    elif kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(stored("npy", folder), "x/a.npy")
            archive.write(stored("png", folder), "y/a.png")
    elif kind == "tar":
        with tarfile.open(path, "w") as archive:
            archive.add(stored("mkv", folder), "x/a.mkv")
            archive.add(stored("png", folder), "y/a.png")
    return path


@pytest.mark.parametrize(
    "kind", ["mp4", "mkv", "webp", "gif", "apng", "png", "frames", "npz", "npy", "pt", "manifest"]
)
def test_frames_in_blocks_equal_those_read_at_once(kind, tmp_path, monkeypatch):
    if kind == "frames":
        write_clips([CLIP], tmp_path, "frames")
    else:
        stored("mkv" if kind == "manifest" else kind, tmp_path)
    source = tmp_path
    if kind == "manifest":
        source = tmp_path / "clips.csv"
        source.write_text("path,start\na.mkv,1\n")
    (clip,) = open_source(source).clips
    monkeypatch.setattr("vgbench.clips.clip.BLOCK_BYTES", 3 * CLIP[0].nbytes)
    count = clip.count_frames()
    for wanted in (1, count):
        found = list(blocks(clip, wanted))
        assert [len(block) for block in found] == ([3, wanted - 3] if wanted > 3 else [wanted])
        np.testing.assert_array_equal(np.concatenate(found), clip.read(range(wanted)))
    with pytest.raises(BadClip):
        list(blocks(clip, count + 1))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Cut the end off, overwrite a few bytes (often in the header), or lose some from the middle."""
    changed = bytearray(data)
    action = chance.choice(["cut", "overwrite", "overwrite", "lose"])
    if action == "cut":
        return data[: chance.randrange(len(data))]
    if action == "lose":
        start = chance.randrange(len(data))
        del changed[start : start + chance.randrange(200)]
        return bytes(changed)
    for _ in range(chance.choice([1, 3, 20])):
        changed[chance.randrange(min(len(data), chance.choice([64, 400, 10**9])))] = chance.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize(
    "kind", ["mp4", "mkv", "webp", "gif", "apng", "png", "jpg", "npz", "npy", "pt", "zip", "tar"]
)
def test_damage_never_crashes(kind, tmp_path):
    whole = stored(kind, tmp_path)
    data, chance = whole.read_bytes(), random.Random(kind)
    refused, reasons = 0, []
    hit = tmp_path / "hit" / whole.name
    hit.parent.mkdir()
    for _ in range(40):
        hit.write_bytes(mutated(data, chance))
        try:
            clips = open_source(hit).clips
        except VgbenchError:
            refused += 1
            continue
        for clip in clips:
            try:
                last = clip.count_frames() - 1
                clip.read(sorted({0, last}))
                clip.fingerprint()
            except BadClip as bad:
                reasons.append(bad.reason)
    assert refused + len(reasons) > 0
    assert all(reason and "\n" not in reason for reason in reasons)


@pytest.mark.parametrize("header", ["{'descr': '|u1', 'fortran_order': (", "{'descr': []}", "{1: 2"])
def test_damaged_npy_headers(header, tmp_path):
    data = io.BytesIO()
    data.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
    (tmp_path / "a.npy").write_bytes(data.getvalue())
    with pytest.raises(VgbenchError, match=r"a\.npy"):
        open_source(tmp_path)
