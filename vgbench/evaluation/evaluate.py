"""`evaluate`, the function behind `vgbench eval`: clips in, record out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import torch

from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource, printable
from vgbench.clips.suffixes import describe, total
from vgbench.clips.value_range import ValueRange
from vgbench.distributed import World, from_main, gather, joined_world
from vgbench.errors import ConfigError, SkippedClips, VgbenchError
from vgbench.evaluation import dependence, formats, inputs, motion_profile, warnings
from vgbench.evaluation.choices import Plan, make_plan, reason_of, resolve_protocol
from vgbench.evaluation.execution import Execution, ExecutionOptions
from vgbench.evaluation.measure import measure
from vgbench.evaluation.measured import SIDES, Measured, Side
from vgbench.evaluation.ranks import require_agreement, share_source
from vgbench.evaluation.signing import metric_signatures, signature_fields
from vgbench.evaluation.statistics_file import is_statistics, load_statistics, save_statistics
from vgbench.evaluation.thumbnails import save_with_thumbnails, show
from vgbench.extractors.compiled import CompiledExtractor
from vgbench.extractors.extractor import Extractor, ExtractorSpec
from vgbench.metrics import Choice, Score
from vgbench.metrics.metric import Better
from vgbench.metrics.uncertainty import without_error
from vgbench.protocol import Protocol
from vgbench.records.record import (
    Clips,
    ClipSet,
    ClipUse,
    ExtractorUse,
    Record,
    SkippedClip,
    environment,
    model_name,
    now,
)
from vgbench.records.sample_card import SampleCard, read_card
from vgbench.records.signature import Signature


def evaluate(
    generated: Any,
    real: Any,
    protocol: str | Protocol = "quick",
    metrics: Sequence[str] | None = None,
    extractor: str | Extractor | None = None,
    name: str | None = None,
    results: str | Path | None = None,
    *,
    settings: Iterable[str] = (),
    value_range: ValueRange | None = None,
    axes: str | None = None,
    strict: bool = False,
    lenient: bool = False,
    sharded: bool = False,
    details: Mapping[str, Any] | None = None,
    **execution: Unpack[ExecutionOptions],
) -> Record:
    """Score generated clips against real ones under a protocol.

    Args:
        generated: path, URL, `builtin:NAME`, array uint8 [N, T, H, W, 3], or an iterable of clips.
        real: the same for the real side, or a statistics file of `export_statistics`.
        protocol: name of a shipped protocol, path of a YAML file, or a `Protocol`.
        metrics: override the protocol's metrics, such as `["fvd", "prdc(k=3)"]`.
        extractor: override the protocol's extractor: a name, `package.module:Class`, or an `Extractor`.
        name: the model's name in tables; by default, the last part of the path or URL of the generated clips.
        results: folder to save the record and its thumbnails in; nothing is saved without it.
        settings: `key=value` changes to the protocol; the signature shows them.
        value_range: range of float arrays on either side, such as (0, 1); see `open_source`.
        axes: names of the axes of arrays, such as "TNHW"; see `open_source`.
        strict: a skipped clip is an error, which is raised after the record has been saved; so is a file that
            was left out because of its suffix, unless such files are usual beside clips.
        lenient: a metric that cannot be computed for these clips or with this extractor, for example because
            class labels are missing, is listed with the reason in `details["unscored"]` and raises no error.
        sharded: under `torchrun`, each rank brings generated clips of its own, and their union is scored, as
            in the validation loop of distributed training. Otherwise all ranks must bring the same clips.
        details: further facts, which are stored in the record unchanged.
        execution: `batch_size`, `workers`, `device`, `compiled`, `store` and `progress`, which change no
            score; see `vgbench.evaluation.execution.Execution`.

    Returns:
        The record, with values such as `record.scores["fvd"].value`. Under `torchrun`, every rank gets the
            same record.

    Raises:
        ConfigError: unknown protocol, metric or extractor, or a bad setting.
        NotEnoughClips: a side has fewer usable clips than the protocol needs.
        SkippedClips: under `strict`.
    """
    began = time.monotonic()
    how = Execution.of(execution)
    resolved = resolve_protocol(protocol, metrics, extractor, settings)
    if is_statistics(generated) and not _sides_are_alike(resolved):
        raise ConfigError(
            f"{generated}: statistics hold the windows of a real set, and protocol '{resolved.name}' chooses "
            "those of a generated one by another rule",
            "give the clips themselves",
        )
    with joined_world() as world:
        plan = make_plan(resolved, extractor, how, lenient)
        given: dict[Side, Any] = {"real": real, "generated": generated}
        sides = {side: opened(spec, value_range, axes) for side, spec in given.items()}
        run = measure_sides(plan, sides, how, world, sharded=sharded)
        with run.timed("metrics"):
            scores, unscored = _score(plan.choices, run.measured, lenient)
            shared = dependence.shared_windows(run.measured)
            if dependence.are_dependent(shared, len(run.measured["generated"].windows)):
                scores = {metric: without_error(score) for metric, score in scores.items()}
        run.seconds["total"] = round(time.monotonic() - began, 3)
        record = _record(run, scores, unscored, shared, name, how, details or {})
        if results is not None and world.is_main:
            shown = {
                side: show(source, side, run.measured, resolved, how.store)
                for side, source in run.opened.items()
            }
            motion = motion_profile.summarise({side: one.motion for side, one in shown.items()})
            if motion:
                record = record.model_copy(update={"details": {"motion": motion, **record.details}})
            record = save_with_thumbnails(record, Path(results), shown, resolved)
        record = from_main(record, world)  # with its thumbnails, and the name under which it was saved
        how.store.prune()
    if strict:
        require_none_skipped(run.measured.values())
    return record


def export_statistics(
    real: Any,
    path: str | Path,
    protocol: str | Protocol = "quick",
    metrics: Sequence[str] | None = None,
    extractor: str | Extractor | None = None,
    *,
    settings: Iterable[str] = (),
    value_range: ValueRange | None = None,
    axes: str | None = None,
    lenient: bool = False,
    warn: Callable[[str, str], None] | None = None,
    **execution: Unpack[ExecutionOptions],
) -> Path:
    """Measure a real set, and write the statistics that scoring against it needs to one file.

    The arguments are those of `evaluate`. `warn` is called as (warning code, sentence) for each metric that
    `lenient` left out, for damage found in the feature store, and for clips that may have been misread.
    """
    how = Execution.of(execution)
    resolved = resolve_protocol(protocol, metrics, extractor, settings)
    with joined_world() as world:
        plan = make_plan(resolved, extractor, how, lenient)
        run = measure_sides(plan, {"real": opened(real, value_range, axes)}, how, world)
        if warn is not None and world.is_main:
            for metric, error in plan.unfit.items():
                warn("left-out", f"{metric}: {reason_of(metric, error)}")
            for code, sentence in (
                *warnings.of_store(run.damaged),
                *inputs.of_side("real", run.measured["real"]),
            ):
                warn(code, sentence)
        if not world.is_main:
            return Path(path)
        return save_statistics(path, run.measured["real"], plan.protocol, plan.measures)


@dataclass(frozen=True)
class Run:
    """An evaluation whose sides have been measured.

    Attributes:
        plan: what was measured.
        opened: the sources that hold clips; statistics files are not among them.
        measured: what was found on each side.
        damaged: for each rank, the names of the damaged segments that it found in the feature store.
        seconds: wall time of each stage.
    """

    plan: Plan
    opened: dict[Side, ClipSource] = field(default_factory=dict)
    measured: dict[Side, Measured] = field(default_factory=dict)
    damaged: list[list[str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Record the wall time of the block under the name of the stage."""
        start = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - start, 3)


def measure_sides(
    plan: Plan, sources: Mapping[Side, Any], how: Execution, world: World, *, sharded: bool = False
) -> Run:
    """Measure each source of clips, and read each statistics file; `opened` makes either.

    Raises:
        NotEnoughClips: a side has fewer usable clips than the protocol needs.
        VgbenchError: a statistics file does not fit the plan, or the ranks have different clips.
    """
    run = Run(plan)
    damaged_before = len(how.store.damaged)
    run.opened.update({side: s for side, s in sources.items() if isinstance(s, ClipSource)})
    for side, source in sources.items():
        with run.timed(side):
            if side in run.opened:
                shared = share_source(run.opened[side], world, sharded=sharded and side == "generated")
                run.opened[side] = shared.source
                run.measured[side] = measure(shared, side, plan.protocol, plan.measures, how, world)
            else:
                run.measured[side] = load_statistics(source, plan.protocol, plan.measures)
    require_agreement(run.measured.values(), world)
    run.damaged.extend(gather(how.store.damaged[damaged_before:], world))
    return run


def require_none_skipped(sides: Iterable[Measured]) -> None:
    """Raise an error if any clip was skipped or may have been left out, as `--strict` requires.

    Raises:
        SkippedClips: at least one clip was skipped, or a file was left out that is not usual beside clips.
    """
    sides = list(sides)
    skipped = sum(len(side.skipped) for side in sides)
    left_out = inputs.unexpected(total(side.left_out for side in sides))
    if skipped:
        raise SkippedClips(
            f"{skipped} clips were skipped; the record names each of them and the reason",
            "repair or remove them, or leave out --strict",
        )
    if left_out:
        raise SkippedClips(
            f"{describe(left_out)}, which may be clips", "convert or remove them, or leave out --strict"
        )


def opened(spec: Any, value_range: ValueRange | None = None, axes: str | None = None) -> Any:
    """Open the clips of one side; leave a statistics file as it is."""
    return spec if is_statistics(spec) else open_source(spec, value_range=value_range, axes=axes)


def _sides_are_alike(protocol: Protocol) -> bool:
    """Whether the protocol cuts the same windows from given clips on either side."""
    same_start = protocol.start_for("generated") == protocol.start_for("real")
    same_stride = protocol.windows_for("generated").stride == protocol.windows_for("real").stride
    return same_start and same_stride and protocol.clips.generated == protocol.clips.real


def _score(
    choices: Sequence[Choice], measured: Mapping[Side, Measured], lenient: bool
) -> tuple[dict[str, Score], dict[str, str]]:
    """Return the scores of the chosen metrics, and metric -> reason for those that cannot be computed."""
    scores: dict[str, Score] = {}
    unscored: dict[str, str] = {}
    for choice in choices:
        try:
            if choice.metric.labels:
                _require_labels(choice, measured)
            generated, real = (measured[side].samples_for(choice.metric) for side in ("generated", "real"))
            scores.update(choice.metric.compare(generated, real, **choice.options))
        except VgbenchError as error:
            if not lenient:
                raise
            unscored[str(choice)] = reason_of(str(choice), error)
    return scores, unscored


def _require_labels(choice: Choice, measured: Mapping[Side, Measured]) -> None:
    for side in measured.values():
        if None in side.samples_for(choice.metric).labels:
            raise VgbenchError(
                f"metric '{choice.metric.name}' needs a class label of every clip, and clips of "
                f"{side.source} have none",
                "put the clips into one folder for each class, or name the classes in a manifest",
            )


def _record(
    run: Run,
    scores: dict[str, Score],
    unscored: dict[str, str],
    shared: int,
    name: str | None,
    how: Execution,
    details: Mapping[str, Any],
) -> Record:
    plan, measured, extractor = run.plan, run.measured, run.plan.measures.extractor
    unscored |= {metric: reason_of(metric, error) for metric, error in plan.unfit.items()}
    choices = [choice for choice in plan.choices if str(choice) not in unscored]
    protocol = plan.protocol
    if unscored:
        protocol = protocol.model_copy(update={"metrics": tuple(map(str, choices))})
    fields = signature_fields(protocol, choices, plan.measures, measured)
    card = _sample_card(run.opened)
    return Record(
        model=printable(name) if name else model_name(measured["generated"].source),
        signature=str(Signature(fields)),
        signature_fields=fields,
        protocol=protocol.model_dump(mode="json"),
        scores=scores,
        signatures=metric_signatures(choices, plan.measures, measured, fields),
        extractor=None if plan.measures.spec is None else _extractor_use(plan.measures.spec),
        clips=Clips(generated=clip_set(measured["generated"]), real=clip_set(measured["real"])),
        environment=environment(
            {
                "threads": str(torch.get_num_threads()),
                "batch_size": str(how.batch_size),
                "compiled": str(isinstance(extractor, CompiledExtractor)),
            }
        ),
        seconds=run.seconds,
        warnings=(
            *warnings.of_store(run.damaged),
            *warnings.of_evaluation(plan, choices, measured),
            *formats.of_sides(protocol, measured, card),
            *(entry for side in reversed(SIDES) for entry in inputs.of_side(side, measured[side])),
            *dependence.describe(choices, measured, scores, shared),
            *warnings.of_scores(choices, scores),
        ),
        created=now(),
        details={
            **({"unscored": unscored} if unscored else {}),
            **_directions_of_own(choices),
            **_differences(choices),
            **(card.details() if card else {}),
            **details,
        },
    )


def _extractor_use(spec: ExtractorSpec) -> ExtractorUse:
    return ExtractorUse(
        id=spec.id, weights=spec.weights, licence=spec.licence, comparable_with=spec.comparable_with
    )


def _directions_of_own(choices: Sequence[Choice]) -> dict[str, dict[str, Better]]:
    """Return the directions of the user's own metrics, for `details["better"]`; tables know the others."""
    own = (choice.metric.directions for choice in choices if not choice.is_shipped)
    better = {name: direction for directions in own for name, direction in directions.items()}
    return {"better": better} if better else {}


def _differences(choices: Sequence[Choice]) -> dict[str, dict[str, str]]:
    """Return how scores differ from the published numbers of their names, for `details["differs"]`."""
    metrics = [choice.metric for choice in choices if choice.metric.differs]
    found = {name: metric.differs for metric in metrics for name in metric.directions}
    return {"differs": found} if found else {}


def _sample_card(opened: Mapping[Side, ClipSource]) -> SampleCard | None:
    """Return the card that says how the generated clips were made, if they have one."""
    source = opened.get("generated")
    return read_card(source.name) if source is not None and Path(source.name).is_dir() else None


def clip_set(side: Measured) -> ClipSet:
    """Describe one side in the form that a record stores."""
    values = inputs.values_of_windows(side.windows)
    return ClipSet(
        source=printable(side.source),
        layout=printable(side.layout),
        used=len(side.windows),
        clips=side.clips,
        groups=side.group_count,
        found=side.found,
        manifest_hash=side.manifest_hash,
        skipped=tuple(SkippedClip(path=printable(entry.path), reason=entry.reason) for entry in side.skipped),
        left_out=dict(side.left_out),
        value_range=None if values is None else values.value_range,
        clamped=0 if values is None else values.clamped,
        windows=tuple(
            ClipUse(id=used.id, sha256=used.known_by, frames=used.window.frames, label=used.label)
            for used in side.windows
        ),
    )
