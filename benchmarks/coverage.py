"""How often 95 % intervals hold the truth, and how often two models are told apart, on real features.

Sets are drawn from pools: features of the embedded extractor for 6,144 clips of moving shapes ("equal": both
sides are drawn from all of them; "slight": clips of every other class count twice; "some": only these
classes), for blurred clips, and for long clips with four windows each; clip metrics of 2,048 clips; and
Gaussian and heavy-tailed sets (Student's t with 3 degrees of freedom). Rows are drawn with replacement, so
the truth is the metric of the whole pool. Precision, recall, density and coverage depend on the number of
clips by definition; their rows are drawn without replacement, and their truth is the mean over all draws.

One row of the table is one line of the bench. "symmetric" is estimate ± Student's t × standard error, cut at
the range of a share, which vgbench had before its intervals had unequal arms. "below, above" says where the
truth was when it was missed. Right: 92 to 98.5 % held, and misses on both sides.

The second table has pairs of models that are scored against one real set: models with true distances of 0,
5, 10, … 30, which are mixtures of all clips and of clips of some classes. Right: at most 5 % of equal pairs
are told apart, and as many of the others as possible. "symmetric" is the test that vgbench had before, and
"oracle" knows the true error of the difference.

    python benchmarks/coverage.py                              # every line; hours of one core
    python benchmarks/coverage.py --only 'fvd 32 64:64' prdc   # the lines that begin like this
    python benchmarks/coverage.py --list
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import numpy.typing as npt

from vgbench.metrics import (
    METRICS,
    FrechetMoments,
    Samples,
    Score,
    difference,
    frechet,
    frechet_distance,
    inception,
    inception_score,
    kernel,
    kernel_distance,
    prdc,
    score_clips,
)
from vgbench.metrics.uncertainty import freedom, student_t

Rows = npt.NDArray[np.float64]
Pool = Mapping[str, npt.NDArray[np.generic]]

CLIPS = {
    "shapes": ("builtin:moving-shapes/train?size=32&clips=6144", 1, ""),
    "blurred": ("builtin:moving-shapes/train?size=32&clips=4096&seed=1", 1, "blur=0.2"),
    "windows": ("builtin:moving-shapes/train?size=32&clips=1024&frames=64&seed=2", 4, ""),
}
"""Pool -> source, windows of each clip, distortion."""
CLIP_METRICS = (
    "warping_error",
    "temporal_flicker",
    "motion_smoothness",
    "dynamic_degree",
    "acd",
    "periodicity",
)
LADDER = (0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0)
PAIRS = ((0, 0), (2, 2), (6, 6), *((i, i + 1) for i in range(len(LADDER) - 1)))


@dataclass(frozen=True)
class Line:
    """One setting.

    Attributes:
        name: metric, dimensions, clips of both sides, which sets.
        draw: draws both sides and scores them; one score for each name.
        truth: by score name; None where it is the mean over the draws.
    """

    name: str
    draw: Callable[[np.random.Generator], Mapping[str, Score]]
    truth: Callable[[], Mapping[str, float]] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[""], help="lines whose names begin like one of these")
    parser.add_argument("--draws", type=int, default=1000, help="for each line")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--list", action="store_true", help="print the names of the lines and stop")
    arguments = parser.parse_args()
    chosen = [line for line in lines() if line.name.startswith(tuple(arguments.only))]
    if arguments.list:
        print(*(line.name for line in lines()), "ladder", sep="\n")
        return
    if chosen:
        print(
            "| line | truth | plain | estimate | spread | claimed | held | below, above | symmetric | draws |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for line in chosen:
        rng = np.random.default_rng(arguments.seed)
        draws = [line.draw(rng) for _ in range(arguments.draws)]
        known = line.truth() if line.truth else {}
        for name in draws[0]:
            print(row(line.name, name, [scores[name] for scores in draws], known.get(name)), flush=True)
    if any("ladder".startswith(only) for only in arguments.only):
        print_ladder(arguments.draws, arguments.seed)


def row(line: str, name: str, scores: Sequence[Score], truth: float | None = None) -> str:
    """Summarise the draws of one score."""
    best = np.array([score.best_estimate for score in scores])
    centre = float(best.mean()) if truth is None else truth
    ends = np.array([score.interval for score in scores])
    below, above = np.mean(centre < ends[:, 0]), np.mean(centre > ends[:, 1])
    older = np.array([symmetric(score) for score in scores])
    equal_arms = np.mean((older[:, 0] <= centre) & (centre <= older[:, 1]))
    numbers = (
        centre,
        np.mean([score.value for score in scores]),
        best.mean(),
        best.std(ddof=1),
        np.mean([score.standard_error for score in scores]),
    )
    label = line if line.startswith(name) else f"{name} {line.partition(' ')[2]}"
    return (
        f"| {label} | {' | '.join(f'{number:.4g}' for number in numbers)} | {1 - below - above:.1%} | "
        f"{below:.1%}, {above:.1%} | {equal_arms:.1%} | {len(scores)} |"
    )


def symmetric(score: Score) -> tuple[float, float]:
    """The interval of the same score before intervals had unequal arms."""
    bounded = "Wilson" in score.method
    half = student_t(freedom(score) if score.deviations else score.n - 1) * (score.standard_error or 0.0)
    low, high = score.best_estimate - half, score.best_estimate + half
    return (max(low, 0.0), min(high, 1.0)) if bounded else (low, high)


def lines() -> Iterator[Line]:
    """Every line, cheap ones first within a metric."""
    for metric in ("fvd", "kvd"):
        for dimensions in (32, 256):
            for n, m in ((64, 64), (256, 256), (64, 2048)):
                for which in ("equal", "slight", "some"):
                    name = f"{metric} {dimensions} {n}:{m} {which}"
                    sides = partial(shapes, dimensions, which)
                    yield distance_line(name, metric, sides, n, m)
        yield distance_line(f"{metric} 32 512:512 equal", metric, partial(shapes, 32, "equal"), 512, 512)
        yield distance_line(f"{metric} 256 64:64 blurred", metric, blurred, 64, 64)
        yield windows_line(metric, 64)
    for which, scale in (("equal", 0.0), ("apart", 0.3)):
        yield gaussian_line(f"fvd 32 64:64 Gaussian, {which}", 64, scale)
    for n in (64, 256):
        yield heavy_line(f"fvd 32 {n}:{n} t3", n)
    for n in (64, 256):
        for which in ("equal", "some"):
            yield Line(f"prdc 256 {n}:{n} {which}", partial(draw_neighbours, n, which))
        yield Line(
            f"is {n}",
            partial(draw_inception, n),
            lambda: {"is": inception_score(pool("shapes")["logits"]).mean},
        )
    for n in (16, 64):
        for name in CLIP_METRICS:
            yield Line(
                f"{name} {n}",
                partial(draw_clips, name, n),
                lambda name=name: {name: float(values()[name].mean())},
            )


def distance_line(name: str, metric: str, sides: Callable[[], tuple[Rows, Rows]], n: int, m: int) -> Line:
    """Draw both sides from pools, generated and real."""

    def draw(rng: np.random.Generator) -> Mapping[str, Score]:
        generated, real = (
            samples(rows[rng.integers(0, len(rows), k)]) for rows, k in zip(sides(), (n, m), strict=True)
        )
        return DISTANCES[metric][0](generated, real)

    return Line(name, draw, lambda: {metric: DISTANCES[metric][1](*sides())})


def windows_line(metric: str, n: int) -> Line:
    """Four windows of each source clip, on both sides."""

    def draw(rng: np.random.Generator) -> Mapping[str, Score]:
        features = pool("windows")["features"].astype(np.float64).reshape(-1, 4, 256)
        generated, real = (
            samples(features[rng.integers(0, len(features), n)].reshape(-1, 256), np.repeat(np.arange(n), 4))
            for _ in range(2)
        )
        return DISTANCES[metric][0](generated, real)

    return Line(f"{metric} 256 {n}:{n} four windows of a clip", draw, lambda: {metric: 0.0})


def gaussian_line(name: str, n: int, shift: float) -> Line:
    """Standard deviations that fall as 1/√k, scaled by 1.3 to 0.7 on the generated side if it is shifted."""
    scale = 1 / np.sqrt(np.arange(1, 33))
    other = scale * np.linspace(1.3, 0.7, 32) if shift else scale

    def draw(rng: np.random.Generator) -> Mapping[str, Score]:
        generated = rng.standard_normal((n, 32)) * other + shift * scale
        return frechet.score(samples(generated), samples(rng.standard_normal((n, 32)) * scale))

    return Line(
        name, draw, lambda: {"fvd": float(np.sum((shift * scale) ** 2) + np.sum((scale - other) ** 2))}
    )


def heavy_line(name: str, n: int) -> Line:
    """Independent features with infinite fourth moments."""

    def draw(rng: np.random.Generator) -> Mapping[str, Score]:
        generated = samples(rng.standard_t(3, (n, 32)))
        return frechet.score(generated, samples(rng.standard_t(3, (n, 32))))

    return Line(name, draw, lambda: {"fvd": 0.0})


def draw_neighbours(n: int, which: str, rng: np.random.Generator) -> Mapping[str, Score]:
    generated, real = (samples(rows[rng.permutation(len(rows))[:n]]) for rows in shapes(256, which))
    return prdc.score(generated, real)


def draw_inception(n: int, rng: np.random.Generator) -> Mapping[str, Score]:
    logits = pool("shapes")["logits"]
    picked = logits[rng.integers(0, len(logits), n)].astype(np.float32)
    return inception.score(Samples(picked, picked, np.arange(n)))


def draw_clips(name: str, n: int, rng: np.random.Generator) -> Mapping[str, Score]:
    measured = values()[name]
    drawn = measured[rng.integers(0, len(measured), n)]
    return {name: score_clips(drawn, bounds=METRICS[name].bounds[name])}


DISTANCES: dict[
    str, tuple[Callable[[Samples, Samples], Mapping[str, Score]], Callable[[Rows, Rows], float]]
] = {
    "fvd": (frechet.score, partial(frechet_distance, covariance="biased")),
    "kvd": (kernel.score, partial(kernel_distance, biased=True)),
}


def samples(rows: Rows, groups: npt.NDArray[np.int64] | None = None) -> Samples:
    return Samples(rows, None, np.arange(len(rows)) if groups is None else groups)


@cache
def shapes(dimensions: int, which: str) -> tuple[Rows, Rows]:
    """Generated and real pool, on the principal axes of the real one."""
    rows, axes, is_kept = principal(dimensions)
    real = (rows - rows.mean(0)) @ axes
    generated = {"equal": real, "slight": np.concatenate([real, real[is_kept]]), "some": real[is_kept]}
    return generated[which], real


@cache
def blurred() -> tuple[Rows, Rows]:
    return pool("blurred")["features"].astype(np.float64), pool("shapes")["features"].astype(np.float64)


def principal(dimensions: int) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
    """Features, their first principal axes, and which clips belong to every other class."""
    rows, labels = pool("shapes")["features"].astype(np.float64), pool("shapes")["labels"]
    axes = np.linalg.eigh(np.cov(rows, rowvar=False))[1][:, ::-1][:, :dimensions]
    return rows, axes, np.isin(labels, np.unique(labels)[::2])


@cache
def pool(name: str) -> Pool:
    """Features [N, D], logits [N, K] and labels [N] of a pool; kept in a temporary folder."""
    path = Path(gettempdir()) / "vgbench-coverage" / f"{name}.npz"
    if not path.exists():
        from vgbench import extractors
        from vgbench.clips import open_source
        from vgbench.clips.distortions import distort

        spec, windows, distortion = CLIPS[name]
        source = open_source(spec)
        if distortion:
            kind, _, strength = distortion.partition("=")
            source = distort(source, kind, float(strength))
        network = extractors.load("embedded")
        found: list[tuple[Rows, Rows]] = []
        for start in range(0, len(source.clips), 64 // windows):
            part = source.clips[start : start + 64 // windows]
            cuts = [range(16 * window, 16 * window + 16) for window in range(windows)]
            seen = network(np.stack([clip.read(cut) for clip in part for cut in cuts]))
            found.append((seen.features.numpy(), seen.logits.numpy()))
        features, logits = (np.concatenate(parts) for parts in zip(*found, strict=True))
        labels = np.array([str(clip.label) for clip in source.clips for _ in range(windows)])
        path.parent.mkdir(exist_ok=True)
        np.savez(path, features=features, logits=logits, labels=labels)
    return dict(np.load(path))


@cache
def values() -> Mapping[str, Rows]:
    """What the clip metrics measure on 2,048 clips, float64 [2048] each."""
    path = Path(gettempdir()) / "vgbench-coverage" / "clips.npz"
    if not path.exists():
        from vgbench.clips import open_source
        from vgbench.metrics.clip_view import ClipView

        found: dict[str, list[float]] = {name: [] for name in CLIP_METRICS}
        for clip in open_source("builtin:moving-shapes/train?size=32&clips=2048&seed=3").clips:
            view = ClipView(clip.read(range(16)))
            for name in CLIP_METRICS:
                metric = METRICS[name]
                if metric.measure is not None:
                    found[name].append(
                        float(metric.measure(view if metric.sees == "motion" else view.frames))
                    )
        path.parent.mkdir(exist_ok=True)
        np.savez(path, **{name: np.array(column) for name, column in found.items()})
    return dict(np.load(path))


def print_ladder(draws: int, seed: int, n: int = 256) -> None:
    """Models of the ladder against one real set of as many clips, all drawn anew each time."""
    kept, real = shapes(32, "some")
    shares = [share_at(distance) for distance in LADDER]
    rng = np.random.default_rng(seed)

    def model(share: float) -> Samples:
        rows = real[rng.integers(0, len(real), n)]
        is_kept = rng.random(n) < share
        rows[is_kept] = kept[rng.integers(0, len(kept), np.count_nonzero(is_kept))]
        return samples(rows)

    found: list[list[tuple[Score, Score]]] = [[] for _ in PAIRS]
    for _ in range(draws):
        against = samples(real[rng.integers(0, len(real), n)])
        firsts, seconds = ([frechet.score(model(s), against)["fvd"] for s in shares] for _ in range(2))
        for pair, (i, j) in zip(found, PAIRS, strict=True):
            pair.append((firsts[i], seconds[j]))
    print("| true distances | spread | claimed | told apart | symmetric | oracle | held | draws |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for pair, (i, j) in zip(found, PAIRS, strict=True):
        truth = LADDER[j] - LADDER[i]
        after = [difference(second, first, same_real=True) for first, second in pair]
        gaps = np.array([one.value for one in after])
        errors = np.array([one.standard_error for one in after])
        ends = np.array([one.interval for one in after])
        told = np.mean((ends[:, 0] > 0) | (ends[:, 1] < 0))
        before = np.mean(np.abs(gaps) > student_t(31) * errors)
        held = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
        oracle = np.mean(np.abs(gaps) > 1.96 * gaps.std())
        print(
            f"| {LADDER[i]:g}, {LADDER[j]:g} | {gaps.std(ddof=1):.3g} | {errors.mean():.3g} | {told:.1%} | "
            f"{before:.1%} | {oracle:.1%} | {held:.1%} | {len(pair)} |",
            flush=True,
        )


@cache
def share_at(distance: float) -> float:
    """Share of clips of some classes in a mixture with this true distance from the real pool."""
    from scipy.optimize import brentq

    _, real = shapes(32, "equal")
    is_kept = principal(32)[2]

    def excess(share: float) -> float:
        weights = np.full(len(real), (1 - share) / len(real)) + share * is_kept / is_kept.sum()
        mean = weights @ real
        apart = (real - mean) * np.sqrt(weights)[:, None]
        mixture = FrechetMoments(len(real), mean, apart.T @ apart * len(real))
        return mixture.distance(FrechetMoments.from_features(real), covariance="biased") - distance

    return 0.0 if distance == 0 else float(brentq(excess, 0.0, 1.0))


if __name__ == "__main__":
    main()
