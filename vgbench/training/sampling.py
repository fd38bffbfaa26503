"""Sample clips from a generator: a run folder or file of vgbench, or a sampler that the user brings."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from vgbench.clips.clip import Frames
from vgbench.clips.grid import write_gif
from vgbench.clips.write import Format, write_clips
from vgbench.device import device_of
from vgbench.errors import VgbenchError
from vgbench.named import unknown_name
from vgbench.progress import Progress, no_progress
from vgbench.records import sample_card
from vgbench.reference_models import load
from vgbench.reference_models.cost import generator_cost
from vgbench.reference_models.foreign import ForeignGenerator
from vgbench.reference_models.generator import Generator
from vgbench.storage.atomic import replacing

CHUNK = 256
"""Clips held in memory at once."""

GRID = (4, 8)
"""Rows and columns of `write_grid`."""


def sample_clips(
    run: str,
    count: int,
    *,
    seed: int = 0,
    first_frame: Path | None = None,
    checkpoint: Literal["best", "last", "first"] = "best",
    device: str = "cpu",
    progress: Progress = no_progress,
    **options: Any,
) -> Iterator[Frames]:
    """Sample clips one by one, with one chunk of them in memory at a time.

    Args:
        run: run folder, `generator.safetensors`, or `package.module:sample` with
            `sample(n, seed, device) -> uint8 [n, T, H, W, 3]`.
        count: number of clips.
        seed: clip i depends only on (seed, i), so more clips begin with the same ones. A sampler of the user
            takes no index and makes `CHUNK` clips per call: the first call gets the seed itself, later calls
            get seeds drawn from it, so that two seeds have no clip in common.
        first_frame: image that every clip continues from, for models that continue a first frame.
        checkpoint: of a run folder: the best by score (or the last without scores), the last, or the first.
        device: where the generator runs, see `device_of`; another one changes rounding only.
        progress: called after every clip.
        options: frames, frame_step, label and fix, as `Generator.sample` takes them; None is left out.

    Yields:
        uint8 [T, H, W, 3].

    Raises:
        ConfigError: a device that is not there.
        VgbenchError: no such run or checkpoint, or an option that the model does not have.
    """
    generator = _load(run, checkpoint, device)
    return _sample(generator, count, seed, first_frame, progress, options)


def write_samples(
    run: str,
    out: str | Path,
    count: int,
    clip_format: Format = "mkv",
    *,
    seed: int = 0,
    fps: float = 8,
    first_frame: Path | None = None,
    checkpoint: Literal["best", "last", "first"] = "best",
    device: str = "cpu",
    progress: Progress = no_progress,
    **options: Any,
) -> list[Path]:
    """Sample clips into a folder, with a card that says what it cost and how the model was trained.

    For the arguments, see `sample_clips` and `clips.write.write_clips`; the card is a `SampleCard`. The
    folder appears complete or not at all, and replaces an earlier one. Clips of a model with classes are in
    sub-folders named after the classes, which readers take as labels.

    Raises:
        VgbenchError: as `sample_clips`, or the folder holds files but no card, so vgbench did not write them.
    """
    out = Path(out)
    if out.exists() and not (out / sample_card.NAME).exists() and any(out.iterdir()):
        raise VgbenchError(f"{out}: holds files that vgbench sample did not write", "choose another folder")
    generator = _load(run, checkpoint, device)
    seconds = [0.0]
    clips = _timed(_sample(generator, count, seed, first_frame, progress, options), seconds)
    with replacing(out.resolve()) as temporary:  # a link to a folder on another disk stays one
        written = write_clips(
            clips, temporary, clip_format, fps=fps, labels=_folders(generator, count, seed, options)
        )
        cost = generator_cost(generator) if isinstance(generator, Generator) else None
        frames = generator.config.frames if isinstance(generator, Generator) else None
        counted = options.get("frames") in (None, frames)  # macs are of the training length
        folder, ran_on = Path(run), str(generator.device)
        card = sample_card.SampleCard(
            command=_command(
                run, out, count, clip_format, seed, fps, checkpoint, device, first_frame, options
            ),
            clips=len(written),
            seconds_per_clip=float(f"{seconds[0] / max(len(written), 1):.4g}"),
            device=f"cpu, {torch.get_num_threads()} threads" if ran_on == "cpu" else ran_on,
            gmac_per_clip=float(f"{cost.macs / 1e9:.4g}") if cost and counted else None,
            parameters=cost.parameters if cost else None,
            training_seconds=sample_card.training_seconds(folder) if folder.is_dir() else None,
            training=sample_card.training_curves(folder) if folder.is_dir() else {},
            config=sample_card.run_config(folder) if folder.is_dir() else {},
        )
        sample_card.write_card(temporary, card)
    return [out / path.relative_to(temporary) for path in written]


def write_grid(
    run: str,
    path: Path,
    *,
    seed: int = 0,
    fps: float = 8,
    first_frame: Path | None = None,
    checkpoint: Literal["best", "last", "first"] = "best",
    device: str = "cpu",
    **options: Any,
) -> None:
    """Write an animated grid (GIF) of `GRID` rows and columns of clips.

    With `fix="content"`, the clips of a row share their content and each has a motion of its own, which shows
    how well the model separates the two; `fix="motion"` is the reverse. For the arguments, see
    `sample_clips`.
    """
    generator = _load(run, checkpoint, device)
    rows, columns = GRID
    clips = [
        clip
        for row in range(rows)
        for clip in _sample(generator, columns, seed + row, first_frame, no_progress, options)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gif(path, np.stack(clips), columns, fps=fps)


def _load(
    run: str, checkpoint: Literal["best", "last", "first"], device: str
) -> Generator | ForeignGenerator:
    if checkpoint not in ("best", "last", "first"):
        raise unknown_name("checkpoint", checkpoint, ("best", "last", "first"))
    found = str(device_of(device))  # before weights are read
    return load(run, checkpoint).to(found)


def _sample(
    generator: Generator | ForeignGenerator,
    count: int,
    seed: int,
    first_frame: Path | None,
    progress: Progress,
    options: dict[str, Any],
) -> Iterator[Frames]:
    wanted = {
        key: value for key, value in options.items() if value is not None and value != _NEUTRAL.get(key)
    }
    if first_frame is not None:
        wanted["first_frame"] = _read_image(first_frame, generator)
    label = wanted.get("label")
    if isinstance(label, list | tuple) and len(label) != count:
        raise VgbenchError(f"{len(label)} labels for {count} clips")
    for number, start in enumerate(range(0, count, CHUNK)):
        size = min(CHUNK, count - start)
        if isinstance(generator, Generator):
            if isinstance(label, list | tuple):  # one for each clip
                wanted["label"] = label[start : start + size]
            clips = generator.sample(size, seed=seed, start=start, **wanted)
        else:
            clips = generator.sample(size, seed=_seed_of_call(seed, number), **wanted)
        for done, clip in enumerate(clips, start + 1):
            yield clip
            progress("sampling", done, count)


_NEUTRAL = {"frame_step": 1.0}


def _seed_of_call(seed: int, number: int) -> int:
    """Seed of one call of the user's sampler; after the first call below 2³¹, which every library takes."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1) if number else seed


def _timed(clips: Iterator[Frames], seconds: list[float]) -> Iterator[Frames]:
    """Pass clips on, and add the time that each of them took to `seconds[0]`."""
    while True:
        start = time.perf_counter()
        clip = next(clips, None)
        seconds[0] += time.perf_counter() - start
        if clip is None:
            return
        yield clip


def _folders(
    generator: Generator | ForeignGenerator, count: int, seed: int, options: dict[str, Any]
) -> Iterable[str | None] | None:
    """Class of every clip if all classes can be names of folders, None otherwise."""
    if not isinstance(generator, Generator):
        return None
    classes = generator.config.classes
    if not classes or any(Path(name).name != name or name.startswith(".") for name in classes):
        return None
    drawn = generator.labels(range(count), seed, options.get("label"), options.get("fix"))
    return [classes[label] for label in drawn]


def _command(
    run: str,
    out: Path,
    count: int,
    clip_format: Format,
    seed: int,
    fps: float,
    checkpoint: str,
    device: str,
    first_frame: Path | None,
    options: dict[str, Any],
) -> str:
    """Return the `vgbench sample` command, quoted for a POSIX shell; defaults are left out."""
    words = ["vgbench", "sample", run, "--out", str(out), "--count", str(count), "--seed", str(seed)]
    flags = {
        "--format": None if clip_format == "mkv" else clip_format,
        "--fps": None if fps == 8 else fps,
        "--checkpoint": None if checkpoint == "best" else checkpoint,
        "--device": None if device == "cpu" else device,
        "--frames": options.get("frames"),
        "--rate": 1 / step if (step := options.get("frame_step", 1.0)) != 1.0 else None,
        "--class": options.get("label"),
        "--fix": options.get("fix"),
        "--first-frame": first_frame,
    }
    words += [word for flag, value in flags.items() if value is not None for word in (flag, f"{value}")]
    return shlex.join(words)


def _read_image(path: Path, generator: Generator | ForeignGenerator) -> npt.NDArray[np.uint8]:
    """Read an image at the model's size: uint8 [H, W, 3]."""
    from PIL import Image, UnidentifiedImageError

    from vgbench.protocol.pixels import Resize, resize

    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))[None]
    except (OSError, UnidentifiedImageError) as error:
        raise VgbenchError(f"{path}: not an image that can be read", "give a PNG or JPEG file") from error
    if isinstance(generator, ForeignGenerator):
        raise VgbenchError(
            "--first-frame works only with models of vgbench", "set it inside your own sampler"
        )
    first: npt.NDArray[np.uint8] = resize(pixels, Resize(size=generator.config.size))[0]
    return first
