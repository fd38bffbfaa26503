"""A page in a real browser, without its network."""

from __future__ import annotations

import subprocess
from pathlib import Path

import needs


def browse(page: Path, profile: Path, fragment: str = "", *arguments: str) -> str:
    """Open a page and return what Chromium printed, such as the document after its scripts ran."""
    return run(page, profile, fragment, *arguments).stdout


def console(page: Path, profile: Path, fragment: str = "") -> list[str]:
    """Lines that the page, or the browser about it, wrote to the console."""
    logged = run(page, profile, fragment, "--dump-dom", "--enable-logging=stderr").stderr
    return [line for line in logged.splitlines() if ":CONSOLE" in line]


def run(page: Path, profile: Path, fragment: str = "", *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        needs.program("chromium", "chromium-browser", "google-chrome"),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--hide-scrollbars", f"--user-data-dir={profile}", "--virtual-time-budget=2000", *arguments),
        f"{page.as_uri()}{fragment}",
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
