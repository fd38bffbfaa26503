"""List the packages of an installation of vgbench with their licences; a test checks them with `ACCEPTED`.

python scripts/licences.py            # direct and indirect dependencies
python scripts/licences.py dev onnx   # the same with extras
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
ACCEPTED = {
    "0BSD",
    "3-Clause BSD License",
    "Apache 2.0 License",
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CNRI-Python",
    "ISC License (ISCL)",
    "LLVM-exception",
    "MIT",
    "MIT License",
    "MIT-CMU",
    "PSF-2.0",
    "Python Software Foundation License",
    "Zlib",
}
"""Licences, as packages name them, that only require their text to accompany a copy."""
FILE_BY_FILE = {"MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"}
"""Also accepted: it requires the source of changed files of that package, and there are none."""
CUDA = re.compile(r"(nvidia|cuda)-|triton$")
"""Left out: dependencies of PyTorch's build for NVIDIA's GPUs, which have licences of NVIDIA."""


def main() -> None:
    needed = packages(sys.argv[1:])
    print("| package | version | licence |\n| --- | --- | --- |")
    for name in sorted(needed):
        print(f"| {name} | {needed[name].version} | {licence(needed[name].metadata)} |")


def packages(extras: Iterable[str] = ()) -> dict[str, metadata.Distribution]:
    """Installed packages that vgbench needs, directly or indirectly; name -> distribution."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(t for e in extras for t in project["optional-dependencies"][e])]
    needed: dict[str, metadata.Distribution] = {}
    pending = [Requirement(text) for text in wanted]
    while pending:
        one = pending.pop()
        name = one.name.lower().replace("_", "-")
        if name in needed or CUDA.match(name) or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        try:
            needed[name] = found = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:
            continue
        for text in found.requires or ():
            inner = Requirement(text)
            if inner.marker is None or any(
                inner.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)
            ):
                inner.marker = None
                pending.append(inner)
    return needed


def unaccepted(about: metadata.PackageMetadata) -> set[str]:
    """Return the parts of a package's licence that are not accepted."""
    return set(re.split(r" AND | OR | WITH |, ", licence(about))) - ACCEPTED - FILE_BY_FILE


def licence(about: metadata.PackageMetadata) -> str:
    """The SPDX expression, else the classifiers, else the first words of the free text."""
    expression = about.get("License-Expression")
    classifiers = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    named = ", ".join(line.rsplit(" :: ", 1)[1] for line in classifiers if line.count("::") > 1)
    text = re.split(r"[\n,;]", (about.get("License") or "").strip())[0][:40]
    return expression or named or text or "not stated"


if __name__ == "__main__":
    main()
