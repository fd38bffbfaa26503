"""What is done for one cell: train, sample, score. Each stage goes on where an earlier attempt left off."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vgbench.atomic import replacing
from vgbench.bench.cells import Cell, score_key
from vgbench.bench.sources import open_reference, open_side
from vgbench.bench.suite import Evaluation, Suite
from vgbench.clips import open_source, write_clips
from vgbench.clips.clip import ClipSource
from vgbench.training.config import TrainConfig

Report = Callable[[str, int, int], None]
"""Called as (stage, done, total)."""


@dataclass(frozen=True)
class Task:
    """One cell and the protocols that it has no record of yet.

    Attributes:
        folder: of this cell's run and clips.
        records: where its records go.
    """

    suite: Suite
    cell: Cell
    evaluations: tuple[Evaluation, ...]
    folder: Path
    records: Path


def do(task: Task, report: Report) -> bool:
    """Do what is left of one cell. False where it was asked to stop; the next call goes on from there.

    Raises:
        VgbenchError: data that cannot be used, or training that diverged.
    """
    suite, cell = task.suite, task.cell
    data = suite.data[cell.data]
    details: dict[str, Any] = {"role": cell.role} if cell.role != "model" else {}
    if cell.config is None:
        generated = open_reference(cell.source or "", cell.data, data)
    else:
        training = trained(task, cell.config, open_side(cell.data, data, "train"), report)
        if training is None:
            return False
        details |= training
        generated = sampled(task, report)
    score(task, generated, open_side(cell.data, data, "test"), details, report)
    return True


def trained(task: Task, config: TrainConfig, source: ClipSource, report: Report) -> dict[str, Any] | None:
    """Train, or go on training; returns what the record shall say of it, None when asked to stop."""
    from vgbench.reference_models import load
    from vgbench.reference_models.cost import parameters_of
    from vgbench.reference_models.generator import Generator
    from vgbench.training import train

    folder = task.folder / "run"
    summary = train(
        config.model_copy(update={"data": source.name}),
        folder,
        resume=(folder / "checkpoints" / "last.safetensors").exists(),
        progress=lambda state: report("training", state.step, task.cell.steps),
        source=source,
    )
    if summary.stopped == "interrupted":
        return None
    generator = load(folder, "last")
    assert isinstance(generator, Generator)
    return {
        "training_minutes": round(summary.seconds / 60, 2),
        "generator_parameters": parameters_of(generator),
        "training": _curves(folder / "log.jsonl"),
    }


CURVE_POINTS = 60
"""Points kept of each training curve."""


def _curves(log: Path) -> dict[str, list[list[float]]]:
    """Losses of a run, thinned out: name -> [[step, value], …]."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    kept = lines[:: -(-len(lines) // CURVE_POINTS) or 1]
    names = [name for name in (lines[-1] if lines else ()) if "loss" in name]
    return {name: [[line["step"], line[name]] for line in kept if name in line] for name in names}


def sampled(task: Task, report: Report) -> ClipSource:
    """Clips of the trained generator; the folder appears whole or not at all."""
    from vgbench.sampling import sample_clips

    folder = task.folder / "clips"
    wanted = task.suite.sampling
    if not folder.is_dir():
        with replacing(folder) as temporary:
            write_clips(
                sample_clips(
                    str(task.folder / "run"),
                    wanted.clips,
                    seed=wanted.seed,
                    checkpoint="last",
                    progress=report,
                ),
                temporary,
            )
    return replace(open_source(folder), name=task.cell.name)


def score(
    task: Task, generated: ClipSource, real: ClipSource, details: dict[str, Any], report: Report
) -> None:
    """One record a protocol, with what the summary needs to know of the cell."""
    from vgbench.evaluation import evaluate

    for evaluation in task.evaluations:
        bench = {
            "suite": task.suite.name,
            "key": score_key(task.suite, task.cell, evaluation),
            "data": task.cell.data,
            "steps": task.cell.steps,
            **task.cell.facts,
        }
        evaluate(
            generated,
            real,
            evaluation.protocol,
            list(evaluation.metrics) or None,
            evaluation.extractor,
            name=task.cell.model,
            results=task.records,
            settings=[f"{key}={json.dumps(value)}" for key, value in evaluation.settings.items()],
            device=device(task.suite.device),
            details={**details, "bench": bench},
            progress=report,
        )


def device(asked: str) -> str:
    """The device that "auto" stands for."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def time_step(config: TrainConfig, report: Report) -> float:
    """Seconds of one training step on this machine, from a few of them."""
    from vgbench.training.catalogue import seconds_per_step

    report("timing", 0, 1)
    return seconds_per_step(config, TIMED_STEPS)


TIMED_STEPS = 4


def steps_done(folder: Path) -> int:
    """Generator steps in the checkpoint of a cell's run."""
    from vgbench.training.state import read_counters

    last = folder / "run" / "checkpoints" / "last.safetensors"
    return int(read_counters(last)["step"]) if last.exists() else 0


def tasks_left(suite: Suite, cells: Sequence[Cell], done: set[str], work: Path, records: Path) -> list[Task]:
    """The cells that lack a record, each with the protocols that are missing."""
    tasks = []
    for cell in cells:
        missing = tuple(one for one in suite.evaluations if score_key(suite, cell, one) not in done)
        if missing:
            tasks.append(Task(suite, cell, missing, work / cell.name, records))
    return tasks
