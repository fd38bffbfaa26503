"""What several windows of one clip, and a real set of limited size, do to scores and to their intervals.

`windows` draws pairs of sets of one distribution. Each has G clips with W windows, and a window is the sum of
a part that the clip's windows share and of a part of its own, with variances R and 1 - R. A second run takes
one window of each clip. For each metric the table has the mean over draws with its error in brackets: of one
window per clip, of all windows if they are taken for clips of their own ("as clips"), and of all windows with
their groups; the means of the first and the last column should be equal. "covered" is the share of intervals
that hold the truth, which is 0 for KVD, and the mean of one window per clip for the others.

`copies` draws a training set and a generated set, of which a share was copied from the training set with
small changes and the others are new draws. The truth is the mean of the score over draws of both sets.
"(alone)" is the coverage of Wilson's interval, which regards the generated set alone.

`pieces` cuts clips of moving shapes of 128 frames into eight pieces each, and compares two sets of 64 such
clips by their features, with the pieces as clips of their own and in their groups. The truth is 0.

    python benchmarks/several_windows.py pieces --draws 60
    python benchmarks/several_windows.py windows            # the table of docs/metrics.md, 20 minutes
    python benchmarks/several_windows.py copies --draws 1000
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vgbench import extractors
from vgbench.clips import open_source
from vgbench.metrics import METRICS, Samples, Score
from vgbench.metrics.memorisation import score_copies
from vgbench.metrics.uncertainty import score_share

MEASURED = ("fvd", "kvd", "prdc")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["windows", "copies", "pieces"])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    run = {"windows": windows, "copies": copies, "pieces": pieces}[arguments.what]
    run(arguments.draws, arguments.seed)


def windows(draws: int, seed: int) -> None:
    print("clips  windows  shared  metric             one window         as clips        in groups  covered")
    for clips, count, shared in ((32, 8, 0.95), (128, 8, 0.95), (128, 8, 0.5), (128, 8, 0.0)):
        rng = np.random.default_rng(seed)
        found: dict[str, list[dict[str, Score]]] = {}
        for _ in range(draws):
            x, y = (hierarchical(rng, clips, count, shared) for _ in range(2))
            groups = np.repeat(np.arange(clips), count)
            for kind, (a, b) in {
                "one": (samples(x[::count]), samples(y[::count])),
                "as clips": (samples(x), samples(y)),
                "groups": (samples(x, groups), samples(y, groups)),
            }.items():
                found.setdefault(kind, []).append(
                    {name: s for metric in MEASURED for name, s in METRICS[metric].score(a, b).items()}
                )
        for metric in found["one"][0]:
            one, many, grouped = ([score[metric] for score in found[kind]] for kind in found)
            truth = 0.0 if metric in ("fvd", "kvd") else float(np.mean([score.value for score in one]))
            print(
                f"{clips:5d} {count:8d} {shared:7.2f}  {metric:12} {mean(one):>16} {mean(many):>16} "
                f"{mean(grouped):>16} {covered(grouped, truth):6.1f} %  ({covered(many, truth):.1f} %)",
                flush=True,
            )


def hierarchical(
    rng: np.random.Generator, clips: int, count: int, shared: float, dimension: int = 16
) -> npt.NDArray[np.float64]:
    """Windows of clips, float64 [clips * count, dimension], with variances that fall as 1 / k."""
    common = np.repeat(rng.standard_normal((clips, dimension)), count, axis=0)
    own = rng.standard_normal((clips * count, dimension))
    return (np.sqrt(shared) * common + np.sqrt(1 - shared) * own) / np.sqrt(np.arange(1, dimension + 1))


def samples(rows: npt.NDArray[np.float64], groups: npt.NDArray[np.int64] | None = None) -> Samples:
    return Samples(rows, None, np.arange(len(rows)) if groups is None else groups)


def mean(scores: list[Score]) -> str:
    values = np.array([score.best_estimate for score in scores])
    return f"{values.mean():.3f} ({values.std(ddof=1) / np.sqrt(len(values)):.3f})"


def covered(scores: list[Score], truth: float) -> float:
    """Percentage of the intervals that hold the truth."""
    intervals = [score.interval for score in scores if score.interval is not None]
    return 100 * float(np.mean([low <= truth <= high for low, high in intervals]))


def copies(draws: int, seed: int) -> None:
    print("generated  real  windows  copies  dimension  score          truth  spread  covered  (alone)")
    for n, m, count, share, d in (
        (256, 256, 1, 0.0, 16),
        (256, 256, 1, 0.1, 16),
        (256, 256, 1, 0.5, 16),
        (2048, 256, 1, 0.0, 16),
        (2048, 256, 1, 0.1, 16),
        (256, 1024, 1, 0.0, 16),
        (1024, 512, 1, 0.0, 64),
        (1024, 512, 1, 0.05, 4),
        (1024, 1024, 8, 0.0, 16),
        (256, 1024, 8, 0.1, 16),
    ):
        rng = np.random.default_rng(seed)
        found: list[Mapping[str, Score]] = []
        for _ in range(draws):
            y = hierarchical(rng, m // count, count, 0.95 if count > 1 else 1.0, d)
            x = hierarchical(rng, n, 1, 1.0, d)
            copied = np.flatnonzero(rng.random(n) < share)
            x[copied] = y[rng.integers(0, m, len(copied))] + 1e-3 * x[copied]
            found.append(score_copies(samples(x), samples(y, np.repeat(np.arange(m // count), count))))
        for name in ("copied", "authenticity"):
            scores = [scores[name] for scores in found]
            values = np.array([score.value for score in scores])
            alone = [score_share(np.arange(n) < round(value * n)) for value in values]
            print(
                f"{n:9d} {m:5d} {count:8d} {share:7.2f} {d:10d}  {name:12} {values.mean():7.4f} "
                f"{values.std(ddof=1):7.4f} {covered(scores, values.mean()):6.1f} %  "
                f"({covered(alone, values.mean()):.1f} %)",
                flush=True,
            )


def pieces(draws: int, seed: int) -> None:
    network, count, videos = extractors.load("embedded"), 8, 64
    source = open_source("builtin:moving-shapes/train?size=32&frames=128&clips=480")
    features = np.stack(
        [network(c.read(range(128)).reshape(count, 16, 32, 32, 3)).features.numpy() for c in source.clips]
    )
    rng, groups = np.random.default_rng(seed), np.repeat(np.arange(videos), count)
    found: dict[tuple[str, str], list[Score]] = {}
    for _ in range(draws):
        order = rng.permutation(len(features))
        x, y = (features[part].reshape(videos * count, -1) for part in (order[:videos], order[-videos:]))
        for metric in ("fvd", "kvd"):
            for kind, labels in (("as clips", None), ("in groups", groups)):
                score = METRICS[metric].score(samples(x, labels), samples(y, labels))[metric]
                found.setdefault((metric, kind), []).append(score)
    print("metric             mean (error)   spread  claimed  covered")
    for (metric, kind), scores in found.items():
        spread = np.std([score.best_estimate for score in scores], ddof=1)
        claimed = np.mean([score.standard_error for score in scores])
        numbers = f"{mean(scores):>16} {spread:8.3f} {claimed:8.3f} {covered(scores, 0.0):6.1f} %"
        print(f"{metric} {kind:10} {numbers}")


if __name__ == "__main__":
    main()
