"""Speed-up of each option of a training step on this machine over the plain step, measured in turn.

    python benchmarks/training.py gru-hinge mocogan-like --threads 1

The plain step has contiguous weights, float32, no compiler. Each turn times one step of every side, so that
other work on the machine affects all of them alike; the ratio is that of the medians. Compilation is not
timed.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from against_mocogan import our_step

from vgbench.training import read_config

OPTIONS = {
    "plain": {"channels_last": False},
    "channels_last": {"channels_last": True},
    "channels_last, compile": {"channels_last": True, "compile": True},
    "channels_last, bf16": {"channels_last": True, "precision": "bf16"},
}
WARM_UP = 4
"""Steps before timing starts, so that lazy regularisers have run and every shape is compiled."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--batch", type=int, help="in place of the preset's")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} threads, CPU capability {torch.backends.cpu.get_cpu_capability()}")
    for preset in given.presets:
        config = read_config(preset, (), {"device": "cpu", "batch": given.batch})
        steps = {name: our_step(config.model_copy(update=changes)) for name, changes in OPTIONS.items()}
        for step in steps.values():
            for _ in range(WARM_UP):
                step()
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(given.turns):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
        plain = statistics.median(times["plain"])
        for name, taken in times.items():
            middle = statistics.median(taken)
            print(f"{preset}: {name}: {middle:.3f} s a step, {plain / middle:.2f} x plain", flush=True)


if __name__ == "__main__":
    main()
