"""ST-RRED by scikit-video, with the names of numpy that it was written for.

The package index still has scikit-video 1.1.11 (2018), which fails with numpy >= 1.24 (`np.float`). Its
modules get a substitute for their name `np`; numpy itself is not changed. Some of its other measures are
wrong in that version (docs/metrics.md), and vgbench computes the remaining ones itself.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError

_FIXED_NUMPY = (1, 1, 12)


class _NumpyOfThen(types.ModuleType):
    """Numpy with the aliases that were removed in 1.24."""

    float = float
    int = int
    bool = bool
    complex = complex
    product = staticmethod(np.prod)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def strred_of_luma(reference: npt.NDArray[np.uint8], distorted: npt.NDArray[np.uint8]) -> float:
    """Spatio-temporal reduced-reference entropic difference of a clip (Soundararajan and Bovik 2013).

    Args:
        reference: luma [T, H, W], values 0..255.
        distorted: the same of the distorted clip.

    Raises:
        VgbenchError: scikit-video is not installed.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        _, score, _ = _measure().strred(reference, distorted)
    return float(score)


@functools.cache
def _measure() -> Any:
    """Import `skvideo.measure` and give its modules the numpy that they were written for."""
    try:
        known = tuple(int(part) for part in version("scikit-video").split(".")[:3] if part.isdigit())
    except PackageNotFoundError as error:
        raise VgbenchError("scikit-video is not installed", "pip install scikit-video") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy.misc is deprecated, but not used here
        measure = importlib.import_module("skvideo.measure")
    if known < _FIXED_NUMPY:
        stand_in = _NumpyOfThen("numpy")
        for name, module in list(sys.modules.items()):
            if name.startswith("skvideo.") and getattr(module, "np", None) is np:
                module.np = stand_in  # type: ignore[attr-defined]
    return measure
