"""The public package cd-fvd on the same network weights and the same clips: equal features? which is faster?

    pip download --no-deps cd-fvd==0.1.1 && tar xf cd-fvd-0.1.1.tar.gz
    python benchmarks/against_cdfvd.py cd-fvd-0.1.1 --threads 2

Its data loader needs torchvision, so both sides get pixels in memory: its preprocessing and network in
batches of 16 as it runs them, ours as `evaluate` runs them. Weights are random, the same on both sides.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F

from vgbench import extractors
from vgbench.clips import open_source


def _public_network(folder: Path) -> ModuleType:
    path = folder / "cdfvd" / "third_party" / "i3d" / "pytorch_i3d.py"
    specification = importlib.util.spec_from_file_location("cdfvd_i3d", path)
    if specification is None or specification.loader is None:
        sys.exit(f"error: {path} is not there")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights that keep signals alive, and batch norm statistics that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, value in network.state_dict().items():
        if value.ndim > 1:
            state[name] = torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            state[name] = torch.rand(value.shape, generator=generator) + 0.5
        elif name.endswith("bn.weight"):
            state[name] = torch.ones_like(value)
        elif value.is_floating_point():
            state[name] = torch.randn(value.shape, generator=generator) * 0.1
        else:
            state[name] = value
    return state


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the unpacked package")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    theirs = _public_network(given.folder).InceptionI3d(400, in_channels=3).eval()
    state = _random_state(theirs)
    theirs.load_state_dict(state)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "random.pt")
        ours = extractors.load("i3d-k400-tats", Path(folder) / "random.pt", preprocessing="cdfvd")

    source = open_source(f"builtin:moving-shapes?size=64&clips={given.clips}")
    clips = np.stack([clip.read(range(16)) for clip in source.clips])

    def public() -> torch.Tensor:
        frames = torch.FloatTensor(clips).flatten(end_dim=1).permute(0, 3, 1, 2).contiguous()
        frames = F.interpolate(frames, size=(224, 224), mode="bilinear", align_corners=False)
        video = frames.view(len(clips), 16, 3, 224, 224).transpose(1, 2).contiguous()
        with torch.no_grad():
            return torch.cat([theirs(part) for part in (2.0 * video / 255.0 - 1).split(16)])

    def mine() -> torch.Tensor:
        return torch.cat([ours(clips[at : at + 16]).features for at in range(0, len(clips), 16)])

    a, b = public().double(), mine().double()
    print(f"largest relative difference of features: {float((a - b).norm() / a.norm()):.1e}")
    ratios = []
    for _ in range(given.turns):
        times = []
        for run in (public, mine):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
        print(f"cd-fvd {times[0] / len(clips):.3f} s a clip, vgbench {times[1] / len(clips):.3f} s a clip")
    print(f"features: {statistics.median(ratios):.2f} × the throughput of cd-fvd ({given.threads} threads)")


if __name__ == "__main__":
    main()
