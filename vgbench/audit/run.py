"""`audit`, behind `vgbench audit`: damage half of the real clips, and score it against the other half."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack

from vgbench.audit.halves import ALL_DISTORTIONS, KIND_OF, damage, has_modes, only, split_halves
from vgbench.audit.reaction import react, summarise
from vgbench.audit.result import AuditResult, MetricAudit, NotAudited, Omitted
from vgbench.clips import open_source
from vgbench.clips.value_range import ValueRange
from vgbench.errors import ConfigError, NotEnoughClips, VgbenchError
from vgbench.evaluation.choices import load_extractor, misfits, reason_of, resolve_protocol
from vgbench.evaluation.evaluate import evaluate
from vgbench.evaluation.execution import Execution, ExecutionOptions
from vgbench.extractors.extractor import Extractor
from vgbench.metrics import parse_list
from vgbench.metrics.metric import Metric
from vgbench.metrics.score import Score
from vgbench.named import unknown_name
from vgbench.progress import Progress
from vgbench.protocol import Counts, Protocol
from vgbench.records.record import Record, now

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
CLIPS = 64


def audit(
    real: Any,
    protocol: str | Protocol = "quick",
    metrics: Sequence[str] | None = None,
    extractor: str | Extractor | None = None,
    *,
    distortions: Sequence[str] = ALL_DISTORTIONS,
    strengths: Sequence[float] = STRENGTHS,
    clips: int = CLIPS,
    settings: Iterable[str] = (),
    value_range: ValueRange | None = None,
    axes: str | None = None,
    **execution: Unpack[ExecutionOptions],
) -> AuditResult:
    """Measure how metrics react to real clips that were damaged by known amounts.

    The clips are split into two disjoint halves. One is the reference throughout; the other is scored against
    it, first undamaged (strength 0) and then once for each distortion and strength. Features are stored: an
    audit that was interrupted can be resumed, and one with more strengths computes only those.

    Args:
        real: real clips, in any form that `evaluate` takes, at least twice as many as the protocol needs.
        protocol: as for `evaluate`.
        metrics: override the metrics of the protocol, for example by `list(METRICS)`.
        extractor: overrides the extractor of the protocol.
        distortions: some of `halves.ALL_DISTORTIONS`. Those of kind "set" are used only for metrics that
            compare sets.
        strengths: in (0, 1].
        clips: windows per side.
        settings: `key=value` changes to the protocol.
        value_range: as for `evaluate`.
        axes: as for `evaluate`.
        execution: as for `evaluate`.

    Returns:
        The result. Metrics that the clips or the extractor do not allow are named in `not_audited`.

    Raises:
        VgbenchError: no metric is left.
        ConfigError: as for `evaluate`; or an unknown distortion, or a strength outside (0, 1].
        NotEnoughClips: a half has too few clips even without damage. A distortion that leaves too few clips
            (such as "speed-up" on clips that are only one window long) is omitted, with the reason.
    """
    _check(distortions, strengths, clips)
    how = Execution.of(execution)
    resolved = resolve_protocol(protocol, metrics, extractor, settings, companions=False)
    plan = _for_halves(resolved, clips)
    network = load_extractor(plan, parse_list(plan.metrics), extractor, how)
    unfit = misfits(parse_list(plan.metrics), network, plan)
    reasons = {metric: reason_of(metric, error) for metric, error in unfit.items()}
    options = dataclasses.replace(how, compiled=False).options()  # the network is compiled already
    score = functools.partial(evaluate, extractor=network, lenient=True)
    source = open_source(real, value_range=value_range, axes=axes)
    reference, half = split_halves(source)
    plan = _without(plan, reasons)
    baseline = score(half, reference, plan, **options)
    reasons |= baseline.details.get("unscored", {})
    plan = _without(plan, reasons)
    # Only the clips that were used, so that damage acts on what is scored and the reference stays the same.
    reference = only(reference, {window.id for window in baseline.clips.real.windows})
    used = only(half, {window.id for window in baseline.clips.generated.windows})

    rising = sorted(set(map(float, strengths)))
    choices = parse_list(plan.metrics)
    wanted = list(dict.fromkeys(distortions))
    if all(choice.metric.per_clip for choice in choices):
        wanted = [name for name in wanted if KIND_OF[name] != "set"]
    steps = _Steps(how.progress, len(wanted) * len(rising), baseline.clips.generated.used)
    watched: ExecutionOptions = {**options, "progress": steps.report}
    found: dict[str, dict[float, Mapping[str, Score]]] = {}
    omitted: list[Omitted] = []
    for name in wanted:
        found[name] = {0.0: baseline.scores}
        for strength in rising:
            if name == "mode-drop" and not has_modes(half):
                omitted.append(Omitted(name, strength, "the clips have no classes"))
            else:
                damaged = damage(name, strength, used, half, reference)
                try:
                    record = score(damaged, reference, plan, **watched)
                    found[name][strength] = record.scores
                    omitted += [
                        Omitted(name, strength, reason, metric)
                        for metric, reason in record.details.get("unscored", {}).items()
                    ]
                except NotEnoughClips as error:
                    reason = error.message.splitlines()[0].removeprefix(f"{damaged.name}: ")
                    omitted.append(Omitted(name, strength, reason))
            steps.advance()
    return AuditResult(
        source=baseline.clips.real.source.removeprefix("half 1 of "),
        protocol=plan.name,
        signature=baseline.signature,
        extractor=baseline.extractor.id if baseline.extractor else None,
        reference=(baseline.clips.real.used, baseline.clips.real.clips),
        other=(baseline.clips.generated.used, baseline.clips.generated.clips),
        strengths=tuple(rising),
        metrics=tuple(
            found_metric for choice in choices for found_metric in _audits(choice.metric, baseline, found)
        ),
        omitted=tuple(omitted),
        warnings=(*baseline.warnings, *_shared_bytes(baseline)),
        environment=baseline.environment,
        created=now(),
        not_audited=tuple(NotAudited(metric, reason) for metric, reason in reasons.items()),
    )


def _check(distortions: Sequence[str], strengths: Sequence[float], clips: int) -> None:
    for name in distortions:
        if name not in ALL_DISTORTIONS:
            raise unknown_name("distortion", name, ALL_DISTORTIONS)
    if not distortions:
        raise ConfigError("no distortion is named", f"name some of {', '.join(ALL_DISTORTIONS)}")
    for strength in strengths:
        if not 0 < strength <= 1:
            raise ConfigError(
                f"strength {strength:g}: must be above 0 and at most 1", "strength 0 is always measured"
            )
    if not strengths:
        raise ConfigError("no strength is given", "for example 0.2,0.6,1")
    if clips < 2:
        raise ConfigError(f"clips = {clips}: must be at least 2")


def _for_halves(plan: Protocol, clips: int) -> Protocol:
    """Take equally many windows of both halves, with the stride of real clips.

    They are drawn by name, because every strength must score the same windows: the content of a set changes
    when clips are left out, repeated or played faster.
    """
    counts = Counts(generated=clips, real=clips, least=min(plan.clips.least, clips))
    windows = plan.windows_for("real").model_copy(update={"real_stride": None, "seeded_by": "name"})
    return plan.model_copy(update={"clips": counts, "windows": windows})


def _without(plan: Protocol, reasons: Mapping[str, str]) -> Protocol:
    """Leave out metrics that cannot be computed.

    Raises:
        VgbenchError: none is left.
    """
    left = tuple(str(choice) for choice in parse_list(plan.metrics) if str(choice) not in reasons)
    if not left:
        metric, reason = next(iter(reasons.items()))
        raise VgbenchError(
            f"no metric is left to audit; {metric}: {reason}",
            "choose other --metrics, or an --extractor that provides what they need",
        )
    return plan.model_copy(update={"metrics": left})


def _audits(
    metric: Metric, baseline: Record, found: Mapping[str, Mapping[float, Mapping[str, Score]]]
) -> Iterable[MetricAudit]:
    """Summarise every score that one metric gives, over the distortions that could be scored.

    For a metric of single clips, damage to the choice of clips would only be another draw of real clips.
    """
    skipped_kinds = {"set"} if metric.per_clip else set()
    for name, better in metric.directions.items():
        reactions = [
            react(distortion, KIND_OF[distortion], better, by)
            for distortion, scores in found.items()
            if len(by := {s: of[name] for s, of in scores.items() if name in of}) > 1
            and KIND_OF[distortion] not in skipped_kinds
        ]
        title = metric.title if len(metric.directions) == 1 else name
        yield summarise(name, title, better, baseline.scores[name], reactions)


def _shared_bytes(baseline: Record) -> Iterable[tuple[str, str]]:
    """Equal files in both halves make the score at strength 0 look better than it is."""
    sides = baseline.clips
    both = {w.sha256 for w in sides.generated.windows} & {w.sha256 for w in sides.real.windows}
    if both:
        yield "shared-clips", f"{len(both)} clips of one half have a byte-for-byte copy in the other"


class _Steps:
    """Combines the progress of many evaluations into one stage, counted in windows."""

    def __init__(self, progress: Progress, evaluations: int, windows: int) -> None:
        self._progress, self._windows, self._done = progress, windows, 0
        self._total = evaluations * windows

    def report(self, stage: str, done: int, _: int) -> None:
        if stage == "generated: extracting":
            self._progress("damaged clips", self._done + min(done, self._windows), self._total)

    def advance(self) -> None:
        self._done += self._windows
        self._progress("damaged clips", self._done, self._total)
