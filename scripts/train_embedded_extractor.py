"""Train the embedded extractor on procedural clips and write `embedded.safetensors`.

    python scripts/train_embedded_extractor.py --output vgbench/extractors/weights/embedded.safetensors

Many tasks share one embedding, most of them through one linear map: what moves, how fast, in which direction
and how regularly; the kind and strength of damage; where objects are and where they move; and the classes of
`vgbench.clips.moving_shapes`. Then the class head is trained again on the final features. The data depend on
the seed and not on the number of workers; weights are reproducible on one machine with one thread count.

A checkpoint is written beside the output every 200 steps; the same command continues from it, with the same
result as without an interruption.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import procedural_clips as procedural
import torch
import torch.nn.functional as F
from procedural_clips import FACTORS, FAMILIES, SPATIAL, TEMPORAL
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from vgbench.clips import moving_shapes
from vgbench.errors import ConfigError
from vgbench.extractors.embedded import FEATURES, EmbeddedNetwork, to_frames
from vgbench.extractors.weights import file
from vgbench.storage.tensor_file import save_tensors
from vgbench.training.state import load_state, save_state

Batch = dict[str, torch.Tensor]
LENGTHS, LENGTH_SHARES = (16, 8, 12, 24), (0.6, 0.1, 0.15, 0.15)
CHECKPOINT_STEPS = 200


class Batches(Dataset[Batch]):
    """Batch i of a stream; every clip of a batch has the same length, which differs between batches."""

    def __init__(self, seed: int, size: int, count: int) -> None:
        self.seed, self.size, self.count = seed, size, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        cv2.setNumThreads(0)
        frames = int(np.random.default_rng([self.seed, index]).choice(LENGTHS, p=LENGTH_SHARES))
        first = index * self.size
        samples = [procedural.sample(self.seed, first + i, frames) for i in range(self.size)]
        return {
            "clips": torch.from_numpy(np.stack([s.frames for s in samples])),
            "factors": torch.from_numpy(np.stack([s.factors for s in samples])),
            "strengths": torch.from_numpy(np.stack([s.strengths for s in samples])),
            "family": torch.tensor([s.family for s in samples]),
            "shape": torch.tensor([s.shape for s in samples]),
            "spatial": torch.tensor([s.spatial for s in samples]),
            "temporal": torch.tensor([s.temporal for s in samples]),
        }


MAPS = 3 * 64 + 64 + 64


def maps(frames: torch.Tensor) -> torch.Tensor:
    """Where objects are and where they move, 8 x 8: mean colour, log change, late minus early brightness."""
    luma = frames.mean(dim=4)
    half = luma.shape[1] // 2
    change = (luma[:, 1:] - luma[:, :-1]).square().mean(dim=1)
    images = (
        *frames.mean(dim=1).unbind(dim=3),
        luma[:, half:].mean(dim=1) - luma[:, :half].mean(dim=1),
    )
    pooled = [F.adaptive_avg_pool2d(image, 8).flatten(1) for image in images]
    energy = F.adaptive_avg_pool2d(change, 8).flatten(1)
    return torch.cat([*pooled, 0.25 * torch.log(energy + 1e-4)], dim=1)


class Heads(nn.Module):
    """Heads on the features, used in training only."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Linear(FEATURES, len(FACTORS))
        self.strengths = nn.Linear(FEATURES, 2)
        self.maps = nn.Linear(FEATURES, MAPS)
        self.hidden = nn.Sequential(nn.Linear(FEATURES, 256), nn.ReLU())
        self.family = nn.Linear(256, len(FAMILIES))
        self.spatial = nn.Linear(256, len(SPATIAL))
        self.temporal = nn.Linear(256, len(TEMPORAL))


def losses(
    network: EmbeddedNetwork, heads: Heads, batch: Batch, scales: torch.Tensor
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weighted losses of all tasks, and per clip what validation averages: hits and relative errors."""
    frames = to_frames(batch["clips"])
    features, logits = network(frames)
    hidden = heads.hidden(features)
    seen: dict[str, torch.Tensor] = {}
    terms: dict[str, torch.Tensor] = {}

    weights = {"family": 0.5, "spatial": 1.0, "temporal": 1.5}
    for name, weight in weights.items():
        guess = getattr(heads, name)(hidden)
        terms[name] = weight * F.cross_entropy(guess, batch[name])
        seen[name] = (guess.argmax(1) == batch[name]).float()
    known = batch["shape"] >= 0
    if known.any():
        terms["shape"] = F.cross_entropy(logits[known], batch["shape"][known])
        seen["shape"] = (logits[known].argmax(1) == batch["shape"][known]).float()
    terms["strengths"] = 4 * F.smooth_l1_loss(heads.strengths(features), batch["strengths"], beta=0.2)
    target = batch["factors"] / scales
    error = (heads.factors(features) - target)[~target.isnan()]
    terms["factors"] = 2 * F.smooth_l1_loss(error, torch.zeros_like(error))
    image = maps(frames)
    error = (heads.maps(features) - image).square()
    terms["maps"] = 4 * error.mean()
    seen["maps"] = error.mean(1) / image.var(0).mean()
    return terms, seen


def factor_scales(seed: int) -> torch.Tensor:
    factors = np.stack([procedural.sample(seed, index, 16).factors for index in range(1500)])
    return torch.from_numpy(np.nanstd(factors, axis=0) + 0.05)


def validate(
    network: EmbeddedNetwork, heads: Heads, scales: torch.Tensor, seed: int, count: int
) -> dict[str, float]:
    network.eval()
    totals: dict[str, list[torch.Tensor]] = {}
    with torch.inference_mode():
        for index in range(count):
            _, seen = losses(network, heads, Batches(seed, 64, count)[index], scales)
            for name, values in seen.items():
                totals.setdefault(name, []).append(values)
    network.train()
    return {name: round(float(torch.cat(values).mean()), 4) for name, values in totals.items()}


def fit_classifier(network: EmbeddedNetwork, seed: int, clips: int, epochs: int = 60) -> float:
    """Train the class head again on the final features of undamaged moving shapes; return held-out accuracy.

    During training the head chases features that still move, and most clips it sees are damaged.
    """
    torch.manual_seed(seed)  # not the state after training, which an interruption changes
    network.eval()
    features, labels = [], []
    for first in range(0, clips, 48):
        size, background = (32, 64)[first // 48 % 2], ("plain", "texture")[first // 96 % 2]
        options = moving_shapes.Options(size=size, seed=seed, background=background)
        batch = [moving_shapes.render(options, "extractor", first + i) for i in range(48)]
        with torch.inference_mode():
            features.append(network(to_frames(torch.from_numpy(np.stack(batch))))[0])
        named = (moving_shapes.label(options, "extractor", first + i) for i in range(48))
        labels += [moving_shapes.CLASSES.index(name) for name in named]
    x, y = torch.cat(features).clone(), torch.tensor(labels)
    held_out = len(x) // 10
    head = network.classify
    for layer in head:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for chosen in (torch.randperm(len(x) - held_out) + held_out).split(256):
            noisy = x[chosen] + 0.05 * torch.randn(len(chosen), FEATURES)
            loss = F.cross_entropy(head(noisy), y[chosen], label_smoothing=0.02)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    with torch.inference_mode():
        return round(float((head(x[:held_out]).argmax(1) == y[:held_out]).float().mean()), 4)


def save(path: Path, network: EmbeddedNetwork, metadata: dict[str, Any]) -> None:
    tensors = {
        # Weights in half precision; the statistics of batch norms do not fit its range.
        key: value.half() if value.dim() >= 2 else value
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    save_tensors(path, tensors, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()})


def recipe(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The command without paths, which are meaningless on other machines."""
    parts = ["python scripts/train_embedded_extractor.py"]
    for name, value in vars(options).items():
        if name not in ("output", "initial") and value != parser.get_default(name):
            flag = name.replace("_", "-")
            switch = {True: f"--{flag}", False: f"--no-{flag}"}
            parts.append(switch[value] if isinstance(value, bool) else f"--{flag} {value}")
    return " ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=20260)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train in bfloat16; --no-bf16 is faster on CPUs without instructions for it",
    )
    parser.add_argument("--initial", type=Path, help="start from these weights (with new heads)")
    parser.add_argument("--classifier-clips", type=int, default=9600)
    parser.add_argument("--version", default="1")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    network, heads = EmbeddedNetwork(len(moving_shapes.CLASSES)), Heads()
    metadata = {
        "version": options.version,
        "classes": moving_shapes.CLASSES,
        "command": recipe(parser, options),
        "seed": options.seed,
        "moving_shapes": moving_shapes.VERSION,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    if options.initial:
        stored = file.read(options.initial)
        file.load_into(network, stored.tensors, str(options.initial))
        metadata["command"] = f"{stored.metadata['command']}; {metadata['command']}"
        metadata |= {key: stored.metadata[key] for key in ("steps", "validation")}
    if options.steps:
        metadata |= train(network, heads, options, metadata)
    metadata["classifier"] = fit_classifier(network, options.seed + 3, options.classifier_clips)
    print("classifier, held out:", metadata["classifier"])
    save(options.output, network, metadata)
    checkpoint(options.output).unlink(missing_ok=True)


def checkpoint(output: Path) -> Path:
    return output.with_name(f"{output.stem}.checkpoint.safetensors")


def train(
    network: EmbeddedNetwork, heads: Heads, options: argparse.Namespace, metadata: dict[str, Any]
) -> dict[str, Any]:
    """Train all tasks together, from the checkpoint if there is one; returns the metadata.

    Raises:
        ConfigError: the checkpoint was made by another command.
    """
    scales = factor_scales(options.seed + 2)
    parameters = [*network.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=options.lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.lr, total_steps=options.steps, pct_start=0.05, div_factor=10, final_div_factor=100
    )
    parts = {"network": network, "heads": heads, "optimiser": optimiser}
    state, done = checkpoint(options.output), 0
    if state.exists():
        counters = load_state(state, parts)
        if counters["command"] != metadata["command"]:
            raise ConfigError(
                f"{state} was made by `{counters['command']}`", "give its options, or delete it"
            )
        done = counters["step"]
        # The rate is a function of the step alone: put the counter back by one and step.
        schedule.load_state_dict(schedule.state_dict() | {"last_epoch": done - 1, "_step_count": done})
        schedule.step()
        print("going on after step", done, flush=True)
    loader = DataLoader(
        Subset(Batches(options.seed, options.batch, options.steps), range(done, options.steps)),
        batch_size=None,
        num_workers=options.workers,
        prefetch_factor=8 if options.workers else None,
    )
    begun, spent, running = time.monotonic(), time.process_time(), {}
    for step, batch in enumerate(loader, done + 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            terms, _ = losses(network, heads, batch, scales)
        optimiser.zero_grad(set_to_none=True)
        sum(terms.values()).backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        for name, value in terms.items():
            running[name] = 0.98 * running.get(name, value.item()) + 0.02 * value.item()
        if step % CHECKPOINT_STEPS == 0 or step == options.steps:
            rate = (step - done) * options.batch / (time.monotonic() - begun)
            cost = (time.process_time() - spent) / (step - done)
            shown = {name: round(value, 3) for name, value in running.items()}
            print(step, f"{rate:.0f} clips/s, {cost:.2f} s of CPU a step", shown, flush=True)
            save_state(state, parts, {"step": step, "command": metadata["command"]})
    result = validate(network, heads, scales, options.seed + 1, 16)
    print("validation", result, flush=True)
    return {"steps": options.steps, "validation": result}


if __name__ == "__main__":
    main()
