"""Compare features and speed with the public package cd-fvd, on the same network weights and clips.

    pip download --no-deps cd-fvd==0.1.1 && tar xf cd-fvd-0.1.1.tar.gz
    python benchmarks/against_cdfvd.py cd-fvd-0.1.1 --threads 2              # pixels in memory
    python benchmarks/against_cdfvd.py cd-fvd-0.1.1 --threads 2 --from-disk  # folders of frames to one FVD

In memory: its preprocessing and network run in batches of 16, as in the package, and ours as in `evaluate`.
From disk: its loader, features and distance are compared with `evaluate` with an empty store; its loader
needs torchvision (for example torch 2.14.1 with torchvision 0.29.1), einops, tqdm and requests. The clips are
folders of frames, because its video loader needs functions that torchvision no longer has. Both sides use the
same random weights.
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
        sys.exit(f"error: {path} does not exist")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights that preserve the scale of signals, and batch norm statistics that are not the identity."""
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


def from_disk(package: Path, state: dict[str, torch.Tensor], n_clips: int, turns: int) -> None:
    """Time both in turn, from two folders of clips to one FVD."""
    import contextlib
    import os

    from PIL import Image

    from vgbench import evaluate
    from vgbench.clips import write_clips
    from vgbench.evaluation.feature_store import FeatureStore

    sys.path.insert(0, str(package))
    from cdfvd import fvd as public  # type: ignore[import-not-found]

    Image.ANTIALIAS = Image.Resampling.LANCZOS  # type: ignore[attr-defined] # its loader needs Pillow < 10
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "random.pt"
        torch.save(state, weights)
        folders = {}
        for split in ("train", "test"):
            source = open_source(f"builtin:moving-shapes/{split}?size=64&clips={n_clips}&frames=17")
            folders[split] = Path(temporary) / split  # 17 frames: its loader drops clips of exactly 16
            write_clips((clip.read(range(17)) for clip in source.clips), folders[split], "frames")

        def theirs() -> float:
            with Path(os.devnull).open("w") as quiet, contextlib.redirect_stdout(quiet):
                scorer = public.cdfvd(
                    "i3d", ckpt_path=str(weights), n_real=n_clips, n_fake=n_clips, device="cpu"
                )
                given = {"resolution": 64, "data_type": "image_folder", "num_workers": 0}
                scorer.compute_real_stats(scorer.load_videos(str(folders["train"]), **given))
                scorer.compute_fake_stats(scorer.load_videos(str(folders["test"]), **given))
                return float(scorer.compute_fvd_from_stats())

        def ours() -> float:
            settings = [f"clips.generated={n_clips}", f"clips.real={n_clips}", "clips.least=2"]
            settings += ["extractor.name=i3d-k400-tats", f"extractor.weights={weights}"]
            with tempfile.TemporaryDirectory() as store:
                record = evaluate(
                    folders["test"],
                    folders["train"],
                    "fvd-cdfvd",
                    ["fvd(covariance=biased)"],
                    settings=[*settings, "resize.size=64"],
                    store=FeatureStore(Path(store)),
                )
            return record.scores["fvd"].value

        ratios = []
        for _ in range(turns):
            times, scores = [], []
            for run in (theirs, ours):
                start = time.perf_counter()
                scores.append(run())
                times.append(time.perf_counter() - start)
            ratios.append(times[0] / times[1])
            print(
                f"cd-fvd {times[0]:.1f} s, FVD {scores[0]:.6g}; vgbench {times[1]:.1f} s with its interval, "
                f"FVD {scores[1]:.6g} (each draws its own first frames, 0 or 1)"
            )
        print(f"from disk, {n_clips} + {n_clips} clips: {statistics.median(ratios):.2f} × as fast as cd-fvd")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the unpacked package")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--from-disk", action="store_true", help="whole path, from folders to the score")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)

    theirs = _public_network(given.folder).InceptionI3d(400, in_channels=3).eval()
    state = _random_state(theirs)
    theirs.load_state_dict(state)
    if given.from_disk:
        from_disk(given.folder, state, given.clips, given.turns)
        return
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
        print(
            f"cd-fvd {times[0] / len(clips):.3f} s per clip, vgbench {times[1] / len(clips):.3f} s per clip"
        )
    print(f"features: {statistics.median(ratios):.2f} × the throughput of cd-fvd ({given.threads} threads)")


if __name__ == "__main__":
    main()
