"""Golden numbers: what every metric gave for fixed inputs when its present version was released.

`golden.json` has one key for each metric, its options, its version and its input. A number that changes while
the version stays fails here. If the change is meant, raise the metric's `version` and pin the new numbers.
Errors and intervals belong to the `method` of the score rather than to the version: where a method gets a new
name, and values stay, they are replaced under the old key by hand, so that records stay comparable.

To pin new numbers:

    python tests/metrics/test_metrics_golden.py --write

The command adds keys that are missing, for new metrics and new versions, and never overwrites one. Keys of
older versions may stay in the file. To change the inputs, delete the file at a commit whose numbers are
right, and write it again.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from vgbench.metrics import METRICS, Samples, Score, flow, parse, point_motion
from vgbench.metrics import inception as inception_module
from vgbench.metrics.conditional import classify
from vgbench.metrics.frame_level import score_stream
from vgbench.metrics.paired import PAIRED
from vgbench.metrics.temporal import histogram_of, periodicity
from vgbench.metrics.uncertainty import deal, resample, score_share

GOLDEN = Path(__file__).with_name("golden.json")

EXACT, NEAR = 1e-9, 1e-5
"""Relative tolerances: of arithmetic in float64, and of optical flow and networks, which differ a little
between processors."""

ROUGH = {"fvmd": 1e-2, "strred": 1e-3}
"""Relative tolerances of what is less exact: FVMD rounds its tracks (the part "tracks" pins what it makes of
them), and scikit-video computes ST-RRED in float32."""

ENDS = 1e-8
"""Least relative tolerance of the ends of intervals, from the digits of Student's t in the oldest scipy."""

ON_FLOW = (
    "OpenCV",
    "fvmd",
    "flow_distance",
    "warping_error",
    "motion_smoothness",
    "dynamic_degree",
    "dynamic_share",
)
"""What rests on OpenCV's optical flow, which changed in 4.10, 4.12 and 5.0; pinned with 5.0."""

Numbers = Mapping[str, float]
"""Numbers that belong together and are compared relative to the largest of them."""
Entry = Mapping[str, Numbers]
Found = tuple[float, dict[str, Entry]]
"""Tolerance, and key in the file -> entry."""

VARIANTS = (
    "fvd(covariance=biased)",
    "fvd(ridge=0.5)",
    "kvd(biased=true)",
    "kvd(degree=2,coef0=0.5)",
    "is(splits=5)",
    *(
        f"is({splits}variant={variant})"
        for variant in ("tgan", "tganv2", "stylegan-v")
        for splits in ("", "splits=5,")
    ),
    "prdc(k=3)",
    "copies(quantile=0.1)",
    "stream(k=3)",
)


def measure(text: str) -> Found:
    """All numbers of one metric with its options. The only place that knows how a metric is called."""
    choice = parse(text)
    metric = choice.metric
    options = {name: float(value) for name, value in choice.options.items() if not isinstance(value, str)}
    common: dict[str, Numbers] = {"options": options} if options else {}
    if metric.needs_extractor:
        found = {}
        for case, sides in SETS.items():
            several = case == "several windows per clip"
            version = metric.version_for(choice.options, shares_recordings=several)
            found[f"{choice}@{version}, {case}"] = common | scores(metric.score(*sides, **choice.options))
        return EXACT, found
    values = [metric.measure(clip) for clip in clips()]
    if metric.per_clip:
        each = {f"clip {i}": {"value": value} for i, value in enumerate(values)}
        side = Samples(np.array(values)[:, None], None, GROUPS)
        found = {
            score_name: dataclasses.replace(score, real=None, real_error=None)  # the same numbers again
            for score_name, score in metric.score(side, side).items()
        }
    else:
        each = {f"clip {i}": fingerprint(vector) for i, vector in enumerate(values)}
        halves = [Samples(np.stack(half), None, np.arange(4)) for half in (values[:4], values[4:])]
        found = metric.score(*halves, **choice.options)
    return ROUGH.get(metric.name, NEAR), {
        f"{choice}@{metric.version}, 8 clips": common | each | scores(found)
    }


def measure_paired(name: str) -> Found:
    """All numbers of one metric that compares a clip with its reference."""
    metric = PAIRED[name]
    more = [mean_difference] if metric.perceptual else []
    values = [metric.measure(clip, reference, *more) for clip, reference in pairs()]
    each = {f"pair {i}": {"value": value} for i, value in enumerate(values)}
    return ROUGH.get(name, NEAR), {f"{name}@{metric.version}, {len(values)} pairs": each}


def measure_extractor(name: str) -> Found:
    """Features and logits of an extractor whose weights ship with vgbench; its id names its version."""
    import torch

    from vgbench import extractors

    network = extractors.load(name)
    with torch.inference_mode():
        seen = network(torch.from_numpy(clips()))
    found = {"features": seen.features, "logits": seen.logits, "frames": seen.frames}
    return NEAR, {
        f"{network.spec.id}, 8 clips": {
            f"{what} of clip {i}": fingerprint(values.double().numpy())
            for what, rows in found.items()
            if rows is not None
            for i, values in enumerate(rows)
        }
    }


def measure_part(name: str) -> Found:
    """A building block of a metric, which changes with the version of that metric."""
    owner, numbers = PARTS[name]
    return EXACT, {f"{owner}@{METRICS[owner].version}, {name}": numbers()}


def scores(found: Mapping[str, Score]) -> dict[str, Numbers]:
    """What each score says in numbers; what it does not know is left out."""
    numbers: dict[str, Numbers] = {}
    for name, score in found.items():
        low, high = score.interval or (None, None)
        known = {
            "value": score.value,
            "debiased": score.debiased,
            "standard_error": score.standard_error,
            "low": low,
            "high": high,
            "real": score.real,
            "real_error": score.real_error,
        }
        numbers[name] = {what: value for what, value in known.items() if value is not None}
    return numbers


def fingerprint(values: np.ndarray) -> Numbers:
    """Length of an array and its sums under three random patterns of signs: any entry changes all of them."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    signs = np.sign(np.random.Generator(np.random.PCG64(3)).random((3, flat.size)) - 0.5)
    return {"length": float(np.linalg.norm(flat))} | {
        f"sum {i}": float(s @ flat) for i, s in enumerate(signs)
    }


def features(rng: np.random.Generator, rows: int, *shape: int) -> np.ndarray:
    """Correlated and nearly normal, float32 [rows, *shape], in steps of 1/1024 so that all machines agree."""
    side = np.arange(shape[-1])
    mix = 0.3 ** np.abs(side[:, None] - side)
    values = 2 * (rng.random((4, rows, *shape)).sum(axis=0) - 2) @ mix
    return (np.round(values * 1024) / 1024).astype(np.float32)


def make_set(seed: int, groups: np.ndarray, shift: float, spread: float) -> Samples:
    """One side. The windows of a source clip are alike, and of one of three classes."""
    rng = np.random.Generator(np.random.PCG64(seed))
    of_clips, of_windows = features(rng, groups.max() + 1, 8)[groups], features(rng, len(groups), 8)
    seen = (of_clips + of_windows / 2) * np.float32(spread)
    seen[:, 0] += 1.5 * (groups % 3)
    seen[:, 1:3] += shift
    frames = seen[:, None, :6] + np.cumsum(features(rng, len(groups), 8, 6), axis=1) * np.float32(spread / 4)
    logits = 6 * features(rng, len(groups), 10)
    return Samples(seen, logits, groups, frames, tuple("abc"[group % 3] for group in groups))


def make_sets(generated: np.ndarray, real: np.ndarray) -> tuple[Samples, Samples]:
    """The generated side is shifted and less diverse, and its first five windows are nearly copies."""
    sides = make_set(1, generated, 1.5, 0.75), make_set(2, real, 0.0, 1.0)
    sides[0].features[:5] = sides[1].features[:5] + np.float32(1 / 64)
    return sides


SETS = {
    "one window per clip": make_sets(np.arange(90), np.arange(77)),
    "several windows per clip": make_sets(  # 27 source clips against 22, of one to four windows
        np.repeat(np.arange(27), np.arange(27) % 4 + 1), np.repeat(np.arange(22), np.arange(22) % 3 + 1)
    ),
}

GROUPS = np.array([0, 0, 1, 2, 3, 4, 5, 5])
"""Source clips of the eight clips."""


@functools.cache
def clips() -> np.ndarray:
    """Eight clips of textured shapes that move in different ways, uint8 [8, 16, 64, 64, 3]."""
    t = np.arange(16.0)
    still = np.zeros(16)
    swing = 5 * np.sin(2 * np.pi * t / 6.6 + 1)  # nearly periodic
    motions = [  # path of the background, of the disc, growth per frame
        ((1.42 * t, still), None, 0.0),  # just below the speed that counts as dynamic
        ((1.55 * t, still), None, 0.0),  # just above
        ((still, still), (2.0 * t - 12, 1.2 * t - 8), 0.0),
        ((still, still), None, 0.03),
        ((swing, swing / 2), (-1.5 * swing, still), 0.0),
        ((3.0 * np.minimum(t, 4), still), None, 0.0),  # four fast steps: dynamic
        ((still, 3.0 * np.minimum(t, 3)), None, 0.0),  # three: not
        ((-0.7 * t, 0.4 * t), (2.5 * t - 18, -6 * np.cos(t)), 0.005),
    ]
    return np.stack([clip(seed, *motion) for seed, motion in enumerate(motions)])


def clip(seed, background, disc, growth) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    behind, before = texture(rng), texture(rng)
    y, x = np.mgrid[:64, :64] - 31.5
    frames = []
    for i, (dx, dy) in enumerate(zip(*background, strict=True)):
        scale = (1 + growth) ** -i
        frame = behind(x * scale - dx, y * scale - dy)
        if disc is not None:
            across, down = x - disc[0][i], y - disc[1][i]
            frame = np.where((across**2 + down**2 < 13**2)[..., None], before(across, down), frame)
        frames.append(frame)
    return np.round(np.stack(frames)).astype(np.uint8)


def texture(rng: np.random.Generator) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A sum of waves, known between the pixels too: x and y, both [H, W] -> [H, W, 3] in [8, 248]."""
    angle, length, phase = rng.random((3, 8, 3)) * np.array([2 * np.pi, 30.0, 2 * np.pi])[:, None, None]
    turn = 2 * np.pi / (length + 7)  # wavelengths of 7 to 37 pixels

    def value(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        along = x[..., None, None] * np.cos(angle) + y[..., None, None] * np.sin(angle)
        return 128 + 15 * np.sin(turn * along + phase).sum(axis=2)

    return value


@functools.cache
def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictions, one frame late and pale, and what they should be, each uint8 [3, 192, 192, 3].

    The first pair differs in one frame only, and the second one is dark.
    """
    larger = clips()[[2, 4, 7], 5:9].repeat(3, axis=2).repeat(3, axis=3)
    found = [(np.round(clip[:-1] * 0.9 + 20).astype(np.uint8), clip[1:]) for clip in larger]
    found[0][0][1:] = found[0][1][1:]
    return [found[0], (found[1][0] // 8, found[1][1] // 8), found[2]]


def mean_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Stands in for a network's distance of frames, uint8 [T, H, W, 3] -> float64 [T]."""
    return np.abs(first.astype(np.float64) - second).mean(axis=(1, 2, 3)) / 255


def occlusion() -> Entry:
    """Four fields of 64 × 64, each near the limit of one condition of `flow.occluded`."""
    rng = np.random.Generator(np.random.PCG64(4))
    noise = rng.random((64, 64, 2)) - 0.5
    calm = np.broadcast_to([8.25, -4.5], noise.shape)
    slow = np.broadcast_to([0.25, -0.125], noise.shape)
    cases = {
        "misses, fast": (calm, -calm + 4 * noise),
        "misses, slow": (slow, -slow + 2 * noise),
        "boundaries, fast": (calm + noise, -calm),
        "boundaries, slow": (slow + noise / 10, -slow),
    }
    masks = {name: flow.occluded(*(np.float32(part) for part in parts)) for name, parts in cases.items()}
    return {name: {"share": float(mask.mean())} | fingerprint(mask) for name, mask in masks.items()}


def directions() -> Entry:
    """A field with speeds of 1/2048 to 1/8 of the frame."""
    rng = np.random.Generator(np.random.PCG64(5))
    speed, angle = 2 ** (-11 + 8 * rng.random(20_000)), 2 * np.pi * rng.random(20_000)
    field = np.stack([speed * np.cos(angle), speed * np.sin(angle)], axis=-1)
    return {"histogram": fingerprint(histogram_of(field))}


def tracks() -> Entry:
    """Random walks in sixteenths of a pixel, some faster than the largest length that counts."""
    rng = np.random.Generator(np.random.PCG64(6))
    steps = np.round((rng.random((16, 400, 2)) - 0.5) * 2 ** (1 + 9 * rng.random((16, 400, 1))) * 16) / 16
    return {"histograms": fingerprint(point_motion.histograms(np.cumsum(steps, axis=0)))}


def repetition() -> Entry:
    """A wave on a constant: the larger the constant's jump, the less far the autocorrelation falls."""
    t = np.arange(32)
    found = {}
    for jump in range(0, 120, 4):
        level = 100 + jump * (t >= 16) + 30 * np.sin(2 * np.pi * t / 5)
        grey = np.broadcast_to(np.round(level).astype(np.uint8)[:, None, None, None], (32, 8, 8, 3))
        found[f"jump {jump}"] = {"value": periodicity(grey)}
    return found


def logarithms() -> Entry:
    """Σ p log(p + ε) for p near each variant's ε. (The smallest ε is below the last digit of any score.)"""
    found = {}
    for variant, epsilon in inception_module._EPSILON.items():
        p = np.array([[0.3, 1, 5]]) * (epsilon or 1e-9)
        found[variant] = {"sum": inception_module.InceptionMoments.of(p, epsilon).negentropy}
    return found


def shares() -> Entry:
    """Effective numbers of clips: as found, at the least, and at the most."""
    cases = {
        "as found": ([1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0], 2),
        "windows of a clip agree": ([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0], 2),
        "windows of a clip differ": ([1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1], 2),
        "none": ([0] * 12, 3),
    }
    return scores({name: score_share(hits, np.arange(12) // size) for name, (hits, size) in cases.items()})


def pairs_only() -> Entry:
    """A distance of two sets that hardly reacts to single clips: the product of two means near 0."""
    rng = np.random.Generator(np.random.PCG64(7))
    sides = [(rng.random(len(rows)), deal(rows)) for rows in (np.arange(60) // 3, np.arange(39) // 3)]

    def without(side: int, blocks: Sequence[int]) -> float:
        values, dealt = sides[side]
        values = values - values.mean() + 0.001
        return float(np.delete(values, [row for block in blocks for row in dealt[block]]).mean())

    jackknife = resample(lambda i, j: without(0, i) * without(1, j), sides[0][1], sides[1][1])
    return scores({"product": jackknife.score(60)})


def classes() -> Entry:
    """How many of 20,000 points the discriminant of the real set takes for each class."""
    real = SETS["one window per clip"][1]
    points = 4 * np.random.Generator(np.random.PCG64(8)).random((20_000, 8)) - 2
    found = classify(real.features.astype(np.float64), real.groups % 3, points)
    return {"points": {name: float(np.sum(found == k)) for k, name in enumerate("abc")}}


def faint_signals() -> Entry:
    """STREAM-T of frame features that hardly change, whose spectra are near the constant in its logarithm."""
    rng = np.random.Generator(np.random.PCG64(9))
    sides = []
    for loudness in (-6, -5):
        signals = 1 + 10 ** (loudness + rng.random((60, 1, 8))) * rng.random((60, 8, 8))
        sides.append(Samples(signals.mean(axis=1), None, np.arange(60), signals))
    return scores(score_stream(*sides))


PARTS: dict[str, tuple[str, Callable[[], Entry]]] = {
    "occlusion": ("warping_error", occlusion),
    "directions": ("flow_distance", directions),
    "tracks": ("fvmd", tracks),
    "repetition": ("periodicity", repetition),
    "logarithms": ("is", logarithms),
    "shares": ("dynamic_share", shares),
    "pairs only": ("kvd", pairs_only),
    "classes": ("class_accuracy", classes),
    "faint signals": ("stream", faint_signals),
}
EXTRACTORS = ("embedded", "embedded-frames")


def inputs() -> Found:
    """What everything else is measured on: numpy could draw other random numbers one day."""
    parts = {"clips": clips()} | {f"pair {i}": np.stack(pair) for i, pair in enumerate(pairs())}
    for case, sides in SETS.items():
        for side, samples in zip(("generated", "real"), sides, strict=True):
            for what in ("features", "logits", "frames"):
                parts[f"{what}, {side}, {case}"] = getattr(samples, what)
    return EXACT, {"inputs": {name: fingerprint(values) for name, values in parts.items()}}


def opencv() -> Found:
    """Flow and tracks from each frame of the clips to the next, by OpenCV alone."""
    import cv2

    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    points = np.mgrid[4:64:8, 4:64:8].reshape(2, -1).T.astype(np.float32)
    dense, sparse = [], []
    for clip in clips():
        for first, second in itertools.pairwise(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip):
            dense.append(solver.calc(first, second, None))
            sparse.append(cv2.calcOpticalFlowPyrLK(first, second, points, None)[0])
    return NEAR, {
        "OpenCV": {"DIS": fingerprint(np.stack(dense)), "Lucas-Kanade": fingerprint(np.stack(sparse))}
    }


@functools.cache
def has_other_opencv() -> bool:
    tolerance, found = opencv()
    return bool(changes(golden()["OpenCV"], found["OpenCV"], tolerance))


ALL: dict[str, Callable[[], Found]] = {
    "inputs": inputs,
    "OpenCV": opencv,
    **{text: functools.partial(measure, text) for text in (*METRICS, *VARIANTS)},
    **{name: functools.partial(measure_paired, name) for name in PAIRED},
    **{name: functools.partial(measure_extractor, name) for name in EXTRACTORS},
    **{name: functools.partial(measure_part, name) for name in PARTS},
}


def changes(pinned: Entry, found: Entry, tolerance: float) -> list[str]:
    """One line for each number that is not what it was, or that is on one side only."""
    lines = []
    for name in {**pinned, **found}:
        old, new = pinned.get(name, {}), found.get(name, {})
        size = max(map(abs, old.values()), default=0.0)
        for what in {**old, **new}:
            before, now = old.get(what, math.nan), new.get(what, math.nan)
            allowed = max(tolerance, ENDS) if what in ("low", "high") else tolerance
            if not math.isclose(before, now, rel_tol=allowed, abs_tol=allowed * size):
                lines.append(f"  {name}, {what}: {before!r} became {now!r}")
    return lines


def add_missing(
    golden: Mapping[str, Entry], found: Mapping[str, Entry], tolerance: float
) -> tuple[dict[str, Entry], list[str]]:
    """The golden entries with new keys added, and the keys whose numbers changed, which keep the old ones."""
    pinned = {key: entry for key, entry in found.items() if key in golden}
    changed = [key for key, entry in pinned.items() if changes(golden[key], entry, tolerance)]
    return {**found, **golden}, changed


@functools.cache
def golden() -> dict[str, Entry]:
    return json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}


def write() -> int:
    """Add what is missing to the file; exit code 1 where a number changed under a key that is there."""
    entries, refused = golden(), []
    before = len(entries)
    for find in ALL.values():
        tolerance, found = find()
        entries, changed = add_missing(entries, found, tolerance)
        refused += changed
    blocks = [
        f"{json.dumps(key)}: {{\n"
        + ",\n".join(f" {json.dumps(name)}: {json.dumps(numbers)}" for name, numbers in entries[key].items())
        + "\n}"
        for key in sorted(entries)
    ]
    GOLDEN.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")
    sys.stdout.write(f"{len(entries) - before} keys added to {GOLDEN.name}, {before} kept\n")
    for key in refused:
        sys.stdout.write(f"refused: the numbers of '{key}' changed; raise the metric's version first\n")
    return 1 if refused else 0


@pytest.mark.parametrize("name", ALL)
def test_numbers_are_those_of_the_version(name):
    tolerance, found = ALL[name]()
    for key, entry in found.items():
        if key not in golden():
            pytest.fail(
                f"{GOLDEN.name} has no '{key}'. Pin the numbers of a new metric or version with "
                f"`python tests/metrics/{Path(__file__).name} --write`."
            )
        if lines := changes(golden()[key], entry, tolerance):
            if name in ON_FLOW and has_other_opencv():
                pytest.skip("the numbers were pinned with another OpenCV, whose optical flow differs")
            pytest.fail(
                "\n".join([f"The numbers of '{key}' changed and its version did not:", *lines])
                + "\nIf the change is meant, raise the metric's `version`, then pin the new numbers with "
                f"`python tests/metrics/{Path(__file__).name} --write`."
            )


def test_writing_adds_new_keys_and_keeps_the_numbers_of_old_ones():
    old = {"a@1": {"a": {"value": 1.0}}}
    found = {"a@1": {"a": {"value": 1.1}}, "a@2": {"a": {"value": 1.1}}}
    entries, changed = add_missing(old, found, EXACT)
    assert entries == old | {"a@2": found["a@2"]}
    assert changed == ["a@1"]


@pytest.mark.parametrize(
    ("now", "differ"),
    [
        ({"value": 100.0, "error": 1.0}, False),
        ({"value": 100.0 + 1e-8, "error": 1.0}, False),
        ({"value": 100.0 + 1e-6, "error": 1.0}, True),
        ({"value": 100.0, "error": 1.0, "low": 98.0}, True),
        ({"value": 100.0}, True),
        ({"value": float("nan"), "error": 1.0}, True),
    ],
)
def test_what_counts_as_a_change(now, differ):
    pinned = {"score": {"value": 100.0, "error": 1.0}}
    assert bool(changes(pinned, {"score": now}, EXACT)) == differ


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Pin the numbers of new metrics and new versions.")
    parser.add_argument("--write", action="store_true", required=True, help="add what golden.json lacks")
    parser.parse_args()
    sys.exit(write())
