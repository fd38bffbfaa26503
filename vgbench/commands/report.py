"""The commands that work on records: report, history, compare, gate, submit, verify."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgbench.commands import console, options, panels, printing
from vgbench.errors import ConfigError, VgbenchError


def report(
    records: options.RecordPaths,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder (or file) to write; without it, only print the tables."),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="Formats separated by commas: html, md, csv, latex, json, parquet, badges; or 'all'.",
        ),
    ] = "html,md,csv",
    site: Annotated[
        bool,
        typer.Option("--site", help="Write a static web site instead, with the records for download."),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Update whenever a record arrives, until Ctrl-C.")
    ] = False,
    primary: Annotated[
        str | None, typer.Option(help="Metric that orders the tables.", show_default=options.USUAL_METRIC)
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Leaderboard",
    published: Annotated[
        str | None,
        typer.Option(
            help="Published scores to show in a table of their own: data sets, such as ucf101,sky, or YAML "
            "files."
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print the fields in which the groups' signatures differ.")
    ] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Rank models by their records; only records with equal signatures share a table.

    [bold]vgbench report results/ --output leaderboard/ --format html,md,latex[/]

    [bold]vgbench report results/ --output site/ --site --watch[/]
    """
    from vgbench.leaderboard.report import changes, write_report
    from vgbench.leaderboard.site import write_site

    cited, order = options.names(published), primary or options.USUAL_METRIC

    def update() -> None:
        _print_tables(records, primary, title, cited, explain, as_json)
        if output is None:
            return
        if site:
            console.print_hint(
                f"wrote {output}: {len(write_site(records, output, order, title, cited))} files"
            )
        else:
            for path in write_report(records, output, options.names(formats), order, title, cited):
                console.print_hint(f"wrote {path}")

    if site and output is None:
        raise ConfigError("--site needs a folder to write", "give --output FOLDER")
    if not watch:
        update()
        return
    if as_json:
        raise ConfigError("--watch prints more than one document, --json only one", "leave one of them out")
    console.print_hint("watching for records until Ctrl-C")
    for _ in changes(records):
        try:
            update()
        except VgbenchError as error:  # a damaged record must not end the watch over the others
            console.print_error(error)


def _print_tables(
    records: list[Path], primary: str | None, title: str, cited: list[str], explain: bool, as_json: bool
) -> None:
    """Print the tables of all signatures, and warn of records that were changed."""
    from vgbench.leaderboard.json_document import render_json
    from vgbench.leaderboard.published import load_published, published_lines
    from vgbench.leaderboard.ranking import explain as differing_fields
    from vgbench.leaderboard.report import load_groups, require_measured
    from vgbench.leaderboard.terminal import leaderboard_tables, published_table

    groups = load_groups(records, primary or options.USUAL_METRIC)
    if primary is not None:
        require_measured(groups, primary)
    lines = published_lines(load_published(cited), groups)
    if as_json:
        console.print_json(render_json(groups, title, lines))
    else:
        console.stdout.print(leaderboard_tables(groups))
        if lines:
            console.stdout.print(published_table(lines))
    printing.print_changed_records(record for group in groups for record in group.records)
    if explain and not as_json:  # the document has them
        for field, values in differing_fields(groups).items():
            typer.echo(f"{field}: {' / '.join(values)}")
    elif not explain and len(groups) > 1:
        console.print_hint(f"{len(groups)} signatures, each ranked apart; --explain shows how they differ")


def history(
    records: options.RecordPaths,
    model: Annotated[
        str | None, typer.Option("--model", "-n", help="Name of one model; all models by default.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="Metric to compare.", show_default=options.USUAL_METRIC),
    ] = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show every run of one model, or of all models, and what changed from each run to the next.

    [bold]vgbench history results/ --model gru-hinge[/]
    """
    from vgbench.leaderboard.history import history as runs_of
    from vgbench.leaderboard.report import load_groups, require_measured
    from vgbench.leaderboard.terminal import history_table

    groups = load_groups(records, metric or options.USUAL_METRIC)
    if metric is not None:
        require_measured(groups, metric)
    runs = runs_of(groups, model)
    console.stdout.print(history_table(runs))
    printing.print_changed_records(run.record for of_model in runs for run in of_model.runs)


def compare(
    baseline: Annotated[Path, typer.Argument(metavar="RECORD", help="Record to compare with.")],
    others: Annotated[
        list[Path], typer.Argument(metavar="OTHERS", help="One or more records with the same signature.")
    ],
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show how each record differs from the first, with intervals; or how their signatures differ."""
    from vgbench.leaderboard.comparison import compare as compare_records
    from vgbench.leaderboard.terminal import comparison_table
    from vgbench.records.record import load_record

    first, *further = map(load_record, (baseline, *others))
    for comparison in [compare_records(first, other) for other in further]:
        console.stdout.print(comparison_table(comparison))
    printing.print_changed_records((first, *further))


def gate(
    candidate: Annotated[Path, typer.Argument(metavar="RECORD", help="Record to judge.")],
    baseline: Annotated[Path, typer.Option("--baseline", "-b", help="Record to compare it with.")],
    max_worse: Annotated[
        str, typer.Option(help="Change for the worse that is accepted, such as 2% or 0.02.")
    ] = "2%",
    metric: Annotated[str, typer.Option("--metric", "-m", help="Metric to compare.")] = options.USUAL_METRIC,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Exit with code 3 if a model got worse by more than is accepted and by more than chance explains.

    [bold]vgbench gate results/new.json --baseline results/old.json --max-worse 2%[/]
    """
    from vgbench.leaderboard.gate import gate as judge
    from vgbench.records.record import load_record

    outcome = judge(load_record(baseline), load_record(candidate), _share(max_worse), metric)
    typer.echo(f"{outcome.verdict}: {outcome.reason}")
    raise typer.Exit(outcome.exit_code)


def _share(text: str) -> float:
    """Read 2% or 0.02. More than 1 without a percent sign is an error: it was surely meant in percent."""
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


def submit(
    record: Annotated[
        Path, typer.Argument(metavar="RECORD", help="Record to submit, with its thumbnails beside it.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write, ending in .zip, or a folder for it.")
    ] = Path(),
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Pack a record with its thumbnails, environment and hashes into one zip file.

    [bold]vgbench submit results/my-gan.json --output my-gan.zip[/]
    """
    from vgbench.leaderboard.submission import write_submission

    path = write_submission(record, output)
    typer.echo(f"{path}: {path.stat().st_size / 1024:.0f} KiB")
    console.print_hint(f"check it as its receiver will: vgbench verify {path} --clips CLIPS --against REAL")


def verify(
    submission: Annotated[
        Path, typer.Argument(metavar="SUBMISSION", help="File of `vgbench submit`, or a record.")
    ],
    clips: Annotated[
        str | None,
        typer.Option("--clips", "-c", help="Generated clips; with them, the scores are computed again."),
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", "-a", metavar="REAL", help="Real clips.")
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            "--extractor",
            "-e",
            help="Extractor to use if the record was made with an object that has no name.",
        ),
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Import code that the record names as package.module:Object, and run it."
        ),
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option(min=0, help="Largest difference that counts as equal, as a share of the score."),
    ] = 1e-6,
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    batch_size: options.BatchSizeOption = "16",
    workers: options.Workers = 0,
    device: options.Device = "cpu",
    compiled: options.Compiled = False,
    store: options.UseStore = False,
    unpack: Annotated[
        Path | None,
        typer.Option("--unpack", help="Results folder to put the record in if nothing differs."),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check the hashes of a submission and, given the clips, every score; exit with code 3 if any differs.

    [bold]vgbench verify my-gan.zip --clips samples/ --against real/[/]
    """
    from vgbench.leaderboard.submission import read_submitted, unpack_submission
    from vgbench.leaderboard.terminal import verification_table
    from vgbench.leaderboard.verification import verify as verify_record

    record = read_submitted(submission)
    if unpack is not None and submission.suffix == ".json":
        raise ConfigError("--unpack takes a record out of a submission; this is a record", "copy the file")
    with options.feature_store(store) as features, panels.progress() as progress:
        found = verify_record(
            record,
            clips,
            against,
            extractor=extractor,
            allow_code=allow_code,
            value_range=options.value_range(value_range),
            axes=axes,
            tolerance=tolerance,
            **options.execution(batch_size, workers, device, compiled, progress, features),
        )
    if unpack is not None and found.holds:
        written = unpack_submission(submission, unpack)
        console.print_hint(f"wrote {written}")
        _warn_of_namesakes(written)
    if as_json:
        console.print_json(found.as_dict())
        raise typer.Exit(found.exit_code)
    if found.metrics:
        console.stdout.print(verification_table(found))
    for problem in found.problems:
        typer.echo(problem)
    typer.echo(f"{record.model}: {found.verdict}")
    raise typer.Exit(found.exit_code)


def _warn_of_namesakes(path: Path) -> None:
    """Say so if the folder of a record has others of the same model, because tables show only the latest."""
    from vgbench.leaderboard.report import load_groups
    from vgbench.leaderboard.table import replaced

    for group in load_groups([path.parent]):
        for row in group.rows:
            if row.history and path in row.paths:
                console.print_warning("same-model", f"{row.model}: {replaced(row)}")
