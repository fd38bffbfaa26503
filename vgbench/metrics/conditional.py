"""Metrics of class-conditional models: quality of each class, and whether clips show the requested class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.metrics.checks import Matrix, matrices
from vgbench.metrics.frechet import frechet_jackknife
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import LEAST_BLOCKS, deal, error_and_interval, score_share, welch_freedom

SHRINKAGE = 0.1


def score_intra(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """Mean over classes of the Fréchet distance between generated and real clips of that class.

    For images "intra-FID" (Miyato and Koyama 2018, arXiv:1802.05637). All classes of the real set have equal
    weight. `details["classes"]` has the value of each class.

    Raises:
        VgbenchError: a clip has no label, or a class of the real set has fewer than two clips on a side.
    """
    values, best, parts, classes = [], [], [], {}
    for label in _classes(generated, real):
        sides = [_of_class(side, label) for side in (generated, real)]
        if min(map(len, sides)) < 2:
            raise VgbenchError(
                f"class '{label}' has {len(sides[0])} generated and {len(sides[1])} real clips, 2 are needed",
                "generate every class of the real set, or leave intra_fvd out",
            )
        score = frechet_jackknife(sides[0], sides[1]).score(len(sides[0]))
        values.append(score.value)
        best.append(score.best_estimate)
        parts.append(score.deviations)
        classes[label] = {
            "value": score.value,
            "debiased": score.debiased,
            "n": [len(side) for side in sides],
        }
    n, count = len(generated), len(values)
    mean = float(np.mean(values))
    found = [part for part in parts if part is not None]
    if len(found) < count:
        method = f"none: a jackknife needs {LEAST_BLOCKS} source clips of each class on each side"
        return {"intra_fvd": Score(mean, None, None, n, method=method, details={"classes": classes})}
    deviations = [np.concatenate([part[side] for part in found]) / count for side in (0, 1)]
    error, interval = error_and_interval(float(np.mean(best)), deviations, welch_freedom(deviations), mean)
    return {
        "intra_fvd": Score(
            mean,
            error,
            interval,
            n,
            float(np.mean(best)),
            f"jackknife in each of {count} classes, log interval",
            deviations=(tuple(deviations[0].tolist()), tuple(deviations[1].tolist())),
            details={"classes": classes},
        )
    }


def score_accuracy(generated: Samples, real: Samples) -> Mapping[str, Score]:
    """Share of generated clips that a classifier of real clips assigns to the requested class.

    The classifier is Fisher's linear discriminant on the features of the real set. `real` is its accuracy on
    real clips that it has not seen (32 blocks of source clips, each classified by the others), which a
    generator can hardly exceed. `details["classes"]` has the share of each class.

    Raises:
        VgbenchError: a clip has no label, or the real set has fewer than two classes or four source clips.
    """
    classes = _classes(generated, real)
    x, y = matrices(generated.features, real.features)
    truth = np.array([classes.index(str(label)) for label in real.labels])
    asked = np.array([classes.index(str(label)) if label in classes else -1 for label in generated.labels])
    blocks = deal(real.groups)
    if len(classes) < 2 or not blocks:
        raise VgbenchError(
            f"class accuracy needs 2 classes and {LEAST_BLOCKS} real source clips, there are {len(classes)} "
            f"and {len(set(real.groups.tolist()))}",
            "leave class_accuracy out",
        )
    right = (classify(y, truth, x) == asked).astype(np.float64)
    unseen = np.zeros(len(y))
    for block in blocks:
        rest = np.setdiff1d(np.arange(len(y)), block)
        unseen[block] = classify(y[rest], truth[rest], y[block]) == truth[block]
    score = score_share(right, generated.groups, unseen)
    shares = {label: float(right[asked == k].mean()) for k, label in enumerate(classes) if (asked == k).any()}
    score.details["classes"] = shares
    return {"class_accuracy": score}


def classify(x: Matrix, truth: npt.NDArray[np.int64], new: Matrix) -> npt.NDArray[np.int64]:
    """Fisher's linear discriminant: fit to [N, D] and classes [N], and return the classes [M] of [M, D].

    All classes share one covariance, shrunk towards a multiple of the identity by `SHRINKAGE`, and are
    assumed to be equally frequent.
    """
    present = np.unique(truth)
    means = np.stack([x[truth == k].mean(axis=0) for k in present])
    centred = x - means[np.searchsorted(present, truth)]
    covariance = centred.T @ centred / max(1, len(x) - len(present))
    scale = max(float(np.trace(covariance)) / len(covariance), np.finfo(np.float64).tiny)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * np.eye(len(covariance))
    weights = np.linalg.solve(shrunk, means.T)
    margins = new @ weights - 0.5 * np.sum(means.T * weights, axis=0)
    return np.asarray(present[np.argmax(margins, axis=1)])


def _classes(generated: Samples, real: Samples) -> list[str]:
    for side, name in ((generated, "generated"), (real, "real")):
        if not side.labels or None in side.labels:
            raise VgbenchError(f"the {name} clips have no class labels", "use one folder per class")
    return sorted({str(label) for label in real.labels})


def _of_class(side: Samples, label: str) -> Samples:
    rows = np.array([own == label for own in side.labels])
    return Samples(side.features[rows], None, side.groups[rows])
