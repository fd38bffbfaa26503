"""Standard errors, bias corrections and intervals, computed from the scored clips.

The unit is the source clip, because windows of one clip are not independent. Source clips are assigned to at
most `BLOCKS` blocks, the metric is computed again without each block, and the spread of these replicates
gives the error (delete-a-group jackknife). The blocks may differ in size, so bias and pseudo-values are those
of the delete-m_j jackknife (Busing, Meijer and van der Leeden, Statistics and Computing 9, 1999).

Distances between sets depend on pairs of clips, not only on single clips, and the jackknife counts the
variance from pairs twice (Efron and Stein, Annals of Statistics 9, 1981). Where the two sets are nearly
equal, that is all of the variance. `resample` therefore also leaves out some pairs of blocks, and subtracts
their part once.

An interval is only as good as the assumption that the error does not depend on the estimate. It does for
squared distances (a set of clips that is far by chance also has a large error), for shares near 0 or 1, and
for means of skewed values, so that symmetric intervals miss the truth on one side. These scores therefore
have unequal arms: `sloped_interval`, `wilson_interval` and `skewed_interval`.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.score import Score

BLOCKS = 32
LEAST_BLOCKS = 4
CONFIDENCE = 0.95
STEEPEST = 1.0
"""Largest slope of an error that is measured. Where a distance consists of pairs of clips only, the direction
in which it grows is noise, and so is the slope. Up to here, the interval holds the estimate."""
_LARGEST_EXPONENT = 10.0  # an interval that spans four orders of magnitude says all that can be said


def deal(groups: npt.ArrayLike, blocks: int = BLOCKS) -> list[npt.NDArray[np.int64]]:
    """Assign source clips to blocks with nearly equal numbers of windows.

    The order is shuffled with a fixed seed: neighbours in a sorted folder tend to be of one class, and
    assigning them in turn would make the blocks more alike than by chance, and thus the error too small.

    Args:
        groups: integers [N]; windows of one source clip share a number and stay together.
        blocks: the most blocks; there are fewer where there are fewer source clips.

    Returns:
        Row indices of each block, ascending; equal input gives equal blocks. Empty where there are fewer than
        `LEAST_BLOCKS` source clips, too few to estimate an error.
    """
    numbers, member, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if len(numbers) < LEAST_BLOCKS:
        return []
    order = np.random.default_rng(0).permutation(len(numbers))
    order = order[np.argsort(-counts[order], kind="stable")]  # largest first balances best
    lightest = [(0, block) for block in range(min(blocks, len(numbers)))]
    block_of = np.empty(len(numbers), dtype=np.int64)
    for group in order:
        load, block = heapq.heappop(lightest)
        block_of[group] = block
        heapq.heappush(lightest, (load + int(counts[group]), block))
    return [np.flatnonzero(block_of[member] == block) for block in range(len(lightest))]


@dataclass(frozen=True)
class Side:
    """Replicates of one set.

    Attributes:
        replicates: the metric without block j, for each j; empty where there are too few source clips.
        sizes: rows in block j.
    """

    replicates: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, replicates: Sequence[float], blocks: Blocks) -> Side:
        """Pair replicates with the sizes of the blocks that they leave out."""
        sizes = np.array([len(block) for block in blocks], dtype=np.int64)
        return cls(np.asarray(replicates, dtype=np.float64), sizes)

    def bias(self, value: float) -> float:
        """Estimated finite-sample bias of `value`: Σ (1 − m_j / n) θ_(−j) − (g − 1) θ."""
        kept = 1 - self.sizes / self.sizes.sum()
        return float(np.sum(kept * (self.replicates - value)))

    def deviations(self, value: float) -> npt.NDArray[np.float64]:
        """Contribution of each block to the error; their squares sum to the jackknife variance.

        With h_j = n / m_j, pseudo-values h_j θ − (h_j − 1) θ_(−j) and θ_J = θ − bias, contribution j is
        √((g − 1) / g) (pseudo-value_j − θ_J) / (h_j − 1). For a mean that is the cluster-robust error with
        every block a cluster. (Busing et al. divide by √(h_j − 1), which holds for independent rows only.)
        """
        g, ratio = len(self.sizes), self.sizes.sum() / self.sizes
        pseudo = ratio * value - (ratio - 1) * self.replicates
        centred = pseudo - (value - self.bias(value))
        return np.asarray(math.sqrt((g - 1) / g) * centred / (ratio - 1), dtype=np.float64)


@dataclass(frozen=True)
class Jackknife:
    """A metric on all clips and its replicates without each block of either set.

    Attributes:
        value: on all clips.
        generated: replicates that leave out a block of generated clips.
        real: replicates that leave out a block of real clips; None for metrics without a real set.
        biased: whether the finite-sample bias is an error to correct. False for unbiased estimators, and for
            metrics that are only meaningful at a given sample size (precision, recall).
        from_pairs: estimated standard deviation from pairs of clips, whose square the replicates count twice;
            0 if unknown; the error is then too large rather than too small.
        positive: an estimate with the same error that cannot be negative; the interval is then symmetric in
            its logarithm, a `sloped_interval` of slope SE / positive.
        bends: second-order coefficients a, b, c of the metric, see `bends`; the interval is then a
            `sloped_interval` with the slope that follows from them.
        share_of: number of windows or clips that the value is a share of; the interval is then that of
            `wilson_interval`. None if it is not a share.
    """

    value: float
    generated: Side
    real: Side | None = None
    biased: bool = True
    from_pairs: float = 0.0
    positive: float | None = None
    bends: tuple[float, float, float] | None = None
    share_of: int | None = None

    def shifted(self, by: float) -> Jackknife:
        """The same with a constant added to the value and to every replicate."""
        sides = [replace(side, replicates=side.replicates + by) for side in self.sides]
        return replace(self, value=self.value + by, generated=sides[0], real=sides[1] if sides[1:] else None)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (self.generated,) if self.real is None else (self.generated, self.real)

    @property
    def corrected(self) -> float:
        """The value minus the estimated bias of both sides."""
        return self.value - sum(side.bias(self.value) for side in self.sides)

    @property
    def share_counted_once(self) -> float:
        """True variance over the variance of the replicates, in [½, 1]: at most half can be from pairs."""
        deviation = _root_of_squares([side.deviations(self.value) for side in self.sides])
        return max(0.5, 1 - min(1.0, self.from_pairs / deviation) ** 2) if deviation > 0 else 1.0

    def score(self, n: int) -> Score:
        """Make a `Score`; without an error where a side has fewer than `LEAST_BLOCKS` source clips.

        The interval is Student's t with Welch–Satterthwaite degrees of freedom, on the scale that suits the
        metric. Subtracting the part from pairs does not remove its noise; except for `positive`, the degrees
        of freedom are therefore multiplied by the square of the share that remains.
        """
        if any(len(side.sizes) == 0 for side in self.sides):
            method = f"none: a jackknife needs {LEAST_BLOCKS} source clips on each side"
            return Score(self.value, None, None, n, method=method)
        debiased = self.corrected if self.biased else None
        centre = self.value if debiased is None else debiased
        share = self.share_counted_once
        parts = [math.sqrt(share) * side.deviations(self.value) for side in self.sides]
        freedom = welch_freedom(parts)
        standard_error = _root_of_squares(parts)
        blocks = f"{'+'.join(str(len(side.sizes)) for side in self.sides)} blocks"
        if self.share_of is not None:
            effective = effective_number(centre, standard_error, 1, self.share_of)
            quantile = student_t(freedom) if standard_error > 0 else None
            interval = wilson_interval(centre, effective, quantile)
            method = f"jackknife({blocks}), Wilson interval with t"
        elif self.bends is not None:
            _, interval = error_and_interval(centre, parts, share**2 * freedom, bends=self.bends)
            method = f"jackknife({blocks}), curvature-corrected interval"
        elif self.positive is not None:
            _, interval = error_and_interval(centre, parts, freedom, self.positive)
            method = f"jackknife({blocks}), log interval"
        else:
            _, interval = error_and_interval(centre, parts, share**2 * freedom)
            method = f"jackknife({blocks})"
        generated, real = (*(tuple(part.tolist()) for part in parts), ())[:2]
        return Score(self.value, standard_error, interval, n, debiased, method, deviations=(generated, real))


Blocks = Sequence[npt.NDArray[np.int64]]


def resample(
    measure: Callable[[Sequence[int], Sequence[int]], float],
    generated: Blocks,
    real: Blocks,
    biased: bool = True,
    pairs: bool = True,
) -> Jackknife:
    """Jackknife of a distance between two sets.

    Besides each block alone, it leaves out disjoint pairs of blocks of either side and one block of both,
    which approximately doubles the number of replicates, and six halves of the blocks (see `bends`).

    Args:
        measure: distance without the blocks of the given numbers, generated and real.
        generated: blocks from `deal`; none if empty.
        real: as `generated`.
        biased: see `Jackknife`.
        pairs: whether to leave out pairs too.
    """
    value = measure((), ())
    x = Side.of([measure((j,), ()) for j in range(len(generated))], generated)
    y = Side.of([measure((), (j,)) for j in range(len(real))], real)
    from_pairs = 0.0
    if generated and real and pairs:
        from_pairs = math.hypot(
            pairs_within(value, x, [measure(pair, ()) for pair in neighbours(len(generated))]),
            pairs_within(value, y, [measure((), pair) for pair in neighbours(len(real))]),
            _between(value, x, y, lambda i, j: measure((i,), (j,))),
        )
    curved = bends(measure, value, x, y) if generated and real else None
    return Jackknife(value, x, y, biased=biased, from_pairs=from_pairs, bends=curved)


def neighbours(blocks: int) -> list[tuple[int, int]]:
    """Disjoint pairs of blocks, (0, 1), (2, 3) and so on; with an odd number, the last one has no partner."""
    return [(i, i + 1) for i in range(0, blocks - 1, 2)]


def pairs_within(value: float, side: Side, without: Sequence[float]) -> float:
    """Standard deviation from pairs of blocks of one side.

    Write the metric of n rows as μ + c / n + (1 / n) Σ l_k + (2 / n²) Σ_{k<l} q_kl. Leaving out blocks i, j
    and both gives 2 q_ij = s (n θ − (n − m_i) θ_(−i) − (n − m_j) θ_(−j) + s θ_(−i−j)), s = n − m_i − m_j:
    all other terms cancel. The variance from pairs is (4 / n⁴) Σ_{i<j} E q_ij².

    Args:
        value: the metric on all rows.
        side: its replicates without single blocks.
        without: its replicates without the blocks of each pair of `neighbours`.
    """
    g, n = len(side.sizes), float(side.sizes.sum())
    kept, alone = n - side.sizes, side.replicates
    found = []
    for (i, j), both in zip(neighbours(g), without, strict=True):
        s = n - side.sizes[i] - side.sizes[j]
        found.append(s / 2 * (n * value - kept[i] * alone[i] - kept[j] * alone[j] + s * both))
    return 2 / n**2 * math.sqrt(g * (g - 1) / 2 / len(found)) * math.hypot(*found)


def _between(value: float, x: Side, y: Side, measure: Callable[[int, int], float]) -> float:
    """Standard deviation from pairs of a block of each side.

    As in `pairs_within`, with (1 / (n m)) Σ r_kl:
    r_ij = (n − m_i) (m − k_j) (θ − θ_(−i) − θ_(−j) + θ_(−i−j)).
    """
    g, h, n, m = len(x.sizes), len(y.sizes), float(x.sizes.sum()), float(y.sizes.sum())
    found = []
    for i in range(min(g, h)):
        r = value - x.replicates[i] - y.replicates[i] + measure(i, i)
        found.append(r * (n - x.sizes[i]) * (m - y.sizes[i]))
    return math.sqrt(g * h / len(found)) / (n * m) * math.hypot(*found)


def bends(
    measure: Callable[[Sequence[int], Sequence[int]], float], value: float, x: Side, y: Side
) -> tuple[float, float, float]:
    """Second-order coefficients of a distance along the directions in which each side moves it.

    If the clips were others, the distance would be θ + u + v + a u² + b v² + c u v, where u and v are what
    it gains, to first order, from the generated and from the real clips. The blocks of a side with the
    largest contributions to the error, and those with the smallest, are two draws of half as many clips that
    lie far apart in that direction. The mean of both distances, without their bias, which is doubled, is
    above θ by a u²; half of their difference is u.

    Args:
        measure: as for `resample`.
        value: the distance θ of all clips.
        x: replicates of the generated side.
        y: replicates of the real side.

    Returns:
        (a, b, c) in units of 1 / θ; 0 where no block of a side contributes anything.

    Reference:
        T. DiCiccio and B. Efron, "More accurate confidence intervals in exponential families", Biometrika 79
        (1992) 231-245, whose quadratic coefficient is measured here by halves of the sample.
    """
    (least_x, most_x), (least_y, most_y) = (_halves(side.deviations(value)) for side in (x, y))
    bias_x, bias_y = x.bias(value), y.bias(value)
    u, above_x = _bend(measure(least_x, ()), measure(most_x, ()), value + bias_x)
    v, above_y = _bend(measure((), least_y), measure((), most_y), value + bias_y)
    _, above = _bend(measure(least_x, least_y), measure(most_x, most_y), value + bias_x + bias_y)
    # Divided twice, since squares of tiny distances are 0.
    return (
        above_x / u / u if u else 0.0,
        above_y / v / v if v else 0.0,
        (above - above_x - above_y) / u / v if u and v else 0.0,
    )


def _halves(deviations: npt.NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of the blocks with the smaller and with the larger contributions."""
    order = np.argsort(deviations, kind="stable").tolist()
    half = len(order) // 2
    return tuple(sorted(order[:half])), tuple(sorted(order[half:]))


def _bend(high: float, low: float, straight: float) -> tuple[float, float]:
    """Half of the difference of two values, and how far their mean lies above a third."""
    return (high - low) / 2, (high + low) / 2 - straight


def score_clips(
    values: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    real: npt.ArrayLike | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Score:
    """Average a measurement of single clips; windows of one source clip count as one cluster.

    Cluster-robust error of a mean (Cameron and Miller 2015, §II): √(g/(g−1) Σ_c (Σ_{i∈c} (v_i − v̄))²) / N
    with g source clips, and the interval of `skewed_interval` with g − 1 degrees of freedom.

    If all values are at one end of a finite range, they say nothing about the values of the clips that were
    not drawn, except how rare those at other values are. The interval then reaches as far into the range as
    that of a share of which no clip was found, as if all others were at its other end.

    Args:
        values: float [N], one for each window.
        groups: integers [N]; without them, each window counts as a source clip.
        real: the same measurement on the real windows, for comparison.
        bounds: least and greatest possible value.

    Raises:
        VgbenchError: no values, or some are not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise VgbenchError("a clip metric needs at least one value, all of them finite", "check the clips")
    mean = float(array.mean())
    reference = None if real is None else float(np.mean(np.asarray(real, dtype=np.float64)))
    numbers = np.arange(len(array)) if groups is None else np.asarray(groups)
    _, member = np.unique(numbers, return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        return Score(mean, None, None, len(array), method="none: a single source clip", real=reference)
    length = bounds[1] - bounds[0]
    if math.isfinite(length) and any((array == end).all() for end in bounds):
        ends = wilson_interval((array[0] - bounds[0]) / length, count)
        low, high = (bounds[0] + length * end for end in ends)
        error, method = (high - low) / 2 / _normal(), f"all at one end of the range({count} source clips)"
        return Score(mean, error, (low, high), len(array), method=method, real=reference)
    sums = np.bincount(member, weights=array - mean).astype(np.float64)
    standard_error = math.sqrt(count / (count - 1) * float(np.sum(sums**2))) / len(array)
    return Score(
        mean,
        standard_error,
        skewed_interval(mean, standard_error, sums),
        len(array),
        method=f"mean of clips({count} source clips), skewness-corrected interval",
        real=reference,
    )


def score_pairs(values: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Score:
    """Average a measurement of pairs (generated clip, its reference).

    As `score_clips`, but keeps what each group of pairs adds to the error, which models that are scored on
    the same references share, because some references are hard for all models. The error of a `difference` is
    then that of the paired t-test.

    Args:
        values: float [N], in the order of the references.
        groups: integers [N]; pairs whose clips come from one recording share a number. Without them, each
            pair is a group.

    Raises:
        VgbenchError: as `score_clips`.
    """
    score = score_clips(values, groups)
    if score.standard_error is None:
        return score
    apart = np.asarray(values, dtype=np.float64) - score.value
    numbers = np.arange(score.n) if groups is None else np.asarray(groups)
    sums = np.bincount(np.unique(numbers, return_inverse=True)[1], weights=apart)
    shared = math.sqrt(len(sums) / (len(sums) - 1)) / score.n * sums
    return replace(score, deviations=((), tuple(shared.tolist())))


def score_share(
    hits: npt.ArrayLike, groups: npt.ArrayLike | None = None, real: npt.ArrayLike | None = None
) -> Score:
    """Share of windows with a property; its interval has a positive length even if none or all have it.

    The interval is that of `wilson_interval`, with an `effective_number` of clips that is kept between
    (Σ m)² / Σ m², as if the m windows of a clip were one, and N. The standard error is half of the interval
    over z: it is also never 0.

    Args:
        hits: booleans [N], one for each window.
        groups: as in `score_clips`.
        real: as in `score_clips`.

    Raises:
        VgbenchError: no windows.
    """
    plain = score_clips(hits, groups, real)
    if plain.standard_error is None:
        return plain
    numbers = np.arange(plain.n) if groups is None else np.asarray(groups)
    sizes = np.unique(numbers, return_counts=True)[1]
    least = plain.n**2 / float(np.sum(sizes**2))
    certain = plain.standard_error == 0
    n = least if certain else effective_number(plain.value, plain.standard_error, least, plain.n)
    low, high = wilson_interval(plain.value, n)
    return replace(
        plain,
        standard_error=(high - low) / 2 / _normal(),
        interval=(low, high),
        method=f"Wilson({n:.4g} effective clips)",
    )


def effective_number(share: float, standard_error: float, least: float, most: float) -> float:
    """Number of independent clips whose share p has this error, p (1 − p) / SE² (Korn and Graubard 1998).

    Args:
        share: p, in [0, 1].
        standard_error: of the share, at least 0.
        least: the result is not smaller.
        most: the result is not larger; it is the result where there is no error.
    """
    variance = standard_error**2
    return min(max(share * (1 - share) / variance, least), most) if variance > 0 else most


def wilson_interval(share: float, n: float, quantile: float | None = None) -> tuple[float, float]:
    """Wilson's 95 % interval of a share among n clips (1927): the p with (p̂ − p)² ≤ z² p (1 − p) / n.

    It lies within [0, 1] and has a positive length even at 0 and 1.

    Args:
        share: p̂.
        n: number of independent clips.
        quantile: z; that of the normal distribution by default. Where n was estimated from blocks, that of
            Student's t allows for it.
    """
    z = _normal() if quantile is None else quantile
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2) / (1 + z**2 / n)
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)


def skewed_interval(mean: float, standard_error: float, sums: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of a mean whose terms are skewed, by the cubic transformation of Hall (1992).

    With few clips, the ratio of a mean's error to its standard error leans to the side opposite to the
    values' skewness γ, so Student's interval reaches too far on one side and not far enough on the other.
    Hall's monotone function of that ratio is free of the lean to first order. With γ = 0 the interval is
    Student's.

    Args:
        mean: the middle.
        standard_error: of the mean.
        sums: float [G], what each source clip adds to the mean's error, before scaling; they sum to 0.

    Reference:
        P. Hall, "On the removal of skewness by transformation", J. R. Stat. Soc. B 54 (1992) 221-228.
    """
    count, spread = len(sums), math.sqrt(float(np.mean(sums**2)))
    quantile = student_t(count - 1)
    lean = float(np.mean((sums / spread) ** 3)) / math.sqrt(count) if spread > 0 else 0.0

    def ratio(t: float) -> float:
        """Inverse of Hall's transformation t = r + γ r² / (3 √g) + γ² r³ / (27 g) + γ / (6 √g)."""
        return t if abs(lean) < 1e-6 else 3 / lean * (math.cbrt(1 + lean * (t - lean / 6)) - 1)

    return mean - ratio(quantile) * standard_error, mean - ratio(-quantile) * standard_error


def without_error(score: Score) -> Score:
    """Remove the error and the bias correction from a distance between a set and itself.

    The jackknife assumes that both sides are independent samples. Here they are the same sample: leaving
    clips out of one side creates a difference where there is none, so that bias and error would be wrong.
    Scores of one side alone are returned unchanged.
    """
    if score.deviations is None or not score.deviations[1]:
        return score
    return replace(
        score,
        standard_error=None,
        interval=None,
        debiased=None,
        deviations=None,
        method="none: the sets are not independent",
    )


def difference(a: Score, b: Score, same_real: bool = False) -> Score:
    """Difference a − b of two models' scores, with its interval.

    The interval is made of the arms of both intervals, l below and u above the estimate (Zou and Donner
    2008): from a − b − s √(l_a² + u_b²) to a − b + s √(u_a² + l_b²). With the same real windows, s is the
    error of the difference over that of a difference of independent scores; otherwise it is 1. Where all
    intervals are symmetric, that is the textbook's interval. The errors of distances grow with the distances,
    so the root of the sum of squared errors is largest where the difference is large by chance, and a test
    that is based on it hardly ever finds anything. Pairs with the same references have the interval of the
    paired t-test.

    Args:
        a: score of one model.
        b: score of another, made by the same protocol.
        same_real: both were scored against the very same real windows. Their errors then share the real part,
            which cancels in the difference as far as both models react to it alike.

    Returns:
        A `Score` whose value is a.best_estimate − b.best_estimate; its `n` is the smaller of the two.

    Reference:
        G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general
        approach", Stat. Med. 27 (2008) 1693-1702.
    """
    value = a.best_estimate - b.best_estimate
    n = min(a.n, b.n)
    if a.standard_error is None or b.standard_error is None or a.interval is None or b.interval is None:
        return Score(value, None, None, n, method="none: a score without a standard error")
    apart, method = math.hypot(a.standard_error, b.standard_error), "independent errors"
    standard_error = apart
    if a.deviations is not None and b.deviations is not None:
        (generated_a, real_a), (generated_b, real_b) = a.deviations, b.deviations
        made = "jackknife" if generated_a or generated_b else "pairs"
        method = f"{made}, independent sets"
        if same_real and len(real_a) == len(real_b):
            method = f"{made}, real set shared"
            real = tuple(one - other for one, other in zip(real_a, real_b, strict=True))
            if made == "pairs":
                standard_error, interval = error_and_interval(value, [real], len(real) - 1)
                return Score(value, standard_error, interval, n, method=method)
            standard_error = _root_of_squares([generated_a, generated_b, real])

    left = standard_error / apart if apart > 0 else 1.0
    (low_a, high_a), (low_b, high_b) = _arms(a), _arms(b)
    interval = value - left * math.hypot(low_a, high_b), value + left * math.hypot(high_a, low_b)
    return Score(value, standard_error, interval, n, method=method)


def _arms(score: Score) -> tuple[float, float]:
    """How far the interval reaches below and above the estimate."""
    low, high = score.interval or (score.best_estimate, score.best_estimate)
    return max(0.0, score.best_estimate - low), max(0.0, high - score.best_estimate)


def freedom(score: Score) -> float:
    """Degrees of freedom of a score's error: those of its blocks, or as its interval says; at least 1."""
    parts = [part for part in score.deviations or () if part]
    if parts:
        return max(1.0, min(map(len, parts)) - 1)
    return _freedom_of_quantile(sum(_arms(score)) / 2 / score.standard_error if score.standard_error else 0.0)


def _freedom_of_quantile(quantile: float) -> float:
    """Degrees of freedom with this two-sided 95 % quantile; infinite for the normal one and smaller ones."""
    from scipy.special import stdtridf

    if quantile <= _normal() * (1 + 1e-9):
        return math.inf
    return max(1.0, float(stdtridf(0.5 + CONFIDENCE / 2, quantile)))


Parts = Sequence[Sequence[float] | npt.NDArray[np.float64]]


def error_and_interval(
    centre: float,
    parts: Parts,
    freedom: float,
    positive: float | None = None,
    bends: tuple[float, float, float] | None = None,
) -> tuple[float, tuple[float, float]]:
    """Standard error and 95 % interval of an estimate whose error is a sum of independent parts.

    Without `positive` and `bends`, the interval is symmetric.

    With `bends` (a, b, c), the error changes by 2 (a s_x⁴ + b s_y⁴ + c s_x² s_y²) / s³ for each unit of the
    estimate, where s_x and s_y are the errors from both sides and s is their root of squares, and by 2/3 of
    the skewness of the blocks' contributions. That is the slope of the interval, up to `STEEPEST`. Its parts
    also move its middle, by s / 2 and s / 4 each: the second-order terms of DiCiccio and Efron (1992), and of
    Hall (1992) for a mean.

    Args:
        centre: the estimate.
        parts: what each block contributes to the error, one sequence for each independent part, such as
            `Side.deviations`; the squares of all contributions sum to the variance.
        freedom: degrees of freedom of Student's t.
        positive: see `Jackknife`.
        bends: see `Jackknife`; there are then two parts.

    Returns:
        (standard error, (low, high)).
    """
    standard_error, quantile = _root_of_squares(parts), student_t(freedom)
    if standard_error == 0:
        return 0.0, (centre, centre)
    if bends is not None:
        x, y = ((math.hypot(*part) / standard_error) ** 2 for part in parts)
        curved = 2 * standard_error * (bends[0] * x**2 + bends[1] * y**2 + bends[2] * x * y)
        curved = max(-STEEPEST, min(curved, STEEPEST))
        leaning = 2 / 3 * sum(float(np.sum((np.asarray(part) / standard_error) ** 3)) for part in parts)
        middle = centre + standard_error * (curved / 2 + leaning / 4)
        slope = min(curved + leaning, STEEPEST)
        return standard_error, sloped_interval(middle, standard_error, quantile, slope)
    slope = standard_error / positive if positive else 0.0
    return standard_error, sloped_interval(centre, standard_error, quantile, slope)


def sloped_interval(
    middle: float, standard_error: float, quantile: float, slope: float
) -> tuple[float, float]:
    """Interval of an estimate whose standard error is larger by `slope` for each unit that it is larger by.

    On the scale log(1 + slope (θ − middle) / SE) / slope, the error is 1 everywhere, so the interval is
    symmetric there. A slope of 0 or less gives an interval of equal arms.

    Args:
        middle: the estimate.
        standard_error: at the estimate, at least 0.
        quantile: half of the length of the interval on that scale.
        slope: without unit. SE / θ gives the interval that is symmetric in the logarithm of θ.
    """
    if slope * quantile < 1e-9:
        return middle - quantile * standard_error, middle + quantile * standard_error
    power = min(slope * quantile, _LARGEST_EXPONENT)
    return (
        middle + standard_error / slope * math.expm1(-power),
        middle + standard_error / slope * math.expm1(power),
    )


def welch_freedom(parts: Parts) -> float:
    """Welch–Satterthwaite degrees of freedom of a sum of variances (Welch 1947).

    Args:
        parts: as in `error_and_interval`; a part of g blocks has g − 1 degrees of freedom.
    """
    errors = [math.hypot(*part) for part in parts]
    total = math.hypot(*errors)
    if total == 0:
        return 1.0
    return 1 / sum((error / total) ** 4 / (len(part) - 1) for error, part in zip(errors, parts, strict=True))


def _root_of_squares(parts: Parts) -> float:
    """Root of the sum of all squares, without overflow where values of a cubic kernel are large."""
    return math.hypot(*(math.hypot(*part) for part in parts))


def _normal() -> float:
    """Two-sided 95 % quantile of the normal distribution."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + CONFIDENCE / 2))


def student_t(freedom: float) -> float:
    """Two-sided 95 % quantile of Student's t; of the normal distribution if `freedom` is infinite."""
    from scipy.special import stdtrit

    if math.isinf(freedom):
        return _normal()

    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))
