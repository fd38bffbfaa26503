"""What the signature states: everything that affects a score, as it was actually done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from vgbench.clips.reader_version import READER_VERSION
from vgbench.evaluation.measured import EXTRACTOR, Measured, Measures, Side
from vgbench.metrics import Choice
from vgbench.protocol import Protocol
from vgbench.records.signature import Signature

Fields = tuple[tuple[str, str], ...]
"""(key, value) pairs of a signature; the first is the name of the protocol or metric."""


def signature_fields(
    protocol: Protocol, choices: Iterable[Choice], measures: Measures, measured: Mapping[Side, Measured]
) -> Fields:
    """Return the (key, value) pairs of an evaluation's signature, in the order in which they print."""
    windows = protocol.windows
    starts = dict.fromkeys((windows.start, protocol.start_for("generated")))  # one name if both are alike
    strides = dict.fromkeys((windows.stride, protocol.windows_for("real").stride))
    offset = f"+{windows.offset}frames" if windows.offset else ""
    by_content = ",content" if windows.seeded_by == "content" else ""
    order = {"drawn": "", "sorted": ",sorted", "windows": ",of all windows"}[windows.order]
    choices = list(choices)
    spelled = {spell(choice, measures, measured): choice for choice in choices}
    options = ",".join(
        sorted(text for text, choice in spelled.items() if text != choice.name or not choice.is_shipped)
    )
    fields = [
        ("protocol", protocol.name),
        ("clips", f"{_count(measured['generated'])}+{_count(measured['real'])}"),
        ("frames", f"{windows.frames}/s{'+s'.join(map(str, strides))}"),
        ("start", f"{'+'.join(starts)}{offset},seed{protocol.seed}{by_content}{order}"),
        ("size", protocol.resize.describe()),
        ("reader", READER_VERSION),
    ]
    if windows.fps is not None:
        fields.insert(3, ("fps", f"{windows.fps:g}"))
    if (spec := measures.spec) is not None:
        code = f"#{measures.sources[EXTRACTOR].short}" if EXTRACTOR in measures.sources else ""
        fields.append(("feat", f"{spec.describe()}{code},{spec.preprocessing}"))
    if options:
        fields.append(("options", options))
    if any(choice.metric.labels for choice in choices):
        labels = json.dumps([used.label for used in measured["real"].windows])
        fields.append(("labels", hashlib.sha256(labels.encode()).hexdigest()[:8]))
    if _joins_files(measured["real"]):
        recordings = json.dumps(measured["real"].recordings.tolist())
        fields.append(("groups", hashlib.sha256(recordings.encode()).hexdigest()[:8]))
    return (*fields, ("real", measured["real"].manifest_hash[:8]), ("v", protocol.version))


def metric_signatures(
    choices: Iterable[Choice], measures: Measures, measured: Mapping[Side, Measured], fields: Fields
) -> dict[str, str]:
    """Return score name -> the part of the signature that the score depends on."""
    return {
        name: str(Signature((("metric", spell(choice, measures, measured)), *_relevant(fields, choice))))
        for choice in choices
        for name in choice.metric.directions
    }


def spell(choice: Choice, measures: Measures, measured: Mapping[Side, Measured]) -> str:
    """Write a metric with its options, any version but the first, and the hash of the user's own code."""
    source = measures.sources.get(choice.metric.name)
    shares_recordings = any(side.recording_count < len(side.windows) for side in measured.values())
    version = choice.metric.version_for(choice.options, shares_recordings=shares_recordings)
    return with_version(str(choice), version) + (f"#{source.short}" if source else "")


def with_version(name: str, version: str) -> str:
    """Append a metric's version to its name, such as `acd@2`; the first version shows nothing."""
    return name if version == "1" else f"{name}@{version}"


def _joins_files(side: Measured) -> bool:
    """Whether a recording has windows of different bytes, so that the hash `real` does not determine it."""
    bytes_of: dict[int, str] = {}
    pairs = zip(side.recordings.tolist(), side.windows, strict=True)
    return any(bytes_of.setdefault(number, used.fingerprint) != used.fingerprint for number, used in pairs)


def _count(side: Measured) -> str:
    """Windows used, and the number of recordings that they were cut from if that is smaller."""
    windows, recordings = len(side.windows), side.recording_count
    return str(windows) if recordings == windows else f"{windows}of{recordings}"


def _relevant(fields: Sequence[tuple[str, str]], choice: Choice) -> list[tuple[str, str]]:
    """Leave out the fields that a metric cannot depend on; its own options are part of its name already."""
    unneeded = {"options"}
    if not choice.metric.needs_extractor:
        unneeded.add("feat")
    if not choice.metric.labels:
        unneeded.add("labels")
    return [(key, value) for key, value in fields if key not in unneeded]
