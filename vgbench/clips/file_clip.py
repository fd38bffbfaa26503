"""A clip that is one whole file."""

from __future__ import annotations

from dataclasses import dataclass

from vgbench.clips.clip import Clip
from vgbench.clips.files import StoredFile, bad_clip_on_error


@dataclass(frozen=True)
class FileClip(Clip):
    """Base of the clips that are one whole file: a video, an animation or a frame strip.

    Attributes:
        file: its bytes.
    """

    file: StoredFile

    def fingerprint(self) -> str:
        with bad_clip_on_error(self.file.name):
            return self.file.sha256()

    def stamp(self) -> str:
        with bad_clip_on_error(self.file.name):
            return self.file.stamp()
