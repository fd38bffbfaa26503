"""Statistics of a real set as one small file, so that a laboratory can publish them instead of its clips.

Safetensors, never pickle: features, logits, clip metric values and the window manifest of one side, with the
protocol and extractor that they belong to in the metadata. Everything that a score or its interval needs of
the real side is in it; `vgbench eval … --against FILE` takes it in place of the clips.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from vgbench import atomic
from vgbench.errors import ConfigError, VgbenchError
from vgbench.metrics.score import Samples
from vgbench.pipeline import Measured, Measures, UsedWindow, label_samples
from vgbench.protocol import Protocol
from vgbench.protocol.sampler import Window

SCHEMA = 1
SUFFIX = ".safetensors"
_VALUES = "clip_values/"


def is_statistics(spec: object) -> bool:
    """Tell whether a user means a statistics file."""
    return isinstance(spec, str | Path) and str(spec).endswith(SUFFIX)


def save_statistics(path: str | Path, measured: Measured, plan: Protocol, measures: Measures) -> Path:
    """Write what was measured on the real side.

    Raises:
        VgbenchError: the suffix is another one, or the place cannot be written to.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise VgbenchError(f"{path}: statistics files end in {SUFFIX}")
    arrays: dict[str, Any] = {
        "groups": measured.groups,
        "frames": np.array([used.window.frames for used in measured.windows], dtype=np.int32),
        **{_VALUES + name: values for name, values in measured.clip_values.items()},
    }
    if measured.samples is not None:
        arrays["features"] = measured.samples.features
        if measured.samples.logits is not None:
            arrays["logits"] = measured.samples.logits
        if measured.samples.frames is not None:
            arrays["frame_features"] = measured.samples.frames
    about = {
        "schema": SCHEMA,
        "source": measured.source,
        "found": measured.found,
        "manifest_hash": measured.manifest_hash,
        "requirements": _requirements(plan, measures),
        "clip_metrics": {metric.name: metric.version for metric in measures.clip_metrics},
        "windows": [[used.id, used.label, used.fingerprint] for used in measured.windows],
    }
    data = safetensors.numpy.save(arrays, {"vgbench_statistics": json.dumps(about)})
    try:
        atomic.write_bytes(path, data)
    except OSError as error:
        raise VgbenchError(
            f"{path}: cannot be written ({error.strerror})", "free space there, or choose another folder"
        ) from error
    return path


def load_statistics(path: str | Path, plan: Protocol, measures: Measures) -> Measured:
    """Read statistics and check that they were made as the protocol and extractor at hand would make them.

    Raises:
        VgbenchError: not there, damaged, or not a statistics file.
        ConfigError: made under another protocol or extractor; names what differs.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("vgbench_statistics", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError, ValueError) as error:
        raise VgbenchError(f"{path}: cannot be read ({error})", "export it again") from error
    if about is None or about.get("schema") != SCHEMA:
        raise VgbenchError(f"{path}: not a statistics file of this version", "see `vgbench stats export`")
    _require_equal(path, about["requirements"], _requirements(plan, measures))
    for metric in measures.clip_metrics:
        if about["clip_metrics"].get(metric.name) != metric.version:
            raise ConfigError(
                f"{path}: holds no {metric.name} (version {metric.version})",
                f"it holds {', '.join(about['clip_metrics']) or 'none'}; choose metrics with --metrics",
            )
    groups = arrays["groups"]
    windows = tuple(
        UsedWindow(name, label, fingerprint, Window(-1, tuple(int(index) for index in frames)))
        for (name, label, fingerprint), frames in zip(about["windows"], arrays["frames"], strict=True)
    )
    samples = None
    if measures.extractor is not None:
        samples = label_samples(
            Samples(arrays["features"], arrays.get("logits"), groups, arrays.get("frame_features")), windows
        )
    measured = Measured(
        source=about["source"],
        found=about["found"],
        windows=windows,
        groups=groups,
        samples=samples,
        clip_values={metric.name: arrays[_VALUES + metric.name] for metric in measures.clip_metrics},
        skipped=(),
        computed=0,
        reused=len(groups),
    )
    if measured.manifest_hash != about["manifest_hash"]:
        raise VgbenchError(f"{path}: damaged, its manifest does not add up", "fetch or export it again")
    return measured


def _requirements(plan: Protocol, measures: Measures) -> dict[str, str]:
    """Everything on the protocol's side that the numbers of the real set depend on."""
    spec = measures.extractor.spec if measures.extractor else None
    windows = plan.windows
    offset = f",+{windows.offset}" if windows.offset else ""
    chosen = f"{windows.start},{windows.order},{windows.per_clip}{offset}"
    return {
        "windows": f"{windows.frames}/s{windows.stride},{chosen}",
        "seed": str(plan.seed),
        "real clips": str(plan.clips.real),
        "resize": plan.resize.describe(),
        "extractor": f"{spec.id}@{spec.weights},{spec.preprocessing}" if spec else "none",
    }


def _require_equal(path: Path, found: dict[str, str], wanted: dict[str, str]) -> None:
    if wanted["extractor"] == "none":  # metrics on pixels do not ask which network there was
        found = {**found, "extractor": "none"}
    unlike = [
        f"{key}: {found.get(key)} there, {value} here"
        for key, value in wanted.items()
        if found.get(key) != value
    ]
    if unlike:
        raise ConfigError(
            f"{path}: made under another protocol ({'; '.join(unlike)})",
            "use the protocol and extractor that it was exported with",
        )
