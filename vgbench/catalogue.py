"""What `vgbench list` prints: every name that commands and configs know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vgbench.errors import ConfigError
from vgbench.named import lookup

Entries = list[tuple[str, str]]
"""(name, one line about it)."""


def catalogue(
    kind: str = "all",
    measure: bool = False,
    names: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Entries]:
    """List what exists.

    Args:
        kind: a key of `SECTIONS`, or "all".
        measure: time a training step of each preset on this machine, at most about 20 s each.
        names: of "models", only these.
        progress: called as (stage, done, total) while models are counted or timed.

    Raises:
        ConfigError: unknown kind.
    """
    if kind == "all":
        return {name: section() for name, section in SECTIONS.items() if name != "models"}
    if kind == "models":
        return {"models": _models(measure, names, progress)}
    if names:
        raise ConfigError(f"list {kind} takes no names", "names pick models: vgbench list models gru-hinge")
    return {kind: lookup("kind of list", kind, SECTIONS)()}


def _protocols() -> Entries:
    from vgbench.protocol import load, protocol_names

    return [(name, load(name).summary) for name in protocol_names()]


def _metrics() -> Entries:
    from vgbench.metrics import METRICS

    return [(name, f"{metric.title} ({metric.citation})") for name, metric in METRICS.items()]


def _paired() -> Entries:
    from vgbench.metrics.paired import PAIRED

    return [(name, f"{metric.title} ({metric.citation})") for name, metric in PAIRED.items()]


def _extractors() -> Entries:
    from vgbench.extractors import EXTRACTORS

    return [(name, "") for name in EXTRACTORS]


def _presets() -> Entries:
    from vgbench.training.presets import describe, preset_names

    return [(name, describe(name)) for name in preset_names()]


def _models(
    measure: bool = False,
    names: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Entries:
    from vgbench.training.catalogue import list_models

    found = list_models(names or None, measured_steps=3 if measure else 0, progress=progress)
    return [(facts.name, str(facts)) for facts in found]


def _sources() -> Entries:
    from vgbench.clips.builtin import SOURCES

    return [(f"builtin:{name}", (make.__doc__ or "").splitlines()[0]) for name, make in SOURCES.items()]


SECTIONS: dict[str, Callable[[], Entries]] = {
    "protocols": _protocols,
    "metrics": _metrics,
    "paired": _paired,
    "extractors": _extractors,
    "presets": _presets,
    "models": _models,
    "sources": _sources,
}
