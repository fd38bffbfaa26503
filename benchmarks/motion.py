"""Cost of the motion plots of a record: CPU seconds to describe the windows of both sides, for each size.

python benchmarks/motion.py
"""

from __future__ import annotations

import time

from vgbench.clips import open_source
from vgbench.evaluation.motion_profile import WINDOWS, describe

MEASURED = 8
"""Windows that are timed; all windows of a size cost the same."""


def main() -> None:
    for size in (64, 128, 256):
        source = open_source(f"builtin:moving-shapes/test?size={size}&clips={MEASURED}")
        windows = [clip.read(range(16)) for clip in source.clips]
        start = time.process_time()
        for frames in windows:
            describe(frames)
        seconds = (time.process_time() - start) / MEASURED * 2 * WINDOWS
        print(f"{size} × {size}: {seconds:.1f} s of CPU for 2 × {WINDOWS} windows of 16 frames")


if __name__ == "__main__":
    main()
