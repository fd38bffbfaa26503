"""Which records are of one model: a later record of the same model replaces an earlier one in tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vgbench.records.record import Record, model_name


@dataclass(frozen=True)
class Identity:
    """What makes two records one row.

    Attributes:
        model: name of the model.
        submitter: `meta.submitter` of the record; "" if it states none.
        source: the generated clips, if the model has no name but that of their folder, because different
            folders may share a name (`step_1/samples`, `step_2/samples`); "" otherwise.
    """

    model: str
    submitter: str = ""
    source: str = ""


def identity(record: Record) -> Identity:
    """Return the identity of a record's model."""
    meta = record.details.get("meta")
    submitter = meta.get("submitter") if isinstance(meta, Mapping) else None
    source = record.clips.generated.source
    return Identity(
        record.model,
        submitter if isinstance(submitter, str) else "",
        source if record.model == model_name(source) != source else "",
    )


def row_names(identities: Iterable[Identity]) -> dict[Identity, str]:
    """Name each model of a table: by its own name, with the submitter or source where models share a name."""
    identities = list(dict.fromkeys(identities))
    shared = Counter(one.model for one in identities)
    names: dict[Identity, str] = {}
    for one in sorted(identities, key=lambda one: (one.model, one.submitter, one.source)):
        parts = filter(None, (one.submitter, one.source)) if shared[one.model] > 1 else ()
        candidates = [f"{one.model} ({part})" for part in parts] or [one.model]
        name = next((name for name in candidates if name not in names.values()), candidates[-1])
        while name in names.values():
            name += "′"  # a model may be named like another one with its submitter
        names[one] = name
    return names
