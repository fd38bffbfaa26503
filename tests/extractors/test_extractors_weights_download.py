"""Downloads against a real HTTP server on this machine: resumed, refused, and explained."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from vgbench import extractors
from vgbench.errors import VgbenchError
from vgbench.extractors.resnet3d import NETWORKS
from vgbench.extractors.weights import registry

NAME = "r3d-18-k400"
PROGRAM = "c3d-ucf101-torchscript"


@dataclass
class Published:
    """What the server publishes, how it misbehaves, and what it was asked for."""

    url: str
    data: bytes = b""
    tag: str | None = '"first"'
    stop_after: int | None = None
    ranges: list[str | None] = field(default_factory=list)


def handler(published: Published) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            published.ranges.append(asked)
            if self.path != "/weights.pt":
                self.send_error(404)
                return
            start = 0
            if asked and self.headers.get("If-Range") == published.tag:
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(published.data):
                self.send_error(416)
                return
            body = published.data[start:]
            self.send_response(206 if start else 200)
            if start:
                last, size = len(published.data) - 1, len(published.data)
                self.send_header("Content-Range", f"bytes {start}-{last}/{size}")
            if published.tag:
                self.send_header("ETag", published.tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: published.stop_after])

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VGBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture(scope="module")
def state_dict(tmp_path_factory) -> bytes:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("state") / "weights.pt"
    torch.save(NETWORKS[NAME]().state_dict(), path)
    return path.read_bytes()


@pytest.fixture
def published(monkeypatch) -> Iterator[Published]:
    """A server that both entries point to; no hash of their files is known."""
    published = Published("")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(published))
    published.url = f"http://127.0.0.1:{server.server_port}/weights.pt"
    for name in (NAME, PROGRAM):
        entry = replace(registry.REGISTRY[name], sha256=None, urls=(published.url,))
        monkeypatch.setitem(registry.REGISTRY, name, entry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield published
    server.shutdown()
    thread.join()
    server.server_close()


def register(monkeypatch, name=NAME, **changes):
    monkeypatch.setitem(registry.REGISTRY, name, replace(registry.REGISTRY[name], **changes))


def files(cache):
    """What the cache has, but for lock files."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def test_a_state_dict_is_downloaded_converted_and_quoted(published, cache, state_dict):
    published.data = state_dict
    reports = []
    registry.fetch(NAME, progress=lambda *facts: reports.append(facts))
    sha256 = hashlib.sha256(state_dict).hexdigest()
    assert extractors.load(NAME).spec.weights == sha256
    kilobytes = len(state_dict) // 1000
    assert reports[-1] == (f"{NAME}, kB", kilobytes, kilobytes)
    assert (cache / f"{NAME}.sha256").read_text().strip() == sha256  # beside the file: trust on first use
    assert files(cache) == [f"{NAME}.safetensors", f"{NAME}.sha256"]
    registry.fetch(NAME)
    assert published.ranges == [None]  # the second time nothing was asked for


def interrupted(published: Published, data: bytes, after: int) -> VgbenchError:
    published.data, published.stop_after = data, after
    with pytest.raises(VgbenchError, match="ended early") as caught:
        registry.fetch(PROGRAM, trust=True)
    published.stop_after = None
    return caught.value


DATA = bytes(range(256)) * 4096
"""1 MiB, more than one read from the network."""


def test_an_interrupted_download_goes_on_where_it_stopped(published, cache):
    error = interrupted(published, DATA, 700_000)
    kept = (cache / f"{PROGRAM}.part").stat().st_size
    assert 0 < kept <= 700_000
    assert f"{kept} bytes are kept" in error.message
    assert registry.fetch(PROGRAM, trust=True).read_bytes() == DATA
    assert published.ranges == [None, f"bytes={kept}-"]
    assert not list(cache.glob("*.part*"))


def test_a_part_of_another_version_is_not_continued(published, cache):
    interrupted(published, b"old" + DATA, 700_000)
    published.data, published.tag = DATA, '"second"'
    assert registry.fetch(PROGRAM, trust=True).read_bytes() == DATA
    assert not list(cache.glob("*.part*"))


def test_a_part_whose_version_is_not_known_is_not_continued(published, cache):
    published.tag = None
    interrupted(published, b"old" + DATA, 700_000)
    published.data = DATA
    assert registry.fetch(PROGRAM, trust=True).read_bytes() == DATA
    assert published.ranges == [None, None]
    published.ranges.clear()
    (cache / f"{PROGRAM}.pt").unlink()
    published.tag = 'W/"weak"'
    interrupted(published, DATA, 700_000)
    registry.fetch(PROGRAM, trust=True)
    assert published.ranges == [None, None]


def test_a_part_longer_than_the_file_is_thrown_away(published, cache):
    interrupted(published, DATA, 700_000)
    published.data = DATA[:1000]
    assert registry.fetch(PROGRAM, trust=True).read_bytes() == DATA[:1000]


def test_a_file_with_another_hash_than_the_published_is_refused(published, cache, monkeypatch):
    published.data = b"something else"
    register(monkeypatch, sha256="0" * 64)
    with pytest.raises(VgbenchError, match="expected sha256 0000") as caught:
        registry.fetch(NAME)
    assert published.url in caught.value.remedy
    assert files(cache) == []


def test_a_later_fetch_with_another_hash_is_refused(published, cache):
    published.data = b"the first program"
    path = registry.fetch(PROGRAM, trust=True)
    assert "first seen on this machine" in registry.verify(PROGRAM)
    path.write_bytes(b"changed on the disk")
    with pytest.raises(VgbenchError, match="the first file on this machine had"):
        registry.verify(PROGRAM)
    path.unlink()
    published.data = b"another program"
    with pytest.raises(VgbenchError, match="the first file on this machine had") as caught:
        registry.fetch(PROGRAM, trust=True)
    assert hashlib.sha256(b"the first program").hexdigest() in caught.value.message
    assert not path.exists()
    (cache / f"{PROGRAM}.sha256").unlink()  # as the remedy says
    assert registry.fetch(PROGRAM, trust=True).read_bytes() == b"another program"


def test_a_web_page_is_refused_as_one(published, cache):
    published.data = b"\n<!DOCTYPE html><html>Quota exceeded</html>"
    with pytest.raises(VgbenchError, match="returned a web page") as caught:
        registry.fetch(NAME)
    assert "quota" in caught.value.remedy
    assert f"vgbench weights add {NAME} FILE" in caught.value.remedy
    assert files(cache) == []


def test_a_program_is_not_even_downloaded_without_trust(published):
    with pytest.raises(VgbenchError, match="TorchScript program") as caught:
        registry.fetch(PROGRAM)
    assert "--trust" in caught.value.remedy
    assert published.ranges == []


def test_a_pickled_program_in_a_download_is_not_run(published, tmp_path, monkeypatch):
    class RunsCode:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'PWNED')!r}, 'w')",)

    torch.save({"a": RunsCode()}, tmp_path / "evil.pt")
    published.data = (tmp_path / "evil.pt").read_bytes()
    with pytest.raises(VgbenchError, match="cannot be read safely"):
        registry.fetch(NAME)
    assert not (tmp_path / "PWNED").exists()


def test_absent_files_say_how_to_bring_them_by_hand(published, cache, monkeypatch):
    gone = published.url.replace("weights.pt", "gone.pt")
    register(monkeypatch, urls=(gone,))
    with pytest.raises(VgbenchError, match="HTTP 404") as caught:
        registry.fetch(NAME)
    assert caught.value.exit_code == 2
    assert f"get the file from {gone} and run `vgbench weights add {NAME} FILE`" in caught.value.remedy
    assert files(cache) == []


def test_the_next_address_is_tried(published, monkeypatch, state_dict):
    published.data = state_dict
    register(monkeypatch, urls=(published.url.replace("weights.pt", "gone.pt"), published.url))
    assert registry.fetch(NAME).exists()


def test_of_two_fetches_at_once_the_second_is_refused(published, cache):
    published.data = DATA

    def second(stage: str, done: int, total: int) -> None:
        with pytest.raises(VgbenchError, match=f"process {os.getpid()} on .* is fetching them") as caught:
            registry.fetch(PROGRAM, trust=True)
        assert "wait" in caught.value.remedy

    registry.fetch(PROGRAM, progress=second, trust=True)
    assert published.ranges == [None]


def test_an_empty_file_is_no_reason_to_ask_for_ever(published, cache):
    """The server answers 416 to every request for a part of it, and this one even to a request for all."""
    with pytest.raises(VgbenchError, match="HTTP 416"):
        registry.fetch(NAME)
    assert published.ranges == [None]
    assert files(cache) == []


def test_without_a_network_the_command_ends_with_the_way_by_hand(run, monkeypatch):
    """The real entry, through the command; every address is beyond a proxy that is not there."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    code, out, err = run("weights", "fetch", NAME)
    assert (code, out) == (2, "")
    assert "no connection" in err
    assert f"vgbench weights add {NAME} FILE" in err
    assert registry.REGISTRY[NAME].urls[0] in err


def test_the_list_has_every_fact_of_every_entry(run):
    code, out, _ = run("weights", "list", "--json")
    assert code == 0
    entries = json.loads(out)
    assert entries.keys() == registry.REGISTRY.keys()
    for name, facts in entries.items():
        assert {"path", "urls", "size", "sha256", "git_blob", "licence", "citation"} <= facts.keys()
        assert facts["urls"] == list(registry.REGISTRY[name].urls)
        if registry.REGISTRY[name].package is None:
            assert all(url.startswith("https://") for url in facts["urls"])
        else:
            assert "on the package index" in facts["urls"][0]
        assert facts["licence"], name
        assert facts["citation"], name
