"""Which clips show the direction of time, and whether an extractor detects it.

    python benchmarks/time_direction.py
    python benchmarks/time_direction.py i3d-k400,precision=bfloat16 --sets bend --choices first --windows 50

Two questions for each set of windows.

*Told*: share of windows that a logistic regression calls forward or backward rightly, fitted to some people
(videos, clips) and asked about others; chance is 0.5. Beside the extractors it is given optical flow: means
over an 8 x 8 grid and three thirds of the window. What flow cannot tell either is hardly there to be seen.
The interval (95 %) draws people anew.

*Reversed*: Fréchet distance of reversed windows to real ones, as a multiple of the distance between real
ones. "dealt" deals the windows to two sides, which then show the same people (and overlap in time where there
are few clips); "people" puts other people on either side. Means over eight such splits.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import extractor_sensitivity as sensitivity
import numpy as np
import numpy.typing as npt
from extractor_sensitivity import Clips
from features import features_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vgbench.metrics import frechet_distance

Features = npt.NDArray[np.float32]
ACTIONS = {"one-hand wave": 0, "two-hand wave": 1, "jumping jack": 3, "bend": 4}
SPLITS = 8


@dataclass(frozen=True)
class Choice:
    """Which windows are cut from a clip: their frames and stride, and the part of the clip they lie in."""

    frames: int = 16
    stride: int = 1
    part: tuple[float, float] = (0, 1)

    def cut(self, clip: Clips, step: int) -> list[Clips]:
        span = (self.frames - 1) * self.stride + 1
        first, last = (round(share * len(clip)) for share in self.part)
        return [clip[s : s + span : self.stride] for s in range(first, last - span + 1, step)]


CHOICES = {
    "all": Choice(),
    "first": Choice(part=(0, 0.53)),
    "second": Choice(part=(0.47, 1)),
    "stride 2": Choice(stride=2),
    "32 frames": Choice(frames=32),
}
"""A bend goes down in the first half of its clip and up in the second."""


def action(name: str, choice: Choice) -> tuple[Clips, npt.NDArray[np.int64]]:
    """Windows of one action and the person in each."""
    windows, people = [], []
    step = 2 if choice.part != (0, 1) else 4
    for path in sorted((sensitivity.DATA / "mocogan-actions" / str(ACTIONS[name])).glob("*")):
        found = choice.cut(sensitivity.strip(path), step)
        windows += found
        people += [int(path.stem) // 8] * len(found)
    return np.stack(windows), np.array(people)


def shape_motion(_: str, choice: Choice) -> tuple[Clips, npt.NDArray[np.int64]]:
    windows = [choice.cut(clip, 1)[0] for _, clip in sensitivity.shape_motion(100)]
    return np.stack(windows), np.arange(len(windows))


def videos(_: str, choice: Choice) -> tuple[Clips, npt.NDArray[np.int64]]:
    windows = [choice.cut(clip, 1)[0] for _, clip in sensitivity.videos(100)]
    return np.stack(windows), np.arange(len(windows)) // 2 % 3


SETS: dict[str, Callable[[str, Choice], tuple[Clips, npt.NDArray[np.int64]]]] = {
    **dict.fromkeys(ACTIONS, action),
    "shape-motion": shape_motion,
    "videos": videos,
}


def flow(clips: Clips) -> Features:
    """Mean horizontal, vertical and absolute optical flow in 8 x 8 cells and three thirds of the time."""
    rows = []
    for clip in clips:
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
        flows = [
            cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 9, 3, 5, 1.1, 0)
            for a, b in itertools.pairwise(grey)
        ]
        field = np.stack(flows)
        field = np.concatenate([field, np.linalg.norm(field, axis=3, keepdims=True)], axis=3)
        thirds = np.stack([part.mean(axis=0) for part in np.array_split(field, 3)])
        rows.append(thirds.reshape(3, 8, 8, 8, 8, 3).mean(axis=(2, 4)).ravel())
    return np.stack(rows)


def told(forward: Features, backward: Features, groups: npt.NDArray[np.int64]) -> str:
    """Accuracy on groups that the regression was not fitted to, with its interval."""
    x, groups_of = np.concatenate([forward, backward]), np.concatenate([groups, groups])
    y = np.repeat([1, 0], len(forward))
    names = np.unique(groups)
    right = np.empty(len(x))
    for held_out in np.array_split(np.random.default_rng(0).permutation(names), min(9, len(names))):
        test = np.isin(groups_of, held_out)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        right[test] = model.fit(x[~test], y[~test]).predict(x[test]) == y[test]
    share = np.array([right[groups_of == name].sum() for name in names])
    size = np.array([(groups_of == name).sum() for name in names])
    mean = f"{right.mean():.2f}"
    if len(names) < 5:  # too few for a meaningful interval
        return mean
    drawn = np.random.default_rng(1).integers(0, len(names), (2000, len(names)))
    low, high = np.quantile(share[drawn].sum(axis=1) / size[drawn].sum(axis=1), (0.025, 0.975))
    return f"{mean} [{low:.2f}, {high:.2f}]"


def reversed_multiple(forward: Features, backward: Features, groups: npt.NDArray[np.int64]) -> str:
    """Mean distance between real sides, and of reversed ones as a multiple of it; `groups` stay together."""
    rng, names = np.random.default_rng(0), np.unique(groups)
    pairs = []
    for _ in range(SPLITS):
        side = np.isin(groups, rng.permutation(names)[: len(names) // 2])
        pairs.append(
            (
                frechet_distance(forward[side], forward[~side]),
                frechet_distance(forward[side], backward[~side]),
            )
        )
    real, turned = np.mean(pairs, axis=0)
    return f"{real:.3g} | ×{turned / real:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extractors", nargs="*", default=["embedded"], help="NAME[,option=value]...")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--choices", nargs="+", choices=CHOICES, default=list(CHOICES), help="of windows")
    parser.add_argument("--windows", type=int, default=300, help="at most, drawn")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    loaded = [sensitivity.load(choice) for choice in options.extractors]

    names = [extractor.spec.id for extractor in loaded]
    told_by = " | ".join(f"told by {name}" for name in ("flow", *names))
    moved = " | ".join(f"{name}: dealt | reversed | people | reversed" for name in names)
    print(f"| set | windows | n | {told_by} | {moved} |")
    print("| --- | --- |" + " ---: |" * (2 + 5 * len(names)))
    for name in options.sets:
        for choice in options.choices if name in ACTIONS else ["all"]:
            windows, groups = SETS[name](name, CHOICES[choice])
            drawn = np.random.default_rng(0).permutation(len(windows))[: options.windows]
            windows, groups = windows[drawn], groups[drawn]
            turned = np.ascontiguousarray(windows[:, ::-1])
            cells = [told(flow(windows), flow(turned), groups)]
            distances = []
            for extractor in loaded:
                pair = features_of(extractor, windows), features_of(extractor, turned)
                cells.append(told(*pair, groups))
                distances.append(reversed_multiple(*pair, np.arange(len(windows))))
                distances.append(reversed_multiple(*pair, groups) if name in ACTIONS else "– | –")
            row = (name, choice, str(len(windows)), *cells, *distances)
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
