"""Compare the Fréchet distance of many frames per clip, with its jackknife, with an earlier version.

2,048 + 2,048 clips of 16 frames, 256 numbers a frame: 32 blocks of 1,024 frames a side. Both versions in one
process; processor seconds, and the largest difference of a replicate.

    git show 2873364:vgbench/metrics/frechet.py > before.py
    OMP_NUM_THREADS=1 python benchmarks/frame_fid.py before.py
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from vgbench.metrics import Samples, frechet
from vgbench.metrics.uncertainty import Jackknife

FRAMES = 16
FEATURES = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("--clips", type=int, default=2048)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    sides = [frames(rng, arguments.clips), frames(rng, arguments.clips)]
    seconds: list[float] = []
    found: list[Jackknife] = []
    for module in (load(arguments.before), frechet):
        start = time.process_time()
        found.append(module.frechet_jackknife(*sides))
        seconds.append(time.process_time() - start)
    replicates = [np.concatenate([j.generated.replicates, j.real.replicates]) for j in found]
    difference = np.max(np.abs(replicates[0] / replicates[1] - 1))
    print(f"before {seconds[0]:.2f} s, now {seconds[1]:.2f} s: {seconds[0] / seconds[1]:.1f} × faster")
    print(f"largest relative difference of a replicate {difference:.1e}")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("frechet_before", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def frames(rng: np.random.Generator, clips: int) -> Samples:
    walks = rng.standard_normal((clips, FRAMES, FEATURES)).cumsum(axis=1)
    return Samples(walks.reshape(-1, FEATURES), None, np.repeat(np.arange(clips), FRAMES))


if __name__ == "__main__":
    main()
