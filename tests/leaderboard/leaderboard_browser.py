"""A page in a real browser, without its network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


def browse(page: Path, profile: Path, fragment: str = "", *arguments: str) -> str:
    """Open a page and return what Chromium printed, such as the document after its scripts ran."""
    return run(page, profile, fragment, *arguments).stdout


def console(page: Path, profile: Path, fragment: str = "") -> list[str]:
    """Lines that the page, or the browser about it, wrote to the console."""
    logged = run(page, profile, fragment, "--dump-dom", "--enable-logging=stderr").stderr
    return [line for line in logged.splitlines() if ":CONSOLE" in line]


def run(page: Path, profile: Path, fragment: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--hide-scrollbars", f"--user-data-dir={profile}", "--virtual-time-budget=2000", *arguments),
        f"{page.as_uri()}{fragment}",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
