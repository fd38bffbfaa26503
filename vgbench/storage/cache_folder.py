"""The folder of downloads and stored features."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """Return the folder for one kind of cached data ("features", "weights"); it is not created.

    `VGBENCH_CACHE` overrides the usual place (`vgbench` in `XDG_CACHE_HOME`, else in `~/.cache`).
    """
    base = os.environ.get("VGBENCH_CACHE")
    if base:
        return Path(base) / kind
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vgbench" / kind
