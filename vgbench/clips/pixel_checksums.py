"""Checksums of the pixels that a writer of clips put into a file, which travel in the file's comment.

Most formats have no checksum of their own, so that a flipped bit gives other pixels without a word. What
`write_clips` writes therefore names the CRC-32 of every frame. It is checked whenever frames are read, also
after the file was renamed, moved or packed into an archive.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import numpy.typing as npt

from vgbench.errors import BadClip

if TYPE_CHECKING:
    from av import VideoFrame

_TEXT = re.compile(r"vgbench pixels (\w+) (\d+)x(\d+):((?: [0-9a-f]{8})+)")


@dataclass(frozen=True)
class PixelChecksums:
    """What a file says about its pixels.

    Attributes:
        kind: codec or format of the file.
        size: width and height of the frames as they are stored.
        of_frames: CRC-32 of each frame.
    """

    kind: str
    size: tuple[int, int]
    of_frames: tuple[int, ...]

    @classmethod
    def of(cls, kind: str, frames: Iterable[npt.NDArray[np.uint8]]) -> Self:
        """Compute the checksums of frames, each uint8 [H, W, 3]; there must be at least one."""
        height, width, values = 0, 0, []
        for pixels in frames:
            height, width = pixels.shape[:2]
            values.append(of_pixels(pixels))
        return cls(kind, (width, height), tuple(values))

    @classmethod
    def parse(cls, kind: str, comment: Any) -> Self | None:
        """Read the comment of a file; None if it is not by us, or about a file of another kind.

        Args:
            kind: codec or format of the file. Programs keep the comments of clips that they convert.
            comment: text, bytes, or anything else if the file has no comment.
        """
        text = comment.decode("ascii", "replace") if isinstance(comment, bytes) else comment
        found = _TEXT.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None or found[1] != kind:
            return None
        return cls(kind, (int(found[2]), int(found[3])), tuple(int(value, 16) for value in found[4].split()))

    def text(self) -> str:
        """Return the comment that states the checksums."""
        width, height = self.size
        values = "".join(f" {value:08x}" for value in self.of_frames)
        return f"vgbench pixels {self.kind} {width}x{height}:{values}"

    def require_shape(self, name: str, count: int, size: tuple[int, int]) -> None:
        """Compare the number of frames of a clip, and their width and height, with what was written.

        Raises:
            BadClip: they differ.
        """
        if (count, size) != (len(self.of_frames), self.size):
            has, written = (
                f"{number} frames of {width}×{height}"
                for number, (width, height) in ((count, size), (len(self.of_frames), self.size))
            )
            raise BadClip(name, f"has {has}, and {written} were written")

    def require(self, name: str, frame: int, checksum: int) -> None:
        """Compare the checksum of a frame with the one in the file.

        Raises:
            BadClip: they differ.
        """
        if frame >= len(self.of_frames) or checksum != self.of_frames[frame]:
            raise BadClip(
                name,
                f"its pixels are not those that were written (frame {frame}: it is damaged, or a program "
                "changed it and kept the comment with the checksums)",
            )


def of_pixels(pixels: npt.NDArray[np.uint8]) -> int:
    """Return the CRC-32 of the pixels of a frame, uint8 [H, W, 3]."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def of_planes(frame: VideoFrame, start: int = 0) -> int | None:
    """Return the CRC-32 of a decoded frame before it is converted to RGB; None if it has no plain planes.

    Decoders agree in these values, and not in those that are converted.

    Args:
        frame: as it was decoded.
        start: value to begin with.
    """
    components = frame.format.components
    if frame.format.has_palette or any(component.bits < 8 for component in components):
        return None
    used = dict.fromkeys((component.plane for component in components), 0)  # bytes of a line
    for component in components:
        used[component.plane] += component.width * (1 + (component.bits > 8) + 2 * (component.bits > 16))
    if len(used) == 1:  # pixels may have a byte of padding
        used[0] = frame.width * frame.format.padded_bits_per_pixel // 8
    value = start
    for place, length in sorted(used.items()):
        plane = frame.planes[place]
        lines = np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, -1)
        value = zlib.crc32(np.ascontiguousarray(lines[:, :length]).data, value)
    return value
