"""The commands. Each parses its options, calls one function of the library and prints; no logic lives here.

Heavy imports (torch, pandas) happen inside the commands, so that `vgbench --help` answers at once.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vgbench import __version__
from vgbench.commands import console
from vgbench.commands.listing import KINDS
from vgbench.distributed import launched_world
from vgbench.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_SKIPPED_UNDER_STRICT, ConfigError, VgbenchError

if TYPE_CHECKING:
    from vgbench.evaluation.feature_store import FeatureStore
    from vgbench.records.record import Record

app = typer.Typer(
    name="vgbench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train reference video GANs, score folders of clips, publish leaderboards that others can trust.",
    epilog="Exit codes: 0 done, 1 internal error, 2 bad input or usage, 3 clips skipped under --strict, a "
    "regression found by gate or a difference found by verify, 130 interrupted.",
)


def _set_quiet(value: bool) -> None:
    console.verbosity.quiet |= value


def _set_debug(value: bool) -> None:
    console.verbosity.debug |= value


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_set_quiet, help="No progress and notes; results stay.")
]
Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show tracebacks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the protocol or config; repeatable."),
]

RealClips = Annotated[str, typer.Argument(help="The real clips, in any form that eval takes.")]
RecordPaths = Annotated[list[Path], typer.Argument(help="Record files, or folders that hold them.")]
ProtocolName = Annotated[
    str, typer.Option("--protocol", "-p", help="Name (see `vgbench list protocols`) or YAML file.")
]
MetricNames = Annotated[
    str | None, typer.Option("--metrics", "-m", help="Instead of the protocol's, comma-separated; or all.")
]
ExtractorName = Annotated[str | None, typer.Option("--extractor", "-e", help="Instead of the protocol's.")]
ALL_METRICS = "all"
USUAL_METRIC = "fvd"
ModelName = Annotated[str | None, typer.Option("--name", "-n", help="The model's name in tables.")]
Layout = Annotated[
    Literal["auto", "strips", "frames"],
    typer.Option(help="What folders of pictures are: 'strips', 'frames' or 'auto'."),
]
ValueRange = Annotated[
    str | None, typer.Option(metavar="LOW,HIGH", help="What float arrays span, such as 0,1 or -1,1.")
]
BatchSizeOption = Annotated[
    str,
    typer.Option(metavar="N|auto", help="'auto' tries some and keeps the fastest. Does not change scores."),
]
Compiled = Annotated[
    bool,
    typer.Option("--compile", help="torch.compile: minutes first, then faster. Does not change scores."),
]
Workers = Annotated[int, typer.Option(min=0, help="Decoding processes. Does not change scores.")]
Device = Annotated[str, typer.Option(help="Where the extractor runs.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"vgbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("eval")
def eval_(
    generated: Annotated[
        str,
        typer.Argument(
            help="Folder, video, array file, archive, manifest (.csv, .jsonl), URL, builtin:NAME, "
            "distort:NAME=STRENGTH:CLIPS or module:object; see docs/clips.md."
        ),
    ],
    against: Annotated[str, typer.Option("--against", "-a", help="The real clips, in any of these forms.")],
    protocol: ProtocolName = "quick",
    metrics: MetricNames = None,
    extractor: ExtractorName = None,
    name: ModelName = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Folder to save the record and thumbnails in.")
    ] = None,
    role: Annotated[
        Literal["real", "control"] | None,
        typer.Option("--role", help="Listed in tables without a rank."),
    ] = None,
    layout: Layout = "auto",
    value_range: ValueRange = None,
    over_time: Annotated[
        int | None,
        typer.Option(
            "--over-time", metavar="STEP", min=1, help="Score long clips anew every STEP frames: a curve."
        ),
    ] = None,
    batch_size: BatchSizeOption = "16",
    workers: Workers = 0,
    device: Device = "cpu",
    compiled: Compiled = False,
    store: Annotated[bool, typer.Option(help="Keep features for the next run, and use those kept.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when a clip had to be skipped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved protocol and what is there; score nothing.")
    ] = False,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score generated clips against real ones.

    [bold]vgbench eval samples/ --against real/[/]

    [bold]vgbench eval samples/ -a builtin:moving-shapes/test -m fvd,kvd --json[/]

    [bold]vgbench eval long/ -a real/ --over-time 16[/]

    [bold]torchrun --nproc-per-node 2 -m vgbench eval samples/ -a s3://bucket/real[/]
    """
    from functools import partial

    from vgbench.clips import open_source
    from vgbench.config import to_yaml
    from vgbench.evaluation.choices import resolve_protocol
    from vgbench.evaluation.evaluate import evaluate
    from vgbench.evaluation.over_time import evaluate_over_time
    from vgbench.evaluation.statistics_file import is_statistics
    from vgbench.extractors.batch_size import parse_batch_size

    plan = resolve_protocol(protocol, _metric_names(metrics), extractor, settings or ())
    span = _range(value_range)
    sides = {
        side: spec if is_statistics(spec) else open_source(spec, layout=layout, value_range=span)
        for side, spec in (("generated", generated), ("real", against))
    }
    if as_json:
        console.verbosity.quiet = True
    if dry_run and as_json:
        there = {
            side: {"statistics": source}
            if isinstance(source, str)
            else {"source": source.name, "clips": len(source.clips), "skipped": len(source.skipped)}
            for side, source in sides.items()
        }
        console.print_json({"protocol": plan.model_dump(mode="json"), **there})
        return
    if dry_run:
        typer.echo(to_yaml(plan), nl=False)
        for side, source in sides.items():
            if isinstance(source, str):
                typer.echo(f"# {side}: statistics of {source}")
            else:
                count = f"{len(source.clips)} clips, {len(source.skipped)} not readable"
                typer.echo(f"# {side}: {source.name}: {count}")
        return
    with _feature_store(kept=store) as features, console.progress() as report:
        score = evaluate if over_time is None else partial(evaluate_over_time, step=over_time)
        found = score(
            sides["generated"],
            sides["real"],
            protocol=plan,
            name=name,
            results=results,
            batch_size=parse_batch_size(batch_size),
            workers=workers,
            device=device,
            compiled=compiled,
            store=features,
            strict=strict,
            lenient=metrics == ALL_METRICS,
            details={"role": role} if role else None,
            progress=report,
        )
    if not launched_world().is_main:
        return
    if isinstance(found, dict):
        _print_curve(found, as_json)
    else:
        if batch_size == "auto":
            console.note(f"batch size {found.environment['batch_size']}")
        _print_record(found, results, as_json)


@app.command()
def paired(
    generated: Annotated[str, typer.Argument(help="Predicted or reconstructed clips, in any form.")],
    against: Annotated[str, typer.Option("--against", "-a", help="Their references, paired by file stem.")],
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", "-m", help="Of psnr, ssim, ms_ssim, strred, tof, lpips, tlp; or all."),
    ] = None,
    skip: Annotated[int, typer.Option(min=0, help="Frames left out at the start, such as given ones.")] = 0,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames scored after them; all, of equal length, without it.")
    ] = None,
    name: ModelName = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Folder to save the record in.")
    ] = None,
    layout: Layout = "auto",
    value_range: ValueRange = None,
    workers: Workers = 0,
    device: Annotated[str, typer.Option(help="Where LPIPS runs.")] = "cpu",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when a clip was left out.")] = False,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Score predicted or reconstructed clips, each against the reference of the same file stem.

    [bold]vgbench paired predictions/ --against truth/ --skip 5[/]

    [bold]vgbench paired rebuilt/ -a truth/ -m psnr,lpips,tlp --set resize.fit=crop --set resize.size=64[/]
    """
    from vgbench.clips import open_source
    from vgbench.evaluation.paired import evaluate_pairs, plan_pairs

    if not launched_world().is_main:  # one process does it all
        return
    span = _range(value_range)
    plan = plan_pairs(metrics, skip, frames, settings or ())
    clips, references = (open_source(spec, layout=layout, value_range=span) for spec in (generated, against))
    if as_json:
        console.verbosity.quiet = True
    with console.progress() as report:
        record = evaluate_pairs(
            clips,
            references,
            plan,
            name=name,
            results=results,
            workers=workers,
            device=device,
            strict=strict,
            progress=report,
        )
    _print_record(record, results, as_json)


def _metric_names(text: str | None) -> list[str] | None:
    from vgbench.metrics import METRICS, parse_list

    if text == ALL_METRICS:
        return list(METRICS)
    return [str(choice) for choice in parse_list(text)] if text else None


@contextmanager
def _feature_store(*, kept: bool) -> Iterator[FeatureStore]:
    """The user's feature store, or one for this command only; says what went to stay within the limit."""
    from vgbench.evaluation.feature_store import LIMIT, FeatureStore

    if not kept:
        with TemporaryDirectory(prefix="vgbench-") as folder:
            yield FeatureStore(Path(folder))
        return
    store = FeatureStore()
    yield store
    files, size = store.pruned
    if files and launched_world().is_main:
        console.note(
            f"feature store: removed {files} files, {size / 2**20:.1f} MiB, the least recently used, to stay "
            f"within {store.limit_bytes / 2**30:g} GiB ({LIMIT})"
        )


def _range(text: str | None) -> tuple[float, float] | None:
    try:
        low, high = (float(part) for part in text.split(",")) if text else (0.0, 0.0)
    except ValueError as error:
        raise ConfigError(f"--value-range {text}: expected LOW,HIGH", "for example 0,1 or -1,1") from error
    return (low, high) if text else None


def _print_record(record: Record, results: Path | None, as_json: bool) -> None:
    if as_json:
        console.print_json(record.to_json())
        return
    from vgbench.leaderboard.terminal import record_table

    console.out.print(record_table(record))
    typer.echo(f"signature  {record.signature}")
    if results is not None:
        typer.echo(f"saved      {results / (record.stem + '.json')}")
    for code, text in record.warnings:
        console.warn(code, text)
    for metric, reason in record.details.get("unscored", {}).items():
        console.warn("left-out", f"{metric}: {reason}")
    for side in (record.clips.generated, record.clips.real):
        for entry in side.skipped[:5]:
            console.warn("skipped", f"{entry.path}: {entry.reason}")
        if len(side.skipped) > 5:
            console.warn("skipped", f"… and {len(side.skipped) - 5} more, named in the record")
    if results is not None:
        console.note(f"compare: vgbench report {results}")


def _print_curve(records: dict[int, Record], as_json: bool) -> None:
    from vgbench.evaluation.over_time import curve
    from vgbench.leaderboard.terminal import curve_table

    if as_json:
        console.print_json(curve(records))
        return
    console.out.print(curve_table(records))
    for code, text in dict.fromkeys(warning for record in records.values() for warning in record.warnings):
        console.warn(code, text)
    unscored = (record.details.get("unscored", {}).items() for record in records.values())
    for metric, reason in dict.fromkeys(entry for entries in unscored for entry in entries):
        console.warn("left-out", f"{metric}: {reason}")


@app.command()
def train(
    preset: Annotated[
        str | None,
        typer.Argument(help="Preset (see `vgbench list presets`) or YAML file; not needed with --resume."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", "-o", help="Run folder; runs/PRESET by default. Under torchrun only as -o."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", "-d", help="Clips to train on; module:object for a data set of your own."),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(metavar="MODULE:CLASS", help="Network of your own in place of the preset's generator."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Limit of training time.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Limit of generator steps.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; fewer are faster beside another busy process.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in the run folder; options given change its config."),
    ] = False,
    score: Annotated[
        bool, typer.Option(help="Score now and then against the data, and keep the best checkpoint.")
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the config, shapes, sizes and memory; train nothing."),
    ] = False,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a reference video GAN.

    [bold]vgbench train gru-hinge --data builtin:moving-shapes --minutes 3[/]

    [bold]vgbench train gru-hinge --data clips/ --set generator.motion.name=lstm --set loss.name=lsgan[/]

    [bold]vgbench train -o runs/gru-hinge --resume --minutes 10[/]

    [bold]torchrun --nproc-per-node 4 -m vgbench train mocogan-64 --data ucf101/ -o runs/ucf101[/]
    """
    from vgbench.config import to_yaml
    from vgbench.training.config_files import read_config, read_resumed_config, resume_command

    given = {"data": data, "generator": generator, "minutes": minutes, "steps": steps, "threads": threads}
    if preset is None and not (resume and run):
        raise ConfigError(
            "train takes a preset or a YAML file",
            "see vgbench list presets; a run goes on without one: vgbench train -o FOLDER --resume",
        )
    folder = run or Path("runs") / Path(preset or "").stem
    if resume:
        config = read_resumed_config(folder, preset, settings or (), given)
    else:
        config = read_config(preset or "", settings or (), given)
    if dry_run:
        from vgbench.training.preview import preview

        found = preview(config, folder.name)
        if as_json:
            console.print_json(found.as_dict())
            return
        typer.echo(to_yaml(found.config), nl=False)
        for part in found.parts:
            typer.echo(f"# {part}")
        typer.echo(f"# {found.costs}")
        typer.echo(f"# a step needs about {found.step_bytes / 2**20:,.0f} MiB for tensors at its peak")
        return
    from vgbench.training.score import generator_score
    from vgbench.training.trainer import train as run_training

    if as_json:
        console.verbosity.quiet = True
    with console.training_panel(folder) as report:
        summary = run_training(
            config,
            folder,
            resume=resume,
            progress=report,
            score=generator_score(config.data) if score else None,
        )
    for clip, reason in summary.skipped.items():
        console.warn("skipped", f"{clip}: {reason}")
    world = launched_world()
    if summary.unscored and world.is_main:
        console.warn("unscored", f"no score during training: {summary.unscored}")
    if summary.stopped == "interrupted":
        launcher = "torchrun … -m " if world.size > 1 else ""
        if world.is_main:
            console.note(f"stopped; continue with: {launcher}{resume_command(folder)}")
        raise typer.Exit(EXIT_INTERRUPTED)
    if not world.is_main:
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
    console.note(f"next: vgbench sample {folder} --out samples/{folder.name}")


@app.command()
def sample(
    run: Annotated[
        str | None, typer.Argument(help="Run folder, generator.safetensors, or package.module:sample.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for the clips; one that sample wrote before is replaced."),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.gif",
            help="Animated grid of 4 x 8 clips; with --fix each row has one content, or motion.",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option("--from", metavar="MODULE:OBJECT", help="The same, for a sampler of your own."),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Number of clips.")] = 256,
    clip_format: Annotated[
        Literal["mkv", "mp4", "gif", "webp", "frames", "strip", "npz"],
        typer.Option("--format", "-f", help="mkv, webp, frames, strip and npz lose nothing."),
    ] = "mkv",
    seed: Annotated[int, typer.Option(min=0, help="Of the latents; clip i depends on (seed, i) alone.")] = 0,
    frames: Annotated[int | None, typer.Option(min=1, help="Length; the training length by default.")] = None,
    fps: Annotated[float, typer.Option(min=0.1, help="Frame rate written into the files.")] = 8.0,
    rate: Annotated[
        float, typer.Option(min=0.01, help="Frames per training frame, for continuous motion modules.")
    ] = 1.0,
    label: Annotated[str | None, typer.Option("--class", help="Class, for conditional models.")] = None,
    first_frame: Annotated[
        Path | None, typer.Option(help="Picture to go on from, for models conditioned on it.")
    ] = None,
    fix: Annotated[
        Literal["content", "motion"] | None,
        typer.Option(help="'content' (and class) or 'motion': the same for all clips, the other varies."),
    ] = None,
    checkpoint: Annotated[
        Literal["best", "last", "first"],
        typer.Option(help="Which generator of the run; best by score, the last without scores."),
    ] = "best",
    device: Annotated[str, typer.Option(help="Where the generator runs.")] = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write clips from a trained generator, or from a sampler of your own.

    [bold]vgbench sample runs/gru-hinge --out samples/gru --count 256[/]

    [bold]vgbench sample --from my_package.gan:sample --out samples/mine[/]

    [bold]vgbench sample runs/gru-hinge --fix content --grid content.gif[/]
    """
    from vgbench.training.sampling import GRID, write_grid, write_samples

    if (run is None) == (sampler is None):
        raise ConfigError("sample takes a run or --from", "such as vgbench sample runs/x --out samples")
    if out is None and grid is None:
        raise ConfigError("sample writes clips to --out, a picture of some to --grid", "give one or both")
    source = run or sampler or ""
    how: dict[str, Any] = {
        "seed": seed,
        "fps": fps,
        "frames": frames,
        "frame_step": 1 / rate,
        "label": label,
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
    with console.progress() as report:
        paths = write_samples(source, out, count, clip_format, progress=report, **how)
    typer.echo(f"{out}: {len(paths)} clips")
    console.note(f"next: vgbench eval {out} --against REAL --results results")


@app.command()
def report(
    records: RecordPaths,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder (or file) to write; terminal only without it."),
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", "-f", help="Of html, md, csv, latex, json, parquet, badges; or all.")
    ] = "html,md,csv",
    site: Annotated[
        bool, typer.Option("--site", help="Write a folder for a web server instead, with the records.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Write again whenever a record arrives, until Ctrl-C.")
    ] = False,
    primary: Annotated[
        str | None, typer.Option(help="Metric that orders the tables.", show_default=USUAL_METRIC)
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Leaderboard",
    published: Annotated[
        str | None,
        typer.Option(help="Data sets (such as ucf101,sky) or YAML files of published scores to show apart."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say in which fields the groups' signatures differ.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Rank the models of a folder of records; only equal signatures share a table.

    [bold]vgbench report results/ --output leaderboard/ --format html,md,latex[/]

    [bold]vgbench report results/ --output site/ --site --watch[/]
    """
    from vgbench.leaderboard.json_document import render_json
    from vgbench.leaderboard.published import load_published, published_lines
    from vgbench.leaderboard.ranking import explain as explain_groups
    from vgbench.leaderboard.report import changes, load_groups, require_measured, write_report
    from vgbench.leaderboard.site import write_site
    from vgbench.leaderboard.terminal import published_table, table

    order = primary or USUAL_METRIC
    wanted = [name.strip() for name in formats.split(",")]
    cited = [name.strip() for name in published.split(",")] if published else []

    def show() -> None:
        groups = load_groups(records, order)
        if primary is not None:
            require_measured(groups, primary)
        lines = published_lines(load_published(cited), groups)
        if as_json:
            console.print_json(render_json(groups, title, lines))
        else:
            console.out.print(table(groups))
            if lines:
                console.out.print(published_table(lines))
        _warn_of_changes(record for group in groups for record in group.records)
        if explain and not as_json:  # the document has them
            for field, values in explain_groups(groups).items():
                typer.echo(f"{field}: {' / '.join(values)}")
        elif not explain and len(groups) > 1:
            console.note(f"{len(groups)} signatures, ranked apart; --explain says where they differ")
        if output is None:
            return
        if site:
            console.note(f"wrote {output}: {len(write_site(records, output, order, title, cited))} files")
        else:
            for path in write_report(records, output, wanted, order, title, cited):
                console.note(f"wrote {path}")

    if site and output is None:
        raise ConfigError("--site needs a folder to write", "give --output FOLDER")
    if not watch:
        show()
        return
    if as_json:
        raise ConfigError("--watch prints more than one document, --json only one", "leave one of them out")
    console.note("watching for records; Ctrl-C ends")
    for _ in changes(records):
        try:
            show()
        except VgbenchError as error:  # a damaged record must not end the watch over the others
            console.fail(error)


@app.command()
def history(
    records: RecordPaths,
    model: Annotated[
        str | None, typer.Option("--model", "-n", help="Name of a model in the tables; all without it.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="The score that counts.", show_default=USUAL_METRIC),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show every run of one model, or of all, and what changed from each to the next.

    [bold]vgbench history results/ --model gru-hinge[/]
    """
    from vgbench.leaderboard.history import history as runs_of
    from vgbench.leaderboard.report import load_groups, require_measured
    from vgbench.leaderboard.terminal import history_table

    groups = load_groups(records, metric or USUAL_METRIC)
    if metric is not None:
        require_measured(groups, metric)
    runs = runs_of(groups, model)
    console.out.print(history_table(runs))
    _warn_of_changes(run.record for of_model in runs for run in of_model.runs)


def _warn_of_changes(records: Iterable[Record]) -> None:
    """Name the records whose content is not what was written."""
    from vgbench.records.record import CHANGED

    for code, text in dict.fromkeys(warning for record in records for warning in record.warnings):
        if code == CHANGED:
            console.warn(code, text)


@app.command()
def compare(
    baseline: Annotated[Path, typer.Argument(help="A record.")],
    others: Annotated[list[Path], typer.Argument(help="One or more others, of the same signature.")],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show the difference of each record to the first with its interval, or how their signatures differ."""
    from vgbench.leaderboard.compare import compare as compare_records
    from vgbench.leaderboard.terminal import comparison_table
    from vgbench.records.record import load_record

    first, *further = map(load_record, (baseline, *others))
    for comparison in [compare_records(first, other) for other in further]:
        console.out.print(comparison_table(comparison))
    _warn_of_changes((first, *further))


@app.command()
def gate(
    candidate: Annotated[Path, typer.Argument(help="Record to judge.")],
    baseline: Annotated[Path, typer.Option("--baseline", "-b", help="Record to judge it by.")],
    max_worse: Annotated[str, typer.Option(help="Tolerated change, such as 2% or 0.02.")] = "2%",
    metric: Annotated[str, typer.Option("--metric", "-m", help="The score that counts.")] = USUAL_METRIC,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Exit 3 when a model became worse beyond what the interval explains; for continuous integration."""
    from vgbench.leaderboard.gate import gate as judge
    from vgbench.records.record import load_record

    outcome = judge(load_record(baseline), load_record(candidate), _share(max_worse), metric)
    typer.echo(f"{outcome.verdict}: {outcome.reason}")
    raise typer.Exit(outcome.exit_code)


def _share(text: str) -> float:
    """Read 2% or 0.02; more than 1 without a percent sign would be percent meant, and all of it allowed."""
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not (0 <= number <= (sys.float_info.max if text.endswith("%") else 1)):
        raise ConfigError(
            f"--max-worse {text}: not a share",
            "write a percentage such as 2%, or a number from 0 to 1 such as 0.02",
        )
    return number / 100 if text.endswith("%") else number


@app.command()
def submit(
    record: Annotated[Path, typer.Argument(help="Record to hand in; its thumbnails lie beside it.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File ending in .zip, or a folder for it.")
    ] = Path(),
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Pack a record with its thumbnails, environment and hashes into one zip.

    [bold]vgbench submit results/my-gan.json --output my-gan.zip[/]
    """
    from vgbench.leaderboard.pack import pack

    path = pack(record, output)
    typer.echo(f"{path}: {path.stat().st_size / 1024:.0f} KiB")
    console.note(f"check it as its receiver will: vgbench verify {path} --clips GENERATED --against REAL")


@app.command()
def verify(
    submission: Annotated[Path, typer.Argument(help="Zip of `vgbench submit`, or a record.")],
    clips: Annotated[
        str | None, typer.Option("--clips", "-c", help="The generated clips; with them scores are checked.")
    ] = None,
    against: Annotated[str | None, typer.Option("--against", "-a", help="The real clips.")] = None,
    extractor: Annotated[
        str | None, typer.Option("--extractor", "-e", help="Instead of the record's, if it has no name.")
    ] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Import what the record names as package.module:Object.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Greatest difference that counts as equal, as a share of the score.")
    ] = 1e-6,
    batch_size: BatchSizeOption = "16",
    workers: Workers = 0,
    device: Device = "cpu",
    compiled: Compiled = False,
    store: Annotated[bool, typer.Option(help="Take features from earlier runs instead of anew.")] = False,
    unpack: Annotated[
        Path | None, typer.Option("--unpack", help="Results folder to put the record in if nothing differs.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check the hashes of a submission and, given the clips, every score; exit 3 when something differs.

    [bold]vgbench verify my-gan.zip --clips samples/ --against real/[/]
    """
    from vgbench.extractors.batch_size import parse_batch_size
    from vgbench.leaderboard.pack import unpack_checked
    from vgbench.leaderboard.terminal import verification_table
    from vgbench.leaderboard.verification import read_submission
    from vgbench.leaderboard.verification import verify as verify_record

    if as_json:
        console.verbosity.quiet = True
    record = read_submission(submission)
    if unpack is not None and submission.suffix == ".json":
        raise ConfigError("--unpack takes a record out of a pack", "copy the record, or see vgbench submit")
    with _feature_store(kept=store) as features, console.progress() as report:
        found = verify_record(
            record,
            clips,
            against,
            extractor=extractor,
            allow_code=allow_code,
            tolerance=tolerance,
            batch_size=parse_batch_size(batch_size),
            workers=workers,
            device=device,
            compiled=compiled,
            store=features,
            progress=report,
        )
    if unpack is not None and found.holds:
        console.note(f"wrote {unpack_checked(submission, unpack)}")
    if as_json:
        console.print_json(found.as_dict())
        raise typer.Exit(found.exit_code)
    if found.metrics:
        console.out.print(verification_table(found))
    for problem in found.problems:
        typer.echo(problem)
    typer.echo(f"{record.model}: {found.verdict}")
    raise typer.Exit(found.exit_code)


@app.command()
def audit(
    real: RealClips,
    protocol: ProtocolName = "quick",
    metrics: MetricNames = None,
    extractor: ExtractorName = None,
    distortions: Annotated[
        str | None, typer.Option(help="Comma-separated; all of them by default, see docs/audit.md.")
    ] = None,
    strengths: Annotated[str, typer.Option(help="Comma-separated, above 0 and at most 1.")] = (
        "0.2,0.4,0.6,0.8,1"
    ),
    clips: Annotated[int, typer.Option("--clips", "-n", min=2, help="Windows a side.")] = 64,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for audit.html and audit.json.")
    ] = None,
    batch_size: BatchSizeOption = "16",
    workers: Workers = 0,
    device: Device = "cpu",
    compiled: Compiled = False,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Damage real clips by known amounts and show which metrics notice, and which do not.

    [bold]vgbench audit real/ --output audit/[/]

    [bold]vgbench audit real/ -m fvd,kvd -e i3d-k400 --distortions blur,freeze,memorise --clips 256[/]

    [bold]vgbench audit real/ -m all --strengths 0.33,0.67,1[/]
    """
    from vgbench.audit.halves import ALL_DISTORTIONS
    from vgbench.audit.result import write_audit
    from vgbench.audit.run import audit as run_audit
    from vgbench.audit.terminal import audit_tables
    from vgbench.extractors.batch_size import parse_batch_size

    if as_json:
        console.verbosity.quiet = True
    with _feature_store(kept=True) as features, console.progress() as report:
        result = run_audit(
            real,
            protocol,
            _metric_names(metrics),
            extractor,
            distortions=[n.strip() for n in distortions.split(",")] if distortions else ALL_DISTORTIONS,
            strengths=_numbers("--strengths", strengths),
            clips=clips,
            settings=settings or (),
            batch_size=parse_batch_size(batch_size),
            workers=workers,
            device=device,
            compiled=compiled,
            store=features,
            progress=report,
        )
    written = write_audit(result, output) if output is not None else []
    if as_json:
        console.print_json(result.to_json())
        return
    console.out.print(audit_tables(result))
    for entry in result.omitted:
        console.warn("left-out", str(entry))
    for code, text in result.warnings:
        console.warn(code, text)
    for path in written:
        console.note(f"wrote {path}")
    console.note("features are stored: the same command with more strengths or metrics computes only those")


def _numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"{flag} {text}: not numbers with commas between them") from error


@app.command()
def bench(
    suite: Annotated[
        Path, typer.Argument(help="YAML file, see docs/benchmark.md; the shipped ones lie in the checkout.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option("--data", "-d", metavar="NAME=PATH", help="Where a data set is; repeatable."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Stop cleanly after so long; the same command goes on.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Rows at once, a process each.")] = 1,
    work: Annotated[
        Path | None, typer.Option("--work", help="Folder for runs and clips; bench/SUITE by default.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Folder for records and tables.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; do nothing.")] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="With --dry-run: time a few steps of each model too.")
    ] = False,
    settings: Settings = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train, sample, score and rank a whole grid; stop and go on at any point.

    [bold]vgbench bench suites/smoke.yaml[/]

    [bold]vgbench bench suites/reference-cpu.yaml --jobs 2 --minutes 150 --data mocogan-shapes=PATH[/]
    """
    from vgbench.bench.run import describe, estimate, make_plan, measure_steps, require_something, run_plan
    from vgbench.bench.suite import read_suite

    plan = make_plan(read_suite(suite, settings, data), work, results)
    if plan.tasks and (measure or not dry_run):
        with console.progress() as report:
            plan = measure_steps(plan, jobs, report)
    if dry_run:
        for name, text in describe(plan):
            typer.echo(f"{name:<48}{text}")
        typer.echo(f"# {estimate(plan, jobs)}")
        return
    require_something(plan)
    console.note(estimate(plan, jobs))
    try:
        with console.bench_panel() as show:
            ending = run_plan(plan, jobs, minutes, show)
    except KeyboardInterrupt:
        console.note("stopped; the same command goes on")
        raise
    for path in ending.written:
        typer.echo(str(path))
    for name, count in plan.missing.items():
        console.warn("left-out", f"{count} rows need --data {name}=PATH")
    for trace in ending.traces.values():
        console.note(trace)
    if ending.left:
        console.note(f"{ending.left} rows are left; the same command goes on")
    if ending.failed:
        raise VgbenchError(
            "; ".join(f"{name}: {reason}" for name, reason in ending.failed.items()),
            "the other rows are not concerned; the same command tries these again",
        )


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")] = "all",
    names: Annotated[
        list[str] | None, typer.Argument(help="With models: only these, such as gru-hinge.")
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="Time a training step of each model, within 20 s each."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List what exists: names to use in commands and configs."""
    from vgbench.commands.listing import catalogue

    with console.progress() as report:
        sections = catalogue(kind, measure, names or (), report)
    if as_json:
        console.print_json({section: dict(entries) for section, entries in sections.items()})
        return
    for section, entries in sections.items():
        console.out.print(f"[bold]{section}[/]")
        width = max((len(name) for name, _ in entries), default=0)
        for name, text in entries:
            console.out.print(f"  {name:<{width}}  {text}", markup=False)


weights = typer.Typer(no_args_is_help=True, help="List, fetch, add and verify the weights of extractors.")
app.add_typer(weights, name="weights")


WeightsName = Annotated[str, typer.Argument(help="Name (see `vgbench weights list`).")]


@weights.command("list")
def weights_list(as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """List known weights: which of them the cache has, size, licence, hash and source."""
    from dataclasses import asdict

    from vgbench.extractors.weights.registry import REGISTRY, list_cached

    cached = list_cached()
    if as_json:
        facts = {name: {"path": str(path) if path else None} for name, path in cached.items()}
        console.print_json({name: fact | asdict(REGISTRY[name]) for name, fact in facts.items()})
        return
    for name, path in cached.items():
        entry = REGISTRY[name]
        size = f"{entry.size / 1e6:.0f} MB" if entry.size else "size not known"
        published = f"sha256 {entry.sha256}" if entry.sha256 else f"git blob {entry.git_blob}"
        known = published if entry.has_public_hash else "no public hash: the first file is trusted"
        typer.echo(f"{name:<24}{'here' if path else '-':<6}{entry.summary}")
        typer.echo(f"{'':<30}{size}, licence: {entry.licence}, {known}")
        typer.echo(f"{'':<30}{' '.join(entry.urls)}")


@weights.command("fetch")
def weights_fetch(
    name: WeightsName,
    trust: Annotated[bool, typer.Option("--trust", help="Accept TorchScript, which is a program.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Bring weights into the cache from their publisher; checks their hash, runs none of their code."""
    from vgbench.extractors.weights.registry import fetch

    with console.progress() as report:
        path = fetch(name, console.note, report, trust=trust)
    typer.echo(str(path))


@weights.command("add")
def weights_add(
    name: WeightsName,
    path: Annotated[Path, typer.Argument(help="The file, as its publisher gives it.")],
    trust: Annotated[
        bool, typer.Option("--trust", help="Accept TorchScript, which is a program, or an unknown hash.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Put a weights file that you have into the cache."""
    from vgbench.extractors.weights.registry import add

    typer.echo(str(add(name, path, trust=trust)))


@weights.command("verify")
def weights_verify(
    name: Annotated[str | None, typer.Argument(help="All that the cache has, without a name.")] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check cached weights against their hashes."""
    from vgbench.extractors.weights.registry import list_cached, verify

    for entry in [name] if name else [entry for entry, path in list_cached().items() if path]:
        typer.echo(f"{entry}: {verify(entry)}")


stats = typer.Typer(no_args_is_help=True, help="Publish what scores need of a real set as one file.")
app.add_typer(stats, name="stats")


@stats.command("export")
def stats_export(
    real: RealClips,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, ending in .safetensors.")],
    protocol: ProtocolName = "quick",
    metrics: MetricNames = None,
    extractor: ExtractorName = None,
    batch_size: BatchSizeOption = "16",
    workers: Workers = 0,
    device: Device = "cpu",
    compiled: Compiled = False,
    settings: Settings = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the statistics of a real set; score against them with `vgbench eval CLIPS --against FILE`."""
    from vgbench.evaluation.evaluate import export_statistics
    from vgbench.extractors.batch_size import parse_batch_size

    with console.progress() as report:
        path = export_statistics(
            real,
            output,
            protocol,
            _metric_names(metrics),
            extractor,
            settings=settings or (),
            batch_size=parse_batch_size(batch_size),
            workers=workers,
            device=device,
            compiled=compiled,
            lenient=metrics == ALL_METRICS,
            warn=console.warn,
            progress=report,
        )
    typer.echo(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")


data_ = typer.Typer(no_args_is_help=True, help="Look at clips, and check downloaded data sets.")
app.add_typer(data_, name="data")


@data_.command("inspect")
def data_inspect(
    source: Annotated[str, typer.Argument(help="Clips in any form that eval takes.")],
    decode: Annotated[bool, typer.Option("--decode", help="Decode every frame; finds all damage.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Count clips, classes, frames, sizes and frame rates, and name the bad clips."""
    import dataclasses

    from vgbench.datasets.inspect import inspect_source

    with console.progress() as report:
        found = inspect_source(source, decode=decode, progress=report)
    if as_json:
        console.print_json(dataclasses.asdict(found))
        return
    for line in found.lines():
        typer.echo(line)


@data_.command("prepare")
def data_prepare(
    name: Annotated[str, typer.Argument(help="ucf101, kth, weizmann, sky, faceforensics or taichi.")],
    folder: Annotated[Path, typer.Argument(help="Where the unpacked files are.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the manifests; FOLDER by default.")
    ] = None,
    split: Annotated[int, typer.Option(min=1, help="Official split, where a set has several.")] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 unless the copy is whole.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check a downloaded data set and write train.csv and test.csv; copies and converts nothing."""
    from vgbench.datasets.prepare import prepare

    done = prepare(name, folder, output, split)
    for side, path in done.manifests.items():
        typer.echo(f"{path}: {done.counts[side]} of {done.expected[side]} clips")
    for problem in done.problems:
        console.warn("incomplete", problem)
    if done.problems and strict:
        raise typer.Exit(EXIT_SKIPPED_UNDER_STRICT)


cache = typer.Typer(no_args_is_help=True, help="Look at and bound the feature store.")
app.add_typer(cache, name="cache")


@cache.command("info")
def cache_info(as_json: AsJson = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show where stored features live and how much room they take."""
    from vgbench.evaluation.feature_store import FeatureStore

    store = FeatureStore()
    segments = store.segments()
    size = sum(entry[1] for entry in segments)
    if as_json:
        limit = {"limit_bytes": store.limit_bytes}
        console.print_json({"folder": str(store.folder), "files": len(segments), "bytes": size, **limit})
    else:
        limit_text = f"at most {store.limit_bytes / 2**30:g} GiB are kept"
        typer.echo(f"{store.folder}: {len(segments)} files, {size / 2**20:.1f} MiB; {limit_text}")


@cache.command("prune")
def cache_prune(
    max_gigabytes: Annotated[
        float | None, typer.Option("--max-size", min=0, help="GiB to keep, the most recently used.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all stored features.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove the least recently used features until the store fits, or all of them."""
    from vgbench.evaluation.feature_store import FeatureStore

    if (max_gigabytes is None) != everything:
        raise ConfigError("cache prune takes either --max-size or --all", "such as --max-size 5, in GiB")
    if not math.isfinite(keep := max_gigabytes or 0.0):
        raise ConfigError(f"--max-size {keep}: must be a number of GiB", "for example 5")
    files, freed = FeatureStore().prune(int(keep * 2**30))
    typer.echo(f"removed {files} files, {freed / 2**20:.1f} MiB")


def main() -> None:
    """Run the program; turn every error into one screen and an exit code."""
    try:
        code = app(standalone_mode=False)
        if sys.stdout is not None:  # a process without one, such as a service
            sys.stdout.flush()
    except VgbenchError as error:
        code = console.fail(error)
    except (KeyboardInterrupt, typer.Abort):
        console.err.print("interrupted; the same command again continues", style="yellow")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = _reader_left()
    except SystemExit as ended:  # what rich and the command line parser make of a broken pipe
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        code = _reader_left()
    except OSError as error:
        code = console.fail_on_disk(error)
    except Exception as error:  # noqa: BLE001  the last line of defence
        show = getattr(error, "show", None)
        if callable(show):  # a usage error of the command line parser
            show()
            code = getattr(error, "exit_code", 2)
        else:
            code = console.crash(error)
    sys.exit(code if isinstance(code, int) else EXIT_OK)


def _reader_left() -> int:
    """End in peace when the reader of a pipe has left, for example `| head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK
