"""Download of one weights file over HTTP, which resumes where it was interrupted.

What has arrived is kept in the cache as `NAME.part`, beside `NAME.part.json`, which holds the address and
the server's own mark of that version of the file (RFC 9110, If-Range). A part is only ever completed with the
rest of the same version. Nothing here checks hashes: `registry.add` does that for every file.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests

from vgbench.errors import VgbenchError
from vgbench.extractors.weights.file import is_web_page
from vgbench.progress import Progress

CHUNK = 1 << 18
TIMEOUT_SECONDS = 30.0
"""How long a server may be silent."""


def download(name: str, url: str, folder: Path, part: Path, progress: Progress) -> Path:
    """Download a file.

    Args:
        name: of the weights, for messages.
        url: an http or https address.
        folder: receives the finished file, under the name that it has in the address.
        part: keeps an unfinished file for the next attempt; only one process at a time may write to it.
        progress: counts kilobytes.

    Raises:
        VgbenchError: there is no connection, the server returns an error or a web page instead of the file,
            or the download is interrupted.
    """
    origin = part.with_name(f"{part.name}.json")
    with part.open("ab") as file:
        try:
            _fill(name, url, file, part, origin, progress)
            file.flush()
            os.fsync(file.fileno())
        except BaseException as error:
            file.flush()
            size = part.stat().st_size
            if size == 0:
                part.unlink()
                origin.unlink(missing_ok=True)
            if not isinstance(error, requests.RequestException):
                raise
            kept = f"; {size} bytes are kept for the next attempt" if size else ""
            raise VgbenchError(f"weights {name}: cannot download {url} ({_reason(error)}){kept}") from error
    target = folder / PurePosixPath(urlsplit(url).path).name
    shutil.move(part, target)
    origin.unlink(missing_ok=True)
    return target


def _fill(name: str, url: str, file: BinaryIO, part: Path, origin: Path, progress: Progress) -> None:
    """Append to a part what it still lacks of the file."""
    headers = {"Accept-Encoding": "identity"}  # the bytes of the file, so that they can be counted
    mark, have = _mark(origin, url), part.stat().st_size
    if have and mark:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if have and response.status_code == requests.codes.requested_range_not_satisfiable:
            file.truncate(0)  # the part was not of this file after all
            return _fill(name, url, file, part, origin, progress)
        response.raise_for_status()
        if response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            done = have
        else:  # the whole file: it is new, or the server cannot give a range
            done = 0
            file.truncate(0)
            _remember(origin, url, response)
        total = done + int(response.headers.get("Content-Length", 0))
        for chunk in response.iter_content(CHUNK):
            if done == 0 and is_web_page(chunk):
                raise VgbenchError(
                    f"weights {name}: {url} returned a web page instead of the file",
                    "the link may have expired or exceeded its quota",
                )
            file.write(chunk)
            done += len(chunk)
            progress(f"{name}, kB", done // 1000, max(total, done) // 1000)
    return None


def _mark(origin: Path, url: str) -> str | None:
    """Return the mark of the version that a part belongs to; None if it is unknown or of another address."""
    try:
        values: dict[str, Any] = json.loads(origin.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values.get("mark") if values.get("url") == url else None


def _remember(origin: Path, url: str, response: requests.Response) -> None:
    tag = response.headers.get("ETag", "")
    # A weak tag may be the same for other bytes; If-Range does not take one.
    mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    origin.write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")


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
