"""How often the 95 % interval of the Fréchet distance covers the truth.

Draws pairs of Gaussian sets whose distance is known in closed form and scores each pair as an evaluation does
(delete-a-group jackknife, 32 blocks per side). Prints the plain value, the corrected value, its true spread,
the standard error that was claimed, and the share of intervals that cover the truth. The last column is the
coverage of the textbook jackknife, which counts the variance from pairs of clips twice.

Standard deviations along the axes run from 0.5 to 1.5, or (`--spectrum decaying`) variances fall as 1/k,
which is nearer to what networks give: few directions hold most of the variance.

    python benchmarks/coverage.py                       # the table of docs/metrics.md, about 5 minutes
    python benchmarks/coverage.py --only 50:250 --repetitions 1000
    python benchmarks/coverage.py --only 256:256 --spectrum decaying --repetitions 100
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vgbench.metrics.frechet import frechet_jackknife
from vgbench.metrics.score import Samples, Score

# (dimensions, clips per side, repetitions).
DEFAULT = (
    (20, 100, 1000),
    (20, 400, 600),
    (50, 250, 600),
    (50, 500, 600),
    (100, 500, 200),
    (100, 2000, 150),
    (400, 2000, 40),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", help="one setting D:N instead of the table")
    parser.add_argument("--repetitions", type=int, help="draws for each line")
    parser.add_argument("--spectrum", choices=["even", "decaying"], default="even")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    settings = DEFAULT
    if arguments.only:
        d, n = map(int, arguments.only.split(":"))
        settings = ((d, n, 200),)
    print("   D     N  sets   draws   truth   plain  corrected  spread  claimed  covered  (textbook)")
    for d, n, repetitions in settings:
        for equal in (False, True):
            draws = arguments.repetitions or repetitions
            print(line(d, n, draws, equal, arguments.spectrum, arguments.seed), flush=True)


def line(d: int, n: int, repetitions: int, equal: bool, spectrum: str, seed: int) -> str:
    """Simulate one setting."""
    if spectrum == "even":
        x_scale = np.linspace(0.5, 1.5, d)
        y_scale = x_scale if equal else np.linspace(0.6, 1.3, d)
        shift = np.full(d, 0.0 if equal else 0.1)
    else:
        x_scale = 1 / np.sqrt(np.arange(1, d + 1))
        y_scale = x_scale if equal else x_scale * np.linspace(1.3, 0.7, d)
        shift = (0.0 if equal else 0.3) * x_scale
    truth = float(np.sum(shift**2) + np.sum((x_scale - y_scale) ** 2))
    rng = np.random.default_rng(seed)
    scores, textbook = [], []
    for _ in range(repetitions):
        x = rng.standard_normal((n, d)) * x_scale
        y = rng.standard_normal((n, d)) * y_scale + shift
        jackknife = frechet_jackknife(samples(x), samples(y))
        scores.append(jackknife.score(n))
        textbook.append(replace(jackknife, from_pairs=0.0).score(n))
    corrected = [score.best_estimate for score in scores]
    return (
        f"{d:4d} {n:5d}  {'equal' if equal else 'apart'} {repetitions:7d} {truth:7.3f} "
        f"{np.mean([s.value for s in scores]):7.3f} {np.mean(corrected):10.3f} "
        f"{np.std(corrected, ddof=1):7.3f} {np.mean([s.standard_error for s in scores]):8.3f} "
        f"{covered(scores, truth):7.1f} %  ({covered(textbook, truth):.1f} %)"
    )


def samples(x: npt.NDArray[np.float64]) -> Samples:
    return Samples(x, None, np.arange(len(x)))  # type: ignore[arg-type]


def covered(scores: list[Score], truth: float) -> float:
    """Percentage of the intervals that hold the truth."""
    intervals = [score.interval for score in scores if score.interval is not None]
    return 100 * float(np.mean([low <= truth <= high for low, high in intervals]))


if __name__ == "__main__":
    main()
