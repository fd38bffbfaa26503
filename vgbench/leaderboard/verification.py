"""Are the scores of a record correct? Score the same clips again under its own protocol, and compare."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Unpack

from vgbench.config import parse
from vgbench.errors import EXIT_OK, ConfigError
from vgbench.leaderboard.json_document import finite
from vgbench.metrics.score import Score
from vgbench.metrics.uncertainty import student_t
from vgbench.records.consistency import contradictions
from vgbench.records.record import (
    BELOW_REAL,
    CHANGED,
    DAMAGED_STORE,
    ClipSet,
    ExtractorUse,
    Record,
    manifest_hash,
)
from vgbench.records.signature import Signature, differences

if TYPE_CHECKING:
    from vgbench.evaluation.execution import ExecutionOptions
    from vgbench.extractors.extractor import Extractor

EXIT_DIFFERS = 3
TOLERANCE = 1e-6
MOST_NAMED = 5
"""Clips that are named one by one if those of a side are not those of the record."""


@dataclass(frozen=True)
class MetricCheck:
    """One metric, as recorded and as computed again.

    Attributes:
        name: name of the score.
        recorded, computed: the scores; None if it is missing on that side.
        deviation: the largest difference between their numbers (estimates, errors, intervals, the jackknife's
            parts), as a share of the recorded value, or of its standard error if that is larger; infinite if
            a number is missing on one side.
        equal: whether the deviation is within the tolerance.
    """

    name: str
    recorded: Score | None
    computed: Score | None
    deviation: float
    equal: bool


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        record: the record that was checked.
        metrics: one check per metric; empty if no clips were given.
        problems: sentences about everything else that differs from the record: clips, signatures, extractor,
            warnings.
    """

    record: Record
    metrics: tuple[MetricCheck, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything that was checked is as the record says."""
        return not self.problems and all(check.equal for check in self.metrics)

    @property
    def exit_code(self) -> int:
        """0 if nothing differs, 3 otherwise."""
        return EXIT_OK if self.holds else EXIT_DIFFERS

    @property
    def verdict(self) -> str:
        """Say in a few words what was checked, and with which result."""
        checked = "clips and scores" if self.metrics else "hashes and manifest, without the clips"
        return f"{'as recorded' if self.holds else 'not as recorded'} ({checked})"

    def as_dict(self) -> dict[str, Any]:
        """Return the result as values for JSON."""
        metrics = {
            check.name: {
                "equal": check.equal,
                "recorded": check.recorded.value if check.recorded else None,
                "computed": check.computed.value if check.computed else None,
                "deviation": check.deviation,
            }
            for check in self.metrics
        }
        found = {"holds": self.holds, "problems": self.problems, "metrics": metrics}
        document: dict[str, Any] = finite(
            {"model": self.record.model, "signature": self.record.signature, **found}
        )
        return document


def verify(
    record: Record,
    generated: Any = None,
    real: Any = None,
    *,
    extractor: str | Extractor | None = None,
    allow_code: bool = False,
    tolerance: float = TOLERANCE,
    **execution: Unpack[ExecutionOptions],
) -> Verification:
    """Check a record for consistency and, if the clips are given, against scores computed again from them.

    Without clips, it is checked that the manifest hashes are those of the windows that the record lists, and
    that the signature names the real ones. With clips, it is also checked that every window has the content
    hash and frames of the manifest, that the signatures and the extractor are the same, that no warning is
    missing, and that every number of every score is as recorded. Thumbnails are not compared with the clips.

    Args:
        record: record to check; `submission.read_submission` reads it from a submission.
        generated: the generated clips, in any form that `vgbench.evaluate` takes.
        real: the real clips, or their statistics file. Give both sides or neither.
        extractor: replaces the extractor of the protocol, for records made with an object that has no name.
        allow_code: import what the record's protocol names as `package.module:Object`. A record may come from
            anyone, so by default only vgbench's own metrics and extractors are used.
        tolerance: greatest `MetricCheck.deviation` that counts as equal.
        execution: as for `vgbench.evaluate`; a temporary `store` contains nothing from earlier runs.

    Raises:
        ConfigError: this version cannot read the record's protocol, the protocol names code that was not
            allowed, or only one side was given.
        NotEnoughClips: there are fewer clips than the protocol needs.
    """
    if (generated is None) != (real is None):
        raise ConfigError("verification needs the clips of both sides", "give --clips and --against")
    problems = [*_own_contradictions(record)]
    if generated is None:
        return Verification(record, problems=tuple(problems))

    from vgbench.evaluation.evaluate import evaluate
    from vgbench.protocol import Protocol

    where = f"protocol of the record '{record.model}'"
    if record.protocol.get("name") == "paired":
        from vgbench.evaluation.paired import PairedProtocol, evaluate_pairs

        pairs = parse(PairedProtocol, record.protocol, where)
        again = evaluate_pairs(generated, real, pairs, record.model, **execution)
        return _compared(record, again, problems, tolerance)
    protocol = parse(Protocol, record.protocol, where)
    if not allow_code:
        _require_own_names(protocol.metrics if extractor else (*protocol.metrics, protocol.extractor.name))
    again = evaluate(generated, real, protocol, extractor=extractor, name=record.model, **execution)
    return _compared(record, again, problems, tolerance)


def _compared(record: Record, again: Record, problems: list[str], tolerance: float) -> Verification:
    """Compare a record with the one that the same clips give now."""
    problems += _clip_problems("generated", record.clips.generated, again.clips.generated)
    problems += _clip_problems("real", record.clips.real, again.clips.real)
    signatures = Signature(record.signature_fields), Signature(again.signature_fields)
    problems += [
        f"signature: {key} is {a} in the record, but {b} now" for key, a, b in differences(*signatures)
    ]
    problems += _text_problems(record, again)
    names = dict.fromkeys([*record.scores, *again.scores])
    checks = (compare_scores(n, record.scores.get(n), again.scores.get(n), tolerance) for n in names)
    return Verification(record, tuple(checks), tuple(problems))


def _text_problems(record: Record, again: Record) -> Iterator[str]:
    """Say where the record's statements about its scores differ from those that these clips give."""
    for (key, recorded), (_, computed) in zip(_statements(record), _statements(again), strict=True):
        if recorded != computed:
            yield f"{key}: {recorded} in the record, but {computed} now"
    recorded, computed = record.signatures, again.signatures
    different = [name for name in {**recorded, **computed} if recorded.get(name) != computed.get(name)]
    if different:
        yield f"the signatures of single metrics are not those of the scores: {', '.join(different)}"
    stated = {what_it_says(*warning) for warning in record.warnings}
    for code, sentence in again.warnings:
        if code != DAMAGED_STORE and what_it_says(code, sentence) not in stated:
            yield f"missing warning: {code} {sentence}"


def _statements(record: Record) -> Iterator[tuple[str, Any]]:
    used = record.extractor
    for key in ExtractorUse.model_fields:
        yield f"extractor, {key}", getattr(used, key, None)
    yield "direction of own metrics", record.details.get("better")


def what_it_says(code: str, sentence: str) -> tuple[str, str, tuple[str, ...]]:
    """Reduce a warning to its code, its subject (the text before the first colon) and its whole numbers.

    Versions of vgbench word the same warning differently. Rounded scores are dropped from the text of
    `BELOW_REAL`, because the scores themselves are compared within the tolerance.
    """
    subject, _, text = re.sub(r"-?\d[\d.e+-]*", "#", sentence).partition(":")
    if code == BELOW_REAL:
        return code, subject, ()
    return code, sentence.partition(":")[0] if text else "", tuple(re.findall(r"\b\d+\b", sentence))


def _require_own_names(names: Iterable[str]) -> None:
    """Refuse names that would import and call whatever the maker of a record chose."""
    for name in names:
        if ":" in name.partition("(")[0]:
            raise ConfigError(
                f"the record's protocol names code outside vgbench: {name}",
                "if you trust it, verify with --allow-code",
            )


def compare_scores(
    name: str, recorded: Score | None, computed: Score | None, tolerance: float = TOLERANCE
) -> MetricCheck:
    """Compare two scores number by number; see `MetricCheck`."""
    if recorded is None or computed is None:
        return MetricCheck(name, recorded, computed, math.inf, equal=False)
    scale = max(abs(recorded.value), recorded.standard_error or 0.0)
    pairs = zip_longest(_numbers(recorded), _numbers(_as_of(recorded, computed)))
    deviation = max(_relative(a, b, scale) for a, b in pairs)
    return MetricCheck(name, recorded, computed, deviation, equal=deviation <= tolerance)


def _as_of(recorded: Score, computed: Score) -> Score:
    """The computed score as the version would have made it that made the recorded score.

    Older records lack some numbers. Where the second part of the method, such as ", log interval", is another
    one since or did not exist, the interval was another one, and errors of precision and its like were up to
    √2 times as large, because the part from pairs was counted twice.
    """
    before, now = (score.method.partition(", ") for score in (recorded, computed))
    if before[0] == now[0] and before[2] != now[2] and _could_be_an_interval(recorded):
        computed = _enlarged(computed, recorded.standard_error or 0.0)
        computed = replace(computed, interval=recorded.interval)
    if recorded.deviations is None and computed.deviations is not None and not computed.deviations[0]:
        computed = replace(computed, deviations=None)  # those of pairs of clips
    return replace(computed, real_error=None) if recorded.real_error is None else computed


def _enlarged(score: Score, standard_error: float) -> Score:
    """The score with this error and deviations in proportion, if the error is 1 to √2 times its own."""
    if not score.standard_error or score.deviations is None:
        return score
    factor = standard_error / score.standard_error
    if not 1 < factor < math.sqrt(2) * (1 + TOLERANCE):
        return score
    generated, real = (tuple(factor * value for value in part) for part in score.deviations)
    return replace(score, standard_error=standard_error, deviations=(generated, real))


def _could_be_an_interval(score: Score) -> bool:
    """Whether the interval holds the estimate and is as long as one of Student's t can be."""
    if score.interval is None or not score.standard_error:
        return False
    low, high = score.interval
    arm = max(score.best_estimate - low, high - score.best_estimate) / score.standard_error
    return low <= score.best_estimate <= max(high, 0.0) and student_t(math.inf) <= arm <= student_t(1)


def _numbers(score: Score) -> Iterator[float | None]:
    """Every number of a score, in a fixed order, with None for what is missing."""
    yield from (score.value, score.debiased, score.standard_error, score.real, score.real_error)
    yield float(score.n)
    yield from score.interval or (None, None)
    for part in score.deviations or ():
        yield float(len(part))  # where one side ends and the other begins matters too
        yield from part


def _relative(a: float | None, b: float | None, scale: float) -> float:
    if a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b)):
        return 0.0
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / scale if scale else math.inf


def _own_contradictions(record: Record) -> Iterator[str]:
    """Statements of the record that contradict each other."""
    yield from (sentence for code, sentence in record.warnings if code == CHANGED)
    yield from contradictions(record.scores, record.created)
    if str(Signature(record.signature_fields)) != record.signature:
        yield "the signature line does not agree with its fields"
    for side in ("generated", "real"):
        clips: ClipSet = getattr(record.clips, side)
        if len(clips.windows) != clips.used:
            yield f"{side}: {clips.used} windows are counted as used, but {len(clips.windows)} are listed"
        elif manifest_hash((w.sha256, w.frames) for w in clips.windows) != clips.manifest_hash:
            yield f"{side}: the manifest hash is not that of the listed windows"
    stated = dict(record.signature_fields).get("real")
    if stated is not None and stated != record.clips.real.manifest_hash[: len(stated)]:
        yield f"the signature names the real clips {stated}, but the manifest lists others"


def _clip_problems(side: str, recorded: ClipSet, found: ClipSet) -> Iterator[str]:
    """Say which windows are not those of the manifest."""
    if recorded.manifest_hash == found.manifest_hash:
        return
    if recorded.used != found.used:
        yield f"{side}: the record has {recorded.used} windows, but these clips give {found.used}"
    before, now = _by_clip(recorded), _by_clip(found)
    different = [clip for clip in {**before, **now} if before.get(clip) != now.get(clip)]
    for clip in different[:MOST_NAMED]:
        if clip not in now:
            yield f"{side}: {clip} is only in the record"
        elif clip not in before:
            yield f"{side}: {clip} is only in these clips"
        elif [sha256 for sha256, _ in before[clip]] == [sha256 for sha256, _ in now[clip]]:
            yield f"{side}: other frames of {clip} are scored now"
        else:
            yield f"{side}: the content of {clip} differs from the clip that was scored"
    if len(different) > MOST_NAMED:
        yield f"{side}: and {len(different) - MOST_NAMED} more clips"
    if not different:
        yield f"{side}: the clips are those of the record, but their order or their manifest hash is not"


def _by_clip(side: ClipSet) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    """Clip id -> (hash, frames) of its windows. The order of clips may depend on their content."""
    windows: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for window in sorted(side.windows, key=lambda window: window.frames):
        windows.setdefault(window.id, []).append((window.sha256, window.frames))
    return windows
