"""Published values that take minutes to reproduce; the tests reproduce those that are quick.

python benchmarks/published.py prdc --draws 40    # 10,000 x 1,000 each, about 20 s of one core per draw
python benchmarks/published.py noise              # a few minutes; needs `vgbench weights fetch i3d-k400`
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from vgbench.extractors import i3d
from vgbench.metrics import frechet_distance
from vgbench.metrics.prdc import PRDC, precision_recall_density_coverage

K = 5
ROWS = 1000
PRDC_README = PRDC(0.4772, 0.4705, 1.0555, 0.9735)
Array = npt.NDArray[np.float32]
NOISE_README = 10.138084766713924
VIDEOS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("which", choices=("prdc", "noise"))
    parser.add_argument("--draws", type=int, default=40, help="of prdc")
    arguments = parser.parse_args()
    if arguments.which == "prdc":
        prdc(arguments.draws)
    else:
        noise()


def prdc(draws: int) -> None:
    """Draws of N(0, I), 10,000 x 1,000, k = 5; the package prdc states no seed.

    Squared distances come from float32 matrix products, in a tenth of the time; a part of each draw is scored
    by the library too, and must be equal.
    """
    found, further_out = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        real, generated = (rng.standard_normal((10_000, 1000)).astype(np.float32) for _ in range(2))
        part = real[:300], generated[:300]
        if not np.allclose(by_products(*part), precision_recall_density_coverage(*part, k=K), atol=1e-9):
            raise AssertionError("matrix products change the result")
        found.append(by_products(real, generated))
        further_out.append(np.mean(generated**2) - np.mean(real**2))
        print(seed, " ".join(f"{value:.4f}" for value in found[-1]), flush=True)
    values = np.array(found)
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
    print(f"{'':10} published  mean of {draws:<4} spread of one      range        published is")
    for i, name in enumerate(PRDC._fields):
        low, high = values[:, i].min(), values[:, i].max()
        away = (PRDC_README[i] - mean[i]) / spread[i]
        print(
            f"{name:10}    {PRDC_README[i]:.4f}      {mean[i]:.4f}        {spread[i]:.4f}     "
            f"{low:.4f} to {high:.4f}   {away:+.1f} spreads away"
        )
    together = np.corrcoef(values[:, 2], further_out)[0, 1]
    print(f"density and how much further out the generated set lies, |g|² − |r|²: correlation {together:.2f}")


def by_products(real: Array, generated: Array) -> PRDC:
    """`precision_recall_density_coverage` from |x|² + |y|² − 2 ⟨x, y⟩; a row is at 0 from itself."""
    radii_r, radii_g = (
        np.concatenate([np.partition(d, K - 1, axis=1)[:, K - 1] for d in squared(x, x, apart=True)])
        for x in (real, generated)
    )
    balls, recalled, covered = np.zeros(len(generated)), [], []
    for start, d in zip(range(0, len(real), ROWS), squared(real, generated), strict=True):
        inside = d < radii_r[start : start + ROWS, None]
        balls += inside.sum(axis=0)
        recalled.append((d < radii_g).any(axis=1))
        covered.append(inside.any(axis=1))
    shares = [float(np.concatenate(hits).mean()) for hits in (recalled, covered)]
    return PRDC(float((balls > 0).mean()), shares[0], float(balls.mean() / K), shares[1])


def squared(x: Array, y: Array, apart: bool = False) -> Iterator[Array]:
    """Squared distances of `ROWS` rows of x to all of y; infinite to itself where `apart`."""
    lengths = np.einsum("nd,nd->n", y, y)
    for start in range(0, len(x), ROWS):
        rows = x[start : start + ROWS]
        d = np.einsum("nd,nd->n", rows, rows)[:, None] + lengths - 2 * (rows @ y.T)
        if apart:
            own = np.arange(len(rows))
            d[own, start + own] = np.inf
        yield d


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
