"""Processor time of each metric, on one core with OMP_NUM_THREADS=1.

`set`: the score of 2,048 + 2,048 clips with intervals, from what the store holds (400 features and logits, 16
frames of 256, 4 classes; for metrics of pixels the number or vector of each clip). `pixels`: what metrics of
pixels take for 1,000 frames of 64 × 64, in clips of 16, before that.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py
    OMP_NUM_THREADS=1 python benchmarks/metrics.py --metrics fvd,viideo --clips 512
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vgbench.metrics import METRICS, Samples, parse_list

FRAMES = 1000
LENGTH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--metrics", default=",".join(METRICS), help="all of them by default")
    parser.add_argument("--clips", type=int, default=2048, help="clips per side")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    extracted = [samples(rng, arguments.clips) for _ in range(2)]
    few = samples(rng, 16)
    videos = clips(rng)
    print(f"{processor()}, torch {torch.__version__}, {torch.get_num_threads()} thread(s)\n")
    print(f"| metric | set, {arguments.clips} + {arguments.clips} clips | pixels, {FRAMES} frames |")
    print("| --- | ---: | ---: |")
    for choice in parse_list(arguments.metrics):
        metric, pixels, sides = choice.metric, "–", extracted
        if metric.needs_extractor:
            metric.score(few, few, **choice.options)  # excludes the time for what is loaded on first use
        else:
            metric.measure(videos[0])
            start = time.process_time()
            found = np.array([metric.measure(video) for video in videos])
            spent = time.process_time() - start
            pixels = f"{spent * FRAMES / (len(videos) * LENGTH):.2f}"
            sides = [spread(found, arguments.clips, rng) for _ in range(2)]
        start = time.process_time()
        metric.score(*sides, **choice.options)
        print(f"| `{choice}` | {time.process_time() - start:.3g} | {pixels} |", flush=True)


def spread(found: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> Samples:
    """Return the wanted number of clips made from the measured ones, no two of them equal."""
    rows = found.reshape(len(found), -1)[rng.integers(0, len(found), count)]
    return Samples(rows + 1e-3 * rng.standard_normal(rows.shape), None, np.arange(count))


def samples(rng: np.random.Generator, count: int) -> Samples:
    features = rng.standard_normal((count, 400)).astype(np.float32)
    frames = rng.standard_normal((count, LENGTH, 256)).astype(np.float32).cumsum(axis=1)
    labels = tuple("abcd"[number % 4] for number in range(count))
    return Samples(features, features, np.arange(count), frames, labels)


def clips(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A noise texture that moves by one pixel per frame."""
    texture = rng.integers(0, 256, (FRAMES // LENGTH, 64, 64, 3), dtype=np.uint8)
    return np.stack([np.roll(texture, shift, axis=2) for shift in range(LENGTH)], axis=1)


def processor() -> str:
    """Model name of the processor, where the kernel reports it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
