"""Signature: one printable line that says exactly how a score was made.

Two scores compare only if their signatures are equal (the sacreBLEU idea, Post 2018, for video). It is built
from what really happened (counts used, weights loaded), never parsed back from its text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """Ordered fields of a signature. The first is the metric or protocol name and prints without its key."""

    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        (_, name), *rest = self.fields
        return "|".join([_clean(name), *(f"{_clean(key)}:{_clean(value)}" for key, value in rest)])

    @property
    def short_hash(self) -> str:
        """Eight hex digits for table headings and file names."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:8]


def differences(a: Signature, b: Signature) -> list[tuple[str, str, str]]:
    """List (field, value in a, value in b) wherever two signatures differ; a missing field reads as '-'."""
    left, right = dict(a.fields), dict(b.fields)
    keys = [*left, *(key for key in right if key not in left)]
    return [
        (key, left.get(key, "-"), right.get(key, "-"))
        for key in keys
        if left.get(key, "-") != right.get(key, "-")
    ]


def _clean(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
