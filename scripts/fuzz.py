"""Fuzz the readers of untrusted files one by one, guided by coverage.

    pip install atheris
    python scripts/fuzz.py                         # all readers, 10 minutes of processor time each
    python scripts/fuzz.py --only npz archive --minutes 60

An input that raises anything but an error of vgbench's own, or takes more than 20 s or 2 GiB, is printed and
saved in `--output`; add it to tests/fuzz/found/NAME/ together with the fix.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "fuzz"
NAMES = ("strip", "npz", "pt", "manifest", "record", "config", "archive", "statistics", "generator")
INSTRUMENTED = [
    "vgbench.clips",
    "vgbench.config",
    "vgbench.records.record",
    "vgbench.leaderboard.submission",
    "vgbench.evaluation.statistics_file",
    "vgbench.reference_models.checkpoint",
    "zipfile",
    "tarfile",
    "csv",
    "PIL",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--minutes", type=float, default=10.0, help="of processor time for each reader")
    parser.add_argument("--output", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)  # the process that is fuzzed
    arguments = parser.parse_args()
    if arguments.one:
        fuzz(arguments.one, arguments.minutes, arguments.output)
        return
    for name in arguments.only:
        folder = arguments.output / name
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, "--one", name, "--output", str(folder)]
        began, runs, log = processor_minutes(), 0, ""
        # A process ends at a finding, or at its own time limit, which does not account for other load.
        while (left := arguments.minutes - (processor_minutes() - began)) > 0.02:
            started = time.monotonic()
            done = subprocess.run(  # noqa: S603
                [*command, "--minutes", str(left)], capture_output=True, text=True, check=False
            )
            log += done.stderr
            runs += max((_runs(line) for line in done.stderr.splitlines()), default=0)
            if done.returncode == 0:
                continue
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            at = next((k for k, line in enumerate(lines) if "Uncaught Python exception" in line), -20)
            print("\n".join(lines[at:][:40]), flush=True)
            if time.monotonic() - started < 1:
                sys.exit(f"{name}: the fuzzer does not start")
        (folder / "log.txt").write_text(log)
        findings = [path for path in folder.glob("*-*") if path.is_file()]
        minutes = processor_minutes() - began
        print(f"{name}: {minutes:.1f} minutes, {runs:,} inputs, {len(findings)} findings", flush=True)


def processor_minutes() -> float:
    """Processor time of the processes that have ended so far, in minutes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) / 60


def _runs(line: str) -> int:
    """libFuzzer's counter, as in `#4096 pulse …` and `Done 123 runs in 4 second(s)`."""
    word = line.split()[0].removeprefix("#") if line.startswith("#") else ""
    return int(word) if word.isdecimal() else 0


def fuzz(name: str, minutes: float, folder: Path) -> None:
    """Fuzz one reader in this process."""
    import atheris

    os.environ["VGBENCH_MAX_PIXELS"] = str(2**20)  # the limit is tested elsewhere; large images cost time
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        sys.path[:0] = [str(TESTS), str(TESTS.parent)]
        import fuzz_readers
        import PIL.Image

    PIL.Image.MAX_IMAGE_PIXELS = 2**20
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    seeds = fuzz_readers.TARGETS[name][0]()
    kept = fuzz_readers.FOUND / name
    seeds += [path.read_bytes() for path in sorted(kept.glob("*"))] if kept.is_dir() else []
    for seed in seeds:
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    options = [
        f"-max_total_time={max(1, round(60 * minutes))}",
        f"-artifact_prefix={folder}/",
        "-timeout=20",
        "-rss_limit_mb=2048",
        f"-max_len={4 * max(map(len, seeds))}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], lambda data: fuzz_readers.survive(data, name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
