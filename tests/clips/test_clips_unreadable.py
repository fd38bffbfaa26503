"""Files and folders that the user has no right to read are named, never passed over in silence.

Root may read everything, so as root the readers run under another user's rights.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from rights import without_rights
from test_clips_damage import CLIP, stored

from vgbench.clips import open_source, write_clips
from vgbench.errors import BadClip, VgbenchError

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no rights of users on this system")


@pytest.fixture
def folder():
    """A folder that everybody may read, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="vgbench-rights-"))
    path.chmod(0o755)
    yield path
    for hidden in path.rglob("*"):
        hidden.chmod(0o700)
    shutil.rmtree(path)


def read_all(source):
    """Ids that could be read, and what was said of the others."""
    good, bad = [], {skipped.path: skipped.reason for skipped in source.skipped}
    for clip in source.clips:
        try:
            clip.read(range(clip.count_frames()))
            good.append(clip.id)
        except BadClip as error:
            bad[clip.id] = str(error)
    return good, bad


@pytest.mark.parametrize(
    "kind", ["mp4", "mkv", "webp", "gif", "apng", "png", "npz", "npy", "pt", "zip", "tar"]
)
def test_an_unreadable_file_is_skipped_with_its_reason(kind, folder):
    write_clips([CLIP], folder, "mp4", names=["good"])
    hidden = folder / "hidden"
    hidden.mkdir()
    path = stored(kind, hidden)
    for other in set(hidden.iterdir()) - {path}:
        other.unlink()
    hidden.chmod(0o755)
    path.chmod(0)
    with without_rights():
        good, bad = read_all(open_source(folder))
    assert good == ["good.mp4"]
    ((name, reason),) = bad.items()
    assert "hidden" in name
    assert f"a.{kind}" in name + reason
    assert "ermission denied" in reason


def test_an_unreadable_folder_is_named(folder):
    write_clips([CLIP], folder, "mp4", names=["good"])
    write_clips([CLIP], folder / "hidden", "mp4", names=["lost"])
    (folder / "hidden").chmod(0)
    with without_rights():
        good, bad = read_all(open_source(folder))
    assert good == ["good.mp4"]
    assert "ermission denied" in bad[str(folder / "hidden")]


@pytest.mark.parametrize("kind", ["mp4", "npy", "zip"])
def test_an_unreadable_source_is_an_error_with_its_name(kind, folder):
    path = stored(kind, folder)
    path.chmod(0)
    with without_rights(), pytest.raises((BadClip, VgbenchError), match=rf"a\.{kind}"):
        [clip.read([0]) for clip in open_source(path).clips]


def test_an_unreadable_frame_of_a_frame_folder_spoils_its_clip_only(folder):
    from PIL import Image

    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
        for number, frame in enumerate(np.asarray(CLIP)):
            Image.fromarray(frame).save(folder / name / f"{number:03}.png")
    (folder / "two" / "001.png").chmod(0)
    with without_rights():
        source = open_source(folder)
        (bad,) = [clip for clip in source.clips if clip.id.startswith("two")]
        with pytest.raises(BadClip, match="ermission denied"):
            bad.read([0, 1, 2])
        assert read_all(source)[0] == ["one"]
