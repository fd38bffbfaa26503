"""Speed of the extractors relative to the same network run plainly, measured in turn in one process.

    python benchmarks/extractors.py --threads 2             # --compile adds torch.compile, after minutes

I3D's baseline is the network as published ports run it: eager, contiguous tensors, separate batch norms,
padding copied before every layer that needs it. Weights are random, because speed does not depend on them.
Prints seconds per clip (the best of several turns, which other work disturbs least), ratios, and differences.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vgbench import extractors
from vgbench.extractors import i3d
from vgbench.extractors.weights import registry


class PlainMaxPool(nn.Module):
    def __init__(self, pool: i3d.MaxPool) -> None:
        super().__init__()
        self.kernel, self.stride = pool.kernel, pool.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pads = i3d.same_padding(x.shape, self.kernel, self.stride)
        return F.max_pool3d(F.pad(x, pads, value=float("-inf")), self.kernel, self.stride)


def plain(network: i3d.InceptionI3d) -> nn.Module:
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, i3d.MaxPool):
                setattr(parent, name, PlainMaxPool(child))
    return network


def in_turn(runs: dict[str, Callable[[], torch.Tensor]], turns: int, clips: int) -> dict[str, float]:
    """Best seconds a clip of each run; runs alternate, so that a busy machine disturbs them alike."""
    best = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    for _ in range(turns):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            best[name] = min(best[name], (time.perf_counter() - begun) / clips)
    return best


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def bench_i3d(turns: int, clips: int, compiled: bool) -> None:
    torch.manual_seed(0)
    network = i3d.InceptionI3d().eval()
    if registry.list_cached()["i3d-k400"]:  # differences mean more with the real weights
        network.load_state_dict(registry.stored("i3d-k400").tensors, strict=False)
    baseline = plain(network)
    network.fold()
    network = network.to(memory_format=torch.channels_last_3d)
    clip = torch.rand(clips, 3, 4, 14, 14, generator=torch.Generator().manual_seed(0)) * 2 - 1
    x = F.interpolate(clip, (16, 224, 224), mode="trilinear")
    last = x.contiguous(memory_format=torch.channels_last_3d)

    def half() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            pooled = network.pooled(last)
        return network.logits(pooled.float()).flatten(1)

    runs = {
        "eager, contiguous": lambda: baseline(x),
        "vgbench float32": lambda: network(last),
        "vgbench bfloat16": half,
    }
    if compiled:
        program = torch.compile(network)
        begun = time.perf_counter()
        program(last)
        print(f"torch.compile: {time.perf_counter() - begun:.0f} s before the first result")
        runs["vgbench float32, torch.compile"] = lambda: program(last)
    best = in_turn(runs, turns, clips)
    expected = runs["eager, contiguous"]()
    print("\n| I3D, 16 x 224 x 224 | s / clip | ratio | relative difference |\n| --- | ---: | ---: | ---: |")
    for name, seconds in best.items():
        ratio = best["eager, contiguous"] / seconds
        print(f"| {name} | {seconds:.3f} | {ratio:.2f} | {difference(runs[name](), expected):.1e} |")


def bench_embedded(turns: int) -> None:
    extractor = extractors.load("embedded")
    print("\n| embedded, batch of 16 | clips / s |\n| --- | ---: |")
    for frames, size in ((16, 64), (16, 32), (16, 128), (32, 64)):
        clips = np.random.default_rng(0).integers(0, 256, (16, frames, size, size, 3), dtype=np.uint8)
        best = in_turn({"run": lambda clips=clips: extractor(clips).features}, turns, len(clips))
        print(f"| {frames} x {size} x {size} | {1 / best['run']:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--clips", type=int, default=2, help="I3D's batch")
    parser.add_argument("--compile", action="store_true", help="measure I3D through torch.compile too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, {torch.backends.cpu.get_cpu_capability()}")
    with torch.inference_mode():
        bench_i3d(options.turns, options.clips, options.compile)
        bench_embedded(10 * options.turns)  # turns of milliseconds


if __name__ == "__main__":
    main()
