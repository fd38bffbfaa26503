"""Processor time of each metric, on one core with OMP_NUM_THREADS=1.

Metrics of sets: 2,048 + 2,048 clips as they come from the store (400 features, 400 logits, 16 frames of 256,
4 classes), with intervals. Metrics of pixels: 1,000 frames of 64 × 64 in clips of 16.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from vgbench.metrics import METRICS, Samples, SetMetric, parse

CLIPS = 2048
FRAMES = 1000
LENGTH = 16


def main() -> None:
    rng = np.random.default_rng(0)
    sides = [samples(rng), samples(rng)]
    films = clips(rng)
    print("| metric | processor seconds | for |\n| --- | ---: | --- |")
    for name, metric in METRICS.items():
        start = time.process_time()
        if isinstance(metric, SetMetric):
            metric.score(*sides, **parse(name).options)
            what = f"{CLIPS} + {CLIPS} clips"
        else:
            for film in films:
                metric.measure(film)
            what = f"{films.shape[0] * LENGTH} frames"
        print(f"| `{name}` | {time.process_time() - start:.2f} | {what} |", flush=True)


def samples(rng: np.random.Generator) -> Samples:
    features = rng.standard_normal((CLIPS, 400)).astype(np.float32)
    frames = rng.standard_normal((CLIPS, LENGTH, 256)).astype(np.float32).cumsum(axis=1)
    return Samples(features, features, np.arange(CLIPS), frames, ("a", "b", "c", "d") * (CLIPS // 4))


def clips(rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A noise texture that moves by a pixel a frame."""
    texture = rng.integers(0, 256, (FRAMES // LENGTH, 64, 64, 3), dtype=np.uint8)
    return np.stack([np.roll(texture, shift, axis=2) for shift in range(LENGTH)], axis=1)


if __name__ == "__main__":
    main()
