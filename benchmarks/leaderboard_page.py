"""How long a browser takes to open the leaderboard page, and how large it is.

    python benchmarks/leaderboard_page.py                 # 20 models × 8 thumbnails
    python benchmarks/leaderboard_page.py --models 50

Headless Chromium opens the page in a frame of an otherwise empty page, with a fresh profile each time; the
frame's navigation timing is read when it has loaded. The page itself is the one that `vgbench report` writes.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from vgbench import evaluate
from vgbench.clips import animated_thumbnail, open_source
from vgbench.leaderboard.report import write_report
from vgbench.records.record import Record

CLIPS = "builtin:moving-shapes/{}?size=64&clips={}"

FRAME = """<!doctype html><iframe src="{page}" width="1280" height="1600"></iframe><script>
addEventListener("load", () => {{
  const [timing] = document.querySelector("iframe").contentWindow.performance.getEntriesByType("navigation");
  const found = document.createElement("pre");
  found.textContent = JSON.stringify(timing.toJSON());
  document.body.append(found);
}});
</script>"""


def write_page(folder: Path, models: int, thumbnails: int) -> Path:
    """Score a few clips once, and publish that record under many names, each with clips of its own."""
    settings = ["clips.generated=16", "clips.real=16", "clips.least=2"]
    scored = evaluate(
        CLIPS.format("train", 16), CLIPS.format("test", 16), settings=settings, results=folder / "once"
    )
    clips = iter(open_source(CLIPS.format("train", models * thumbnails)).clips)
    for number in range(models):
        record = _renamed(scored, number)
        for place in range(thumbnails):
            data = animated_thumbnail(next(clips).read(range(16)))
            name = f"{record.stem}.clips/generated-{place}.webp"
            (folder / "results" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "results" / name).write_bytes(data)
            record.thumbnails[name] = hashlib.sha256(data).hexdigest()
        record.save(folder / "results")
    (page,) = write_report([folder / "results"], folder / "page.html", ["html"])
    return page


def _renamed(record: Record, number: int) -> Record:
    scores = {
        name: dataclasses.replace(score, value=score.value * (1 + number / 10))
        for name, score in record.scores.items()
    }
    return record.model_copy(update={"model": f"model {number}", "scores": scores, "thumbnails": {}})


def open_page(chromium: str, page: Path, folder: Path) -> dict[str, float]:
    """Return the navigation timing of one opening, in milliseconds since its start."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(page=page.as_uri()))
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"),
            *("--disable-background-networking", "--allow-file-access-from-files"),
            *(f"--user-data-dir={profile}", frame.as_uri()),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<pre>(.*?)</pre>", done.stdout)
    if found is None:
        raise SystemExit("Chromium did not report the timing")
    timing: dict[str, float] = json.loads(found[1])
    return timing


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--thumbnails", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no Chromium on this machine")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        page = write_page(folder, options.models, options.thumbnails)
        text = page.read_text()
        turns = [open_page(chromium, page, folder) for _ in range(options.turns)]
    print(f"{options.models} models, {text.count('<img ')} thumbnails, {len(text) / 1e6:.2f} MB")
    for event in ("domInteractive", "domContentLoadedEventEnd", "loadEventEnd"):
        times = [turn[event] for turn in turns]
        print(f"{event}: median {statistics.median(times):.0f} ms, {min(times):.0f} to {max(times):.0f} ms")


if __name__ == "__main__":
    main()
