"""axe-core finds nothing in the page, in either theme, with everything folded out.

The package is fetched with npm into a temporary folder. Its version is pinned: a new one has new rules.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import tarfile

import needs
import pytest
from leaderboard_browser import browse
from leaderboard_records import FIELDS, make_record, make_score, save_with_thumbnails, webp

from vgbench.leaderboard.report import write_report
from vgbench.records.record import SkippedClip

MOTION = {"mean": [0.1, 0.2, 0.3], "error": [0.01, 0.02, 0.01]}

RUN_AXE = """
for (const part of document.querySelectorAll("details")) part.open = true;
axe.run(document, {resultTypes: ["violations"]}).then(({violations, passes}) => {
  const where = (node) => `${node.target.join(" ")}: ${node.any.map((check) => check.message).join("; ")}`;
  const found = violations.map(({id, impact, nodes}) => ({id, impact, where: nodes.map(where)}));
  const report = document.createElement("pre");
  report.id = "axe";
  report.textContent = JSON.stringify({found, passed: passes.length});
  document.body.append(report);
});
"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npm")
    patience = ["--fetch-timeout=10000", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    command = [needs.program("npm"), "pack", "axe-core@4.14.1", "--silent", *patience]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=40)
    except subprocess.TimeoutExpired:
        needs.absent("npm did not answer in time")
    if done.returncode:
        needs.absent("npm cannot fetch axe-core here")
    with tarfile.open(folder / done.stdout.split()[-1]) as archive:
        return archive.extractfile("package/axe.min.js").read().decode()


@pytest.fixture(scope="module")
def page(tmp_path_factory, axe):
    """A page with all of its parts, its policy taken off so that axe may run in it."""
    folder = tmp_path_factory.mktemp("results")
    scores = {
        "fvd": make_score(110.0, debiased=100.0),
        "kvd": make_score(3.0),
        "acd": make_score(2.0, real=1.9),
    }
    rich = make_record(
        "alpha",
        scores,
        warnings=(("few-clips", "generated: 9 windows"),),
        details={
            "training": {"fvd": [[0, 400.0], [1000, 100.0]]},
            "sampling_seconds_per_clip": 0.5,
            "sampled": {"command": "vgbench sample a"},
            "train_config": {"size": 32},
            "motion": {
                "schema": 1,
                "windows": {"generated": 8},
                "curves": {"flow": dict.fromkeys(("generated", "real"), MOTION)},
                "flow_histogram": {side: [1 / 41] * 41 for side in ("generated", "real")},
            },
        },
    )
    skipped = (SkippedClip(path="a.mp4", reason="ends in the middle of a frame"),)
    sides = rich.clips.model_copy(
        update={"generated": rich.clips.generated.model_copy(update={"skipped": skipped})}
    )
    rich = rich.model_copy(update={"clips": sides})
    save_with_thumbnails(rich, folder, {"0": webp(1), "nearest": webp(2), "farthest": webp(3)})
    save_with_thumbnails(make_record("beta", scores), folder, [webp(4)], side="real")
    make_record("alpha", 130.0, created="2026-11-01T00:00:00Z").save(folder)
    make_record("noise", 900.0, details={"role": "control"}).save(folder)
    make_record("alpha", 90.0, fields=(*FIELDS[:1], ("clips", "9+9"), *FIELDS[2:])).save(folder)
    (path,) = write_report([folder], folder / "page" / "board.html", ["html"], published=["sky"])
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text())
    script = (axe + RUN_AXE).replace("</script", r"<\/script")
    path.write_text(bare.replace("</body>", f"<script>{script}</script></body>"))
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page, tmp_path, theme):
    dom = browse(page, tmp_path, f"#theme={theme}", "--dump-dom", "--virtual-time-budget=30000")
    report = re.search(r'<pre id="axe">(.*?)</pre>', dom, re.DOTALL)
    assert report, "axe did not finish"
    result = json.loads(html.unescape(report[1]))
    assert result["passed"] > 10
    assert result["found"] == []
