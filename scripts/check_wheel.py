"""Build the wheel and say whether it is fit to publish: its size, and that it holds the package alone.

    python scripts/check_wheel.py

Ends with 1 where it is larger than 15 MB, holds a file from outside of vgbench/, or lacks one of git's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 15_000_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", folder, str(ROOT)]
        subprocess.run(build, check=True)  # noqa: S603
        (wheel,) = Path(folder).glob("*.whl")
        size = wheel.stat().st_size
        names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(  # noqa: S603
        ["git", "-C", str(ROOT), "ls-files", "vgbench"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
    )
    wanted = set(listed.stdout.splitlines())
    held = {name for name in names if ".dist-info/" not in name}
    print(f"{wheel.name}: {size / 1e6:.2f} MB, {len(held)} files")
    problems = [f"not from vgbench/: {name}" for name in sorted(held - wanted)]
    problems += [f"missing: {name}" for name in sorted(wanted - held)]
    problems += [f"larger than {MOST_BYTES / 1e6:.0f} MB"] if size > MOST_BYTES else []
    print("\n".join(problems) or "holds the package and nothing else")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
