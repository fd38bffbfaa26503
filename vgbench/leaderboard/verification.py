"""Are the scores of a record true? Score the same clips again under its own protocol, and compare."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.config import parse
from vgbench.errors import EXIT_OK, ConfigError, VgbenchError
from vgbench.leaderboard.pack import read_checked
from vgbench.metrics.score import Score
from vgbench.records.record import (
    BELOW_REAL,
    CHANGED,
    DAMAGED_STORE,
    ClipSet,
    ClipUse,
    ExtractorUse,
    Record,
    load_record,
)
from vgbench.records.signature import Signature, differences

if TYPE_CHECKING:
    from vgbench.evaluation.feature_store import FeatureStore
    from vgbench.extractors.batch_size import Batches, BatchSize
    from vgbench.extractors.extractor import Extractor
    from vgbench.progress import Progress

EXIT_DIFFERS = 3
TOLERANCE = 1e-6
MOST_NAMED = 5
"""Windows named one by one where a side's clips are not the record's."""


@dataclass(frozen=True)
class MetricCheck:
    """One metric, recorded and computed again.

    Attributes:
        name: of the score.
        recorded, computed: the scores; None where one side lacks it.
        deviation: the largest difference of any of their numbers (estimates, errors, intervals, the
            jackknife's parts), as a share of the recorded value, or of its standard error where that is
            larger; infinite where a number is missing on one side.
        equal: deviation is within the tolerance.
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
        metrics: one check a metric; empty when no clips were given.
        problems: sentences about everything else that is not as the record says: clips, signatures,
            extractor, warnings.
    """

    record: Record
    metrics: tuple[MetricCheck, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing that was checked is other than the record says."""
        return not self.problems and all(check.equal for check in self.metrics)

    @property
    def exit_code(self) -> int:
        """0 holds, 3 differs."""
        return EXIT_OK if self.holds else EXIT_DIFFERS

    @property
    def verdict(self) -> str:
        """Say in a few words what was checked and how it came out."""
        checked = "clips and scores" if self.metrics else "hashes and manifest, without the clips"
        return f"{'as recorded' if self.holds else 'not as recorded'} ({checked})"

    def as_dict(self) -> dict[str, Any]:
        """Return what was found as plain values for JSON."""
        metrics = {
            check.name: {
                "equal": check.equal,
                "recorded": _finite(check.recorded.value if check.recorded else None),
                "computed": _finite(check.computed.value if check.computed else None),
                "deviation": _finite(check.deviation),
            }
            for check in self.metrics
        }
        found = {"holds": self.holds, "problems": list(self.problems), "metrics": metrics}
        return {"model": self.record.model, "signature": self.record.signature, **found}


def verify(
    record: Record,
    generated: Any = None,
    real: Any = None,
    *,
    extractor: str | Extractor | None = None,
    allow_code: bool = False,
    tolerance: float = TOLERANCE,
    batch_size: BatchSize | Batches = 16,
    workers: int = 0,
    device: str = "cpu",
    compiled: bool = False,
    store: FeatureStore | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Hold a record against itself and, given the clips, against scores computed again from them.

    Without clips: its manifest hashes are those of the windows that it lists, and its signature names them.
    With clips: every window has the content hash and frames of the manifest, the signatures and the extractor
    come out the same, no warning is left out, and every number of every score is as recorded. Thumbnails are
    not compared with the clips.

    Args:
        record: record to check; `pack.read_checked` takes it out of a submission.
        generated: the generated clips, in any form that `vgbench.evaluate` takes.
        real: the real clips, or their statistics file; both sides or neither.
        extractor: instead of the one that the protocol names, for records made with an object of the user's.
        allow_code: import what the record's protocol names as `package.module:Object`. A record may come from
            anyone, so without this only vgbench's own metrics and extractors are used.
        tolerance: greatest `MetricCheck.deviation` that counts as equal.
        batch_size: as for `vgbench.evaluate`, like all that follow.
        workers: decoding processes.
        device: where the extractor runs.
        compiled: run the extractor through `torch.compile`.
        store: feature store; a temporary one takes nothing from earlier runs.
        progress: called as (stage, done, total).

    Raises:
        ConfigError: the record's protocol is not one that this version reads, it names code that was not
            allowed, or only one side is given.
        NotEnoughClips: the clips are fewer than the protocol needs.
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
        again = evaluate_pairs(
            generated, real, pairs, record.model, workers=workers, device=device, progress=progress
        )
        return _compared(record, again, problems, tolerance)
    protocol = parse(Protocol, record.protocol, where)
    if not allow_code:
        _require_own_names(protocol.metrics if extractor else (*protocol.metrics, protocol.extractor.name))
    again = evaluate(
        generated,
        real,
        protocol,
        extractor=extractor,
        name=record.model,
        batch_size=batch_size,
        workers=workers,
        device=device,
        compiled=compiled,
        store=store,
        progress=progress,
    )
    return _compared(record, again, problems, tolerance)


def _compared(record: Record, again: Record, problems: list[str], tolerance: float) -> Verification:
    """Hold a record against the one that the same clips give now."""
    problems += _clip_problems("generated", record.clips.generated, again.clips.generated)
    problems += _clip_problems("real", record.clips.real, again.clips.real)
    signatures = Signature(record.signature_fields), Signature(again.signature_fields)
    problems += [f"signature: {key} is {a} there, {b} here" for key, a, b in differences(*signatures)]
    problems += _word_problems(record, again)
    names = dict.fromkeys([*record.scores, *again.scores])
    checks = (compare_scores(n, record.scores.get(n), again.scores.get(n), tolerance) for n in names)
    return Verification(record, tuple(checks), tuple(problems))


def _word_problems(record: Record, again: Record) -> Iterator[str]:
    """Say where the record's words about its scores are not those that these clips give."""
    for (key, there), (_, here) in zip(_words(record), _words(again), strict=True):
        if there != here:
            yield f"{key}: {there} there, {here} here"
    ours, theirs = record.signatures, again.signatures
    unlike = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if unlike:
        yield f"the signatures of single metrics are not those of the scores: {', '.join(unlike)}"
    said = {_without_scores(*warning) for warning in record.warnings}
    for code, sentence in again.warnings:
        if code != DAMAGED_STORE and _without_scores(code, sentence) not in said:
            yield f"warning left out: {code} {sentence}"


def _words(record: Record) -> Iterator[tuple[str, Any]]:
    used = record.extractor
    for key in ExtractorUse.model_fields:
        yield f"extractor, {key}", getattr(used, key, None)
    yield "which way is better", record.details.get("better")


def _without_scores(code: str, sentence: str) -> tuple[str, str]:
    """Drop rounded scores from a warning: the scores are compared themselves, within the tolerance."""
    return code, re.sub(r"-?\d[\d.e+-]*", "#", sentence) if code == BELOW_REAL else sentence


def _require_own_names(names: Iterable[str]) -> None:
    """Refuse names that would import and call whatever the maker of a record wrote there."""
    for name in names:
        if ":" in name.partition("(")[0]:
            raise ConfigError(
                f"the record's protocol names code outside of vgbench: {name}",
                "make sure that you trust it, then verify with --allow-code",
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
    """The computed score without what records of the recorded one's time did not hold."""
    if recorded.deviations is None and computed.deviations is not None and not computed.deviations[0]:
        computed = replace(computed, deviations=None)  # of pairs
    return replace(computed, real_error=None) if recorded.real_error is None else computed


def _numbers(score: Score) -> Iterator[float | None]:
    """Every number of a score, in a fixed order; what is missing holds its place as None."""
    yield from (score.value, score.debiased, score.standard_error, score.real, score.real_error)
    yield float(score.n)
    yield from score.interval or (None, None)
    for part in score.deviations or ():
        yield float(len(part))  # where one side ends and the other begins counts too
        yield from part


def _relative(a: float | None, b: float | None, scale: float) -> float:
    if a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b)):
        return 0.0
    if a is None or b is None or not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / scale if scale else math.inf


def _finite(value: float | None) -> float | None:
    """None for what JSON cannot write."""
    return value if value is not None and math.isfinite(value) else None


def _own_contradictions(record: Record) -> Iterator[str]:
    """What the record says twice, and not alike."""
    yield from (sentence for code, sentence in record.warnings if code == CHANGED)
    if str(Signature(record.signature_fields)) != record.signature:
        yield "the signature line is not what its fields spell"
    for side in ("generated", "real"):
        clips: ClipSet = getattr(record.clips, side)
        if len(clips.windows) != clips.used:
            yield f"{side}: {clips.used} windows are said to be used, {len(clips.windows)} are listed"
        elif _manifest_hash(clips.windows) != clips.manifest_hash:
            yield f"{side}: the manifest hash is not that of the windows listed"
    said = dict(record.signature_fields).get("real")
    if said is not None and said != record.clips.real.manifest_hash[: len(said)]:
        yield f"the signature speaks of real clips {said}, the manifest of other ones"


def _manifest_hash(windows: Sequence[ClipUse]) -> str:
    """Compute `ClipSet.manifest_hash` from the windows."""
    lines = (f"{used.sha256}|{','.join(map(str, used.frames))}\n" for used in windows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _clip_problems(side: str, recorded: ClipSet, found: ClipSet) -> Iterator[str]:
    """Say which windows are not those of the manifest."""
    if recorded.manifest_hash == found.manifest_hash:
        return
    if recorded.used != found.used:
        yield f"{side}: the record has {recorded.used} windows, these clips give {found.used}"
    unlike = [
        (there, here)
        for there, here in zip_longest(recorded.windows, found.windows)
        if there is None or here is None or (there.sha256, there.frames) != (here.sha256, here.frames)
    ]
    for there, here in unlike[:MOST_NAMED]:
        if there is None or here is None:
            yield f"{side}: {(there or here).id} is only {'here' if there is None else 'in the record'}"
        elif there.id == here.id and there.frames == here.frames:
            yield f"{side}: {here.id} has other content than the clip that was scored"
        else:
            yield f"{side}: {there.id} was scored where {here.id} is now"
    if len(unlike) > MOST_NAMED:
        yield f"{side}: and {len(unlike) - MOST_NAMED} more windows"
    if not unlike:
        yield f"{side}: the clips are those listed, but the manifest hash is not theirs"


def read_submission(path: str | Path) -> Record:
    """Read the record of a pack (every byte checked), or a record file as it is.

    Raises:
        VgbenchError: not there, damaged, or changed since it was packed.
    """
    if not Path(path).is_file():
        raise VgbenchError(f"{path}: no such file")
    return load_record(path) if Path(path).suffix == ".json" else read_checked(path)[0]
