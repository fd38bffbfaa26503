"""The file lock: one holder, whose name the others are told, and nothing left of it when it is killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from vgbench.errors import VgbenchError
from vgbench.storage.lock import locked


def in_use(owner: str) -> VgbenchError:
    return VgbenchError(f"{owner} has it")


HOLD = """
import sys, time
from pathlib import Path
from vgbench.storage.lock import locked
with locked(Path(sys.argv[1]), ValueError):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path / "lock"`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_who_comes_second_is_told_who_holds_it(tmp_path, holder):
    for _ in range(2):  # being refused changes nothing
        with (
            pytest.raises(VgbenchError, match=f"process {holder.pid} on {socket.gethostname()} has it"),
            locked(tmp_path / "lock", in_use),
        ):
            pass


def test_a_killed_process_leaves_no_lock(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "lock", in_use):
        owner = json.loads((tmp_path / "lock").read_text())
    assert owner == {"pid": os.getpid(), "host": socket.gethostname()}


def test_it_ends_with_the_block_and_names_nobody_then(tmp_path):
    path = tmp_path / "new folder" / "lock"
    with pytest.raises(ZeroDivisionError), locked(path, in_use):
        1 / 0  # noqa: B018
    assert path.read_bytes() == b""
    with locked(path, in_use):
        pass


def test_the_system_itself_refuses_the_file_to_others(tmp_path):
    """Earlier versions of vgbench, which called flock themselves, and this one keep each other out."""
    path = tmp_path / "lock"
    with locked(path, in_use), path.open("ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(VgbenchError, match="another process has it"), locked(path, in_use):
            pass


def test_a_link_in_its_place_is_neither_followed_nor_emptied(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "lock").symlink_to(tmp_path / "precious")
    with pytest.raises(VgbenchError, match="symbolic link"), locked(tmp_path / "lock", in_use):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_worker_that_outlives_its_parent_does_not_keep_it(tmp_path):
    """Decoding workers are forked while a run folder is locked; a killed trainer must not lock itself out."""
    script = f"""
import os, sys, time
from pathlib import Path
from vgbench.storage.lock import locked
with locked(Path({str(tmp_path / "lock")!r}), ValueError):
    if os.fork() == 0:
        print("forked", flush=True)  # it has let go of the lock by then
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, process_group=0) as process:
        try:
            assert process.stdout.readline() == b"forked\n"
            process.kill()
            process.wait()
            with locked(tmp_path / "lock", in_use):
                pass
        finally:
            os.killpg(process.pid, signal.SIGKILL)
