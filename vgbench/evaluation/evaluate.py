"""`evaluate`, the one function behind `vgbench eval`: clips in, record out; names no metric, no network."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from vgbench import extractors
from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource, printable
from vgbench.config import parse, with_overrides
from vgbench.distributed import from_main, gather, joined_world
from vgbench.errors import BadClip, ConfigError, SkippedClips, VgbenchError
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.evaluation.measure import Measured, Measures, Progress, Side, measure
from vgbench.evaluation.motion_profile import describe_sets
from vgbench.evaluation.statistics_file import is_statistics, load_statistics, save_statistics
from vgbench.extractors.batch_size import Batches, BatchSize, batches
from vgbench.extractors.compiled import CompiledExtractor
from vgbench.extractors.extractor import Extractor
from vgbench.metrics import METRICS, parse_list, score_names, with_companions
from vgbench.metrics.metric import Better, Choice, ClipMetric, DescriptorMetric, PixelMetric, SetMetric
from vgbench.metrics.score import Samples, Score
from vgbench.metrics.uncertainty import without_error
from vgbench.protocol import ExtractorChoice, Protocol, load
from vgbench.records.record import (
    BELOW_REAL,
    DAMAGED_STORE,
    NOT_COMPARABLE,
    Clips,
    ClipSet,
    ClipUse,
    ExtractorUse,
    Record,
    SkippedClip,
    environment,
    now,
)
from vgbench.records.sample_card import read_card
from vgbench.records.signature import Signature
from vgbench.storage import atomic

THUMBNAILS = 8
"""Windows of each side shown as animated pictures beside a record, in the protocol's order."""
SIDES: tuple[Side, ...] = ("real", "generated")


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
    batch_size: BatchSize | Batches = 16,
    workers: int = 0,
    device: str = "cpu",
    compiled: bool = False,
    store: FeatureStore | None = None,
    strict: bool = False,
    lenient: bool = False,
    details: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Record:
    """Score generated clips against real ones under a protocol.

    Args:
        generated: path, URL, `builtin:NAME`, array uint8 [N, T, H, W, 3], or an iterable of clips.
        real: the same for the real side, or a statistics file of `export_statistics`.
        protocol: name of a shipped protocol, path of a YAML file, or a `Protocol`.
        metrics: instead of the protocol's own, such as `["fvd", "prdc(k=3)"]`.
        extractor: instead of the protocol's own: a name, `package.module:Class`, or an `Extractor`.
        name: the model's name in tables; by default the last part of the generated source's name.
        results: folder to save the record and its thumbnails in; nothing is saved without it.
        settings: `key=value` changes to the protocol; the signature shows them.
        batch_size: windows given to the extractor at once, or "auto" for the fastest; does not change scores.
        workers: decoding processes; does not change scores.
        device: where the extractor runs, such as "cuda".
        compiled: run the extractor through `torch.compile`; does not change scores.
        store: feature store; by default the one in the cache folder.
        strict: a skipped clip is an error, raised after the record was saved.
        lenient: a metric that these clips or this extractor do not allow, such as one of classes where a
            class is missing, is named with its reason in `details["unscored"]`, and is no error.
        details: kept in the record as they are.
        progress: called as (stage, done, total).

    Returns:
        The record; `record.scores["fvd"].value` and so on. Under `torchrun` every rank gets the same one.

    Raises:
        ConfigError: unknown protocol, metric or extractor, or a bad setting.
        NotEnoughClips: a side has fewer usable clips than the protocol needs.
        SkippedClips: under `strict`.
    """
    began = time.monotonic()
    plan = resolve_protocol(protocol, metrics, extractor, settings)
    if is_statistics(generated) and not _sides_are_alike(plan):
        raise ConfigError(
            f"{generated}: statistics hold the windows of a real set, and protocol '{plan.name}' chooses "
            "those of a generated one otherwise",
            "give the clips themselves",
        )
    store = store or FeatureStore()
    damaged_before = len(store.damaged)
    with joined_world() as world:
        choices, measures, unfit = _fitting(plan, extractor, device, compiled, lenient)
        chosen = batches(batch_size)
        sources = {"real": real, "generated": generated}
        opened = {side: open_source(given) for side, given in sources.items() if not is_statistics(given)}
        measured: dict[str, Measured] = {}
        seconds: dict[str, float] = {}
        for side in SIDES:
            start = time.monotonic()
            if side in opened:
                measured[side] = measure(
                    opened[side],
                    side,
                    plan,
                    measures,
                    store,
                    batch_size=chosen,
                    workers=workers,
                    world=world,
                    progress=progress,
                )
            else:
                measured[side] = load_statistics(sources[side], plan, measures)
            seconds[side] = round(time.monotonic() - start, 3)
        damaged = gather(store.damaged[damaged_before:], world)
        start = time.monotonic()
        scores, unscored = _score(choices, measured["generated"], measured["real"], lenient)
        unscored |= {metric: reason_of(metric, error) for metric, error in unfit.items()}
        choices = [choice for choice in choices if str(choice) not in unscored]
        plan = plan.model_copy(update={"metrics": tuple(map(str, choices))}) if unscored else plan
        identical = _identical(measured)
        if identical:
            scores = {metric: without_error(score) for metric, score in scores.items()}
        said = {"unscored": unscored} if unscored else {}
        seconds["metrics"] = round(time.monotonic() - start, 3)
        seconds["total"] = round(time.monotonic() - began, 3)
        record = _record(
            printable(name) if name else model_name(measured["generated"].source),
            plan,
            choices,
            measures,
            measured,
            scores,
            (
                *_store_warnings(damaged),
                *_warnings(plan, choices, measures, measured, identical),
                *_below_real(choices, scores),
            ),
            seconds,
            {"batch_size": str(chosen), "compiled": str(isinstance(measures.extractor, CompiledExtractor))},
            {**said, **_foreign_directions(choices), **_sampling_details(opened), **(details or {})},
        )
        if results is not None and world.is_main:
            motion = describe_sets(opened, measured, plan, store)
            if motion:
                record = record.model_copy(update={"details": {"motion": motion, **record.details}})
            record = _save(record, Path(results), plan, opened, measured)
        record = from_main(record, world)  # with its thumbnails, and the name it was saved by
        store.prune()
    skipped = sum(len(side.skipped) for side in measured.values())
    if strict and skipped:
        raise SkippedClips(
            f"{skipped} clips were skipped; the record names each with its reason",
            "mend or remove them, or leave out --strict",
        )
    return record


def _sides_are_alike(plan: Protocol) -> bool:
    """Whether the same clips would give the same windows on either side."""
    return plan.start_for("generated") == plan.start_for("real") and plan.clips.generated == plan.clips.real


def export_statistics(
    real: Any,
    path: str | Path,
    protocol: str | Protocol = "quick",
    metrics: Sequence[str] | None = None,
    extractor: str | Extractor | None = None,
    *,
    settings: Iterable[str] = (),
    batch_size: BatchSize | Batches = 16,
    workers: int = 0,
    device: str = "cpu",
    compiled: bool = False,
    store: FeatureStore | None = None,
    lenient: bool = False,
    warn: Callable[[str, str], None] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Measure a real set and write what scores need of it to one file.

    Arguments as for `evaluate`; `warn` is called as (code, sentence) for each metric that `lenient` left out,
    and for damage found in the feature store.
    """
    plan = resolve_protocol(protocol, metrics, extractor, settings)
    _, measures, unfit = _fitting(plan, extractor, device, compiled, lenient)
    store = store or FeatureStore()
    damaged_before = len(store.damaged)
    with joined_world() as world:
        measured = measure(
            open_source(real),
            "real",
            plan,
            measures,
            store,
            batch_size=batch_size,
            workers=workers,
            world=world,
            progress=progress,
        )
        damaged = gather(store.damaged[damaged_before:], world)
        if warn is not None and world.is_main:
            for metric, error in unfit.items():
                warn("left-out", f"{metric}: {reason_of(metric, error)}")
            for code, sentence in _store_warnings(damaged):
                warn(code, sentence)
        return save_statistics(path, measured, plan, measures) if world.is_main else Path(path)


def _fitting(
    plan: Protocol, extractor: str | Extractor | None, device: str, compiled: bool, lenient: bool
) -> tuple[list[Choice], Measures, dict[str, ConfigError]]:
    """The plan's metrics that can be made, what they measure, and why the others cannot be made.

    Raises:
        ConfigError: one cannot be made, unless `lenient`; or as `load_extractor`.
    """
    asked = parse_list(plan.metrics)
    network = load_extractor(plan, asked, extractor, device, compiled)
    unfit = misfits(asked, network, plan)
    if unfit and not lenient:
        raise next(iter(unfit.values()))
    choices = [choice for choice in asked if str(choice) not in unfit]
    measures = Measures(
        extractor=network,
        clip_metrics=tuple(c.metric for c in choices if isinstance(c.metric, PixelMetric)),
        foreign={choice.metric.name: choice.name for choice in choices if choice.name not in METRICS},
    )
    return choices, measures, unfit


def resolve_protocol(
    protocol: str | Protocol,
    metrics: Sequence[str] | None,
    extractor: str | Extractor | None,
    settings: Iterable[str] = (),
    *,
    companions: bool = True,
) -> Protocol:
    """Apply the caller's choices to a protocol; a changed protocol keeps its name, its signature differs.

    Metrics that chosen ones must be read beside are added, unless `companions` is false or the protocol is
    resolved already.
    """
    if isinstance(protocol, Protocol):
        plan = protocol
        if asked := list(settings):
            values = with_overrides(protocol.model_dump(mode="json"), asked)
            plan = parse(Protocol, values, f"protocol '{protocol.name}'")
        if isinstance(extractor, str):
            plan = plan.model_copy(update={"extractor": ExtractorChoice(name=extractor)})
    else:  # the protocol's preprocessing belongs to its own network; `--set` may give another
        own = [f"extractor={json.dumps({'name': extractor})}"] if isinstance(extractor, str) else []
        plan = load(protocol, [*own, *settings])
    changes: dict[str, Any] = {}
    if metrics:
        changes["metrics"] = tuple(metrics)
    if isinstance(extractor, Extractor):
        changes["extractor"] = ExtractorChoice(name=extractor.spec.id)
    if companions and (metrics or not isinstance(protocol, Protocol)):
        chosen = parse_list(changes.get("metrics", plan.metrics))
        changes["metrics"] = tuple(map(str, with_companions(chosen)))
    return plan.model_copy(update=changes)


def load_extractor(
    plan: Protocol,
    choices: Sequence[Choice],
    given: str | Extractor | None = None,
    device: str = "cpu",
    compiled: bool = False,
) -> Extractor | None:
    """Load the network only when a metric needs it, and check that it accepts the protocol's windows.

    Raises:
        ConfigError: unknown name, too few frames for the network, or a device that is not there.
        VgbenchError: its weights are not there.
    """
    if not any(isinstance(choice.metric, SetMetric) for choice in choices):
        return None
    if isinstance(given, Extractor):
        network = given
    else:
        wanted = plan.extractor
        network = extractors.load(wanted.name, wanted.weights, **wanted.options)
    if plan.windows.frames < network.spec.least_frames:
        raise ConfigError(
            f"extractor '{network.spec.id}' needs at least {network.spec.least_frames} frames, protocol "
            f"'{plan.name}' gives {plan.windows.frames}",
            f"--set windows.frames={network.spec.least_frames}, or another extractor",
        )
    try:
        network = network.to(torch.device(device)).eval()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device '{device}' cannot be used: {error}".splitlines()[0]) from error
    return CompiledExtractor(network) if compiled else network


def misfit(choice: Choice, network: Extractor | None, plan: Protocol) -> ConfigError | None:
    """Say why a metric cannot be made of what the network and the protocol give; None where it can."""
    metric = choice.metric
    if not isinstance(metric, SetMetric):
        needs = [("frames", "windows.frames", metric.least_frames, plan.windows.frames)]
        if isinstance(metric, ClipMetric):
            needs.append(("pixels a side", "resize.size", metric.least_size, plan.resize.size))
        for what, key, least, given in needs:
            if given < least:
                return ConfigError(
                    f"metric '{choice.name}' needs {least} {what}, protocol '{plan.name}' gives {given}",
                    f"--set {key}={least}",
                )
        return None
    if metric.needs != "frames" or network is None or network.spec.per_frame:
        return None
    return ConfigError(
        f"metric '{choice.name}' needs features of every frame, and extractor '{network.spec.id}' sees "
        "clips whole",
        "--extractor embedded-frames, or an image network such as dinov2-vitb14",
    )


def misfits(choices: Iterable[Choice], network: Extractor | None, plan: Protocol) -> dict[str, ConfigError]:
    """Metric, as the protocol spells it -> why it cannot be made; those that can be are missing."""
    found = ((str(choice), misfit(choice, network, plan)) for choice in choices)
    return {metric: error for metric, error in found if error is not None}


def reason_of(metric: str, error: VgbenchError) -> str:
    """Return the error's message without the metric's name, for places that name it already."""
    return error.message.removeprefix(f"metric '{metric.partition('(')[0]}' ")


def _score(
    choices: Sequence[Choice], generated: Measured, real: Measured, lenient: bool
) -> tuple[dict[str, Score], dict[str, str]]:
    """Compute every chosen metric from what was measured; metric -> reason for those that cannot be."""
    scores: dict[str, Score] = {}
    unscored: dict[str, str] = {}
    for choice in choices:
        try:
            scores.update(_scores_of(choice, generated, real))
        except VgbenchError as error:
            if not lenient:
                raise
            unscored[str(choice)] = reason_of(str(choice), error)
    return scores, unscored


def _scores_of(choice: Choice, generated: Measured, real: Measured) -> Mapping[str, Score]:
    metric = choice.metric
    if isinstance(metric, ClipMetric):
        reference = metric.score(real.clip_values[metric.name], real.groups)
        score = metric.score(generated.clip_values[metric.name], generated.groups)
        score = dataclasses.replace(score, real=reference.value, real_error=reference.standard_error)
        return {metric.name: score}
    sides = [_samples(metric, side) for side in (generated, real)]
    return metric.score(*sides, **choice.options)


def _samples(metric: SetMetric | DescriptorMetric, side: Measured) -> Samples:
    """What a metric compares of one side.

    Raises:
        VgbenchError: the metric needs class labels, and there are none.
    """
    if isinstance(metric, DescriptorMetric):
        return side.described(metric.name)
    if side.samples is None:
        raise AssertionError("features are measured whenever a metric needs them")
    if metric.labels and None in side.samples.labels:
        raise VgbenchError(
            f"metric '{metric.name}' needs a class label of every clip, and clips of {side.source} have none",
            "put the clips into one folder for each class, or name the classes in a manifest",
        )
    return side.samples


def _record(
    model: str,
    plan: Protocol,
    choices: Sequence[Choice],
    measures: Measures,
    measured: Mapping[str, Measured],
    scores: dict[str, Score],
    warnings: tuple[tuple[str, str], ...],
    seconds: dict[str, float],
    extraction: dict[str, str],
    details: dict[str, Any],
) -> Record:
    fields = _signature_fields(plan, choices, measures, measured)
    spec = measures.extractor.spec if measures.extractor else None
    return Record(
        model=model,
        signature=str(Signature(fields)),
        signature_fields=fields,
        protocol=plan.model_dump(mode="json"),
        scores=scores,
        signatures={
            metric: str(Signature((("metric", _spelled(choice)), *_relevant(fields, choice))))
            for choice in choices
            for metric in score_names(choice.metric)
        },
        extractor=None
        if spec is None
        else ExtractorUse(
            id=spec.id, weights=spec.weights, licence=spec.licence, comparable_with=spec.comparable_with
        ),
        clips=Clips(generated=clip_set(measured["generated"]), real=clip_set(measured["real"])),
        environment=environment({"threads": str(torch.get_num_threads()), **extraction}),
        seconds=seconds,
        warnings=warnings,
        created=now(),
        details=details,
    )


def _foreign_directions(choices: Sequence[Choice]) -> dict[str, dict[str, Better]]:
    """Say which way the user's own metrics improve, as `details["better"]`; tables know that of vgbench's."""
    foreign = [choice.metric for choice in choices if choice.name not in METRICS]
    better = {
        name: metric.better if isinstance(metric, ClipMetric) else metric.better[name]
        for metric in foreign
        for name in score_names(metric)
    }
    return {"better": better} if better else {}


def _sampling_details(opened: Mapping[str, ClipSource]) -> dict[str, Any]:
    """What the generated clips' sample card says of their cost and training, where they have one."""
    source = opened.get("generated")
    card = read_card(source.name) if source is not None and Path(source.name).is_dir() else None
    return card.details() if card else {}


def _signature_fields(
    plan: Protocol, choices: Sequence[Choice], measures: Measures, measured: Mapping[str, Measured]
) -> tuple[tuple[str, str], ...]:
    """Everything that moves a score, from what really happened."""
    windows = plan.windows
    start = (
        windows.start
        if plan.start_for("generated") == windows.start
        else (f"{windows.start}+{plan.start_for('generated')}")
    )
    offset = f"+{windows.offset}frames" if windows.offset else ""
    said = (choice for choice in choices if _spelled(choice) != choice.name or choice.name not in METRICS)
    options = ",".join(sorted(map(_spelled, said)))
    fields = [
        ("protocol", plan.name),
        ("clips", f"{_counts(measured['generated'])}+{_counts(measured['real'])}"),
        ("frames", f"{windows.frames}/s{windows.stride}"),
        ("start", f"{start}{offset},seed{plan.seed}{',sorted' if windows.order == 'sorted' else ''}"),
        ("size", plan.resize.describe()),
    ]
    if measures.extractor is not None:
        spec = measures.extractor.spec
        fields.append(("feat", f"{spec.describe()},{spec.preprocessing}"))
    if options:
        fields.append(("options", options))
    if any(_reads_labels(choice) for choice in choices):
        labels = json.dumps([used.label for used in measured["real"].windows])
        fields.append(("labels", hashlib.sha256(labels.encode()).hexdigest()[:8]))
    fields += [("real", measured["real"].manifest_hash[:8]), ("v", plan.version)]
    return tuple(fields)


def _reads_labels(choice: Choice) -> bool:
    return isinstance(choice.metric, SetMetric) and choice.metric.labels


def _spelled(choice: Choice) -> str:
    """Name with what differs from the first definition: options, and a later version of the measurement."""
    version = getattr(choice.metric, "version", "1")
    return str(choice) if version == "1" else f"{choice}@{version}"


def _counts(side: Measured) -> str:
    """Windows used, and the number of clips they were cut from where that is smaller."""
    clips = len(set(side.groups.tolist()))
    return str(len(side.windows)) if clips == len(side.windows) else f"{len(side.windows)}of{clips}"


def _relevant(fields: Sequence[tuple[str, str]], choice: Choice) -> list[tuple[str, str]]:
    """Leave out what a metric cannot depend on: pixels know no network or class, options are its own name."""
    unneeded = {"options"} | ({"feat"} if isinstance(choice.metric, PixelMetric) else set())
    unneeded |= set() if _reads_labels(choice) else {"labels"}
    return [(key, value) for key, value in fields if key not in unneeded]


def clip_set(side: Measured) -> ClipSet:
    """What a record says of one side."""
    return ClipSet(
        source=printable(side.source),
        used=len(side.windows),
        clips=len(set(side.groups.tolist())),
        found=side.found,
        manifest_hash=side.manifest_hash,
        skipped=tuple(SkippedClip(path=printable(entry.path), reason=entry.reason) for entry in side.skipped),
        windows=tuple(
            ClipUse(id=used.id, sha256=used.fingerprint, frames=used.window.frames, label=used.label)
            for used in side.windows
        ),
    )


def _warnings(
    plan: Protocol,
    choices: Sequence[Choice],
    measures: Measures,
    measured: Mapping[str, Measured],
    identical: bool,
) -> Iterable[tuple[str, str]]:
    """What weakens the scores, as (code, sentence)."""
    spec = measures.extractor.spec if measures.extractor else None
    of_features = any(isinstance(c.metric, SetMetric) and c.metric.fits_covariance for c in choices)
    if spec is not None and not spec.published:
        yield NOT_COMPARABLE, f"extractor {spec.id}: compare with {spec.comparable_with}"
    if identical:
        yield (
            "identical-sets",
            f"both sides are the same {len(measured['real'].windows)} windows; a distance to itself has no "
            "error to estimate, so there is neither a corrected value nor an interval",
        )
    for side in reversed(SIDES):
        used, asked = len(measured[side].windows), getattr(plan.clips, side)
        if asked != "all" and used < asked:
            yield "few-clips", f"{side}: {used} windows where the protocol asks for {asked}"
        if spec is not None and used < 2 * spec.feature_dimension:
            dimensions = f"{used} windows for {spec.feature_dimension} feature dimensions"
            meaning = _meaning_of_few(used, spec.feature_dimension, of_features)
            yield "small-sample", f"{side}: {dimensions}; {meaning}"
        for metric in measures.clip_metrics:
            width = measured[side].clip_values[metric.name].shape[1:]
            if isinstance(metric, DescriptorMetric) and used < 2 * width[0]:
                meaning = _meaning_of_few(used, width[0], metric.fits_covariance)
                yield (
                    "small-sample",
                    f"{side}: {used} windows for the {width[0]} numbers of {metric.name}; {meaning}",
                )
        if measured[side].skipped:
            yield "skipped-clips", f"{side}: {len(measured[side].skipped)} clips skipped"


def _meaning_of_few(windows: int, dimensions: int, fits_covariance: bool) -> str:
    """What it means that windows are fewer than twice the dimensions; docs/metrics.md has the figures."""
    if not fits_covariance:
        return "compare with scores of as many windows only"
    if windows < dimensions:
        return (
            "with fewer windows than dimensions neither the Fréchet distance, nor its corrected value, nor "
            "its interval means anything"
        )
    return "the plain Fréchet distance is biased upwards here, read the corrected value"


def _identical(measured: Mapping[str, Measured]) -> bool:
    """Whether both sides are the same windows, in whatever order and by whatever names."""
    real, generated = (
        sorted((used.fingerprint, used.window.frames) for used in measured[side].windows) for side in SIDES
    )
    return real == generated


def _store_warnings(found: Iterable[Iterable[str]]) -> Iterable[tuple[str, str]]:
    """What the feature store had lost by what each rank found, as (code, sentence); no score rests on it."""
    damaged = {name for names in found for name in names}
    if damaged:
        count = f"{len(damaged)} damaged segment{'s' if len(damaged) > 1 else ''}"
        yield DAMAGED_STORE, f"feature store: {count}; what they held was computed again"


def _below_real(choices: Sequence[Choice], scores: Mapping[str, Score]) -> Iterable[tuple[str, str]]:
    """What it means that a score's interval lies below the real clips' value, as (code, sentence)."""
    for choice in choices:
        sentence = getattr(choice.metric, "below_real", "")
        score = scores[choice.metric.name] if sentence else None
        if score is None or score.interval is None or score.real is None:
            continue
        if score.interval[1] < score.real:
            yield BELOW_REAL, f"{choice.name} {score.value:.3g}, real {score.real:.3g}: {sentence}"


def model_name(source: str) -> str:
    """Last part of a path or URL, without query."""
    return printable(PurePosixPath(source.split("?")[0].rstrip("/")).name or source)


def _save(
    record: Record,
    folder: Path,
    plan: Protocol,
    opened: Mapping[str, ClipSource],
    measured: Mapping[str, Measured],
) -> Record:
    """Save thumbnails first, then the record that names them, so that a record never points at nothing."""
    from vgbench.clips.write import animated_thumbnail

    thumbnails: dict[str, str] = {}
    picks: dict[str, str] = {}
    drawn = "seeded" if plan.windows.order == "drawn" else "sorted"
    for side, source in opened.items():
        for suffix, number in _shown(measured, side).items():
            name = f"{record.stem}.clips/{side}-{suffix}.webp"
            used = measured[side].windows[number]
            try:
                frames = source.clips[used.window.clip].read(used.window.frames)
            except BadClip:  # measured from the store, and gone from the disk since
                continue
            data = animated_thumbnail(frames, size=plan.resize.size if plan.resize.size <= 96 else 96)
            try:
                atomic.write_bytes(folder / name, data)
            except OSError as error:
                raise VgbenchError(
                    f"{folder}: cannot be written to ({error.strerror})",
                    "free space there, or choose another folder",
                ) from error
            thumbnails[name] = hashlib.sha256(data).hexdigest()
            picks[name] = drawn if suffix.isdecimal() else suffix
    details = {**record.details, "picks": picks}
    record = record.model_copy(update={"thumbnails": thumbnails, "details": details})
    record.save(folder)
    return record


def _shown(measured: Mapping[str, Measured], side: str) -> dict[str, int]:
    """Choose the windows to show: name -> number of the window.

    Nobody picks by hand: the first ones in the protocol's order, and of the generated side the two whose
    features are nearest to and farthest from the mean of the real ones (Euclidean distance).
    """
    shown = {str(number): number for number in range(min(THUMBNAILS, len(measured[side].windows)))}
    generated, real = measured["generated"].samples, measured["real"].samples
    if side == "generated" and generated is not None and real is not None:
        center = real.features.mean(0, dtype=np.float64)
        distances = np.linalg.norm(generated.features - center, axis=1)
        shown |= {"nearest": int(distances.argmin()), "farthest": int(distances.argmax())}
    return shown
