"""Copies of the training set, and the diversity of clips, both from distances of features.

The real set should be the *training* set: a copy of a clip that is not in the real set cannot be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import matrices
from vgbench.metrics.prdc import distance_blocks
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import Jackknife, Side, deal, score_share

SHOWN = 10


def score_copies(generated: Samples, real: Samples, *, quantile: float = 0.01) -> Mapping[str, Score]:
    """Share of copies, and authenticity.

    With r(g) the real clip nearest to g, d(g) its distance, and ρ(r) the distance from a real clip to the
    nearest one of another source clip:

        copied       = share of g with d(g) < the given quantile of all ρ: nearer than real clips are to each
                       other. It is about the quantile, or less, for fresh clips of the same distribution.
        authenticity = share of g with d(g) > ρ(r(g)) (Alaa et al. 2022, arXiv:2102.08921): about a half
                       for fresh clips, 0 for copies; 1 also for clips that are far from all real ones.

    `details["nearest"]` names the pairs with the smallest d(g) / ρ(r(g)).

    Raises:
        VgbenchError: the real windows come from a single source clip, bad features, or a quantile above 1.
    """
    if not 0 <= quantile <= 1:
        raise VgbenchError(f"quantile = {quantile:g} is not between 0 and 1", "give a share, such as 0.01")
    x, y = matrices(generated.features, real.features)
    if len(np.unique(real.groups)) < 2:
        raise VgbenchError("copies need at least two real source clips", "score against more clips")
    own = np.empty(len(y))
    for rows, d in distance_blocks(y, y):
        d[real.groups[rows][:, None] == real.groups[None]] = np.inf
        own[rows] = d.min(axis=1)
    nearest, distance = np.empty(len(x), dtype=np.int64), np.empty(len(x))
    for rows, d in distance_blocks(x, y):
        nearest[rows], distance[rows] = d.argmin(axis=1), d.min(axis=1)
    radius = own[nearest]
    copied = distance < np.quantile(own, quantile)
    authentic = distance > radius
    scores = {
        "copied": score_share(copied, generated.groups),
        "authenticity": score_share(authentic, generated.groups),
    }
    ratio = np.divide(distance, radius, out=np.full(len(x), np.inf), where=radius > 0)
    ratio[(distance == 0) & (radius == 0)] = 1.0
    scores["copied"].details["nearest"] = [
        {
            "generated": _name(generated, i),
            "real": _name(real, int(nearest[i])),
            "distance": float(distance[i]),
            "real_to_real": float(radius[i]),
        }
        for i in np.argsort(ratio, kind="stable")[:SHOWN].tolist()
    ]
    return scores


def score_diversity(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """Mean Euclidean distance between two clips of one set, of different recordings.

    `real` is the same for the real set: below it, the generator repeats itself. With LPIPS in place of the
    distance this is the diversity of Zhu et al. 2017 (arXiv:1711.11586).

    Raises:
        VgbenchError: a set of a single source clip, or bad features.
    """
    matrices(generated.features, real.features)
    score, reference = (_diversity(side) for side in (generated, real))
    return {"diversity": replace(score, real=reference.value, real_error=reference.standard_error)}


def _diversity(samples: Samples) -> Score:
    blocks = deal(samples.groups)
    value, replicates = _mean_distance(samples, blocks)
    return Jackknife(value, Side.of(replicates, blocks), biased=False).score(len(samples))


def _mean_distance(samples: Samples, blocks: list[npt.NDArray[np.int64]]) -> tuple[float, list[float]]:
    """The mean over pairs of different recordings, and the same without each block."""
    recordings = samples.drawn_together
    if len(np.unique(recordings)) < 2:
        raise VgbenchError("diversity needs at least two source clips", "score more clips")
    block_of = np.zeros(len(samples), dtype=np.int64)
    for b, block in enumerate(blocks):
        block_of[block] = b
    count = max(1, len(blocks))
    sums, pairs = np.zeros((count, count)), np.zeros((count, count))
    member = np.eye(count)[block_of]  # [N, B]
    x = samples.features.astype(np.float64)
    for rows, d in distance_blocks(x, x):
        unlike = (recordings[rows][:, None] != recordings[None]).astype(np.float64)
        sums += member[rows].T @ ((d * unlike) @ member)
        pairs += member[rows].T @ (unlike @ member)
    whole, all_pairs = sums.sum(), pairs.sum()
    replicates = []
    for b in range(len(blocks)):
        left = whole - sums[b].sum() - sums[:, b].sum() + sums[b, b]
        left_pairs = all_pairs - pairs[b].sum() - pairs[:, b].sum() + pairs[b, b]
        replicates.append(float(left / left_pairs))
    return float(whole / all_pairs), replicates


def _name(samples: Samples, row: int) -> str:
    return samples.names[row] if samples.names else str(row)
