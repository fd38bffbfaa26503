"""Numbers that users set with environment variables."""

from __future__ import annotations

import math
import os

from vgbench.errors import ConfigError


def positive_number(variable: str, default: float, what: str = "a positive, finite number") -> float:
    """Read a number from an environment variable.

    Args:
        variable: its name.
        default: the value where the variable is unset or empty.
        what: what the variable must be, for the error message.

    Raises:
        ConfigError: the value is not a number, not positive, or not finite.
    """
    text = os.environ.get(variable, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ConfigError(f"{variable} = {text!r}: must be {what}", f"the default is {default:g}")
    return value
