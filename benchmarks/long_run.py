"""Growth of memory and open files: one kind of work is repeated in one process and sampled after each round.

    python benchmarks/long_run.py eval --minutes 30
    python benchmarks/long_run.py train --minutes 30

`eval` scores a folder of video files from a fresh feature store each round; `train` trains, checkpoints,
samples and scores a small model in a fresh run folder. Prints resident memory and open files from time to
time and, at the end, the slope of each over the second half with its standard error (the first half fills
caches).
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

CLIPS = "builtin:moving-shapes/{}?size=32&frames=16&clips=24"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=("eval", "train"))
    parser.add_argument("--minutes", type=float, default=30.0)
    arguments = parser.parse_args()
    rounds = {"eval": eval_round, "train": train_round}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VGBENCH_CACHE"] = str(Path(folder) / "cache")
        watch(rounds[arguments.kind], Path(folder), arguments.minutes)


def watch(one_round: Callable[[Path], None], folder: Path, minutes: float) -> None:
    """Repeat until the time is over; print samples and slopes."""
    began, samples = time.monotonic(), []
    while time.monotonic() - began < 60 * minutes:
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            one_round(Path(inner))
        gc.collect()
        samples.append(((time.monotonic() - began) / 60, resident_mib(), float(open_files())))
        if len(samples) & (len(samples) - 1) == 0 or len(samples) % 100 == 0:
            at, memory, files = samples[-1]
            print(f"round {len(samples)}, {at:.1f} min: {memory:.1f} MiB, {files:.0f} files", flush=True)
    table = np.array(samples)
    late = table[len(table) // 2 :]
    if len(late) < 3:
        print("too few rounds for a slope; give it more --minutes")
        return
    print(f"{len(table)} rounds in {table[-1, 0]:.1f} minutes, second half:")
    for column, unit in ((1, "MiB"), (2, "open files")):
        slope, error = fit(late[:, 0], late[:, column])
        low, high = late[:, column].min(), late[:, column].max()
        print(f"  {unit}: {low:.1f} to {high:.1f}, slope {slope:+.4f} ± {error:.4f} per minute")


def fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of a least-squares line and its standard error."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    return slope, float(np.sqrt(rest @ rest / max(1, len(x) - 2) / (centred @ centred)))


def eval_round(folder: Path) -> None:
    """Write two folders of clips, compare them, and write a report."""
    from vgbench import evaluate
    from vgbench.clips import open_source, write_clips
    from vgbench.evaluation.feature_store import FeatureStore
    from vgbench.leaderboard.report import write_report

    for split, kind in (("train", "mp4"), ("test", "webp")):
        source = open_source(CLIPS.format(split))
        write_clips((clip.read(range(16)) for clip in source.clips), folder / split, kind)
    (folder / "test" / "damaged.mp4").write_bytes(b"damaged")
    evaluate(
        folder / "train",
        folder / "test",
        metrics=["fvd", "kvd", "prdc(k=3)", "temporal_flicker", "motion_smoothness"],
        settings=["clips.least=4"],
        store=FeatureStore(folder / "features"),
        results=folder / "results",
    )
    write_report([folder / "results"], folder / "board", ("html", "md", "csv"))


def train_round(folder: Path) -> None:
    """Train in two parts with checkpoints, samples and scores."""
    from vgbench.clips import write_clips
    from vgbench.training import train
    from vgbench.training.config_files import read_config
    from vgbench.training.sampling import sample_clips
    from vgbench.training.score import generator_score

    small = ["size=32", "frames=16", "batch=4", "generator.channels=8", "discriminators.0.channels=8"]
    data = CLIPS.format("train")
    config = read_config("gru-hinge", small, {"data": data})
    score = generator_score(data, clips=16)
    for steps in (5, 10):
        train(config, folder / "run", steps=steps, resume=True, score=score)
    write_clips(sample_clips(str(folder / "run"), 8), folder / "out", "mkv")


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


if __name__ == "__main__":
    main()
