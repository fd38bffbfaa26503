"""Build the wheel and check whether it can be published: its size, and that it holds only the package.

    python scripts/check_wheel.py

The exit code is 1 if it is larger than 15 MB, holds a file from outside vgbench/, or lacks one of its files.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 15_000_000


def shipped() -> set[str]:
    """List the package's files: those of git, or those on disk where this is not a checkout."""
    command = ["git", "-C", str(ROOT), "ls-files", "vgbench"]
    listed = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if listed.returncode == 0 and listed.stdout:
        return set(listed.stdout.splitlines())
    paths = (path for path in (ROOT / "vgbench").rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in paths if path.suffix != ".pyc"}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "-w", folder, str(ROOT)]
        subprocess.run(build, check=True)  # noqa: S603
        (wheel,) = Path(folder).glob("*.whl")
        size = wheel.stat().st_size
        names = set(zipfile.ZipFile(wheel).namelist())
    wanted = shipped()
    held = {name for name in names if ".dist-info/" not in name}
    print(f"{wheel.name}: {size / 1e6:.2f} MB, {len(held)} files")
    problems = [f"not from vgbench/: {name}" for name in sorted(held - wanted)]
    problems += [f"missing: {name}" for name in sorted(wanted - held)]
    problems += [f"larger than {MOST_BYTES / 1e6:.0f} MB"] if size > MOST_BYTES else []
    print("\n".join(problems) or "holds the package and nothing else")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
