"""Scores of long clips over time: the same windows of all clips, moved on step by step.

One number for long clips hides when they go wrong. Here every clip gives the window that starts at frame 0,
then the one at `step`, and so on; each of these sets is scored on its own against the real set of the same
time, as an `evaluate` with the protocol key `windows.offset`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Unpack

from vgbench.clips import open_source
from vgbench.clips.value_range import ValueRange
from vgbench.errors import ConfigError, NotEnoughClips
from vgbench.evaluation.choices import resolve_protocol
from vgbench.evaluation.evaluate import evaluate
from vgbench.evaluation.execution import Execution, ExecutionOptions
from vgbench.evaluation.statistics_file import is_statistics
from vgbench.extractors.extractor import Extractor
from vgbench.protocol import Protocol
from vgbench.records.record import Record


def evaluate_over_time(
    generated: Any,
    real: Any,
    step: int,
    protocol: str | Protocol = "quick",
    metrics: Sequence[str] | None = None,
    extractor: str | Extractor | None = None,
    *,
    settings: Iterable[str] = (),
    value_range: ValueRange | None = None,
    axes: str | None = None,
    name: str | None = None,
    results: str | Path | None = None,
    strict: bool = False,
    lenient: bool = False,
    sharded: bool = False,
    details: Mapping[str, Any] | None = None,
    **execution: Unpack[ExecutionOptions],
) -> dict[int, Record]:
    """Score the windows that start at frame 0, `step`, 2 `step`, … of every clip, one window per clip.

    The curve ends where either side has too few clips of that length for the protocol (`clips.least`).

    Args:
        generated: what `evaluate` takes.
        real: clips; a statistics file has the windows of one time only.
        step: frames of the clip from one window to the next.
        protocol: as for `evaluate`; its `windows.start`, `generated_start`, `per_clip` and `offset` are
            replaced.
        metrics: as for `evaluate`.
        extractor: as for `evaluate`.
        settings: as for `evaluate`.
        value_range: as for `evaluate`.
        axes: as for `evaluate`.
        name: as for `evaluate`.
        results: as for `evaluate`; each time is a record of its own.
        strict: as for `evaluate`.
        lenient: as for `evaluate`.
        sharded: as for `evaluate`.
        details: as for `evaluate`.
        execution: as for `evaluate`.

    Returns:
        First frame -> record, ascending.

    Raises:
        ConfigError: a step below 1, or a statistics file.
        NotEnoughClips: too few clips for the first window.
    """
    if step < 1:
        raise ConfigError(f"step = {step}: windows move on by at least 1 frame")
    if is_statistics(real):
        raise ConfigError(
            f"{real}: statistics hold the windows of one time only",
            "give the clips themselves to score over time",
        )
    plan = resolve_protocol(protocol, metrics, extractor, settings)
    network = extractor if isinstance(extractor, Extractor) else None
    how = Execution.of(execution)  # one for all times, so that an automatic batch size is found once
    ours, theirs = (open_source(side, value_range=value_range, axes=axes) for side in (generated, real))
    records: dict[int, Record] = {}
    for offset in count(0, step):
        moved = {"start": "first", "generated_start": None, "per_clip": 1, "offset": offset}
        windows = plan.windows.model_copy(update=moved)
        at_time = plan.model_copy(update={"windows": windows})
        try:
            records[offset] = evaluate(
                ours,
                theirs,
                at_time,
                extractor=network,
                name=name,
                results=results,
                strict=strict,
                lenient=lenient,
                sharded=sharded,
                details=details,
                **how.options(),
            )
        except NotEnoughClips:
            if not records:
                raise
            return records
    raise AssertionError("no clip is endless")


def curve(records: Mapping[int, Record]) -> dict[str, Any]:
    """Metric -> points {from_frame, value, debiased, standard_error, interval, generated, real}, for JSON.

    `generated` and `real` count the windows of either side.
    """
    return {
        name: [
            {
                "from_frame": offset,
                "value": record.scores[name].value,
                "debiased": record.scores[name].debiased,
                "standard_error": record.scores[name].standard_error,
                "interval": record.scores[name].interval,
                "generated": record.clips.generated.used,
                "real": record.clips.real.used,
            }
            for offset, record in records.items()
            if name in record.scores
        ]
        for name in next(iter(records.values())).scores
    }
