#!/usr/bin/env bash
# The lane of the oldest supported versions: installs the floors of pyproject.toml in a new environment and runs
# the suite there. Floors are exact: `numpy>=1.26` becomes `numpy~=1.26.0`. TORCH replaces torch's floor.
#
#   scripts/oldest_versions.sh [FOLDER] [pytest arguments…]
#   TORCH=2.7.0 scripts/oldest_versions.sh /tmp/oldest tests/core tests/metrics
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-/tmp/vgbench-oldest}
shift || true
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/python" - > "$folder/oldest.txt" <<'PYTHON'
import os
import re
import tomllib

with open("pyproject.toml", "rb") as file:
    dependencies = tomllib.load(file)["project"]["dependencies"]
for dependency in dependencies:
    name, floor = re.match(r"([\w-]+)>=([\d.]+)", dependency).groups()
    if name == "torch":
        print(f"torch=={os.environ.get('TORCH', floor)}")
    else:
        print(f"{name}~={floor}.0" if floor.count(".") == 1 else f"{name}=={floor}")
PYTHON
"$folder/bin/pip" install --quiet --disable-pip-version-check -r "$folder/oldest.txt" \
  pytest hypothesis scikit-learn tensorboard torchmetrics
cat "$folder/oldest.txt"
OMP_NUM_THREADS=1 PYTHONPATH=$PWD "$folder/bin/python" -m pytest -p no:cacheprovider "$@"
