"""Generators that users bring: anything with `sample(n, seed, device) -> uint8 [n, T, H, W, 3]`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.errors import VgbenchError
from vgbench.named import import_object

FLAGS = {"label": "--class", "frame_step": "--rate"}
"""Arguments of `sample` whose flag on the command line has another name."""


@dataclass(frozen=True)
class ForeignGenerator:
    """A user's sampler behind the interface of `Generator.sample`.

    Attributes:
        name: as the user wrote it, `package.module:Object`.
        function: `sample(n, seed, device)`; further arguments it names (frames, label, fix, frame_step) are
            passed on.
        device: passed on where the function names it; any but "cpu" must be.
    """

    name: str
    function: Callable[..., Any]
    device: str = "cpu"

    def to(self, device: str) -> ForeignGenerator:
        return replace(self, device=device)

    def sample(self, n: int, seed: int = 0, **options: Any) -> npt.NDArray[np.uint8]:
        """Call the user's function and check what it gives back: uint8 [n, T, H, W, 3].

        Raises:
            VgbenchError: an argument that the function does not take, or a result of another kind.
        """
        arguments = inspect.signature(self.function).parameters
        open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in arguments.values())
        extra = {key: value for key, value in options.items() if value is not None}
        if self.device != "cpu" or "device" in arguments or open_ended:
            extra["device"] = self.device
        for key in extra:
            if key not in arguments and not open_ended:
                raise VgbenchError(
                    f"{self.name}: its sample function takes no '{key}'",
                    f"leave {FLAGS.get(key, f'--{key}')} out, or let the function take {key}",
                )
        clips = np.asarray(self.function(n, seed, **extra))
        if clips.dtype != np.uint8 or clips.ndim != 5 or len(clips) != n or clips.shape[-1] != 3:
            raise VgbenchError(
                f"{self.name}: sample gave {clips.dtype} {list(clips.shape)}",
                f"it must give uint8 [{n}, T, H, W, 3]",
            )
        return clips


def load_foreign(name: str) -> ForeignGenerator:
    """Import `package.module:Object`: a sampling function, or a class or object with a method `sample`.

    Raises:
        ConfigError: it cannot be imported.
        VgbenchError: there is nothing to call.
    """
    found = import_object(name)
    if inspect.isclass(found):
        found = found()
    function = getattr(found, "sample", found)
    if not callable(function):
        raise VgbenchError(f"{name}: neither callable nor with a method 'sample'")
    return ForeignGenerator(name, function)
