"""The commands. Each parses its options, calls one function of the library and prints; no logic lives here.

Heavy imports (torch, pandas) happen inside the commands, so that `vgbench --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vgbench import __version__, console
from vgbench.errors import EXIT_INTERRUPTED, EXIT_OK, ConfigError, VgbenchError

if TYPE_CHECKING:
    from vgbench.results import Record

app = typer.Typer(
    name="vgbench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train reference video GANs, score folders of clips, publish leaderboards that others can trust.",
    epilog="Exit codes: 0 done, 1 internal error, 2 bad input or usage, 3 clips skipped under --strict or a "
    "regression found by gate, 130 interrupted.",
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
    generated: Annotated[str, typer.Argument(help="Folder, archive, URL, array file or builtin:NAME.")],
    against: Annotated[str, typer.Option("--against", "-a", help="The real clips, in any of these forms.")],
    protocol: Annotated[
        str, typer.Option("--protocol", "-p", help="Name (see `vgbench list protocols`) or YAML file.")
    ] = "quick",
    metrics: Annotated[
        str | None, typer.Option("--metrics", "-m", help="Instead of the protocol's, comma-separated.")
    ] = None,
    extractor: Annotated[
        str | None, typer.Option("--extractor", "-e", help="Instead of the protocol's.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="The model's name in tables.")] = None,
    results: Annotated[
        Path | None, typer.Option("--results", "-r", help="Folder to save the record and thumbnails in.")
    ] = None,
    role: Annotated[
        str | None, typer.Option("--role", help="'real' or 'control': listed in tables without a rank.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Does not change scores.")] = 16,
    workers: Annotated[int, typer.Option(min=0, help="Decoding processes. Does not change scores.")] = 0,
    device: Annotated[str, typer.Option(help="Where the extractor runs.")] = "cpu",
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

    [bold]torchrun --nproc-per-node 2 -m vgbench eval samples/ -a s3://bucket/real[/]
    """
    import contextlib
    import tempfile

    from vgbench.evaluation import evaluate, resolve_protocol
    from vgbench.features import FeatureStore

    chosen = _split(metrics)
    if role not in (None, "real", "control"):
        raise ConfigError(f"--role {role}: not known", "use real or control")
    if dry_run:
        _dry_run(resolve_protocol(protocol, chosen, extractor, settings or ()), generated, against)
        return
    if as_json:
        console.verbosity.quiet = True
    with contextlib.ExitStack() as stack:
        feature_store = None
        if not store:
            feature_store = FeatureStore(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        report = stack.enter_context(console.progress())
        record = evaluate(
            generated,
            against,
            protocol,
            chosen,
            extractor,
            name,
            results,
            settings=settings or (),
            batch_size=batch_size,
            workers=workers,
            device=device,
            store=feature_store,
            strict=strict,
            details={"role": role} if role else None,
            progress=report,
        )
    if int(os.environ.get("RANK", "0")) == 0:
        _print_record(record, results, as_json)


def _split(names: str | None) -> list[str] | None:
    """Split at commas outside parentheses: `fvd,prdc(k=3)`."""
    import re

    return [part.strip() for part in re.split(r",(?![^(]*\))", names) if part.strip()] if names else None


def _dry_run(plan: Any, generated: str, against: str) -> None:
    from vgbench.clips import open_source
    from vgbench.config import to_yaml

    typer.echo(to_yaml(plan), nl=False)
    for side, where in (("generated", generated), ("real", against)):
        source = open_source(where)
        typer.echo(f"# {side}: {source.name}: {len(source.clips)} clips, {len(source.skipped)} not readable")


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
    for side in (record.clips.generated, record.clips.real):
        for entry in side.skipped[:5]:
            console.warn("skipped", f"{entry.path}: {entry.reason}")
        if len(side.skipped) > 5:
            console.warn("skipped", f"… and {len(side.skipped) - 5} more, named in the record")
    if results is not None:
        console.note(f"compare: vgbench report {results}")


cache = typer.Typer(no_args_is_help=True, help="Look at and bound the feature store.")
app.add_typer(cache, name="cache")


@cache.command("info")
def cache_info(as_json: AsJson = False) -> None:
    """Show where stored features live and how much room they take."""
    from vgbench.features import FeatureStore

    store = FeatureStore()
    segments = store.segments()
    size = sum(entry[1] for entry in segments)
    if as_json:
        console.print_json({"folder": str(store.folder), "files": len(segments), "bytes": size})
    else:
        typer.echo(f"{store.folder}: {len(segments)} files, {size / 2**20:.1f} MiB")


@cache.command("prune")
def cache_prune(
    max_gigabytes: Annotated[float, typer.Option("--max-size", min=0, help="GiB to keep.")] = 0.0,
) -> None:
    """Remove the least recently used features until the store fits; by default all of them."""
    from vgbench.features import FeatureStore

    files, freed = FeatureStore().prune(int(max_gigabytes * 2**30))
    typer.echo(f"removed {files} files, {freed / 2**20:.1f} MiB")


def main() -> None:
    """Run the program; turn every error into one screen and an exit code."""
    try:
        code = app(standalone_mode=False)
    except VgbenchError as error:
        code = console.fail(error)
    except (KeyboardInterrupt, typer.Abort):
        console.err.print("interrupted; the same command again continues", style="yellow")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has left, for example `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_OK
    except Exception as error:  # noqa: BLE001  the last line of defence
        show = getattr(error, "show", None)
        if callable(show):  # a usage error of the command line parser
            show()
            code = getattr(error, "exit_code", 2)
        else:
            code = console.crash(error)
    sys.exit(code if isinstance(code, int) else EXIT_OK)
