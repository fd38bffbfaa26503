"""`evaluate_pairs`, the function behind `vgbench paired`: compare each clip with its reference clip.

For prediction and reconstruction, where every clip has its own reference. For sets of unrelated clips, use
`vgbench.evaluate`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch.utils.data import Dataset

from vgbench.clips import open_source
from vgbench.clips.clip import Clip, ClipSource, Skipped, printable
from vgbench.clips.reader_version import READER_VERSION
from vgbench.clips.sources import stem
from vgbench.clips.value_range import ValueRange, ValueUse
from vgbench.config import Config, parse, with_overrides
from vgbench.device import device_of
from vgbench.errors import BadClip, ConfigError, NotEnoughClips, VgbenchError
from vgbench.evaluation import formats, inputs
from vgbench.evaluation.evaluate import clip_set, require_none_skipped
from vgbench.evaluation.execution import Execution, ExecutionOptions
from vgbench.evaluation.loading import load_in_order
from vgbench.evaluation.measured import Measured, UsedWindow
from vgbench.evaluation.signing import with_version
from vgbench.extractors import lpips
from vgbench.metrics.paired import PAIRED, PairedMetric
from vgbench.metrics.uncertainty import score_pairs
from vgbench.named import unknown_name
from vgbench.protocol.pixels import Resize, resize
from vgbench.protocol.sampler import Window
from vgbench.records.record import Clips, ExtractorUse, Record, environment, model_name, now
from vgbench.records.signature import Signature

DEFAULT_METRICS = ("psnr", "ssim", "tof")
"""Those that need no weights and accept frames of at least 11 × 11 pixels."""


class PairedProtocol(Config):
    """How pairs are scored; records of pairs hold it as their `protocol`.

    Attributes:
        metrics: names of `vgbench.metrics.paired.PAIRED`.
        skip: frames to leave out at the start of both clips, such as the context frames of a predictor.
        frames: number of frames to score after them; None means all, and both clips must then have the same
            length.
        resize: applied to both sides; native size by default.
        weights: replace the registry's weights of LPIPS: a path, or "random:SEED".
    """

    name: Literal["paired"] = "paired"
    version: Literal["1.0"] = "1.0"
    metrics: tuple[str, ...] = Field(default=DEFAULT_METRICS, min_length=1)
    skip: int = Field(default=0, ge=0)
    frames: int | None = Field(default=None, ge=1)
    resize: Resize = Resize(fit="keep")
    weights: str | None = None


def plan_pairs(
    metrics: str | None = None, skip: int = 0, frames: int | None = None, settings: Iterable[str] = ()
) -> PairedProtocol:
    """Make a protocol from the options of a command line.

    Args:
        metrics: names separated by commas, or "all".
        skip: see `PairedProtocol`.
        frames: see `PairedProtocol`.
        settings: `key=value` changes to the protocol.

    Raises:
        ConfigError: unknown metric or key, or a value that is not allowed.
    """
    values: dict[str, Any] = {"skip": skip, "frames": frames, "resize": {"fit": "keep"}}
    if metrics is not None:
        chosen = PAIRED if metrics == "all" else filter(None, map(str.strip, metrics.split(",")))
        values["metrics"] = [_metric(text).name for text in chosen]
    return parse(PairedProtocol, with_overrides(values, settings), "vgbench paired")


@dataclass(frozen=True)
class Pair:
    """A generated clip and the reference of the same stem."""

    stem: str
    generated: Clip
    reference: Clip


def match(generated: ClipSource, reference: ClipSource) -> tuple[list[Pair], list[Skipped], list[Skipped]]:
    """Pair clips by their stems, and sort the pairs by stem.

    The stem is the file's name without suffix; for the clips of one array it is their position. Where names
    repeat within a side, as in `a/0.mp4` and `b/0.mp4`, the stem is the whole path without suffix.

    Returns:
        The pairs, and the clips without a partner: generated clips, then references.
    """
    sides = [_by_stem(source.clips, whole=False) for source in (generated, reference)]
    if any(len(found) > 1 for side in sides for found in side.values()):
        sides = [_by_stem(source.clips, whole=True) for source in (generated, reference)]
    ours, theirs = sides
    pairs, lonely = [], ([*generated.skipped], [*reference.skipped])
    for name in sorted(ours.keys() | theirs.keys()):
        found = ours.get(name, []), theirs.get(name, [])
        if len(found[0]) == len(found[1]) == 1:
            pairs.append(Pair(name, found[0][0], found[1][0]))
            continue
        for side, (own, other) in enumerate((found, found[::-1])):
            several = len(own) > 1 or len(other) > 1
            reason = (
                f"the stem '{name}' is not unique" if several else f"no clip of stem '{name}' to compare with"
            )
            lonely[side].extend(Skipped(clip.id, reason) for clip in own)
    return pairs, lonely[0], lonely[1]


def _by_stem(clips: Sequence[Clip], *, whole: bool) -> dict[str, list[Clip]]:
    single_array = len({clip.id.partition("#")[0] for clip in clips}) == 1 and "#" in clips[0].id
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        path = stem(clip.id)
        if single_array:
            path = path.rpartition("#")[2]
        found.setdefault(path if whole else path.rpartition("/")[2], []).append(clip)
    return found


def evaluate_pairs(
    generated: Any,
    reference: Any,
    protocol: PairedProtocol | None = None,
    name: str | None = None,
    results: str | Path | None = None,
    *,
    value_range: ValueRange | None = None,
    axes: str | None = None,
    strict: bool = False,
    details: Mapping[str, Any] | None = None,
    **execution: Unpack[ExecutionOptions],
) -> Record:
    """Score each generated clip against the reference of the same stem.

    Args:
        generated: path, URL, `builtin:NAME`, array uint8 [N, T, H, W, 3] (paired by position), or an iterable
            of clips.
        reference: the reference clips, in any of these forms.
        protocol: metrics, frames and size.
        name: the model's name in tables.
        results: folder to save the record in.
        value_range: as for `evaluate`.
        axes: as for `evaluate`.
        strict: whether a pair or clip that was left out is an error, raised after the record is saved.
        details: copied into the record.
        execution: `workers`, `device` (of LPIPS) and `progress`, as for `evaluate`; the other options have no
            effect.

    Returns:
        The record. Its scores are means over pairs, with the error and interval of a mean. The field
        `clips.real` holds the reference clips; `details["values"]` holds each metric's value for every pair,
        in the order of the windows.

    Raises:
        ConfigError: unknown metric.
        NotEnoughClips: no pair could be scored.
        VgbenchError: frames are too small for a metric, or the weights of LPIPS are missing.
        SkippedClips: under `strict`.
    """
    began = time.monotonic()
    how = Execution.of(execution)
    plan = protocol or PairedProtocol()
    metrics = [_metric(text) for text in dict.fromkeys(plan.metrics)]
    network = None
    if any(metric.perceptual for metric in metrics):
        network = lpips.load(plan.weights).to(device_of(how.device))
    sources = [open_source(side, value_range=value_range, axes=axes) for side in (generated, reference)]
    pairs, *lonely = match(*sources)
    values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    used: list[tuple[UsedWindow, UsedWindow]] = []
    named: list[tuple[str, str]] = []
    outcomes = load_in_order(_Measuring(pairs, plan, metrics), 1, how.workers)
    for done, (pair, outcome) in enumerate(zip(pairs, outcomes, strict=True)):
        how.progress("pairs", done + 1, len(pairs))
        if isinstance(outcome, VgbenchError):
            raise outcome
        if isinstance(outcome, _Bad):
            lonely[outcome.side].append(Skipped(outcome.path, outcome.reason))
            continue
        found = dict(outcome.values)
        for metric in metrics:
            if metric.perceptual and network is not None:
                found[metric.name] = metric.measure(*outcome.frames, network.distance)
            values[metric.name].append(found[metric.name])
        named.append((pair.generated.recording, pair.reference.recording))
        used.append(
            (
                _used(pair.generated, outcome, 0, done),
                _used(pair.reference, outcome, 1, done),
            )
        )
    if not used:
        reasons = "".join(f"\n  {entry.path}: {entry.reason}" for entry in [*lonely[0], *lonely[1]][:5])
        raise NotEnoughClips(
            f"no clip of {sources[0].name} has a usable reference in {sources[1].name}{reasons}",
            "clips are paired by file name without suffix",
        )
    recordings = [np.unique(names, return_inverse=True)[1] for names in zip(*named, strict=True)]
    sides = [
        Measured(
            source=source.name,
            found=len(source.clips),
            clips=len(used),
            windows=tuple(entry[side] for entry in used),
            recordings=recordings[side],
            groups=recordings[side],
            samples={},
            skipped=tuple(sorted(lonely[side], key=lambda entry: entry.path)),
            left_out=source.left_out,
            layout=source.layout,
        )
        for side, source in enumerate(sources)
    ]
    fields = _signature_fields(plan, metrics, network, sides[1], len(used))
    differences = {metric.name: metric.differs for metric in metrics if metric.differs}
    record = Record(
        model=printable(name) if name else model_name(sources[0].name),
        signature=str(Signature(fields)),
        signature_fields=fields,
        protocol=plan.model_dump(mode="json"),
        scores={metric: score_pairs(found, recordings[1]) for metric, found in values.items()},
        signatures={metric.name: str(Signature(_own_fields(metric, fields))) for metric in metrics},
        extractor=None
        if network is None
        else ExtractorUse(
            id=lpips.NAME,
            weights=network.weights,
            licence=network.licence,
            comparable_with="LPIPS 0.1 (alex) of frames of the same size",
        ),
        clips=Clips(generated=clip_set(sides[0]), real=clip_set(sides[1])),
        environment=environment({"threads": str(torch.get_num_threads())}),
        seconds={"total": round(time.monotonic() - began, 3)},
        warnings=tuple(_warnings(sides, plan)),
        created=now(),
        details={
            "better": {metric.name: metric.better for metric in metrics},
            **({"differs": differences} if differences else {}),
            "values": values,
            **(details or {}),
        },
    )
    if results is not None:
        record.save(Path(results))
    if strict:
        require_none_skipped(sides)
    return record


def _metric(name: str) -> PairedMetric:
    if name not in PAIRED:
        raise unknown_name("paired metric", name, PAIRED)
    return PAIRED[name]


def _signature_fields(
    plan: PairedProtocol,
    metrics: Sequence[PairedMetric],
    network: lpips.Lpips | None,
    reference: Measured,
    count: int,
) -> tuple[tuple[str, str], ...]:
    frames = "all" if plan.frames is None else str(plan.frames)
    fields = [
        ("protocol", plan.name),
        ("clips", f"{count} pairs"),
        ("frames", frames + (f" after {plan.skip}" if plan.skip else "")),
        ("size", plan.resize.describe()),
        ("reader", READER_VERSION),
    ]
    if network is not None:
        fields.append(("feat", network.describe()))
    newer = [with_version(metric.name, metric.version) for metric in metrics if metric.version != "1"]
    if newer:
        fields.append(("options", ",".join(sorted(newer))))
    return (*fields, ("real", reference.manifest_hash[:8]), ("v", plan.version))


def _own_fields(metric: PairedMetric, fields: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The fields of the signature on which one metric depends."""
    unneeded = {"options"} if metric.perceptual else {"options", "feat"}
    own = with_version(metric.name, metric.version)
    return (("metric", own), *((key, value) for key, value in fields if key not in unneeded))


def _used(clip: Clip, outcome: _Scored, side: int, position: int) -> UsedWindow:
    return UsedWindow(
        clip.id,
        None,
        outcome.fingerprints[side],
        Window(position, outcome.indices),
        rate=outcome.rates[side],
        size=outcome.sizes[side],
        levels=outcome.levels[side],
        use=outcome.uses[side],
    )


def _warnings(sides: Sequence[Measured], plan: PairedProtocol) -> Iterator[tuple[str, str]]:
    generated, reference = (side.windows for side in sides)
    for code, sentence in formats.of_rates(generated, reference):
        yield code, f"{sentence}: frames of the same number are not of the same moment"
    yield from formats.of_shapes(plan.resize, generated, reference)
    for name, side in zip(("generated", "reference"), sides, strict=True):
        if side.skipped:
            yield "skipped-clips", f"{name}: {len(side.skipped)} clips have no partner or cannot be used"
        yield from inputs.of_side(name, side)


@dataclass(frozen=True)
class _Bad:
    side: int
    path: str
    reason: str


@dataclass(frozen=True)
class _Scored:
    fingerprints: tuple[str, str]
    rates: tuple[float | None, float | None]
    sizes: tuple[tuple[int, int], tuple[int, int]]
    levels: tuple[tuple[int, int], tuple[int, int]]
    uses: tuple[ValueUse | None, ValueUse | None]
    indices: tuple[int, ...]
    values: dict[str, float]
    frames: tuple[npt.NDArray[np.uint8], ...]
    """Frames of both sides, for metrics that need the network; empty otherwise."""


_Outcome = _Scored | _Bad | VgbenchError


class _Measuring(Dataset[_Outcome]):
    """Decode, resize and measure pixels; runs in workers, so errors are returned as values."""

    def __init__(self, pairs: Sequence[Pair], plan: PairedProtocol, metrics: Sequence[PairedMetric]) -> None:
        self.pairs, self.plan = pairs, plan
        self.pixel_metrics = [metric for metric in metrics if not metric.perceptual]
        self.keeps_frames = len(self.pixel_metrics) < len(metrics)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, position: int) -> _Outcome:
        try:
            return self._score(self.pairs[position])
        except VgbenchError as error:
            return error

    def _score(self, pair: Pair) -> _Outcome:
        clips, plan = (pair.generated, pair.reference), self.plan
        fingerprints, counts, rates = [], [], []
        uses: list[ValueUse | None] = []
        for side, clip in enumerate(clips):
            try:
                fingerprints.append(clip.fingerprint())
                counts.append(clip.count_frames())
                rates.append(clip.frame_rate())
                uses.append(clip.value_use())
            except BadClip as error:
                return _Bad(side, clip.id, error.reason)
        if plan.frames is None and counts[0] != counts[1]:
            return _Bad(0, pair.generated.id, f"has {counts[0]} frames, its reference has {counts[1]}")
        stop = counts[0] if plan.frames is None else plan.skip + plan.frames
        for side, count in enumerate(counts):
            if count < max(stop, plan.skip + 1):
                return _Bad(
                    side, clips[side].id, f"has {count} frames, {max(stop, plan.skip + 1)} are needed"
                )
        indices = tuple(range(plan.skip, stop))
        decoded: list[npt.NDArray[np.uint8]] = []
        sizes: list[tuple[int, int]] = []
        levels: list[tuple[int, int]] = []
        for side, clip in enumerate(clips):
            try:
                stored = clip.read(indices)
                decoded.append(resize(stored, plan.resize.for_side("real" if side else "generated")))
                sizes.append((stored.shape[1], stored.shape[2]))
                levels.append((int(stored.min()), int(stored.max())))
            except BadClip as error:
                return _Bad(side, clip.id, error.reason)
        if decoded[0].shape != decoded[1].shape:
            ours, theirs = (f"{frames.shape[2]} × {frames.shape[1]}" for frames in decoded)
            return _Bad(0, pair.generated.id, f"frames are {ours}, those of its reference {theirs}")
        for metric in (*self.pixel_metrics, *(PAIRED[name] for name in plan.metrics)):
            if len(indices) < metric.least_frames:
                raise ConfigError(f"{metric.name} needs {metric.least_frames} frames", "score longer clips")
        values = {metric.name: metric.measure(*decoded) for metric in self.pixel_metrics}
        frames = tuple(decoded) if self.keeps_frames else ()
        return _Scored(
            (fingerprints[0], fingerprints[1]),
            (rates[0], rates[1]),
            (sizes[0], sizes[1]),
            (levels[0], levels[1]),
            (uses[0], uses[1]),
            indices,
            values,
            frames,
        )
