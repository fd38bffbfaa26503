"""A small SVG image with the score of one model, for a README."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape

from vgbench.leaderboard.ranking import Group, Row
from vgbench.leaderboard.rounding import decimals_for, with_error
from vgbench.pages.svg import xml_text
from vgbench.records.record import NOT_COMPARABLE, file_name

_CHARACTER = 6.6
"""Average width in pixels of a character of 11 px Verdana; `textLength` makes the text fit exactly."""


def render_badge(group: Group, row: Row) -> str:
    """Draw `fvd, corrected · fvd-tats | 312.4 ± 8.1 · rank 1 of 7`, with the full signature as a tooltip.

    If no published scores were made with the network, its name is added to that of the metric.
    """
    cell = row.cells.get(group.primary)
    corrected = ", corrected" if cell and cell.score.debiased is not None else ""
    label = f"{_metric(group, row)}{corrected} · {group.name}"
    text = with_error(cell.score, decimals_for([cell.score])) if cell else "not measured"
    if row.rank is not None:
        text += f" · rank {row.rank} of {len(group.models)}"
    left, right = (round(_CHARACTER * len(part)) + 14 for part in (label, text))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">
<title>{_xml(row.model)}: {_xml(label)} {_xml(text)} ({_xml(str(group.signature))})</title>
<clipPath id="r"><rect width="{left + right}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3d4450"/>
<rect x="{left}" width="{right}" height="20" fill="#1f6f8b"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="7" y="14" textLength="{left - 14}">{_xml(label)}</text>
<text x="{left + 7}" y="14" textLength="{right - 14}">{_xml(text)}</text></g></svg>
"""


def _metric(group: Group, row: Row) -> str:
    used, name = row.record.extractor, group.primary
    depends = "|feat:" in row.record.signatures.get(name, str(group.signature))
    if used is None or not depends or NOT_COMPARABLE not in dict(row.record.warnings):
        return name
    return f"{name} ({used.id})"


def badge_files(groups: Sequence[Group]) -> dict[str, str]:
    """Draw one badge for every ranked model: `<model>-<signature hash>.svg` -> SVG.

    If the name of a model is not safe as a file name, or is taken, eight digits of its hash are added,
    because the safe forms of two names may be equal.
    """
    files: dict[str, str] = {}
    taken: set[str] = set()  # some file systems ignore the case of letters
    for group in groups:
        for row in group.models:
            safe, end = file_name(row.model), f"-{group.signature.short_hash}.svg"
            if safe != row.model or (safe + end).casefold() in taken:
                digest = hashlib.sha256(row.model.encode(errors="surrogatepass")).hexdigest()
                safe = f"{safe}-{digest[:8]}"
            taken.add((safe + end).casefold())
            files[safe + end] = render_badge(group, row)
    return files


def _xml(text: str) -> str:
    return escape(xml_text(text))
