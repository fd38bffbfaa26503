"""Download of one weights file, through pooch, in a way that goes on where it was interrupted.

What has arrived waits as `NAME.part` in the cache, beside `NAME.part.json`, which says what it is a part of:
the address and the server's own mark of that version (RFC 9110, If-Range). A part is only ever continued with
the rest of the same version. Nothing here checks hashes; `registry.add` does, for every file alike.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pooch
import requests

from vgbench.errors import VgbenchError
from vgbench.extractors.weights.file import is_web_page

Report = Callable[[str, int, int], None]
"""Called with a stage, what is done of it, and its total."""

CHUNK = 1 << 18
TIMEOUT_SECONDS = 30.0
"""Longest silence of a server."""


def download(name: str, url: str, folder: Path, part: Path, report: Report) -> Path:
    """Download a file.

    Args:
        name: of the weights, for messages.
        url: http or https.
        folder: where the finished file appears, under the name that the address gives it.
        part: where an unfinished one waits for the next attempt.
        report: progress, in kilobytes.

    Raises:
        VgbenchError: no connection, an HTTP error, an interruption, or a web page instead of the file.
    """
    pooch.get_logger().setLevel("WARNING")  # else it asks to paste the hash into code
    try:
        found = pooch.retrieve(
            url,
            known_hash=None,
            fname=PurePosixPath(urlsplit(url).path).name,
            path=folder,
            downloader=_Resuming(name, part, report),
        )
    except requests.RequestException as error:
        kept = f"; {part.stat().st_size} bytes are kept for the next attempt" if part.exists() else ""
        raise VgbenchError(f"weights {name}: cannot download {url} ({_reason(error)}){kept}") from error
    return Path(found)


class _Resuming:
    """A pooch downloader: continues `part`, then moves it to where pooch wants the file."""

    def __init__(self, name: str, part: Path, report: Report) -> None:
        self.name, self.part, self.report = name, part, report
        self.origin = part.with_name(f"{part.name}.json")

    def __call__(self, url: str, output_file: str, pooch: object, check_only: bool = False) -> None:  # noqa: ARG002
        self.part.parent.mkdir(parents=True, exist_ok=True)
        with self.part.open("ab") as file:
            self._lock(file)
            try:
                self._fill(url, file)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                file.flush()
                if self.part.stat().st_size == 0:
                    self.part.unlink()
                    self.origin.unlink(missing_ok=True)
                raise
        shutil.move(self.part, output_file)
        self.origin.unlink(missing_ok=True)

    def _lock(self, file: BinaryIO) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise VgbenchError(
                f"weights {self.name} are being fetched by another process", "wait for it to end"
            ) from error

    def _fill(self, url: str, file: BinaryIO) -> None:
        headers = {"Accept-Encoding": "identity"}  # the bytes of the file, so that they can be counted
        mark, have = self._mark(url), self.part.stat().st_size
        if have and mark:
            headers |= {"Range": f"bytes={have}-", "If-Range": mark}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                file.truncate(0)  # the part was not of this file after all
                return self._fill(url, file)
            response.raise_for_status()
            if response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                done = have
            else:  # the whole file: it is new, or the server cannot give a range
                done = 0
                file.truncate(0)
                self._remember(url, response)
            total = done + int(response.headers.get("Content-Length", 0))
            for chunk in response.iter_content(CHUNK):
                if done == 0 and is_web_page(chunk):
                    raise VgbenchError(
                        f"weights {self.name}: {url} answers with a web page, not with the file",
                        "the link expired or ran into its quota",
                    )
                file.write(chunk)
                done += len(chunk)
                self.report(f"{self.name}, kB", done // 1000, max(total, done) // 1000)
        return None

    def _mark(self, url: str) -> str | None:
        """The version that the part belongs to; None where that is not known, and at another address."""
        try:
            origin: dict[str, Any] = json.loads(self.origin.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return origin.get("mark") if origin.get("url") == url else None

    def _remember(self, url: str, response: requests.Response) -> None:
        tag = response.headers.get("ETag", "")
        # A weak tag may be the same for other bytes; If-Range does not take one.
        mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        self.origin.write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection ended early"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return str(error)
