"""Cost of evaluation besides the extractor: cold, warm, memory, two ranks; each as a ratio within one run.

    python benchmarks/evaluation.py cold     # empty store / extractor on pixels in memory, plain loop
    python benchmarks/evaluation.py warm     # 2,048 + 2,048 windows from the store / the same cold
    python benchmarks/evaluation.py memory   # peak of 4,096 clips / of 256
    python benchmarks/evaluation.py ranks    # two single-threaded ranks of torchrun / one

Options: --extractor (i3d-k400 for `cold` and `ranks`, untrained unless fetched; else embedded), --clips.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

MEMORY_CHILD = """
import resource, sys
from vgbench import evaluate
from vgbench.evaluation.feature_store import FeatureStore
from pathlib import Path
import tempfile
n = int(sys.argv[1])
source = "builtin:moving-shapes/{}?size=64&clips=%d" % n
with tempfile.TemporaryDirectory() as folder:
    evaluate(source.format("train"), source.format("test"), metrics=["fvd", "temporal_flicker"],
             settings=[f"clips.generated={n}", f"clips.real={n}"], store=FeatureStore(Path(folder)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def cold(extractor_name: str, clips: int) -> None:
    """Time three ways over the same folder in turn, three times, and print the medians of the ratios."""
    import scipy.linalg
    import torch

    from vgbench import evaluate, extractors
    from vgbench.clips import open_source, write_clips
    from vgbench.evaluation.feature_store import FeatureStore

    network = extractors.load(extractor_name, weights=_weights(extractor_name))
    settings = [f"clips.generated={clips}", f"clips.real={clips}", "clips.least=2"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clips"
        source = open_source(f"builtin:moving-shapes/train?size=64&clips={clips}")
        write_clips((clip.read(range(16)) for clip in source.clips), folder, "mp4")
        pixels = torch.from_numpy(np.stack([clip.read(range(16)) for clip in open_source(folder).clips]))
        ratios, loops = [], []
        for turn in range(3):
            start = time.perf_counter()
            with torch.inference_mode():
                for at in range(0, clips, 16):
                    network(pixels[at : at + 16])
            alone = time.perf_counter() - start

            store = FeatureStore(Path(temporary) / f"store{turn}")
            start = time.perf_counter()
            evaluate(folder, folder, metrics=["fvd"], extractor=network, settings=settings, store=store)
            ours = time.perf_counter() - start

            start = time.perf_counter()
            features = []
            for clip in open_source(folder).clips:
                with torch.inference_mode():
                    features.append(network(torch.from_numpy(clip.read(range(16)))[None])[0].numpy())
            x = np.concatenate(features).astype(float)
            scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(x.T))
            loop = time.perf_counter() - start
            ratios.append(ours / alone)
            loops.append(ours / loop)
            print(f"extractor alone {alone:.2f} s, evaluate {ours:.2f} s, plain loop {loop:.2f} s")
    print(f"cold: {statistics.median(ratios):.3f} × extractor alone ({clips} clips, {extractor_name})")
    print(f"cold: {statistics.median(loops):.3f} × plain loop of one clip after the other")


def warm(extractor_name: str, clips: int) -> None:
    from vgbench import evaluate, extractors
    from vgbench.evaluation.feature_store import FeatureStore

    network = extractors.load(extractor_name, weights=_weights(extractor_name))
    source = "builtin:moving-shapes/{}?size=64&clips=" + str(clips)
    settings = [f"clips.generated={clips}", f"clips.real={clips}"]
    metrics = ["fvd", "kvd", "prdc", "jedi_mmd", *(["is"] if network.spec.classes else [])]
    with tempfile.TemporaryDirectory() as folder:
        times, processor = [], []
        for _ in range(2):
            start, used = time.perf_counter(), _cpu_seconds()
            evaluate(
                source.format("train"),
                source.format("test"),
                metrics=metrics,
                extractor=network,
                settings=settings,
                store=FeatureStore(Path(folder)),
            )
            times.append(time.perf_counter() - start)
            processor.append(_cpu_seconds() - used)
    for name, seconds, used in zip(("cold", "warm"), times, processor, strict=True):
        print(f"{name} {seconds:.1f} s, {used:.1f} s of CPU")
    print(
        f"warm: {times[0] / times[1]:.0f} × faster than cold, {processor[0] / processor[1]:.0f} × less CPU "
        f"({clips} + {clips} clips, {extractor_name})"
    )


def memory() -> None:
    peaks = {}
    for clips in (256, 4096):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY_CHILD, str(clips)], capture_output=True, text=True, check=True
        )
        peaks[clips] = int(done.stdout)
        print(f"{clips} + {clips} clips: peak {peaks[clips] / 2**20:.3f} GiB")
    print(f"memory: {peaks[4096] / peaks[256]:.3f} × from 256 to 4,096 clips")


def ranks(extractor_name: str, clips: int) -> None:
    settings = f"clips.generated={clips}", f"clips.real={clips}", "clips.least=2"
    source = "builtin:moving-shapes/{}?size=64&clips=" + str(clips)
    rates, scores = {}, {}
    for size in (1, 2):
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "VGBENCH_CACHE": cache}
            command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(size)]
            command += ["-m", "vgbench", "eval", source.format("train"), "--against", source.format("test")]
            command += ["--metrics", "fvd", "--json", "--extractor", extractor_name]
            for setting in settings:
                command += ["--set", setting]
            if weights := _weights(extractor_name):
                command += ["--set", f"extractor.weights={weights}"]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            record = json.loads(done.stdout)
            rates[size] = 2 * clips / (record["seconds"]["real"] + record["seconds"]["generated"])
            scores[size] = record["scores"]["fvd"]["value"]
            print(f"{size} rank(s): {rates[size]:.2f} clips/s, fvd {scores[size]!r}")
    print(f"ranks: {rates[2] / rates[1]:.2f} × the throughput of one single-threaded rank")
    print(f"relative difference of FVD {abs(scores[2] / scores[1] - 1):.1e}")


def _weights(extractor_name: str) -> str | None:
    """Path of fetched weights, since each run has a cache of its own; untrained ones where there are none."""
    from vgbench.extractors.weights.registry import list_cached

    if extractor_name == "embedded":
        return None
    return str(list_cached().get(extractor_name) or "random")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["cold", "warm", "memory", "ranks"])
    parser.add_argument("--extractor")
    parser.add_argument("--clips", type=int)
    given = parser.parse_args()
    if given.what == "cold":
        cold(given.extractor or "i3d-k400", given.clips or 48)
    elif given.what == "warm":
        warm(given.extractor or "embedded", given.clips or 2048)
    elif given.what == "memory":
        memory()
    else:
        ranks(given.extractor or "i3d-k400", given.clips or 24)


if __name__ == "__main__":
    main()
