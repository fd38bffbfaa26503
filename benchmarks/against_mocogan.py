"""Compare a training step of the original MoCoGAN code with ours, in turn, on one machine with equal batches.

    git clone https://github.com/sergeytulyakov/mocogan
    python benchmarks/against_mocogan.py mocogan --batch 32 --threads 2

Both sides update D_I, D_V and G once. The original's networks and its two training functions are used
unchanged, except for what Python 3 refuses (print statements, a true division), which is changed in memory.
Its real clips are in memory; ours come from the data loader. Our sides are:

- `same networks`: `mocogan-64`, which has the same layers, with noise before them;
- `like`: `mocogan-like-64`, whose D_V halves time too, whose D_I has a fourth layer, and which adds no noise;
- any `--set` of yours, such as `--set precision=bf16`, on top of the same networks.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from vgbench.distributed import World
from vgbench.training import TrainConfig, read_config
from vgbench.training.data import Windows, random_clips
from vgbench.training.networks import build_networks
from vgbench.training.trainer import training_step

FRAMES, SIZE = 16, 64


def original_module(folder: Path, name: str) -> types.ModuleType:
    """One file of the original's `src`, made to run on Python 3."""
    path = folder / "src" / f"{name}.py"
    if not path.exists():
        sys.exit(f"error: {path} does not exist; give the folder of the original's repository")
    text = path.read_text(encoding="utf-8")
    text = text.replace("h.size(0) / video_len", "h.size(0) // video_len")
    text = re.sub(r"print log_string", "print(log_string)", text)
    module = types.ModuleType(name)
    exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102  the user's own checkout
    return module


def original_step(folder: Path, batch: int) -> Callable[[], None]:
    """D_I, D_V and G of the original's `Trainer.train`, once."""
    sys.modules["logger"] = types.ModuleType("logger")  # writes TensorFlow logs; not called here
    sys.modules["logger"].Logger = object  # type: ignore[attr-defined]
    models, trainers = original_module(folder, "models"), original_module(folder, "trainers")
    generator = models.VideoGenerator(3, 50, 0, 10, FRAMES)
    noise = {"use_noise": True, "noise_sigma": 0.1}
    image_critic = models.PatchImageDiscriminator(3, **noise)
    video_critic = models.VideoDiscriminator(3, **noise)
    sampler = types.SimpleNamespace(batch_size=batch)
    trainer = trainers.Trainer(sampler, sampler, 1, 1, "", use_infogan=False, use_categories=False)
    optimisers = [
        torch.optim.Adam(one.parameters(), lr=2e-4, betas=(0.5, 0.999), weight_decay=1e-5)
        for one in (generator, image_critic, video_critic)
    ]
    clips = torch.rand(batch, 3, FRAMES, SIZE, SIZE) * 2 - 1

    def step() -> None:
        trainer.train_discriminator(
            image_critic,
            lambda: {"images": clips[:, :, 0]},
            generator.sample_images,
            optimisers[1],
            batch,
            use_categories=False,
        )
        trainer.train_discriminator(
            video_critic,
            lambda: {"images": clips},
            generator.sample_videos,
            optimisers[2],
            batch,
            use_categories=False,
        )
        trainer.train_generator(
            image_critic, video_critic, generator.sample_images, generator.sample_videos, optimisers[0]
        )

    return step


def our_step(config: TrainConfig) -> Callable[[], None]:
    """One step of our trainer, data loading and moving average included."""
    windows = Windows(random_clips(config), config.size, config.frames, config.stride, config.seed)
    networks = build_networks(config)
    done = 0

    def step() -> None:
        nonlocal done
        training_step(config, networks, World(), windows, done)
        done += 1

    return step


def sides_of_ours(batch: int, settings: Sequence[str]) -> dict[str, TrainConfig]:
    def preset(name: str, *changes: str) -> TrainConfig:
        return read_config(name, changes, {"batch": batch, "device": "cpu"})

    sides = {"same networks": preset("mocogan-64"), "like": preset("mocogan-like-64")}
    if settings:
        sides[f"same networks, {' '.join(settings)}"] = preset("mocogan-64", *settings)
    return sides


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the original's repository")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--profile", action="store_true", help="where the time goes, in place of ratios")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    steps = {"original": original_step(given.folder, given.batch)}
    steps |= {name: our_step(one) for name, one in sides_of_ours(given.batch, given.settings).items()}
    for name, step in steps.items():
        with FlopCounterMode(display=False) as counter:
            step()  # warms up too
        print(f"{name}: {counter.get_total_flops() / 2e9:.0f} GMAC per step")
    if given.profile:
        for name, step in steps.items():
            print(name, profile_of(step), sep="\n")
        return
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(given.turns):
        for name, step in steps.items():
            wall, busy = time.perf_counter(), time.process_time()
            step()
            times[name].append((time.perf_counter() - wall, time.process_time() - busy))
    for name, taken in times.items():
        print(f"{name}: {statistics.median(wall for wall, _ in taken):.2f} s per step")
        for clock, what in enumerate(("wall clock", "CPU time")):
            ratios = [a[clock] / b[clock] for a, b in zip(times["original"], taken, strict=True)]
            print(f"  {statistics.median(ratios):.2f} × the original's speed by {what}")


def profile_of(step: Callable[[], Any]) -> str:
    """Table of the operators that cost most."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        step()
    return str(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=12))


if __name__ == "__main__":
    main()
