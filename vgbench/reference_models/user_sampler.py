"""Generators that users bring: any object with `sample(n, seed, device) -> uint8 [n, T, H, W, 3]`."""

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
"""Arguments of `sample` whose option on the command line has another name."""


@dataclass(frozen=True)
class UserSampler:
    """A user's sampling function with the interface of `Generator.sample`.

    Attributes:
        name: as the user wrote it, `package.module:Object`.
        function: `sample(n, seed, device)`; further arguments that it names (frames, label, fix, frame_step)
            are passed as well.
        device: passed if the function has an argument of that name, which it must have unless this is "cpu".
    """

    name: str
    function: Callable[..., Any]
    device: str = "cpu"

    def to(self, device: str) -> UserSampler:
        """Return the same sampler for another device."""
        return replace(self, device=device)

    def sample(self, n: int, seed: int = 0, **options: Any) -> npt.NDArray[np.uint8]:
        """Call the user's function, and check its result: uint8 [n, T, H, W, 3].

        Raises:
            VgbenchError: the function lacks an argument that was given, or returns something else.
        """
        arguments = inspect.signature(self.function).parameters
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in arguments.values())
        extra = {key: value for key, value in options.items() if value is not None}
        if self.device != "cpu" or "device" in arguments or takes_any:
            extra["device"] = self.device
        for key in extra:
            if key not in arguments and not takes_any:
                raise VgbenchError(
                    f"{self.name}: its sample function takes no '{key}'",
                    f"leave {FLAGS.get(key, f'--{key}')} out, or give the function an argument {key}",
                )
        clips = np.asarray(self.function(n, seed, **extra))
        if clips.dtype != np.uint8 or clips.ndim != 5 or len(clips) != n or clips.shape[-1] != 3:
            raise VgbenchError(
                f"{self.name}: sample returned {clips.dtype} {list(clips.shape)}",
                f"it must return uint8 [{n}, T, H, W, 3]",
            )
        return clips


def load_user_sampler(name: str) -> UserSampler:
    """Import `package.module:Object`: a sampling function, or a class or object with a method `sample`.

    Raises:
        ConfigError: it cannot be imported.
        VgbenchError: it is none of these.
    """
    found = import_object(name)
    if inspect.isclass(found):
        found = found()
    function = getattr(found, "sample", found)
    if not callable(function):
        raise VgbenchError(f"{name}: is not callable and has no method 'sample'")
    return UserSampler(name, function)
