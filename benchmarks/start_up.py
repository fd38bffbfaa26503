"""Median time of `vgbench --help`, `import vgbench` and `import torch` in fresh processes, measured in turn.

python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "vgbench --help": ["-m", "vgbench", "--help"],
    "import vgbench": ["-c", "import vgbench"],
    "import torch": ["-c", "import torch"],
}
TIMES = 10


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(TIMES):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:<15} {median:.3f} s  {median / medians['import torch']:.2f} × import torch")


if __name__ == "__main__":
    main()
