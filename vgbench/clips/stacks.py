"""Clips that are the pages of one TIFF file, as microscopes and image editors write them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Frames
from vgbench.clips.file_clip import FileClip
from vgbench.clips.files import bad_clip_on_error
from vgbench.clips.images import check_indices, description_of, open_image, to_rgb
from vgbench.clips.limits import check_frame_count, check_frame_size
from vgbench.clips.tiff import declared_images, frame_pages, other_axes
from vgbench.errors import BadClip

LOSSY_COMPRESSIONS = ("jpeg", "tiff_jpeg", "webp")
"""Pillow's names."""


@dataclass(frozen=True)
class StackClip(FileClip):
    """A TIFF file of several pages, one frame each; thumbnails and masks are no frames."""

    def is_lossless(self) -> bool:
        with open_image(self.file) as image:
            return image.info.get("compression") not in LOSSY_COMPRESSIONS

    def count_frames(self) -> int:
        pages = self._pages()
        check_frame_count(self.file.name, len(pages))
        return len(pages)

    def read(self, indices: Sequence[int]) -> Frames:
        pages = self._pages()
        check_indices(self.file.name, indices, len(pages))
        frames = list(self._read_pages([pages[index] for index in indices]))
        if len({frame.shape for frame in frames}) > 1:
            raise BadClip(self.file.name, "the frame size changes within the clip")
        return np.stack(frames)

    def each_frame(self, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        return self._read_pages(self._pages()[:count])

    def _read_pages(self, pages: Sequence[int]) -> Iterator[npt.NDArray[np.uint8]]:
        with open_image(self.file) as image:
            for page in pages:
                image.seek(page)
                check_frame_size(self.file.name, *image.size)
                yield to_rgb(image)

    def _pages(self) -> list[int]:
        """Return the positions of the pages that are frames.

        Raises:
            BadClip: the file is cut off, or its pages are not in the order of one axis of frames.
        """
        with bad_clip_on_error(self.file.name), self.file.open() as stream:
            pages = frame_pages(stream)
        with open_image(self.file) as image:
            description, samples = description_of(image), len(image.getbands())
        if declared_images(description) > len(pages):
            images = declared_images(description)
            raise BadClip(
                self.file.name,
                f"ImageJ wrote {images} images as {len(pages)} pages; save it with a page for each image",
            )
        if axes := other_axes(description, samples):
            raise BadClip(self.file.name, f"a stack of {axes}; save those of one clip in a file of their own")
        return pages
