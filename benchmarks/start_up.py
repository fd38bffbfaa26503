"""How long `vgbench --help` takes, as a share of `python -c "import torch"`; both in turn, medians.

python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

COMMANDS = {"vgbench --help": ["-m", "vgbench", "--help"], "import torch": ["-c", "import torch"]}
TIMES = 9


def main() -> None:
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(TIMES):
        for name, arguments in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    help_, torch = (statistics.median(values) for values in seconds.values())
    print(f"vgbench --help {help_:.3f} s, import torch {torch:.3f} s: {help_ / torch:.2f} ×")


if __name__ == "__main__":
    main()
