"""The groups of commands for what lies on disk: weights, data, cache."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from vgbench.commands import console, options, panels
from vgbench.errors import EXIT_SKIPPED_UNDER_STRICT, ConfigError

weights = typer.Typer(no_args_is_help=True, help="List, fetch, add and verify the weights of extractors.")
data = typer.Typer(no_args_is_help=True, help="Inspect clips, and check downloaded data sets.")
cache = typer.Typer(no_args_is_help=True, help="Show and limit the size of the feature store.")

WeightsName = Annotated[str, typer.Argument(metavar="NAME", help="Name (see `vgbench weights list`).")]


@weights.command("list")
def list_weights(
    as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """List known weights: whether the cache has them, their size, licence, hash and source."""
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
def fetch_weights(
    name: WeightsName,
    trust: Annotated[
        bool, typer.Option("--trust", help="Accept a TorchScript file, which is a program.")
    ] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Download weights from their publisher into the cache and check their hash; runs no code of theirs."""
    from vgbench.extractors.weights.registry import fetch

    with panels.progress() as progress:
        path = fetch(name, console.print_hint, progress, trust=trust)
    typer.echo(str(path))


@weights.command("add")
def add_weights(
    name: WeightsName,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file, as its publisher distributes it.")],
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Accept a TorchScript file, which is a program, or an unknown hash."),
    ] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put a weights file that you have into the cache."""
    from vgbench.extractors.weights.registry import add

    typer.echo(str(add(name, path, trust=trust)))


@weights.command("verify")
def verify_weights(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Weights to check; all in the cache by default.")
    ] = None,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check cached weights against their hashes."""
    from vgbench.extractors.weights.registry import list_cached, verify

    for entry in [name] if name else [entry for entry, path in list_cached().items() if path]:
        typer.echo(f"{entry}: {verify(entry)}")


@data.command("inspect")
def inspect_clips(
    source: Annotated[
        str, typer.Argument(metavar="CLIPS", help="Clips, in any form that `vgbench eval` takes.")
    ],
    layout: options.Layout = "auto",
    decode: Annotated[
        bool,
        typer.Option("--decode", help="Decode every frame, to find what a decoder or a checksum can show."),
    ] = False,
    value_range: options.ValueRange = None,
    axes: options.Axes = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Count clips, classes, groups, frames, sizes and rates, and name the clips that cannot be used."""
    from dataclasses import asdict

    from vgbench.clips import open_source
    from vgbench.datasets.inspect import inspect_source

    with panels.progress() as progress:
        clips = open_source(source, layout=layout, value_range=options.value_range(value_range), axes=axes)
        found = inspect_source(clips, decode=decode, progress=progress)
    if as_json:
        console.print_json(asdict(found))
        return
    for line in found.lines():
        typer.echo(line)
    for code, sentence in found.warnings:
        console.print_warning(code, sentence)


@data.command("prepare")
def prepare_data(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Data set: ucf101, kth, weizmann, mocogan-actions, sky, faceforensics or taichi.",
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with the unpacked files.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the manifests; FOLDER by default.")
    ] = None,
    split: Annotated[int, typer.Option(min=1, help="Official split, for data sets that have several.")] = 1,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 3 unless the copy is complete.")
    ] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check a downloaded data set and write train.csv and test.csv; nothing is copied or converted."""
    from vgbench.datasets.prepare import prepare

    done = prepare(name, folder, output, split)
    for side, path in done.manifests.items():
        typer.echo(f"{path}: {done.counts[side]} of {done.expected[side]} clips")
    for problem in done.problems:
        console.print_warning("incomplete", problem)
    if done.problems and strict:
        raise typer.Exit(EXIT_SKIPPED_UNDER_STRICT)


@cache.command("info")
def show_cache(
    as_json: options.AsJson = False, quiet: options.Quiet = False, debug: options.Debug = False
) -> None:
    """Show where stored features are and how much room they take."""
    from vgbench.evaluation.feature_store import FeatureStore

    store = FeatureStore()
    segments = store.segments()
    size = sum(entry[1] for entry in segments)
    if as_json:
        limit = {"limit_bytes": store.limit_bytes}
        console.print_json({"folder": str(store.folder), "files": len(segments), "bytes": size, **limit})
        return
    limit_text = f"the limit is {store.limit_bytes / 2**30:g} GiB"
    typer.echo(f"{store.folder}: {len(segments)} files, {size / 2**20:.1f} MiB; {limit_text}")


@cache.command("prune")
def prune_cache(
    max_gigabytes: Annotated[
        float | None, typer.Option("--max-size", min=0, help="GiB to keep, of the most recently used.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all stored features.")] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Remove the least recently used features until the rest fits, or remove all of them."""
    from vgbench.evaluation.feature_store import FeatureStore

    if (max_gigabytes is None) != everything:
        raise ConfigError("cache prune takes either --max-size or --all", "such as --max-size 5, in GiB")
    if not math.isfinite(keep := max_gigabytes or 0.0):
        raise ConfigError(f"--max-size {keep}: must be a number of GiB", "for example 5")
    files, freed = FeatureStore().prune(int(keep * 2**30))
    typer.echo(f"removed {files} files, {freed / 2**20:.1f} MiB")
