"""Judge by eye, as a program can: do generated clips of `builtin:moving-shapes` show one rigid shape each?

    python scripts/judge_shapes.py train shapes.safetensors
    python scripts/judge_shapes.py judge shapes.safetensors FOLDER --sheet sheet.png

A small classifier of single frames answers with one of the four shapes or with "none". It is trained on real
frames of a seed that no preset uses, and no generator is ever trained with it. Its examples of "none" are
real frames whose outline was bent out of shape, so it does not have to name the nearest shape for a blob.
Besides what it answers, the judge measures the foreground: how many pieces it has, and how constant its
colour is. Backgrounds must be one colour, as those of `background=plain` are.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from vgbench.clips import moving_shapes, open_source
from vgbench.storage.tensor_file import load_tensors, save_tensors

SIZE = 32
SEED = 7919
"""Seed of the clips that the classifier sees, in place of 0, the seed of the training data of all presets."""
ANSWERS = (*moving_shapes.SHAPES, "none")
NONE = len(moving_shapes.SHAPES)
Clip = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Verdict:
    """What is seen in one clip.

    Attributes:
        named: share of the frames that are named after the shape that most frames are named after.
        shape: index of that shape in `ANSWERS`.
        whole: share of the frames whose foreground is one piece.
        colour: standard deviation over the frames of the foreground's mean colour, in grey levels, averaged
            over red, green and blue.
    """

    named: float
    shape: int
    whole: float
    colour: float


class FrameClassifier(nn.Sequential):
    """Logits of `ANSWERS` for frames of 32 × 32: float [N, 3, 32, 32] in [−1, 1] -> [N, 5]."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 24), (24, 48), (48, 96)):
            layers += [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        super().__init__(*layers, nn.Flatten(), nn.Linear(96 * 16, len(ANSWERS)))


def bent(frame: Clip, random: np.random.Generator) -> Clip:
    """Bend a frame by a smooth random field of several pixels: uint8 [H, W, 3] -> same shape."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    coarse = random.normal(0, 0.14 * height, (2, 6, 6)).astype(np.float32)
    right, down = (cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in coarse)
    return cv2.remap(frame, columns + right, rows + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def examples(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Make examples from the first frames of `count` clips, which start at a random phase of their motion.

    Returns:
        frames with a little noise, float [count, 3, 32, 32] in [−1, 1], and indices of `ANSWERS`, [count].
    """
    options = moving_shapes.Options(size=SIZE, frames=1, seed=SEED)
    frames, answers = [], []
    for index in range(first, first + count):
        random = np.random.default_rng([SEED, index])
        (frame,) = moving_shapes.render(options, "train", index)
        shape = moving_shapes.label(options, "train", index).split(", ")[0]
        is_none = random.random() < 1 / len(ANSWERS)
        noise = random.normal(0, random.uniform(0, 6), frame.shape)
        shown = bent(frame, random) if is_none else frame
        frames.append(np.clip(shown + noise, 0, 255))
        answers.append(NONE if is_none else ANSWERS.index(shape))
    return as_input(np.stack(frames)), torch.tensor(answers)


def as_input(frames: npt.NDArray[np.generic]) -> torch.Tensor:
    """Turn frames into the input of the classifier: [N, 32, 32, 3] in 0..255 -> float [N, 3, 32, 32]."""
    return torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1


def train(output: Path, steps: int, checks: int = 2000) -> None:
    """Train the classifier on new examples in every step, save it, and count its errors on new examples."""
    torch.manual_seed(0)
    model = FrameClassifier()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for step in range(steps):
        frames, answers = examples(step * 64, 64)
        loss = F.cross_entropy(model(frames), answers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}, {time.process_time():.0f} s of CPU", flush=True)
    model.eval()
    frames, answers = examples(steps * 64, checks)
    with torch.no_grad():
        right = (model(frames).argmax(1) == answers).float().mean().item()
    print(f"right for {100 * right:.1f} % of {checks:,} new examples")
    save_tensors(output, model.state_dict(), {})


def load(path: Path) -> FrameClassifier:
    model = FrameClassifier()
    model.load_state_dict(load_tensors(path)[0])
    return model.eval()


def foreground(clip: Clip) -> npt.NDArray[np.bool_]:
    """Find what differs from the background: uint8 [T, H, W, 3] -> bool [T, H, W].

    The background's colour is the median over the outermost pixels of all frames. The threshold of the
    distance to it is half of a high quantile, which lies on the edge of a shape of one colour.
    """
    edge = np.concatenate([clip[:, 0], clip[:, -1], clip[:, :, 0], clip[:, :, -1]], 1)
    background = np.median(edge.reshape(-1, 3), axis=0)
    distance = np.linalg.norm(clip - background, axis=3)
    threshold = 0.5 * np.quantile(distance.reshape(len(clip), -1), 0.97, axis=1)
    found: npt.NDArray[np.bool_] = distance > threshold[:, None, None]
    return found


def is_whole(mask: npt.NDArray[np.bool_]) -> bool:
    """Whether one piece holds at least 97 % of the foreground of a frame: bool [H, W]."""
    pieces, _, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = facts[1:pieces, cv2.CC_STAT_AREA]
    return bool(areas.size and areas.max() >= 0.97 * areas.sum())


def colour_deviation(clip: Clip, masks: npt.NDArray[np.bool_]) -> float:
    """Measure how much the mean colour varies over the frames, see `Verdict.colour`.

    Pixels at the outline are left out, because they mix both colours.
    """
    means = []
    for frame, mask in zip(clip, masks, strict=True):
        inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        chosen = inside if inside.any() else mask
        if chosen.any():
            means.append(frame[chosen].mean(0))
    return float(np.std(means, axis=0).mean()) if means else float("nan")


def judge(model: nn.Module, clip: Clip) -> Verdict:
    """Judge one clip: uint8 [T, 32, 32, 3]."""
    with torch.no_grad():
        answers = model(as_input(clip)).argmax(1).numpy()
    votes = np.bincount(answers, minlength=len(ANSWERS))[:NONE]
    masks = foreground(clip)
    return Verdict(
        named=float(votes.max() / len(clip)),
        shape=int(votes.argmax()),
        whole=float(np.mean([is_whole(mask) for mask in masks])),
        colour=colour_deviation(clip, masks),
    )


def summary(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Summarise verdicts as shares of the clips, and the mean and median of the colour's deviation."""
    colour = np.array([one.colour for one in verdicts])
    return {
        "clips": len(verdicts),
        "one shape named in at least 90 % of the frames": float(np.mean([v.named >= 0.9 for v in verdicts])),
        "foreground of one piece in at least 90 % of the frames": float(
            np.mean([v.whole >= 0.9 for v in verdicts])
        ),
        "deviation of the colour, mean": float(np.nanmean(colour)),
        "deviation of the colour, median": float(np.nanmedian(colour)),
        "deviation of the colour at most 1": float(np.mean(colour <= 1)),
    }


def sheet(clips: Sequence[Clip], frames: int = 8, scale: int = 3) -> Image.Image:
    """Draw a contact sheet: one clip per row, frames at equal distances."""
    rows = [
        np.concatenate(list(clip[np.linspace(0, len(clip) - 1, frames).round().astype(int)]), 1)
        for clip in clips
    ]
    half = -(-len(rows) // 2)
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    grid = np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], 1)
    return Image.fromarray(grid.repeat(scale, 0).repeat(scale, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train the classifier of frames")
    training.add_argument("classifier", type=Path)
    training.add_argument("--steps", type=int, default=2000)
    judging = commands.add_parser("judge", help="judge clips of 32 × 32 pixels")
    judging.add_argument("classifier", type=Path)
    judging.add_argument("clips", help="folder, archive or builtin:moving-shapes/test?size=32")
    judging.add_argument("--count", type=int, default=512)
    judging.add_argument("--sheet", type=Path, help="write a contact sheet of up to 24 clips here (PNG)")
    judging.add_argument("--verdicts", type=Path, help="write the verdict on each clip here (JSON)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "train":
        train(given.classifier, given.steps)
        return
    model = load(given.classifier)
    chosen = open_source(given.clips).clips[: given.count]
    clips = [clip.read(range(clip.count_frames())) for clip in chosen]
    wrong = next((clip.shape for clip in clips if clip.shape[1:] != (SIZE, SIZE, 3)), None)
    if not clips or wrong:
        parser.error(f"{given.clips}: expected clips of {SIZE} × {SIZE} pixels, found {wrong or 'none'}")
    verdicts = [judge(model, clip) for clip in clips]
    for name, value in summary(verdicts).items():
        print(f"{name}: {value:.3g}")
    if given.sheet:
        shown = np.linspace(0, len(clips) - 1, min(24, len(clips))).round().astype(int)
        sheet([clips[index] for index in shown]).save(given.sheet, optimize=True)
    if given.verdicts:
        named = {clip.id: asdict(verdict) for clip, verdict in zip(chosen, verdicts, strict=True)}
        given.verdicts.write_text(json.dumps(named, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
