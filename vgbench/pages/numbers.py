"""Numbers as text, with a true minus sign and one spelling of what is missing or not finite."""

from __future__ import annotations

import math

MISSING = "–"
"""Stands for a number that does not exist."""


def number(value: float | None, decimals: int) -> str:
    """Write a number with a fixed number of decimals: `−1.20`, `–` for None, `∞`, `NaN`."""
    if value is None or not math.isfinite(value):
        return _not_finite(value)
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.removeprefix("-")  # no negative zero
    return text.replace("-", "−")


def significant(value: float | None, digits: int = 4) -> str:
    """Write a number with a number of significant digits: `0.01235`, `2,280`, `1e+09`, `–` for None."""
    if value is None or not math.isfinite(value):
        return _not_finite(value)
    whole = 10 ** min(digits, 3) <= abs(value) < 1e9
    return (f"{value:,.0f}" if whole else f"{value:.{digits}g}").replace("-", "−")


def _not_finite(value: float | None) -> str:
    if value is None:
        return MISSING
    if math.isnan(value):
        return "NaN"
    return "∞" if value > 0 else "−∞"
