"""Disks that are full or read-only, and bits that a disk has lost: a clear error, earlier outputs whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from chaos.kills import JOBS

OUTPUTS = {"train": "run", "sample": "out", "eval": "results", "report": "board"}


def mount(kind: list[str], target: Path) -> None:
    target.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *kind, str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")


def unmount(target: Path) -> None:
    subprocess.run(["umount", "--lazy", str(target)], check=True)


def visible(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def done(chaos):
    """A folder with a trained run, samples of it, a record and a leaderboard."""
    folder = chaos.folder / "done"
    for job in ("sample", "report"):
        shutil.copytree(chaos.calm(job)[0], folder, dirs_exist_ok=True)
    return folder


def assert_refused(code: int, folder: Path, words: str) -> None:
    said = (folder / "stderr").read_text()
    assert code == 2, said
    assert "error:" in said
    assert "hint:" in said
    assert "Traceback" not in said
    assert words in said


@pytest.mark.parametrize("job", JOBS)
def test_files_that_may_not_grow(job, chaos, done, tmp_path):
    folder = tmp_path / "w"
    shutil.copytree(done, folder)
    if job == "train":  # a longer run of the same
        shutil.rmtree(folder / "run")
    if job == "report":  # which leaves files alone that it would write just as they are
        next((folder / "board").glob("*.html")).unlink()
    before = visible(folder / OUTPUTS[job]) if (folder / OUTPUTS[job]).exists() else {}
    assert_refused(chaos.run(job, folder, largest_file=500), folder, "File too large")
    after = visible(folder / OUTPUTS[job])
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("job", JOBS)
def test_a_full_disk(job, chaos, done, tmp_path):
    disk = tmp_path / "disk"
    mount(["-t", "tmpfs", "-o", "size=64k", "none"], disk)
    try:
        folder = tmp_path / "w"
        shutil.copytree(done, folder)
        shutil.rmtree(folder / OUTPUTS[job])
        (disk / "out").mkdir()
        (folder / OUTPUTS[job]).symlink_to(disk / "out")
        (disk / "earlier").write_bytes(bytes(50_000))
        assert_refused(chaos.run(job, folder), folder, "No space left")
        assert (disk / "earlier").read_bytes() == bytes(50_000)
        assert not list(disk.rglob(".*")), "a failed write leaves nothing behind"
    finally:
        unmount(disk)


@pytest.mark.parametrize("job", ["train", "eval"])
def test_a_disk_that_cannot_be_written_to(job, chaos, done, tmp_path):
    folder = tmp_path / "w"
    shutil.copytree(done, folder)
    output = folder / OUTPUTS[job]
    before = visible(output)
    mount(["--bind", str(output)], output)
    try:
        mount(["-o", "remount,bind,ro"], output)
        assert_refused(chaos.run(job, folder), folder, "Read-only")
        assert visible(output) == before
    finally:
        unmount(output)


def test_a_flipped_bit_in_a_checkpoint_is_refused(chaos, done, tmp_path):
    folder = tmp_path / "w"
    shutil.copytree(done, folder)
    for job, name in (("train", "checkpoints/last.safetensors"), ("sample", "generator.safetensors")):
        path = folder / "run" / name
        data = bytearray(path.read_bytes())
        data[-5] ^= 1
        path.write_bytes(data)
        assert_refused(chaos.run(job, folder), folder, "damaged, its content differs from what was written")
