"""Statistics of a real set as one small file, so that a laboratory can publish them instead of its clips.

Safetensors, never pickle: features, logits, clip metric values and the window manifest of one side, with the
protocol and extractor that they belong to in the metadata. Everything that a score or its interval needs of
the real side is in it; `vgbench eval … --against FILE` takes it in place of the clips.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from vgbench.clips.files import LocalFile
from vgbench.clips.reader_version import READER_VERSION
from vgbench.clips.safetensors_file import METADATA, read_header
from vgbench.config import Config, parse
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.measured import (
    EXTRACTOR,
    Measured,
    Measures,
    UsedWindow,
    describe_samples,
    independent_groups,
)
from vgbench.metrics import Samples
from vgbench.protocol import Protocol
from vgbench.protocol.sampler import Window
from vgbench.storage.tensor_file import load_tensors, save_tensors

SCHEMA = 1
SUFFIX = ".safetensors"
_VALUES = "clip_values/"
_ABOUT = "vgbench_statistics"
_AGAIN = "fetch or export it again"


class About(Config):
    """What a statistics file says of itself, beside its arrays.

    Attributes:
        source: as the user named it.
        found: clips in the source.
        clips: clips that the windows were cut from; left out if they are as many as the recordings.
        manifest_hash: see `Measured.manifest_hash`.
        requirements: what protocol and extractor it was made with, by key.
        clip_metrics: name -> version.
        windows: (id, label, sha256) of each window.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    source: str
    found: int
    clips: int | None = None
    manifest_hash: str
    requirements: dict[str, str]
    clip_metrics: dict[str, str]
    windows: tuple[tuple[str, str | None, str], ...] = Field(min_length=1)


def is_statistics(spec: object) -> bool:
    """Tell whether a user means a statistics file, and not clips in a file of the same kind.

    A file that is not there, or whose header cannot be read, counts as one: reading it gives the error.
    """
    if not isinstance(spec, str | Path) or not str(spec).endswith(SUFFIX) or "://" in str(spec):
        return False
    path = Path(spec).expanduser()
    try:
        header, _ = read_header(LocalFile(str(path.parent), path.name, path.stat().st_size))
    except (OSError, ValueError, EOFError):
        return True
    return _ABOUT in header.get(METADATA, {}) or not any(_is_clips(one) for one in header.values())


def _is_clips(about: object) -> bool:
    """Whether a tensor may be clips, by its entry in the header of a safetensors file."""
    return isinstance(about, Mapping) and len(about.get("shape", ())) in (4, 5)


def save_statistics(path: str | Path, measured: Measured, plan: Protocol, measures: Measures) -> Path:
    """Write what was measured on the real side.

    Raises:
        VgbenchError: the suffix is another one, or the place cannot be written to.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise VgbenchError(f"{path}: statistics files end in {SUFFIX}")
    arrays: dict[str, npt.NDArray[Any]] = {
        "groups": measured.recordings,
        "frames": np.array([used.window.frames for used in measured.windows], dtype=np.int32),
    }
    if all(used.content for used in measured.windows):
        contents = b"".join(bytes.fromhex(used.content) for used in measured.windows)
        arrays["content"] = np.frombuffer(bytearray(contents), dtype=np.uint8).reshape(-1, 32)
    if sizes := [used.size for used in measured.windows if used.size is not None]:
        arrays["sizes"] = np.array(sizes, dtype=np.int32)
        arrays["rates"] = np.array([used.rate or 0.0 for used in measured.windows])
    for name, samples in measured.samples.items():
        if name != EXTRACTOR:
            arrays[_VALUES + name] = samples.features
            continue
        arrays["features"] = samples.features
        if samples.logits is not None:
            arrays["logits"] = samples.logits
        if samples.frames is not None:
            arrays["frame_features"] = samples.frames
    about = {
        "schema": SCHEMA,
        "source": measured.source,
        "found": measured.found,
        **({} if measured.clips == measured.recording_count else {"clips": measured.clips}),
        "manifest_hash": measured.manifest_hash,
        "requirements": _requirements(plan, measures),
        "clip_metrics": {metric.name: measures.version_of(metric) for metric in measures.metrics},
        "windows": [[used.id, used.label, used.known_by] for used in measured.windows],
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}
    save_tensors(path, tensors, {_ABOUT: json.dumps(about)})
    return path


def load_statistics(path: str | Path, plan: Protocol, measures: Measures) -> Measured:
    """Read statistics and check that they were made as the protocol and extractor at hand would make them.

    Its bytes are held against the hash in them; files from before there was one have their shapes checked
    only, and that every number is finite.

    Raises:
        VgbenchError: not there, damaged, or not a statistics file.
        ConfigError: made under another protocol or extractor; names what differs.
    """
    path = Path(path).expanduser()
    tensors, metadata = load_tensors(path)
    about = _about(path, metadata)
    _require_equal(path, about.requirements, _requirements(plan, measures))
    for metric in measures.metrics:
        if about.clip_metrics.get(metric.name) != measures.version_of(metric):
            raise ConfigError(
                f"{path}: holds no {metric.name} (version {measures.version_of(metric)})",
                f"it holds {', '.join(about.clip_metrics) or 'none'}; choose metrics with --metrics",
            )
    n = len(about.windows)
    recordings = _integers(path, tensors, "groups", (n,)).astype(np.int64)
    frames = _integers(path, tensors, "frames", (n, plan.windows.frames))
    windows = tuple(
        UsedWindow(name, label, fingerprint, Window(-1, tuple(indices)), "", content, rate, size)
        for (name, label, fingerprint), indices, content, (rate, size) in zip(
            about.windows,
            frames.tolist(),
            _contents(path, tensors, n),
            _formats(path, tensors, n),
            strict=True,
        )
    )
    groups = independent_groups(recordings, windows)
    samples = {
        metric.name: Samples(_values(path, tensors, _VALUES + metric.name, n), None, groups)
        for metric in measures.metrics
    }
    if measures.extractor is not None:
        samples[EXTRACTOR] = _features(path, tensors, groups)
    measured = Measured(
        source=about.source,
        found=about.found,
        clips=len(np.unique(recordings)) if about.clips is None else about.clips,
        windows=windows,
        recordings=recordings,
        groups=groups,
        samples={name: describe_samples(one, windows, recordings) for name, one in samples.items()},
        skipped=(),
    )
    if measured.manifest_hash != about.manifest_hash:
        raise VgbenchError(f"{path}: damaged, its manifest does not add up", _AGAIN)
    return measured


def _about(path: Path, metadata: Mapping[str, str]) -> About:
    try:
        values = json.loads(metadata.get(_ABOUT, "null"))
    except (ValueError, RecursionError) as error:
        raise VgbenchError(f"{path}: damaged, its metadata cannot be read", _AGAIN) from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise VgbenchError(f"{path}: not a statistics file of this version", "see `vgbench stats export`")
    return parse(About, values, where=str(path))


def _contents(path: Path, tensors: Mapping[str, torch.Tensor], n: int) -> list[str]:
    """Hashes of the windows' pixels, which older files do not have."""
    if "content" not in tensors:
        return [""] * n
    array = _array(path, tensors, "content", (n, 32), (torch.uint8,))
    return [row.tobytes().hex() for row in array]


def _formats(
    path: Path, tensors: Mapping[str, torch.Tensor], n: int
) -> list[tuple[float | None, tuple[int, int] | None]]:
    """Frame rate, and height and width, of each window's clip, which older files do not have."""
    if "sizes" not in tensors:
        return [(None, None)] * n
    sizes = _integers(path, tensors, "sizes", (n, 2)).tolist()
    rates = _numbers(path, tensors, "rates", (n,)).tolist()
    return [(rate or None, (height, width)) for rate, (height, width) in zip(rates, sizes, strict=True)]


def _features(path: Path, tensors: Mapping[str, torch.Tensor], groups: npt.NDArray[np.int64]) -> Samples:
    """What the extractor found."""
    n = len(groups)
    features = _numbers(path, tensors, "features", (n, None))
    logits = _numbers(path, tensors, "logits", (n, None)) if "logits" in tensors else None
    frames = (
        _numbers(path, tensors, "frame_features", (n, None, None)) if "frame_features" in tensors else None
    )
    return Samples(features, logits, groups, frames)


def _values(path: Path, tensors: Mapping[str, torch.Tensor], name: str, n: int) -> npt.NDArray[Any]:
    """What a metric measured, [N, D]; older files keep a single number for each window as [N]."""
    if name in tensors and tensors[name].ndim == 1:
        return _numbers(path, tensors, name, (n,))[:, None]
    return _numbers(path, tensors, name, (n, None))


def _integers(
    path: Path, tensors: Mapping[str, torch.Tensor], name: str, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    return _array(path, tensors, name, shape, (torch.int32, torch.int64))


def _numbers(
    path: Path, tensors: Mapping[str, torch.Tensor], name: str, shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    array = _array(path, tensors, name, shape, (torch.float32, torch.float64))
    if not np.isfinite(array).all():
        raise VgbenchError(f"{path}: damaged, {name} is not finite", _AGAIN)
    return array


def _array(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    name: str,
    shape: tuple[int | None, ...],
    kinds: tuple[torch.dtype, ...],
) -> npt.NDArray[Any]:
    """Take one array of the file.

    Args:
        path: the file, for messages.
        tensors: what it holds.
        name: which one.
        shape: what it must have; None stands for any length but 0.
        kinds: types that it may have.

    Raises:
        VgbenchError: not there, or of another shape or type.
    """
    if name not in tensors:
        raise VgbenchError(f"{path}: damaged, it holds no {name}", _AGAIN)
    tensor = tensors[name]
    fits = len(shape) == tensor.ndim and all(
        have == want or (want is None and have > 0) for want, have in zip(shape, tensor.shape, strict=True)
    )
    if not fits or tensor.dtype not in kinds:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise VgbenchError(
            f"{path}: damaged, {name} is {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}, "
            f"not [{wanted}]",
            _AGAIN,
        )
    array: npt.NDArray[Any] = tensor.numpy()
    return array


def _requirements(plan: Protocol, measures: Measures) -> dict[str, str]:
    """Everything on the protocol's side that the numbers of the real set depend on."""
    windows = plan.windows_for("real")
    offset = f",+{windows.offset}" if windows.offset else ""
    by_content = ",content" if windows.seeded_by == "content" else ""
    chosen = f"{windows.start},{windows.order},{windows.per_clip}{offset}{by_content}"
    rate = "" if windows.fps is None else f",{windows.fps:g}fps"
    return {
        "windows": f"{windows.frames}/s{windows.stride}{rate},{chosen}",
        "seed": str(plan.seed),
        "real clips": str(plan.clips.real),
        "resize": plan.resize_for("real").describe(),
        "reader": READER_VERSION,
        "extractor": _network(measures),
    }


def _network(measures: Measures) -> str:
    """Identify the extractor: its weights, its preprocessing, and the code of a user's own extractor."""
    if (spec := measures.spec) is None:
        return "none"
    code = f"#{measures.sources[EXTRACTOR].key}" if EXTRACTOR in measures.sources else ""
    return f"{spec.id}@{spec.weights}{code},{spec.preprocessing}"


def _require_equal(path: Path, found: dict[str, str], wanted: dict[str, str]) -> None:
    if wanted["extractor"] == "none":  # metrics on pixels do not ask which network there was
        found = {**found, "extractor": "none"}
    unlike = [
        f"{key}: {found.get(key, '1')} there, {value} here"
        for key, value in wanted.items()
        if found.get(key) != value
    ]
    if unlike:
        raise ConfigError(
            f"{path}: made under another protocol ({'; '.join(unlike)})",
            "use the protocol and extractor that it was exported with",
        )
