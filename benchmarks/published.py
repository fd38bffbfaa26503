"""Published values that take longer to reproduce; the tests reproduce those that are quick.

python benchmarks/published.py prdc --draws 40           # 10,000 x 1,000 each, about 20 s per draw
python benchmarks/published.py noise                     # a few minutes
python benchmarks/published.py black                     # seconds
python benchmarks/published.py cdfvd --public FOLDER     # seconds; also the distances of its statistics
python benchmarks/published.py all --public FOLDER

All but `prdc` need `vgbench weights fetch i3d-k400`. FOLDER holds `example_videos/` and statistics of cd-fvd,
from the folder `files/` of the repository content-debiased-fvd/content-debiased-fvd.github.io.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from vgbench import extractors, protocol
from vgbench.clips.sources import open_source
from vgbench.extractors import i3d
from vgbench.extractors.weights.arrays_pickle import ArraysUnpickler
from vgbench.metrics import FrechetMoments, frechet_distance
from vgbench.metrics.prdc import PRDC, precision_recall_density_coverage
from vgbench.protocol.pixels import resize

K = 5
ROWS = 1000
PRDC_README = PRDC(0.4772, 0.4705, 1.0555, 0.9735)
Array = npt.NDArray[np.float32]
NOISE_README = 10.138084766713924
VIDEOS = 128
BLACK_README = {
    10: 569.23,
    11: 486.36,
    12: 551.96,
    13: 146.37,
    14: 172.85,
    15: 133.70,
    16: 152.92,
    30: 151.39244,
}
"""common_metrics_on_video_quality: of its TorchScript file up to 16 frames, and of TensorFlow for 30."""
CDFVD_ISSUE = (3383.967043, 3383.964558)
"""I3D on the example of cd-fvd's README, as a user and the author found it."""
CDFVD_DRAWN = 29.965
"""UCF-101, 2,048 drawn clips against all, 128 pixels and 16 frames: from cd-fvd's statistics alone."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("which", choices=("prdc", "noise", "black", "cdfvd", "all"))
    parser.add_argument("--draws", type=int, default=40, help="of prdc")
    parser.add_argument("--public", type=Path, metavar="FOLDER", help="for cdfvd")
    arguments = parser.parse_args()
    which = arguments.which
    if which in ("cdfvd", "all") and arguments.public is None:
        parser.error(f"{which} needs --public FOLDER")
    if which in ("black", "all"):
        black()
    if which in ("cdfvd", "all"):
        cdfvd(arguments.public)
    if which in ("noise", "all"):
        noise()
    if which in ("prdc", "all"):
        prdc(arguments.draws)


def told(what: str, published: float, here: float) -> None:
    print(f"{what}: published {published}, here {here:.6f}: {here / published - 1:+.1e} relative", flush=True)


@torch.inference_mode()
def black() -> None:
    """FVD of black against white clips: two points, so it is the squared distance of their features."""
    network = {name: extractors.load(name) for name in ("i3d-k400", "i3d-k400-eps1e-5")}
    for frames, published in BLACK_README.items():
        clip = np.zeros((1, frames, 16, 16, 3), np.uint8)
        for name, extractor in network.items():
            gap = extractor(clip).features.double() - extractor(clip + 255).features.double()
            told(f"black against white, {frames} frames, {name}", published, float(gap.square().sum()))


@torch.inference_mode()
def cdfvd(folder: Path) -> None:
    """The example of cd-fvd's README, which loads its videos at 256 pixels and statistics made at 128."""
    full, drawn = (moments(folder / f"i3d_ucf101_{n}_res128_len16_skip1_seed0.pkl") for n in ("full", "2048"))
    told("UCF-101, 2,048 clips against all", CDFVD_DRAWN, drawn.distance(full, covariance="biased"))
    clips = [clip.read(range(16)) for clip in open_source(folder / "example_videos").clips]
    for size, version in ((256, ""), (128, ""), (256, "@2.0"), (256, "@1.0")):
        plan = protocol.load(f"fvd-cdfvd{version}", [f"resize.size={size}"])
        extractor = extractors.load(plan.extractor.name, None, **plan.extractor.options)
        frames = [resize(clip, plan.resize_for("generated"))[None] for clip in clips]
        features = torch.cat([extractor(one).features for one in frames]).double()
        distance = FrechetMoments.from_features(features).distance(full, covariance="biased")
        for published in CDFVD_ISSUE:
            told(f"cd-fvd's example, {size} pixels, fvd-cdfvd {plan.version}", published, distance)


def moments(path: Path) -> FrechetMoments:
    """Read cd-fvd's sums of features and of their products."""
    with path.open("rb") as file:
        stored = ArraysUnpickler(file).load()
    n, mean = stored["num_items"], stored["raw_mean"] / stored["num_items"]
    return FrechetMoments(n, mean, stored["raw_cov"] - n * np.outer(mean, mean))


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
    told("two sets of noise", NOISE_README, distance)


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
