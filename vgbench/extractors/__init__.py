"""Extractors: networks that turn clips into features, by name, by file, or the user's own.

Importing this package imports no torch; loading an extractor does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vgbench.errors import ConfigError
from vgbench.named import import_object, unknown_name

if TYPE_CHECKING:
    from vgbench.extractors.extractor import Extractor


def _embedded(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import embedded

    return embedded.load(weights)


def _embedded_frames(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import embedded_frames

    return embedded_frames.load(weights)


def _i3d(
    weights: str | Path | None = None,
    preprocessing: str = "tf1",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
) -> Extractor:
    from vgbench.extractors import i3d

    return i3d.load(weights, preprocessing, precision)


def _i3d_tats(
    weights: str | Path | None = None,
    preprocessing: str = "tats",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
) -> Extractor:
    from vgbench.extractors import i3d

    return i3d.load(weights, preprocessing, precision, name="i3d-k400-tats")


def _i3d_piergiaj(
    weights: str | Path | None = None,
    preprocessing: str = "tf1",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
) -> Extractor:
    from vgbench.extractors import i3d

    return i3d.load(weights, preprocessing, precision, name="i3d-k400-piergiaj")


def _i3d_torchscript(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import exported

    return exported.load_i3d_torchscript(weights)


def _c3d(
    weights: str | Path | None = None, preprocessing: str = "tganv2", mean: str | Path | None = None
) -> Extractor:
    from vgbench.extractors import c3d

    return c3d.load(weights, preprocessing, mean)


def _c3d_torchscript(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import c3d

    return c3d.load_torchscript(weights)


def _resnet3d(name: str, weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import resnet3d

    return resnet3d.load(name, weights)


def _frame_network(name: str, weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import frame_networks

    return frame_networks.load(name, weights)


def _inception_v3(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import inception_v3

    return inception_v3.load(weights)


def _videomae(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import transformers_video

    return transformers_video.load_videomae(weights)


def _v_jepa_2(weights: str | Path | None = None) -> Extractor:
    from vgbench.extractors import transformers_video

    return transformers_video.load_v_jepa_2(weights)


def _exported(path: str, least_frames: int = 1) -> Extractor:
    if Path(path).suffix == ".onnx":
        from vgbench.extractors import onnx_file

        return onnx_file.load(Path(path), least_frames)
    from vgbench.extractors import exported

    return exported.load(Path(path), least_frames)


EXTRACTORS: dict[str, Callable[..., Extractor]] = {
    "embedded": _embedded,
    "embedded-frames": _embedded_frames,
    "i3d-k400": _i3d,
    "i3d-k400-tats": _i3d_tats,
    "i3d-k400-piergiaj": _i3d_piergiaj,
    "i3d-k400-torchscript": _i3d_torchscript,
    "c3d-ucf101": _c3d,
    "c3d-ucf101-torchscript": _c3d_torchscript,
    "r2plus1d-18-k400": partial(_resnet3d, "r2plus1d-18-k400"),
    "r3d-18-k400": partial(_resnet3d, "r3d-18-k400"),
    "videomae-vitb16-k400": _videomae,
    "vjepa2-vitl": _v_jepa_2,
    "inception-v3-fid": _inception_v3,
    "dinov2-vitb14": partial(_frame_network, "dinov2-vitb14"),
    "clip-vitb32": partial(_frame_network, "clip-vitb32"),
}
"""Name to factory. A factory takes `weights` (a path, "random", "random:SEED", or None for the usual ones)
and the options that its network knows."""

FILE_SUFFIXES = (".pt", ".pth", ".ts", ".jit", ".pt2", ".onnx")


def load(name: str, weights: str | Path | None = None, **options: Any) -> Extractor:
    """Return an extractor in eval mode, on the CPU.

    Args:
        name: a key of `EXTRACTORS`; `package.module:Object`, an `Extractor` subclass or a function that
            returns one; or the path of an exported network (see `vgbench.extractors.exported`).
        weights: file to use instead of the usual one; "random" or "random:SEED" for an untrained network.
        options: what the factory knows besides, such as `preprocessing="tf1"` for "i3d-k400".

    Raises:
        ConfigError: unknown name or option.
        VgbenchError: the weights are not there or not the right ones; the remedy says what to do.
    """
    if name in EXTRACTORS:
        factory: Callable[..., Any] = EXTRACTORS[name]
    elif Path(name).suffix in FILE_SUFFIXES:
        factory = partial(_exported, name)
    elif ":" in name:
        factory = import_object(name)
    else:
        raise unknown_name("extractor", name, EXTRACTORS)
    if weights is not None:
        options["weights"] = weights
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise ConfigError(f"extractor '{name}': {error}", "see docs/extractors.md for its options") from error
    extractor = factory(**options)
    return extractor.eval().requires_grad_(False)  # type: ignore[no-any-return]
