"""Samples of a pretrained generator as clips: `pretrained:NAME[?key=value&…]`.

    pretrained:moving-shapes-labels?clips=512&seed=0&truncation=0.7

The clips are those that `vgbench sample pretrained:NAME` writes with the same options.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from vgbench.clips.arrays import memory_clips
from vgbench.clips.builtin import query_options
from vgbench.clips.clip import ClipSource, Frames
from vgbench.config import Config, parse
from vgbench.pretrained import pretrained_path
from vgbench.reference_models.checkpoint import load_generator

CHUNK = 64


class Options(Config):
    """What is sampled: number of clips, seed of the latents, and `truncation` as for `Generator.sample`."""

    clips: int = Field(default=512, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0)
    truncation: float = Field(default=1.0, ge=0, le=1)


def open_pretrained(spec: str) -> ClipSource:
    """Sample the clips of `pretrained:NAME[?key=value&…]`, with their classes as labels.

    Raises:
        ConfigError: no generator has that name, or an option or a value is not allowed.
    """
    name, _, query = spec.partition("?")
    options = parse(Options, query_options(spec, query), spec)
    clips, _ = memory_clips(_sampled(name, options), None, copy=False)
    return ClipSource(spec, clips)


def _sampled(name: str, options: Options) -> Iterator[Frames | tuple[Frames, list[str]]]:
    generator = load_generator(pretrained_path(name))
    classes = generator.config.classes
    for start in range(0, options.clips, CHUNK):
        count = min(CHUNK, options.clips - start)
        clips = generator.sample(count, options.seed, start=start, truncation=options.truncation)
        labels = [classes[index] for index in generator.labels(range(start, start + count), options.seed)]
        yield (clips, labels) if labels else clips
