"""What an evaluation computes: the resolved protocol, the metrics that suit it, and the extractor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vgbench import extractors
from vgbench.config import parse, with_overrides
from vgbench.device import device_of
from vgbench.errors import ConfigError, VgbenchError
from vgbench.evaluation.execution import Execution
from vgbench.evaluation.measured import EXTRACTOR, Measures
from vgbench.extractors.compiled import CompiledExtractor
from vgbench.extractors.extractor import Extractor, state_hash
from vgbench.extractors.table import EXTRACTORS
from vgbench.metrics import Choice, parse_list, with_companions
from vgbench.own_code import combined, is_own, source_of
from vgbench.protocol import ExtractorChoice, Protocol, load


@dataclass(frozen=True)
class Plan:
    """What one evaluation does.

    Attributes:
        protocol: the protocol with the caller's changes.
        choices: the metrics that can be computed under it.
        measures: what they measure on every window.
        unfit: metric, as the protocol spells it -> why it cannot be computed.
    """

    protocol: Protocol
    choices: tuple[Choice, ...]
    measures: Measures
    unfit: dict[str, ConfigError]


def make_plan(protocol: Protocol, extractor: str | Extractor | None, how: Execution, lenient: bool) -> Plan:
    """Load the extractor and find out which of the protocol's metrics can be computed.

    Raises:
        ConfigError: a metric cannot be computed, unless `lenient`; or as for `load_extractor`.
    """
    asked = parse_list(protocol.metrics)
    network = load_extractor(protocol, asked, extractor, how)
    unfit = misfits(asked, network, protocol)
    if unfit and not lenient:
        raise next(iter(unfit.values()))
    choices = tuple(choice for choice in asked if str(choice) not in unfit)
    return Plan(protocol, choices, measures_for(choices, network), unfit)


def measures_for(choices: Iterable[Choice], network: Extractor | None) -> Measures:
    """Return what the chosen metrics measure on every window, and the code and weights that it depends on."""
    choices = list(choices)
    own = {choice.metric.name: choice.name for choice in choices if not choice.is_shipped}
    sources = {name: source_of(origin.partition(":")[0]) for name, origin in own.items()}
    metrics = tuple(choice.metric for choice in choices if not choice.metric.needs_extractor)
    if network is None:
        return Measures(None, metrics, origins=own, sources=sources)
    plain = network.extractor if isinstance(network, CompiledExtractor) else network
    state, spec = state_hash(plain), plain.spec
    if _is_shipped(plain) and plain.loaded_state != state:
        spec = replace(
            spec,
            weights=f"changed-{state[:8]}",
            published=False,
            comparable_with="scores of the same changed weights only",
        )
    own_class = "" if _is_shipped(plain) else f"{type(plain).__qualname__} {state}"
    code = combined(_own_modules(plain), also=own_class)
    sources |= {EXTRACTOR: code} if code else {}
    return Measures(network, metrics, spec, state, own, sources)


def _is_shipped(network: Extractor) -> bool:
    return type(network).__module__.partition(".")[0] == "vgbench"


def _own_modules(network: Extractor) -> set[str]:
    """Names of the modules that hold the user's own code of an extractor; empty if it is entirely shipped."""
    parts = [part for module in network.modules() for part in (module, *vars(module).values())]
    defined_in = {getattr(part, "__module__", type(part).__module__) for part in parts}
    found = {name for name in defined_in if isinstance(name, str) and is_own(name)}
    return found if _is_shipped(network) else found | {type(network).__module__}


def resolve_protocol(
    protocol: str | Protocol,
    metrics: Sequence[str] | None,
    extractor: str | Extractor | None,
    settings: Iterable[str] = (),
    *,
    companions: bool = True,
) -> Protocol:
    """Apply the caller's choices to a protocol; a changed one keeps its name, but not its signature.

    The companions of chosen metrics are added, unless `companions` is false or the protocol is resolved
    already.

    Raises:
        ConfigError: unknown protocol, metric or key, or a value that is not allowed.
    """
    if isinstance(protocol, Protocol):
        plan = protocol
        if asked := list(settings):
            values = with_overrides(protocol.model_dump(mode="json"), asked)
            plan = parse(Protocol, values, f"protocol '{protocol.name}'")
        if isinstance(extractor, str):
            plan = plan.model_copy(update={"extractor": _in_place_of(plan.extractor, extractor)})
    else:
        own = []
        if isinstance(extractor, str):  # `--set` may give another preprocessing
            chosen = _in_place_of(load(protocol).extractor, extractor).model_dump(exclude_none=True)
            own = [f"extractor={json.dumps(chosen)}"]
        plan = load(protocol, [*own, *settings])
    changes: dict[str, Any] = {}
    if metrics:
        changes["metrics"] = tuple(metrics)
    if isinstance(extractor, Extractor):
        changes["extractor"] = ExtractorChoice(name=extractor.spec.id)
    if companions and (metrics or not isinstance(protocol, Protocol)):
        wanted = parse_list(changes.get("metrics", plan.metrics))
        changes["metrics"] = tuple(map(str, with_companions(wanted)))
    return plan.model_copy(update=changes)


def _in_place_of(own: ExtractorChoice, name: str) -> ExtractorChoice:
    """Put another network in the place of a protocol's own; one of the same kind keeps its preprocessing."""
    entries = [EXTRACTORS.get(each) for each in (own.name, name)]
    modules = [entry.target.partition(":")[0] if entry else None for entry in entries]
    same_kind = modules[0] is not None and modules[0] == modules[1]
    return ExtractorChoice(name=name, preprocessing=own.preprocessing if same_kind else None)


def load_extractor(
    protocol: Protocol, choices: Sequence[Choice], given: str | Extractor | None, how: Execution
) -> Extractor | None:
    """Load the network if a metric needs it, and check that it accepts the protocol's windows.

    Raises:
        ConfigError: unknown name, too few frames for the network, or a device that this machine lacks.
        VgbenchError: the weights of the network are missing.
    """
    if not any(choice.metric.needs_extractor for choice in choices):
        return None
    if isinstance(given, Extractor):
        network = given
    else:
        wanted = protocol.extractor
        network = extractors.load(wanted.name, wanted.weights, **wanted.options)
    if protocol.windows.frames < network.spec.least_frames:
        raise ConfigError(
            f"extractor '{network.spec.id}' needs at least {network.spec.least_frames} frames, protocol "
            f"'{protocol.name}' gives {protocol.windows.frames}",
            f"--set windows.frames={network.spec.least_frames}, or another extractor",
        )
    network = network.to(device_of(how.device)).eval()
    return CompiledExtractor(network) if how.compiled else network


def misfit(choice: Choice, network: Extractor | None, protocol: Protocol) -> ConfigError | None:
    """Return why a metric cannot be computed with this network and protocol, or None if it can."""
    metric = choice.metric
    if not metric.needs_extractor:
        needs = (
            ("frames", "windows.frames", metric.least_frames, protocol.windows.frames),
            ("pixels per side", "resize.size", metric.least_size, protocol.resize.size),
        )
        for what, key, least, given in needs:
            if given < least:
                return ConfigError(
                    f"metric '{choice.name}' needs {least} {what}, protocol '{protocol.name}' gives {given}",
                    f"--set {key}={least}",
                )
        return None
    if metric.sees != "frames" or network is None or network.spec.per_frame:
        return None
    return ConfigError(
        f"metric '{choice.name}' needs features of every frame, and extractor '{network.spec.id}' sees "
        "clips whole",
        "--extractor embedded-frames, or an image network such as dinov2-vitb14",
    )


def misfits(
    choices: Iterable[Choice], network: Extractor | None, protocol: Protocol
) -> dict[str, ConfigError]:
    """Metric, as the protocol spells it -> why it cannot be computed; others are left out."""
    found = ((str(choice), misfit(choice, network, protocol)) for choice in choices)
    return {metric: error for metric, error in found if error is not None}


def reason_of(metric: str, error: VgbenchError) -> str:
    """Return the error's message without the metric's name, for places that already show the name."""
    return error.message.removeprefix(f"metric '{metric.partition('(')[0]}' ")
