"""Values that others print in their README, and that take minutes to repeat; the tests repeat the quick ones.

python benchmarks/published.py prdc      # many minutes of CPU: three draws of 10,000 x 1,000
python benchmarks/published.py noise     # a few minutes; needs `vgbench weights fetch i3d-k400`
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
import torch

from vgbench.extractors import i3d
from vgbench.metrics import frechet_distance
from vgbench.metrics.prdc import PRDC, precision_recall_density_coverage

DRAWS = 3
PRDC_README = PRDC(0.4772, 0.4705, 1.0555, 0.9735)
NOISE_README = 10.138084766713924
VIDEOS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("which", choices=("prdc", "noise"))
    {"prdc": prdc, "noise": noise}[parser.parse_args().which]()


def prdc() -> None:
    """Draws of N(0, I), 10,000 x 1,000, k = 5; the package prdc states no seed."""
    found = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        real, generated = rng.standard_normal((10_000, 1000)), rng.standard_normal((10_000, 1000))
        found.append(precision_recall_density_coverage(real, generated, k=5))
        print(seed, " ".join(f"{value:.4f}" for value in found[-1]), flush=True)
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    print(f"{'':10} published  mean of {DRAWS}  spread of one")
    for name, published, centre, one in zip(PRDC._fields, PRDC_README, mean, spread, strict=True):
        print(f"{name:10}    {published:.4f}     {centre:.4f}         {one:.4f}")


def noise() -> None:
    """FVD of two sets of uniform noise in [0, 1], as universome/fvd-comparison feeds it to the network."""
    distance = frechet_distance(noise_features(1), noise_features(2))
    print(f"published {NOISE_README}, here {distance}: {distance / NOISE_README - 1:+.2e} relative")


@torch.inference_mode()
def noise_features(seed: int) -> npt.NDArray[np.float32]:
    network = i3d.load().network
    draws = np.random.RandomState(seed)  # one stream: a video at a time gives the same numbers as all at once
    rows = []
    for _ in range(VIDEOS):
        video = draws.rand(16, 224, 224, 3).astype(np.float32)
        pixels = torch.from_numpy(video).permute(3, 0, 1, 2)[None]
        rows.append(network(pixels.contiguous(memory_format=torch.channels_last_3d)).numpy()[0])
    return np.stack(rows)


if __name__ == "__main__":
    main()
