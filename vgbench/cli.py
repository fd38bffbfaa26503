"""The program `vgbench`: all of its commands, and one screen for every error."""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Annotated

import typer
from rich.markup import escape

from vgbench import __version__
from vgbench.commands import console, evaluate, listing, report, tools, train
from vgbench.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_OK, VgbenchError

app = typer.Typer(
    name="vgbench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Train reference video GANs, score folders of clips, and publish leaderboards that others can "
    "trust.",
    epilog="Exit codes: 0 success, 1 internal error, 2 bad input or usage, 3 something skipped or missing "
    "under --strict, a regression found by gate, or a difference found by verify, 130 interrupted.",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"vgbench {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


SCORE, TRAIN, PUBLISH, PREPARE = "Score clips", "Train models", "Compare and publish", "Look up and prepare"
COMMANDS: tuple[tuple[str, str, Callable[..., None]], ...] = (
    (SCORE, "eval", evaluate.eval_),
    (SCORE, "paired", evaluate.paired),
    (SCORE, "audit", evaluate.audit),
    (TRAIN, "train", train.train),
    (TRAIN, "sample", train.sample),
    (TRAIN, "bench", train.bench),
    (PUBLISH, "report", report.report),
    (PUBLISH, "history", report.history),
    (PUBLISH, "compare", report.compare),
    (PUBLISH, "gate", report.gate),
    (PUBLISH, "submit", report.submit),
    (PUBLISH, "verify", report.verify),
    (PREPARE, "list", listing.list_),
)
GROUPS = (
    (SCORE, "stats", evaluate.stats),
    (PREPARE, "weights", tools.weights),
    (PREPARE, "data", tools.data),
    (PREPARE, "cache", tools.cache),
)
for panel, name, command in COMMANDS:
    app.command(name, rich_help_panel=panel)(command)
for panel, name, group in GROUPS:
    app.add_typer(group, name=name, rich_help_panel=panel)


def main() -> None:
    """Run the program; turn every error into one screen and an exit code."""
    try:
        code = app(standalone_mode=False)
        if sys.stdout is not None:  # a process without one, such as a service
            sys.stdout.flush()
    except VgbenchError as error:
        code = console.print_error(error)
    except (KeyboardInterrupt, typer.Abort):
        console.stderr.print("interrupted; run the same command again to continue", style="yellow")
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = _end_without_reader()
    except SystemExit as ended:  # what rich and the command line parser make of a broken pipe
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        code = _end_without_reader()
    except OSError as error:
        code = print_system_error(error)
    except Exception as error:  # noqa: BLE001  the last line of defence
        show = getattr(error, "show", None)
        if callable(show):  # a usage error of the command line parser
            show()
            code = getattr(error, "exit_code", 2)
        else:
            code = print_internal_error(error)
    sys.exit(code if isinstance(code, int) else EXIT_OK)


def _end_without_reader() -> int:
    """End without an error when the reader of a pipe has left, for example `| head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK


SYSTEM_REMEDIES = {
    errno.ENOSPC: "free space there, or choose another folder",
    errno.EDQUOT: "free space there, or choose another folder",
    errno.EFBIG: "raise the limit on file sizes, or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that you may use",
    errno.EPERM: "choose a folder that you may use",
    errno.EIO: "check the disk",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What a user can do when the operating system refuses a request."""


def print_system_error(error: OSError) -> int:
    """Print an error of the operating system, with its remedy where there is one; return the exit code."""
    remedy = SYSTEM_REMEDIES.get(error.errno or 0)
    if remedy is None:
        return print_internal_error(error)
    where = f"{error.filename}: " if error.filename else ""
    remedy += "; files that were written before are complete"
    return console.print_error(VgbenchError(f"{where}{error.strerror}", remedy))


def print_internal_error(error: BaseException) -> int:
    """Print a bug of vgbench in two lines, and write a log that can be attached to a report of it."""
    if console.verbosity.debug:
        traceback.print_exception(error, file=sys.stderr)
        return EXIT_INTERNAL
    with tempfile.NamedTemporaryFile(
        "w", prefix="vgbench-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        log.write(f"command: {' '.join(sys.argv)}\npython: {platform.python_version()}\n\n")
        traceback.print_exception(error, file=log)
    summary = f"{type(error).__name__}: {escape(str(error))}"
    console.stderr.print(f"[bold red]internal error:[/] {summary}", soft_wrap=True)
    hint = f"this is a bug in vgbench; a report of it is in {escape(log.name)}"
    console.stderr.print(f"[bold]hint:[/] {hint}", soft_wrap=True)
    return EXIT_INTERNAL
