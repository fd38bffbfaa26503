"""List what an installation of vgbench brings, with licences, as the table of docs/dependencies.md.

python scripts/licences.py            # what vgbench itself needs, and what that needs
python scripts/licences.py dev        # the same with an extra
"""

from __future__ import annotations

import re
import sys
from importlib import metadata

from packaging.requirements import Requirement


def main() -> None:
    needed: dict[str, metadata.Distribution] = {}
    pending = [Requirement(f"vgbench[{','.join(sys.argv[1:])}]" if sys.argv[1:] else "vgbench")]
    while pending:
        one = pending.pop()
        name = one.name.lower().replace("_", "-")
        if name in needed or (one.marker and not one.marker.evaluate({"extra": ""})):
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
    print("| package | version | licence |\n| --- | --- | --- |")
    for name in sorted(needed):
        print(f"| {name} | {needed[name].version} | {licence(needed[name].metadata)} |")


def licence(about: metadata.PackageMetadata) -> str:
    """The SPDX expression, else the classifiers, else the first words of the free text."""
    expression = about.get("License-Expression")
    classifiers = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    named = ", ".join(line.rsplit(" :: ", 1)[1] for line in classifiers if line.count("::") > 1)
    text = re.split(r"[\n,;]", (about.get("License") or "").strip())[0][:40]
    return expression or named or text or "not stated"


if __name__ == "__main__":
    main()
