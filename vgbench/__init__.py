"""vgbench: train reference video GANs, score folders of clips, publish leaderboards that others can trust.

The public names load on first use, so that `import vgbench` (and `vgbench --help`) need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vgbench import extractors, metrics, reference_models
    from vgbench.evaluation.evaluate import evaluate
    from vgbench.records.record import Record

__all__ = ["Record", "__version__", "evaluate", "extractors", "metrics", "reference_models"]

_OBJECTS = {"evaluate": "vgbench.evaluation.evaluate", "Record": "vgbench.records.record"}
_MODULES = ("extractors", "metrics", "reference_models")


def __getattr__(name: str) -> Any:
    if name in _OBJECTS:
        value = getattr(importlib.import_module(_OBJECTS[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"vgbench.{name}")
    raise AttributeError(f"module 'vgbench' has no attribute '{name}'")
