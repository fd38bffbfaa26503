"""What an installation brings is pinned, named on the page, and under a licence that we accept."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = {
    name.lower().replace("_", "-"): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
}
UNPINNED = {"setuptools"}  # every environment has one


@pytest.fixture(scope="module")
def licences():
    spec = importlib.util.spec_from_file_location("licences", ROOT / "scripts" / "licences.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def installed(licences):
    found = licences.packages(EXTRAS)
    if Version(found["numpy"].version) != Version(PINS["numpy"]):
        pytest.skip("these are not the versions of constraints.txt")
    return found


def test_every_package_is_pinned(installed):
    assert installed.keys() >= {"torch", "sympy", "urllib3", "pytest"}, "those of others too"
    assert installed.keys() - PINS.keys() - UNPINNED == set()


def test_every_licence_is_one_that_we_accept(licences, installed):
    found = {name: licences.unaccepted(one.metadata) for name, one in installed.items()}
    assert {name: words for name, words in found.items() if words} == {}


def test_what_only_the_build_of_pytorch_for_gpus_brings_is_left_out(licences, tmp_path, monkeypatch):
    """On Linux the package index gives that build to everybody who does not ask for another."""
    for name, needs in {
        "torch": ["nvidia-cublas", "cuda-toolkit", "triton", "cudamat"],
        "cudamat": [],
    }.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            "Version: 1.0",
            *(f"Requires-Dist: {n}" for n in needs),
        ]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")
    for name in ("nvidia_cublas", "cuda_toolkit", "triton"):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        (tmp_path / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = licences.packages()
    assert found["torch"].version == found["cudamat"].version == "1.0"
    assert not {"nvidia-cublas", "cuda-toolkit", "triton"} & found.keys()


def test_an_unknown_licence_is_noticed(licences):
    from email.message import Message

    for text, unknown in [("MIT AND GPL-3.0-only", {"GPL-3.0-only"}), ("Apache-2.0 OR MIT", set())]:
        about = Message()
        about["License-Expression"] = text
        assert licences.unaccepted(about) == unknown


def test_the_page_names_every_direct_dependency():
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    texts = [*PROJECT["dependencies"], *(t for extra in EXTRAS.values() for t in extra)]
    names = {Requirement(text).name.lower() for text in texts}
    stubs = {name for name in names if name.startswith("types-") or name.endswith("-stubs")}
    assert {name for name in names - stubs if name not in page} == set()
    assert all(f"| `{extra}` |" in page for extra in EXTRAS)
