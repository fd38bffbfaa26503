"""Clips from a generator: ours from a run folder or file, or a user's own sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vgbench.clips.clip import Frames
from vgbench.errors import VgbenchError
from vgbench.named import unknown_name
from vgbench.reference_models import load
from vgbench.reference_models.foreign import ForeignGenerator
from vgbench.reference_models.generator import Generator

CHUNK = 256
"""Clips held in memory at once."""


def sample_clips(
    run: str,
    count: int,
    *,
    seed: int = 0,
    first_frame: Path | None = None,
    checkpoint: Literal["best", "last", "first"] = "best",
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Iterator[Frames]:
    """Yield clips of a generator, a chunk in memory at a time.

    Args:
        run: run folder, `generator.safetensors`, or `package.module:sample` with
            `sample(n, seed, device) -> uint8 [n, T, H, W, 3]`.
        count: number of clips.
        seed: of the first chunk; chunk k uses seed + k, so a longer run begins with the same clips.
        first_frame: picture to go on from, for models conditioned on it.
        checkpoint: of a run folder: the best by score (the last without scores), the last, the first.
        progress: called as (stage, done, total).
        options: frames, frame_step, label, fix, as `Generator.sample` takes them; None is left out.

    Yields:
        uint8 [T, H, W, 3].

    Raises:
        VgbenchError: no such run or checkpoint, or a request that the model cannot serve.
    """
    if checkpoint not in ("best", "last", "first"):
        raise unknown_name("checkpoint", checkpoint, ("best", "last", "first"))
    generator = load(run, checkpoint)
    wanted = {
        key: value for key, value in options.items() if value is not None and value != _NEUTRAL.get(key)
    }
    if first_frame is not None:
        wanted["first_frame"] = _picture(first_frame, generator)
    for number, start in enumerate(range(0, count, CHUNK)):
        size = min(CHUNK, count - start)
        for done, clip in enumerate(generator.sample(size, seed=seed + number, **wanted), start + 1):
            yield clip
            if progress is not None:
                progress("sampling", done, count)


_NEUTRAL = {"frame_step": 1.0}


def _picture(path: Path, generator: Generator | ForeignGenerator) -> npt.NDArray[np.uint8]:
    """Read a picture at the model's size: uint8 [H, W, 3]."""
    from PIL import Image, UnidentifiedImageError

    from vgbench.protocol.pixels import Resize, resize

    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))[None]
    except (OSError, UnidentifiedImageError) as error:
        raise VgbenchError(f"{path}: not a picture that can be read", "give a PNG or JPEG file") from error
    if isinstance(generator, ForeignGenerator):
        raise VgbenchError("--first-frame goes with models of vgbench only", "give it in your own sampler")
    first: npt.NDArray[np.uint8] = resize(pixels, Resize(size=generator.config.size))[0]
    return first
