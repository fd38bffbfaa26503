"""The command `list`: every name that commands and configs accept, with a line about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from vgbench.commands import console, options, panels
from vgbench.errors import ConfigError
from vgbench.named import load_target, unknown_name
from vgbench.progress import Progress, no_progress

Entries = list[tuple[str, str]]
"""(name, one line about it)."""


def known_names(
    kind: str = "all",
    measure: bool = False,
    names: Sequence[str] = (),
    progress: Progress = no_progress,
) -> dict[str, Entries]:
    """Find the names of a kind, by section.

    Args:
        kind: a key of `SECTIONS`; "parts" for the sections of which models and their training consist; or
            "all" for every section but "models", which takes a while to count.
        measure: time a training step of each preset on this machine, at most about 20 s each.
        names: of "models", only these.
        progress: called while models are counted or timed.

    Raises:
        ConfigError: unknown kind, or names that no section can be limited to.
    """
    if kind == "all":
        return {name: section() for name, section in SECTIONS.items() if name != "models"}
    if kind == "models":
        return {"models": _models(measure, names, progress)}
    if names:
        raise ConfigError(f"list {kind} takes no names", "only models do: vgbench list models gru-hinge")
    if kind == "parts":
        return {name: SECTIONS[name]() for name in PARTS}
    if kind not in SECTIONS:
        raise unknown_name("kind of list", kind, KINDS)
    return {kind: SECTIONS[kind]()}


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
    from vgbench.extractors.summary import summarise

    return [(name, summarise(name)) for name in EXTRACTORS]


def _presets() -> Entries:
    from vgbench.presets import describe, preset_names

    return [(name, describe(name)) for name in preset_names()]


def _pretrained() -> Entries:
    from vgbench.pretrained import pretrained_names, pretrained_path
    from vgbench.reference_models.checkpoint import read_metadata

    entries = []
    for name in pretrained_names():
        model, card = read_metadata(pretrained_path(name))
        classes = f", {len(model.classes)} classes" if model.classes else ""
        shape = f"{model.size} x {model.size} x {model.frames}{classes}"
        training = f"{card['data']}, {card['steps']} steps"
        entries.append((f"pretrained:{name}", f"{shape}; {training}; {card['score_of']} {card['score']}"))
    return entries


def _models(measure: bool = False, names: Sequence[str] = (), progress: Progress = no_progress) -> Entries:
    from vgbench.training.model_costs import list_models

    found = list_models(names or None, measured_steps=3 if measure else 0, progress=progress)
    return [(costs.name, str(costs)) for costs in found]


def _sources() -> Entries:
    from vgbench.clips.builtin import SOURCES

    return [(f"builtin:{name}", _first_line(load_target(make))) for name, make in SOURCES.items()]


def _motion() -> Entries:
    from vgbench.reference_models.parts import MOTIONS

    return _described(MOTIONS)


def _decoders() -> Entries:
    from vgbench.reference_models.parts import DECODERS

    return _described(DECODERS)


def _losses() -> Entries:
    from vgbench.reference_models.parts import LOSSES

    losses = ((name, load_target(target)) for name, target in LOSSES.items())
    return [
        (name, f"{_first_line(loss.discriminator)} Generator: {_first_line(loss.generator)}")
        for name, loss in losses
    ]


def _discriminators() -> Entries:
    from vgbench.reference_models.parts import DISCRIMINATORS

    return _described(DISCRIMINATORS)


def _regularisers() -> Entries:
    from vgbench.reference_models.parts import REGULARISERS

    return _described({name: one.target for name, one in REGULARISERS.items()})


def _augmentations() -> Entries:
    from vgbench.training.config import AUGMENTATIONS

    return _described(AUGMENTATIONS)


def _datasets() -> Entries:
    from vgbench.datasets.known import KNOWN

    return [(name, f"{known.title} ({known.layout})") for name, known in KNOWN.items()]


def _distortions() -> Entries:
    from vgbench.audit.halves import ALL_DISTORTIONS, KIND_OF
    from vgbench.clips.distortions import FRAME_DISTORTIONS

    what = {name: f": {_first_line(function)}" for name, function in FRAME_DISTORTIONS.items()}
    return [(name, f"{KIND_OF[name]} damage{what.get(name, '')}") for name in ALL_DISTORTIONS]


def _published() -> Entries:
    from vgbench.leaderboard.published import shipped

    metrics: dict[str, dict[str, None]] = {}
    for table in shipped():
        metrics.setdefault(table.dataset, {})[table.metric] = None
    return [(name, f"published scores: {', '.join(found)}") for name, found in metrics.items()]


def _described(table: Mapping[str, str]) -> Entries:
    """Describe each "module:object" of a table by the first line of its docstring."""
    return [(name, _first_line(load_target(target))) for name, target in table.items()]


def _first_line(part: object) -> str:
    return (part.__doc__ or "").partition("\n")[0]


SECTIONS: dict[str, Callable[[], Entries]] = {
    "protocols": _protocols,
    "metrics": _metrics,
    "paired": _paired,
    "extractors": _extractors,
    "presets": _presets,
    "pretrained": _pretrained,
    "models": _models,
    "motion": _motion,
    "decoders": _decoders,
    "losses": _losses,
    "discriminators": _discriminators,
    "regularisers": _regularisers,
    "augmentations": _augmentations,
    "sources": _sources,
    "datasets": _datasets,
    "distortions": _distortions,
    "published": _published,
}
PARTS = ("motion", "decoders", "losses", "discriminators", "regularisers", "augmentations")
KINDS = (*SECTIONS, "parts", "all")
"""What `vgbench list` takes."""


def list_(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    ] = "all",
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAMES", help="Of the models, only these, such as gru-hinge."),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Also time a training step of each model, for at most 20 s each."),
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """List the names that commands and configs accept."""
    with panels.progress() as progress:
        sections = known_names(kind, measure, names or (), progress)
    if as_json:
        console.print_json({section: dict(entries) for section, entries in sections.items()})
        return
    for section, entries in sections.items():
        console.stdout.print(f"[bold]{section}[/]")
        width = max((len(name) for name, _ in entries), default=0)
        for name, text in entries:
            console.stdout.print(f"  {name:<{width}}  {text}", markup=False)
