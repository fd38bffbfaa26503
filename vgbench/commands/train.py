"""The commands that train and sample: train, sample, bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vgbench.commands import console, options, panels
from vgbench.distributed import launched_world
from vgbench.errors import EXIT_INTERRUPTED, ConfigError, VgbenchError

if TYPE_CHECKING:
    from vgbench.clips.clip import ClipSource
    from vgbench.training.preview import TrainingPreview
    from vgbench.training.trainer import TrainingSummary


def train(
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET|CONFIG",
            help="Preset (see `vgbench list presets`) or YAML file; not needed with --resume.",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            "-o",
            help="Run folder; runs/PRESET by default. With torchrun, which has its own --run, write -o.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="Clips to train on, in any form that `vgbench eval` takes."),
    ] = None,
    layout: options.Layout = "auto",
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    generator: Annotated[
        str | None,
        typer.Option(metavar="MODULE:CLASS", help="Your own network in place of the preset's generator."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after this many minutes of training.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many steps of the generator.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=options.EXECUTION,
            help="CPU threads; fewer can be faster while the machine is busy with other work.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the run in the run folder; options that you give change its config."
        ),
    ] = False,
    score: Annotated[
        bool, typer.Option(help="Score the generator regularly against the data; keep the best checkpoint.")
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the config, shapes, sizes and memory; train nothing."),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the config; repeatable."),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train a reference video GAN.

    [bold]vgbench train gru-hinge --data builtin:moving-shapes --minutes 3[/]

    [bold]vgbench train gru-hinge --data clips/ --set generator.motion.name=lstm --set loss.name=lsgan[/]

    [bold]vgbench train -o runs/gru-hinge --resume --minutes 10[/]

    [bold]torchrun --nproc-per-node 4 -m vgbench train mocogan-64 --data ucf101/ -o runs/ucf101[/]
    """
    from vgbench.clips.layout import with_layout
    from vgbench.training.config_files import read_config, read_resumed_config

    if layout != "auto":
        if data is None:
            raise ConfigError("--layout says how --data is read", "give both, or data: layout:LAYOUT:CLIPS")
        data = with_layout(data, layout)
    given = {
        "data": data,
        "value_range": options.value_range(value_range),
        "axes": axes,
        "generator": generator,
        "minutes": minutes,
        "steps": steps,
        "threads": threads,
    }
    if preset is None and not (resume and run):
        raise ConfigError(
            "train takes a preset or a YAML file",
            "see vgbench list presets; to continue a run, vgbench train -o FOLDER --resume",
        )
    console.print_former_presets([preset] if preset else ())
    folder = run or Path("runs") / Path(preset or "").stem
    if resume:
        config = read_resumed_config(folder, preset, settings or (), given)
    else:
        config = read_config(preset or "", settings or (), given)
    if dry_run:
        from vgbench.training.preview import preview

        _print_preview(preview(config, folder.name), as_json)
        return
    from vgbench.training.score import generator_score
    from vgbench.training.trainer import open_data
    from vgbench.training.trainer import train as train_generator

    source = open_data(config)
    _print_about(source)

    with panels.training_panel(folder) as progress:
        summary = train_generator(
            config,
            folder,
            resume=resume,
            progress=progress,
            source=source,
            score=generator_score(source, stride=config.stride) if score else None,
        )
    _print_summary(summary, as_json)
    if summary.stopped == "interrupted":
        raise typer.Exit(EXIT_INTERRUPTED)


def _print_about(source: ClipSource) -> None:
    """Print what may be wrong with the training clips: files that were left out, the range of values."""
    from vgbench.evaluation import inputs

    if not launched_world().is_main:
        return
    for note in source.notes:
        console.print_hint(note)
    for code, sentence in inputs.of_first_clips(source):
        console.print_warning(code, sentence)


def _print_preview(found: TrainingPreview, as_json: bool) -> None:
    from vgbench.config import to_yaml

    if as_json:
        console.print_json(found.as_dict())
        return
    typer.echo(to_yaml(found.config), nl=False)
    for part in found.parts:
        typer.echo(f"# {part}")
    typer.echo(f"# {found.costs}")
    typer.echo(f"# a step needs about {found.step_bytes / 2**20:,.0f} MiB for tensors at its peak")


def _print_summary(summary: TrainingSummary, as_json: bool) -> None:
    """Print how a training run ended, and the command that comes next."""
    from vgbench.training.config_files import resume_command

    folder, world = summary.run_folder, launched_world()
    for clip, reason in summary.skipped.items():  # each rank reads clips of its own
        console.print_warning("skipped", f"{clip}: {reason}")
    if not world.is_main:
        return
    if summary.unscored:
        console.print_warning("unscored", f"no score during training: {summary.unscored}")
    if summary.stopped == "interrupted":
        launcher = "torchrun … -m " if world.size > 1 else ""
        console.print_hint(f"stopped; continue with: {launcher}{resume_command(folder)}")
        return
    if as_json:
        console.print_json(
            {
                "run": str(folder),
                "steps": summary.steps,
                "clips": summary.clips,
                "seconds": round(summary.seconds, 3),
                "best_score": summary.best_score,
            }
        )
        return
    typer.echo(f"{folder}: {summary.steps} steps, {summary.clips} clips, {summary.seconds / 60:.1f} minutes")
    console.print_hint(f"next: vgbench sample {folder} --out samples/{folder.name}")


def sample(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder, generator.safetensors, pretrained:NAME (see vgbench list pretrained), or "
            "MODULE:OBJECT (a sampler of your own).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the clips; clips sampled there earlier are replaced."),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.gif",
            help="Animated grid of 4 x 8 clips to write; with --fix, the clips of a row share their content "
            "or their motion.",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option("--from", metavar="MODULE:OBJECT", help="A sampler of your own, in place of RUN."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of clips.")] = 256,
    clip_format: Annotated[
        Literal["mkv", "mp4", "gif", "webp", "frames", "strip", "npz"],
        typer.Option("--format", "-f", help="Format of the clips; all but mp4 and gif are lossless."),
    ] = "mkv",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the latents; clip i depends on nothing but (seed, i).")
    ] = 0,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames per clip; as many as in training by default.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Frame rate written into the files; by default that of the training clips, or 8 if they "
            "state none.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            min=0.01,
            help="Frames per frame of the training clips, such as 2 for twice the frame rate; for motion "
            "modules in continuous time.",
        ),
    ] = 1.0,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            help="Class of all clips, for models with classes; by default classes are drawn as often as they "
            "occur in the training data.",
        ),
    ] = None,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Draw all classes equally often, for models with classes.")
    ] = False,
    first_frame: Annotated[
        Path | None,
        typer.Option(help="Image that every clip continues from, for models that continue a first frame."),
    ] = None,
    fix: Annotated[
        Literal["content", "motion"] | None,
        typer.Option(help="Keep the content (and the class) or the motion the same, and vary the other."),
    ] = None,
    truncation: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="How far content may be from its mean, as a share of how far it is in training; smaller "
            "values give more typical and less varied clips.",
        ),
    ] = 1.0,
    checkpoint: Annotated[
        Literal["best", "last", "first"],
        typer.Option(help="Generator of the run: 'best' by score (or last without scores), 'last', 'first'."),
    ] = "best",
    device: options.Device = "cpu",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write clips from a trained generator, or from a sampler of your own.

    [bold]vgbench sample pretrained:moving-shapes-labels --out samples/demo --count 64[/]

    [bold]vgbench sample runs/gru-hinge --out samples/gru --count 256[/]

    [bold]vgbench sample --from my_package.gan:sample --out samples/mine[/]

    [bold]vgbench sample runs/gru-hinge --fix content --grid content.gif[/]
    """
    from vgbench.records.sample_card import read_card
    from vgbench.training.sampling import GRID, write_grid, write_samples

    if (run is None) == (sampler is None):
        raise ConfigError(
            "sample takes either a run or --from", "such as vgbench sample runs/x --out samples"
        )
    if out is None and grid is None:
        raise ConfigError("there is nothing to write", "give --out for clips, --grid for a picture of some")
    source = run or sampler or ""
    how: dict[str, Any] = {
        "seed": seed,
        "fps": fps,
        "frames": frames,
        "frame_step": 1 / rate,
        "truncation": truncation,
        "label": label,
        "balanced": balanced,
        "first_frame": first_frame,
        "fix": fix,
        "checkpoint": checkpoint,
        "device": device,
    }
    if grid is not None:
        write_grid(source, grid, **how)
        typer.echo(f"{grid}: {GRID[0]} x {GRID[1]} clips")
    if out is None:
        return
    with panels.progress() as progress:
        paths = write_samples(source, out, count, clip_format, progress=progress, **how)
    typer.echo(f"{out}: {len(paths)} clips")
    card = read_card(out)
    if card is not None and card.labels == "uniform":
        console.print_hint(
            "this checkpoint does not state how often each class occurs in its training data, so all classes "
            "were drawn equally often"
        )
    console.print_hint(f"next: vgbench eval {out} --against REAL --results results")


def bench(
    suite: Annotated[
        Path,
        typer.Argument(
            metavar="SUITE",
            help="YAML file; see docs/benchmark.md, and the folder suites/ of the repository for examples.",
        ),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", "-d", metavar="NAME=PATH", help="Where a data set of the suite is; repeatable."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="Stop after this many minutes; run the same command again to continue."),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            rich_help_panel=options.EXECUTION,
            help="Rows to work on at once, each in a process of its own.",
        ),
    ] = 1,
    work: Annotated[
        Path | None, typer.Option("--work", help="Folder for runs and clips; bench/SUITE by default.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option("--results", "-r", help="Folder for records and tables; the suite's by default."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; do nothing.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --dry-run: also time a few steps of each model.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the suite; repeatable."),
    ] = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train, sample, score and rank a whole grid of models; can be interrupted and resumed at any point.

    [bold]vgbench bench suites/smoke.yaml[/]

    [bold]vgbench bench suites/reference-cpu.yaml --jobs 2 --minutes 150 --data mocogan-shapes=PATH[/]
    """
    from vgbench.bench.run import describe, estimate, make_plan, measure_steps, require_ready, run_plan
    from vgbench.bench.suite import read_suite

    plan = make_plan(read_suite(suite, settings, data), work, results)
    console.print_former_presets(name for grid in plan.suite.models for name in grid.presets)
    if not dry_run:
        require_ready(plan)
    if plan.tasks and (measure or not dry_run):
        with panels.progress() as progress:
            plan = measure_steps(plan, jobs, progress)
    if dry_run:
        for name, text in describe(plan):
            typer.echo(f"{name:<48}{text}")
        typer.echo(f"# {estimate(plan, jobs)}")
        return
    console.print_hint(estimate(plan, jobs))
    try:
        with panels.bench_panel() as show:
            ending = run_plan(plan, jobs, minutes, show)
    except KeyboardInterrupt:
        console.print_hint("stopped; run the same command again to continue")
        raise
    for path in ending.written:
        typer.echo(str(path))
    for name, count in plan.missing.items():
        console.print_warning("left-out", f"{count} rows need --data {name}=PATH")
    for trace in ending.traces.values():
        console.print_hint(trace)
    if ending.left:
        console.print_hint(f"{ending.left} rows are left; run the same command again to continue")
    if ending.failed:
        raise VgbenchError(
            "; ".join(f"{name}: {reason}" for name, reason in ending.failed.items()),
            "the other rows are not affected; run the same command again to retry these",
        )
