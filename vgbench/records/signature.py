"""Signature: one line of text that says exactly how a score was made.

Two scores are comparable only if their signatures are equal. This is the idea of sacreBLEU (Post 2018),
applied to video. A signature is made from what really happened (counts used, weights loaded) and never parsed
from its text.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """Ordered (key, value) fields. The first, a metric or protocol, is printed without its key."""

    fields: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        (_, name), *rest = self.fields
        return "|".join([_clean(name), *(f"{_clean(key)}:{_clean(value)}" for key, value in rest)])

    @property
    def short_hash(self) -> str:
        """Eight hex digits for table headings and file names."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:8]


def differences(a: Signature, b: Signature) -> list[tuple[str, str, str]]:
    """List (field, value in a, value in b) for every field that differs; a missing value is '-'."""
    left, right = dict(a.fields), dict(b.fields)
    keys = [*left, *(key for key in right if key not in left)]
    return [
        (key, left.get(key, "-"), right.get(key, "-"))
        for key in keys
        if left.get(key, "-") != right.get(key, "-")
    ]


def _clean(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")
