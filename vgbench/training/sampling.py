"""Sampling clips from a trained generator, or from a sampler of the user's own."""

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
from vgbench.pretrained import PREFIX, pretrained_path
from vgbench.progress import Progress, no_progress
from vgbench.records import sample_card
from vgbench.reference_models import load
from vgbench.reference_models.checkpoint import read_metadata
from vgbench.reference_models.cost import generator_cost
from vgbench.reference_models.generator import Generator
from vgbench.reference_models.user_sampler import UserSampler
from vgbench.storage.atomic import replacing

CHUNK = 256
"""Number of clips that are in memory at once."""

USUAL_FPS = 8.0
"""Frame rate of clips from a generator whose training clips state none."""

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
    """Yield clips of a generator one by one, with at most `CHUNK` clips in memory.

    Args:
        run: run folder, `generator.safetensors`, `pretrained:NAME`, or `package.module:sample` with
            `sample(n, seed, device) -> uint8 [n, T, H, W, 3]`.
        count: number of clips.
        seed: clip i depends only on (seed, i), so more clips begin with the same ones. A sampler of the
            user's own knows no index, and makes at most `CHUNK` clips per call: the first call gets the seed,
            and later calls get seeds drawn from it, so that two seeds have no clips in common.
        first_frame: image file of the first frame, for models that continue it.
        checkpoint: generator of a run folder: the one with the best score (the last one if there are no
            scores), the last one, or the first one.
        device: of the generator, see `device_of`; it only changes rounding.
        progress: called after each clip.
        options: frames, frame_step, truncation, label, balanced and fix, as for `Generator.sample`; None is
            ignored.

    Yields:
        uint8 [T, H, W, 3].

    Raises:
        ConfigError: the device does not exist.
        VgbenchError: there is no such run or checkpoint, or the model cannot make such clips.
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
    fps: float | None = None,
    first_frame: Path | None = None,
    checkpoint: Literal["best", "last", "first"] = "best",
    device: str = "cpu",
    progress: Progress = no_progress,
    **options: Any,
) -> list[Path]:
    """Sample clips into a folder, with a `SampleCard` about their cost and the training of the model.

    The arguments are those of `sample_clips` and `clips.write.write_clips`; `fps` is by default the rate of
    the training clips, or `USUAL_FPS` if they state none. The folder appears whole or not at all, and
    replaces an earlier one. Clips of a model with classes are in sub-folders named after their class, from
    which readers take the labels.

    Returns:
        the files of the clips.

    Raises:
        VgbenchError: see `sample_clips`; or the folder contains files but no card, so something else wrote
            them.
    """
    out = Path(out)
    if out.exists() and not (out / sample_card.NAME).exists() and any(out.iterdir()):
        raise VgbenchError(
            f"{out}: contains files that vgbench sample did not write", "choose another folder"
        )
    generator = _load(run, checkpoint, device)
    seconds = [0.0]
    clips = _timed(_sample(generator, count, seed, first_frame, progress, options), seconds)
    with replacing(out.resolve()) as temporary:  # a link to a folder on another disk stays a link
        written = write_clips(
            clips,
            temporary,
            clip_format,
            fps=_rate_of(generator, options) if fps is None else fps,
            labels=_folders(generator, count, seed, options),
        )
        cost = generator_cost(generator) if isinstance(generator, Generator) else None
        frames = generator.config.frames if isinstance(generator, Generator) else None
        counted = options.get("frames") in (None, frames)  # `cost` is that of the training length
        folder, ran_on = Path(run), str(generator.device)
        card = sample_card.SampleCard(
            command=_command(
                run, out, count, clip_format, seed, fps, checkpoint, device, first_frame, options
            ),
            clips=len(written),
            labels=_how_labels_are_drawn(generator, options),
            seconds_per_clip=float(f"{seconds[0] / max(len(written), 1):.4g}"),
            device=f"cpu, {torch.get_num_threads()} threads" if ran_on == "cpu" else ran_on,
            gmac_per_clip=float(f"{cost.macs / 1e9:.4g}") if cost and counted else None,
            parameters=cost.parameters if cost else None,
            training_seconds=_training_seconds(run),
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
    fps: float | None = None,
    first_frame: Path | None = None,
    checkpoint: Literal["best", "last", "first"] = "best",
    device: str = "cpu",
    **options: Any,
) -> None:
    """Write an animated grid (GIF) of clips to look at, with `GRID` rows and columns.

    With `fix="content"`, each row has one content, and each column its own motion; `fix="motion"` exchanges
    the two. The other arguments are those of `sample_clips` and `write_samples`.

    Raises:
        VgbenchError: see `sample_clips`.
    """
    generator = _load(run, checkpoint, device)
    rows, columns = GRID
    clips = [
        clip
        for row in range(rows)
        for clip in _sample(generator, columns, seed + row, first_frame, no_progress, options)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gif(path, np.stack(clips), columns, fps=_rate_of(generator, options) if fps is None else fps)


def _load(run: str, checkpoint: Literal["best", "last", "first"], device: str) -> Generator | UserSampler:
    if checkpoint not in ("best", "last", "first"):
        raise unknown_name("checkpoint", checkpoint, ("best", "last", "first"))
    found = str(device_of(device))  # before weights are read
    return load(run, checkpoint).to(found)


def _sample(
    generator: Generator | UserSampler,
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


_NEUTRAL = {"frame_step": 1.0, "truncation": 1.0, "balanced": False}


def _seed_of_call(seed: int, number: int) -> int:
    """Return the seed for a call of the user's sampler; after the first below 2³¹, for all libraries."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1) if number else seed


def _timed(clips: Iterator[Frames], seconds: list[float]) -> Iterator[Frames]:
    """Pass clips on, and add the time until each is ready to `seconds[0]`."""
    while True:
        start = time.perf_counter()
        clip = next(clips, None)
        seconds[0] += time.perf_counter() - start
        if clip is None:
            return
        yield clip


def _folders(
    generator: Generator | UserSampler, count: int, seed: int, options: dict[str, Any]
) -> Iterable[str | None] | None:
    """Return the class of every clip, if all classes can be names of folders."""
    if not isinstance(generator, Generator):
        return None
    classes = generator.config.classes
    if not classes or any(Path(name).name != name or name.startswith(".") for name in classes):
        return None
    drawn = generator.labels(
        range(count),
        seed,
        options.get("label"),
        options.get("fix"),
        balanced=bool(options.get("balanced")),
    )
    return [classes[label] for label in drawn]


def _training_seconds(run: str) -> float | None:
    """Seconds that a run or a pretrained generator was trained; None where nothing states it."""
    if run.startswith(PREFIX):
        return read_metadata(pretrained_path(run))[1].get("seconds")
    return sample_card.training_seconds(Path(run)) if Path(run).is_dir() else None


def _how_labels_are_drawn(
    generator: Generator | UserSampler, options: dict[str, Any]
) -> sample_card.LabelDraw | None:
    if not isinstance(generator, Generator) or not generator.config.classes:
        return None
    if options.get("label") is not None:
        return "given"
    if options.get("balanced"):
        return "balanced"
    return "counts" if any(generator.class_counts) else "uniform"


def _rate_of(generator: Generator | UserSampler, options: dict[str, Any]) -> float:
    """Frames per second of the clips that a generator makes, from those that it was trained on."""
    rate = generator.frame_rate if isinstance(generator, Generator) else None
    return USUAL_FPS if rate is None else rate / (options.get("frame_step") or 1.0)


def _command(
    run: str,
    out: Path,
    count: int,
    clip_format: Format,
    seed: int,
    fps: float | None,
    checkpoint: str,
    device: str,
    first_frame: Path | None,
    options: dict[str, Any],
) -> str:
    """Return the command `vgbench sample …` for a POSIX shell, without options that have their defaults."""
    words = ["vgbench", "sample", run, "--out", str(out), "--count", str(count), "--seed", str(seed)]
    flags = {
        "--format": None if clip_format == "mkv" else clip_format,
        "--fps": fps,
        "--checkpoint": None if checkpoint == "best" else checkpoint,
        "--device": None if device == "cpu" else device,
        "--frames": options.get("frames"),
        "--rate": 1 / step if (step := options.get("frame_step", 1.0)) != 1.0 else None,
        "--truncation": psi if (psi := options.get("truncation", 1.0)) != 1.0 else None,
        "--class": options.get("label"),
        "--fix": options.get("fix"),
        "--first-frame": first_frame,
    }
    words += [word for flag, value in flags.items() if value is not None for word in (flag, f"{value}")]
    words += ["--balanced"] if options.get("balanced") else []
    return shlex.join(words)


def _read_image(path: Path, generator: Generator | UserSampler) -> npt.NDArray[np.uint8]:
    """Read an image at the model's size: uint8 [H, W, 3]."""
    from PIL import Image, UnidentifiedImageError

    from vgbench.protocol.pixels import Resize, resize

    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))[None]
    except (OSError, UnidentifiedImageError) as error:
        raise VgbenchError(f"{path}: not an image that can be read", "give a PNG or JPEG file") from error
    if isinstance(generator, UserSampler):
        raise VgbenchError(
            "--first-frame is only for models of vgbench", "read the first frame in your own sampler"
        )
    first: npt.NDArray[np.uint8] = resize(pixels, Resize(size=generator.config.size))[0]
    return first
