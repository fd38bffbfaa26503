"""Where commands write: results to stdout, everything else to stderr.

Libraries never print; they take a callback and raise errors.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from vgbench.errors import VgbenchError

stdout = Console(soft_wrap=True, highlight=False)
stderr = Console(stderr=True, highlight=False)


@dataclass
class Verbosity:
    """How much goes to stderr; set by --quiet, --json and --debug, which every command has.

    Attributes:
        quiet: print no progress and no hints.
        debug: print the traceback of an error.
    """

    quiet: bool = False
    debug: bool = False


verbosity = Verbosity()


def print_hint(text: str) -> None:
    """Print something that is not the result, such as a file that was written; silent under --quiet."""
    if not verbosity.quiet:
        stderr.print(escape(text), style="dim", soft_wrap=True)


def print_warning(code: str, text: str) -> None:
    """Print what limits the meaning of a result; under --quiet as well."""
    stderr.print(f"[yellow]warning[/] [dim]{escape(code)}[/] {escape(text)}", soft_wrap=True)


def print_former_presets(names: Iterable[str]) -> None:
    """Print what each preset that is called by its former name is now."""
    from vgbench.presets import FORMER_NAMES, describe

    for name in names:
        if name in FORMER_NAMES:
            now = FORMER_NAMES[name]
            print_hint(f"the preset {name} is called {now} now: {describe(now)}")


def print_json(document: Any) -> None:
    """Print one JSON document, and nothing else, on stdout."""
    sys.stdout.write(document if isinstance(document, str) else json.dumps(document, indent=1) + "\n")


def print_error(error: VgbenchError) -> int:
    """Print an error that the user can mend, and its remedy; return the exit code."""
    if verbosity.debug:
        traceback.print_exception(error, file=sys.stderr)
    stderr.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
    if error.remedy:
        stderr.print(f"[bold]hint:[/] {escape(error.remedy)}", soft_wrap=True)
    return error.exit_code
