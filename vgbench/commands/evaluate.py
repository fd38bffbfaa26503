"""The commands that score clips: eval, paired, audit, stats export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vgbench.commands import console, options, panels, printing
from vgbench.distributed import launched_world

if TYPE_CHECKING:
    from vgbench.clips.clip import ClipSource
    from vgbench.protocol import Protocol


def eval_(
    generated: Annotated[
        str,
        typer.Argument(
            metavar="CLIPS",
            help="Generated clips: a folder, video, array file, archive, manifest (.csv, .jsonl), URL, "
            "builtin:NAME, distort:NAME=STRENGTH:CLIPS or module:object; see docs/clips.md.",
        ),
    ],
    against: Annotated[
        str,
        typer.Option(
            "--against",
            "-a",
            metavar="REAL",
            help="Real clips, in any of these forms, or a file written by `vgbench stats export`.",
        ),
    ],
    protocol: options.ProtocolName = "quick",
    metrics: options.MetricNames = None,
    extractor: options.ExtractorName = None,
    name: options.ModelName = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Folder to save the record and its thumbnails in.")
    ] = None,
    role: Annotated[
        Literal["real", "control"] | None,
        typer.Option("--role", help="Show the record as an unranked reference row in tables."),
    ] = None,
    meta: options.Meta = None,
    layout: options.Layout = "auto",
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    fps: options.FramesPerSecond = None,
    over_time: Annotated[
        int | None,
        typer.Option(
            "--over-time",
            metavar="STEP",
            min=1,
            help="Score long clips as a curve over time: cut one window from every clip at each multiple "
            "of STEP frames.",
        ),
    ] = None,
    batch_size: options.BatchSizeOption = "16",
    workers: options.Workers = 0,
    device: options.Device = "cpu",
    compiled: options.Compiled = False,
    store: options.UseStore = True,
    strict: options.Strict = False,
    sharded: Annotated[
        bool,
        typer.Option(
            "--sharded",
            help="Under torchrun: each rank has generated clips of its own, such as its part of the samples "
            "on its own disk; score all of them as one set.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the resolved protocol and count the clips; score nothing."),
    ] = False,
    settings: options.ProtocolSettings = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Score generated clips against real ones.

    [bold]vgbench eval samples/ --against real/[/]

    [bold]vgbench eval samples/ -a builtin:moving-shapes/test -m fvd,kvd --json[/]

    [bold]vgbench eval long/ -a real/ --over-time 16[/]

    [bold]torchrun --nproc-per-node 2 -m vgbench eval samples/ -a s3://bucket/real[/]
    """
    from functools import partial

    from vgbench.clips import open_source
    from vgbench.evaluation.choices import resolve_protocol
    from vgbench.evaluation.evaluate import evaluate
    from vgbench.evaluation.over_time import evaluate_over_time
    from vgbench.evaluation.statistics_file import is_statistics

    plan = resolve_protocol(protocol, options.metric_names(metrics), extractor, settings or ())
    facts = options.meta(meta)
    span = options.value_range(value_range)
    sides = {
        side: spec
        if is_statistics(spec)
        else open_source(spec, layout=layout, value_range=span, axes=axes, fps=fps)
        for side, spec in (("generated", generated), ("real", against))
    }
    for source in sides.values():
        printing.print_notes(source)
    if dry_run:
        _print_dry_run(plan, sides, as_json)
        return
    with options.feature_store(store) as features, panels.progress() as progress:
        score = evaluate if over_time is None else partial(evaluate_over_time, step=over_time)
        found = score(
            sides["generated"],
            sides["real"],
            protocol=plan,
            name=name,
            results=results,
            strict=strict,
            lenient=metrics == options.ALL_METRICS,
            sharded=sharded,
            details=({"role": role} if role else {}) | ({"meta": facts} if facts else {}),
            **options.execution(batch_size, workers, device, compiled, progress, features),
        )
    if not launched_world().is_main:
        return
    if isinstance(found, dict):
        printing.print_curve(found, as_json)
        return
    if batch_size == "auto":
        console.print_hint(f"batch size {found.environment['batch_size']}")
    printing.print_record(found, results, as_json)


def _print_dry_run(plan: Protocol, sides: Mapping[str, ClipSource | str], as_json: bool) -> None:
    """Print what an evaluation would use: its protocol, and the clips or the statistics file of each side."""
    from vgbench.clips.suffixes import describe
    from vgbench.config import to_yaml

    if as_json:
        found = {
            side: {"statistics": source}
            if isinstance(source, str)
            else {
                "source": source.name,
                "clips": len(source.clips),
                "skipped": len(source.skipped),
                "left_out": dict(source.left_out),
            }
            for side, source in sides.items()
        }
        console.print_json({"protocol": plan.model_dump(mode="json"), **found})
        return
    typer.echo(to_yaml(plan), nl=False)
    for side, source in sides.items():
        if isinstance(source, str):
            typer.echo(f"# {side}: statistics file {source}")
        else:
            counts = f"{len(source.clips)} clips, {len(source.skipped)} cannot be read"
            counts += f"; {describe(source.left_out)}" if source.left_out else ""
            typer.echo(f"# {side}: {source.name}: {counts}")


def paired(
    generated: Annotated[
        str,
        typer.Argument(
            metavar="CLIPS", help="Predicted or reconstructed clips, in any form that `vgbench eval` takes."
        ),
    ],
    against: Annotated[
        str,
        typer.Option(
            "--against",
            "-a",
            metavar="CLIPS",
            help="Reference clips; each one is compared with the clip of the same file name, suffix aside.",
        ),
    ],
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics",
            "-m",
            show_default="psnr,ssim,tof",
            help="Names separated by commas: psnr, ssim, ms_ssim, strred, tof, lpips, tlp; or 'all'.",
        ),
    ] = None,
    skip: Annotated[
        int,
        typer.Option(
            min=0,
            help="Frames to leave out at the start of both clips, such as those that the model was given.",
        ),
    ] = 0,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Frames to score after those; by default all, and then both clips must be equally long.",
        ),
    ] = None,
    name: options.ModelName = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Folder to save the record in.")
    ] = None,
    layout: options.Layout = "auto",
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    workers: options.Workers = 0,
    device: options.Device = "cpu",
    strict: options.Strict = False,
    settings: options.ProtocolSettings = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Score predicted or reconstructed clips, each against its reference clip.

    [bold]vgbench paired predictions/ --against truth/ --skip 5[/]

    [bold]vgbench paired rebuilt/ -a truth/ -m psnr,lpips,tlp --set resize.fit=crop --set resize.size=64[/]
    """
    from vgbench.clips import open_source
    from vgbench.evaluation.paired import evaluate_pairs, plan_pairs

    if not launched_world().is_main:  # one process does all of the work
        return
    span = options.value_range(value_range)
    plan = plan_pairs(metrics, skip, frames, settings or ())
    clips, references = (
        open_source(spec, layout=layout, value_range=span, axes=axes) for spec in (generated, against)
    )
    for source in (clips, references):
        printing.print_notes(source)
    with panels.progress() as progress:
        record = evaluate_pairs(
            clips,
            references,
            plan,
            name=name,
            results=results,
            workers=workers,
            device=device,
            strict=strict,
            progress=progress,
        )
    printing.print_record(record, results, as_json)


def audit(
    real: options.RealClips,
    protocol: options.ProtocolName = "quick",
    metrics: options.MetricNames = None,
    extractor: options.ExtractorName = None,
    distortions: Annotated[
        str | None,
        typer.Option(
            help="Names separated by commas (see `vgbench list distortions` and docs/audit.md); all by "
            "default."
        ),
    ] = None,
    strengths: Annotated[
        str, typer.Option(help="Numbers separated by commas, above 0 and at most 1.")
    ] = "0.2,0.4,0.6,0.8,1",
    clips: Annotated[int, typer.Option("--clips", "-n", min=2, help="Windows per side.")] = 64,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for audit.html and audit.json.")
    ] = None,
    layout: options.Layout = "auto",
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    fps: options.FramesPerSecond = None,
    batch_size: options.BatchSizeOption = "16",
    workers: options.Workers = 0,
    device: options.Device = "cpu",
    compiled: options.Compiled = False,
    settings: options.ProtocolSettings = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Damage real clips by known amounts, and show which metrics notice the damage and which do not.

    [bold]vgbench audit real/ --output audit/[/]

    [bold]vgbench audit real/ -m fvd,kvd -e i3d-k400 --distortions blur,freeze,memorise --clips 256[/]

    [bold]vgbench audit real/ -m all --strengths 0.33,0.67,1[/]
    """
    from vgbench.audit.halves import ALL_DISTORTIONS
    from vgbench.audit.page import write_audit
    from vgbench.audit.run import audit as audit_metrics
    from vgbench.audit.terminal import audit_tables
    from vgbench.clips import open_source

    with options.feature_store(use=True) as features, panels.progress() as progress:
        result = audit_metrics(
            open_source(
                real, layout=layout, value_range=options.value_range(value_range), axes=axes, fps=fps
            ),
            protocol,
            options.metric_names(metrics),
            extractor,
            distortions=options.names(distortions) or ALL_DISTORTIONS,
            strengths=options.numbers("--strengths", strengths),
            clips=clips,
            settings=settings or (),
            **options.execution(batch_size, workers, device, compiled, progress, features),
        )
    if not launched_world().is_main:
        return
    written = write_audit(result, output) if output is not None else []
    if as_json:
        console.print_json(result.to_json())
        return
    console.stdout.print(audit_tables(result))
    for entry in result.omitted:
        console.print_warning("left-out", str(entry))
    for code, text in result.warnings:
        console.print_warning(code, text)
    for path in written:
        console.print_hint(f"wrote {path}")
    console.print_hint("the features are stored: with more strengths or metrics, only new ones are computed")


stats = typer.Typer(no_args_is_help=True, help="Publish the statistics of a real set as one file.")


@stats.command("export")
def export(
    real: options.RealClips,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, ending in .safetensors.")],
    protocol: options.ProtocolName = "quick",
    metrics: options.MetricNames = None,
    extractor: options.ExtractorName = None,
    layout: options.Layout = "auto",
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    fps: options.FramesPerSecond = None,
    batch_size: options.BatchSizeOption = "16",
    workers: options.Workers = 0,
    device: options.Device = "cpu",
    compiled: options.Compiled = False,
    settings: options.ProtocolSettings = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write what scoring needs to know of a real set; use it with `vgbench eval CLIPS --against FILE`."""
    from vgbench.clips import open_source
    from vgbench.evaluation.evaluate import export_statistics

    with panels.progress() as progress:
        path = export_statistics(
            open_source(
                real, layout=layout, value_range=options.value_range(value_range), axes=axes, fps=fps
            ),
            output,
            protocol,
            options.metric_names(metrics),
            extractor,
            settings=settings or (),
            lenient=metrics == options.ALL_METRICS,
            warn=console.print_warning,
            **options.execution(batch_size, workers, device, compiled, progress),
        )
    if not launched_world().is_main:
        return
    typer.echo(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
