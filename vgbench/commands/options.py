"""Options and arguments that several commands share, with one meaning each, and readers of their values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from vgbench.commands import console
from vgbench.distributed import launched_world
from vgbench.errors import ConfigError

if TYPE_CHECKING:
    from vgbench.evaluation.execution import ExecutionOptions
    from vgbench.evaluation.feature_store import FeatureStore
    from vgbench.progress import Progress

ALL_METRICS = "all"
USUAL_METRIC = "fvd"
EXECUTION = "Execution"
"""Heading over the options that change how fast a result is there, and not the result."""


def _set_quiet(value: bool) -> bool:
    console.verbosity.quiet |= value
    return value


def _set_debug(value: bool) -> bool:
    console.verbosity.debug |= value
    return value


Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=_set_quiet, help="Hide progress and hints.")]
Debug = Annotated[bool, typer.Option("--debug", callback=_set_debug, help="Show the traceback of an error.")]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=_set_quiet, help="Print one JSON document on stdout; hide progress and hints."
    ),
]
ProtocolSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the protocol; repeatable."),
]
RealClips = Annotated[
    str, typer.Argument(metavar="REAL", help="Real clips, in any form that `vgbench eval` takes.")
]
RecordPaths = Annotated[
    list[Path], typer.Argument(metavar="RECORDS", help="Record files, or folders to search for them.")
]
ProtocolName = Annotated[
    str, typer.Option("--protocol", "-p", help="Name (see `vgbench list protocols`) or YAML file.")
]
MetricNames = Annotated[
    str | None,
    typer.Option(
        "--metrics", "-m", help="Override the protocol's metrics: names separated by commas, or 'all'."
    ),
]
ExtractorName = Annotated[
    str | None, typer.Option("--extractor", "-e", help="Override the protocol's extractor.")
]
ModelName = Annotated[str | None, typer.Option("--name", "-n", help="Name of the model in tables.")]
Meta = Annotated[
    list[str] | None,
    typer.Option(
        "--meta",
        metavar="KEY=VALUE",
        help="State a fact in the record, such as submitter=NAME, paper=URL or code=URL; repeatable. Models "
        "of different submitters are different rows, even if they have one name.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with code 3 if a clip was skipped.")]
Layout = Annotated[
    str,
    typer.Option(
        metavar="LAYOUT",
        help="What the images in a folder are: 'strips' if each is a strip of frames, and so one clip; "
        "'frames' if together they are one clip; 'series' if each series of names is one; 'sorted' as "
        "'frames', whatever the numbers are; 'auto' tells by shape and names. LAYOUT=PATTERN uses only "
        "images of such names, for example 'auto=*.color.png'; see docs/clips.md.",
    ),
]
FramesPerSecond = Annotated[
    float | None,
    typer.Option(
        "--fps",
        min=0.01,
        help="Frame rate of clips that state none, such as arrays and folders of frames; for windows.fps.",
    ),
]
ValueRange = Annotated[
    str | None,
    typer.Option(metavar="LOW,HIGH", help="Range of the values of float arrays, such as 0,1 or -1,1."),
]
Axes = Annotated[
    str | None,
    typer.Option(
        metavar="LETTERS",
        help="Axes of arrays with as many of them: N clips, T frames, H rows, W columns, C colours; such as "
        "TNHW.",
    ),
]
BatchSizeOption = Annotated[
    str,
    typer.Option(
        metavar="N|auto",
        rich_help_panel=EXECUTION,
        help="Windows per batch; 'auto' tries several sizes and keeps the fastest. Does not change scores.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        rich_help_panel=EXECUTION,
        help="Number of extra processes that decode clips. Does not change scores.",
    ),
]
Device = Annotated[
    str,
    typer.Option(rich_help_panel=EXECUTION, help="Where networks run: cpu, cuda, cuda:1 and so on, or auto."),
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compile",
        rich_help_panel=EXECUTION,
        help="Compile the extractor (torch.compile): takes minutes at first, then runs faster. Does not "
        "change scores.",
    ),
]
UseStore = Annotated[
    bool,
    typer.Option("--store/--no-store", rich_help_panel=EXECUTION, help="Use the on-disk feature store."),
]


def metric_names(text: str | None) -> list[str] | None:
    """Read --metrics; None leaves the choice to the protocol."""
    from vgbench.metrics import METRICS, parse_list

    if text == ALL_METRICS:
        return list(METRICS)
    return [str(choice) for choice in parse_list(text)] if text else None


def names(text: str | None) -> list[str]:
    """Read names separated by commas."""
    return [name.strip() for name in text.split(",")] if text else []


def numbers(option: str, text: str) -> list[float]:
    """Read numbers separated by commas.

    Raises:
        ConfigError: something else; names the option.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"{option} {text}: expected numbers separated by commas") from error


def meta(settings: list[str] | None) -> dict[str, str]:
    """Read --meta.

    Raises:
        ConfigError: not KEY=VALUE, or a key that is not made of lower-case letters, digits and underscores.
    """
    facts: dict[str, str] = {}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals or not value.strip() or not re.fullmatch(r"[a-z][a-z0-9_]*", key):
            raise ConfigError(
                f"--meta {setting}: expected KEY=VALUE, with a key of a-z, 0-9 and underscores",
                "for example --meta submitter='Example Lab'",
            )
        facts[key] = value.strip()
    return facts


def value_range(text: str | None) -> tuple[float, float] | None:
    """Read --value-range.

    Raises:
        ConfigError: not two numbers in order.
    """
    from vgbench.clips.value_range import range_of_text

    return range_of_text(text) if text else None


def execution(
    batch_size: str,
    workers: int,
    device: str,
    compiled: bool,
    progress: Progress,
    store: FeatureStore | None = None,
) -> ExecutionOptions:
    """Collect the options under the heading `EXECUTION`, as `evaluate` and its relatives take them.

    Raises:
        ConfigError: the batch size is neither "auto" nor a number above 0.
    """
    from vgbench.extractors.batch_size import parse_batch_size

    return {
        "batch_size": parse_batch_size(batch_size),
        "workers": workers,
        "device": device,
        "compiled": compiled,
        "progress": progress,
        "store": store,
    }


@contextmanager
def feature_store(use: bool) -> Iterator[FeatureStore]:
    """Open what --store stands for: the user's feature store, or an empty one for this command only.

    At the end, say what the user's store had to remove to stay within its limit.
    """
    from vgbench.clips.frame_index import kept_in
    from vgbench.evaluation.feature_store import LIMIT, FeatureStore

    if not use:
        with TemporaryDirectory(prefix="vgbench-") as folder, kept_in(Path(folder) / "frame-index"):
            yield FeatureStore(Path(folder))
        return
    store = FeatureStore()
    older = store.older_tables()
    if older and launched_world().is_main:
        console.print_hint(
            f"feature store: {older} tables of an older version are left alone and not used; "
            "`vgbench cache prune --all` removes them"
        )
    yield store
    files, size = store.pruned
    if files and launched_world().is_main:
        console.print_hint(
            f"feature store: removed the {files} least recently used files, {size / 2**20:.1f} MiB, to stay "
            f"within {store.limit_bytes / 2**30:g} GiB ({LIMIT})"
        )
