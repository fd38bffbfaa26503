"""The work for one cell: train, sample, score. Each stage continues where an earlier attempt stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vgbench.bench.cells import Cell, folder_name, protocol_of, score_key
from vgbench.bench.sources import is_split, open_split, open_untrained
from vgbench.bench.suite import Evaluation, Suite
from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource
from vgbench.clips.rates import every_nth_frame
from vgbench.device import device_of
from vgbench.errors import BadClip
from vgbench.progress import Progress
from vgbench.protocol import Protocol
from vgbench.protocol.pixels import Scaling
from vgbench.records.sample_card import read_card
from vgbench.storage.atomic import replacing
from vgbench.training.config import TrainConfig


@dataclass(frozen=True)
class Task:
    """One cell and the protocols for which it has no record yet.

    Attributes:
        suite, cell: the cell and its suite.
        evaluations: the protocols without a record.
        folder: folder for the run and the clips of the cell.
        records: folder for its records.
    """

    suite: Suite
    cell: Cell
    evaluations: tuple[Evaluation, ...]
    folder: Path
    records: Path


def do(task: Task, progress: Progress) -> bool:
    """Do what is left for one cell; False if it was asked to stop, after which the next call continues.

    Raises:
        VgbenchError: the data cannot be used, or the training diverged.
    """
    suite, cell = task.suite, task.cell
    data = suite.data[cell.data]
    details: dict[str, Any] = {"role": cell.role} if cell.role != "model" else {}
    if cell.config is None:
        generated = open_untrained(cell.source or "", cell.data, data)
    else:
        if not trained(task, cell.config, open_split(cell.data, data, "train"), progress):
            return False
        folder = sampled(task, progress)
        details |= cost(folder, suite)
        generated = replace(open_source(folder), name=cell.name)
    score(task, generated, open_split(cell.data, data, "test"), details, progress)
    return True


def trained(task: Task, config: TrainConfig, source: ClipSource, progress: Progress) -> bool:
    """Train, or continue training; False if asked to stop."""
    from vgbench.training import train

    folder = task.folder / "run"
    summary = train(
        config.model_copy(update={"data": source.name}),
        folder,
        resume=(folder / "checkpoints" / "last.safetensors").exists(),
        progress=lambda state: progress("training", state.step, task.cell.steps),
        source=source,
    )
    return summary.stopped != "interrupted"


def sampled(task: Task, progress: Progress) -> Path:
    """Sample clips from the trained generator to a folder, which appears completely or not at all."""
    from vgbench.training.sampling import write_samples

    folder = task.folder / "clips"
    wanted = task.suite.sampling
    if not folder.is_dir():
        with replacing(folder) as temporary:
            write_samples(
                str(task.folder / "run"),
                temporary,
                wanted.clips,
                seed=wanted.seed,
                checkpoint="last",
                progress=progress,
            )
    return folder


def cost(clips: Path, suite: Suite) -> dict[str, Any]:
    """Cost of sampling and training, and the training curves, for the record; without names of folders."""
    card = read_card(clips)
    details = card.details() if card else {}
    if "sampled" in details:
        details["sampled"]["command"] = f"vgbench bench {suite.name}.yaml"
    return details


def prepared(protocol: Protocol, cell: Cell, real: ClipSource) -> Protocol:
    """Give real clips the stride and the size that models were trained with, unless the suite says otherwise.

    Clips that have this size already are left as they are, and so is the signature.
    """
    wanted = cell.preparation
    if wanted is None:
        return protocol
    changes: dict[str, Any] = {}
    windows = protocol.windows
    if wanted.stride > 1 and windows.real_stride is None and windows.fps is None:
        changes["windows"] = windows.model_copy(update={"real_stride": windows.stride * wanted.stride})
    if protocol.resize_for("real").first is None and not have_size(real, wanted.size):
        changes["resize"] = protocol.resize.model_copy(update={"first": Scaling(size=wanted.size)})
    return protocol.model_copy(update=changes)


def as_fast_as_real(generated: ClipSource, cell: Cell, protocol: Protocol) -> ClipSource:
    """Take every n-th frame of real clips that stand in for generated ones, if that is done to real clips."""
    if cell.source is None or not is_split(cell.source):
        return generated
    step = protocol.windows_for("real").stride // protocol.windows.stride
    return generated if step == 1 else every_nth_frame(generated, step)


def have_size(source: ClipSource, size: int) -> bool:
    """Whether clips are squares of this side, judged by `LOOKED_AT` clips evenly over the source."""
    clips = source.clips[:: max(len(source.clips) // LOOKED_AT, 1)]
    for clip in clips:
        with suppress(BadClip):
            if clip.read([0]).shape[1:3] != (size, size):
                return False
    return True


LOOKED_AT = 16


def score(
    task: Task, generated: ClipSource, real: ClipSource, details: dict[str, Any], progress: Progress
) -> None:
    """Make one record per protocol, with what the summary needs to know about the cell."""
    from vgbench.evaluation.evaluate import evaluate

    for evaluation in task.evaluations:
        bench = {
            "suite": task.suite.name,
            "key": score_key(task.suite, task.cell, evaluation),
            "data": task.cell.data,
            "steps": task.cell.steps,
            **task.cell.coordinates,
        }
        protocol = prepared(protocol_of(evaluation), task.cell, real)
        evaluate(
            as_fast_as_real(generated, task.cell, protocol),
            real,
            protocol,
            name=task.cell.model,
            results=task.records,
            device=task.suite.device,
            details={**details, "bench": bench},
            progress=progress,
        )


def time_step(config: TrainConfig, progress: Progress) -> float:
    """Measure the duration of one training step on this machine from a few steps, in seconds.

    On a CPU this is processor time, which other work on the machine hardly changes.
    """
    from vgbench.training.model_costs import seconds_per_step

    progress("timing", 0, 1)
    clock = time.process_time if device_of(config.device).type == "cpu" else time.perf_counter
    return seconds_per_step(config, TIMED_STEPS, clock)


TIMED_STEPS = 4


def steps_done(folder: Path) -> int:
    """Number of generator steps in the checkpoint of a cell's run; 0 if there is none."""
    from vgbench.training.state import read_counters

    last = folder / "run" / "checkpoints" / "last.safetensors"
    return int(read_counters(last)["step"]) if last.exists() else 0


def tasks_left(suite: Suite, cells: Sequence[Cell], done: set[str], work: Path, records: Path) -> list[Task]:
    """List the cells that lack a record, each with the protocols that are missing."""
    tasks = []
    for cell in cells:
        missing = tuple(one for one in suite.evaluations if score_key(suite, cell, one) not in done)
        if missing:
            tasks.append(Task(suite, cell, missing, work / folder_name(suite, cell), records))
    return tasks
