"""The score of the generator during training, which decides which checkpoint is the best."""

from __future__ import annotations

import tempfile
import typing
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vgbench.clips import open_source
from vgbench.clips.clip import ClipSource, Frames
from vgbench.evaluation.evaluate import evaluate
from vgbench.evaluation.feature_store import FeatureStore
from vgbench.protocol import load
from vgbench.reference_models.generator import Generator
from vgbench.training.data import Windows


class Sampler(typing.Protocol):
    """Anything that samples clips, such as `Generator` and `UserSampler`."""

    def sample(self, n: int, seed: int = 0) -> npt.NDArray[np.uint8]: ...


def generator_score(
    real: Any, metric: str = "fvd", clips: int = 512, protocol: str = "quick", stride: int = 1
) -> Callable[[Sampler], float]:
    """Return a function that scores a generator during training; lower is better.

    It always scores clips of the same latents against the same real windows, whose features are computed
    once. A generator that continues a first frame gets first frames of real clips. Clips that are shorter
    than the windows of the protocol are scored as a whole, against real windows of the same length. Real
    clips are brought to the size of the generated ones first, as in training, so that a model is not blamed
    for detail that it never saw.

    Args:
        real: real clips, as for `evaluate`.
        metric: a metric of which lower values are better.
        clips: number of generated and of real windows; fewer real ones if there are not enough. A Fréchet
            distance needs about twice as many windows as features, of which the embedded extractor has 256.
        protocol: determines everything else.
        stride: of the training. The real windows have it too, so that they show as much time.
    """
    asked = load(protocol)
    settings = [f"clips.generated={clips}", f"clips.real={clips}", "clips.least=2"]
    if stride > 1:
        settings.append(f"windows.real_stride={stride * asked.windows.stride}")
    source = open_source(real)
    folder = tempfile.TemporaryDirectory(prefix="vgbench-")  # clips of a checkpoint are scored only once
    store = FeatureStore(Path(folder.name))

    def score(generator: Sampler, _keep: object = folder) -> float:
        sampled = score_samples(generator, source, clips, stride)
        length, height, width = sampled.shape[1:4]
        of_samples = [f"windows.frames={min(asked.windows.frames, length)}"]
        if height == width and asked.resize_for("real").first is None:
            of_samples.append(f"resize.first.size={height}")
        changes = [*settings, *of_samples]
        record = evaluate(sampled, source, protocol, [metric], settings=changes, store=store)
        return record.scores[metric].best_estimate

    return score


def score_samples(generator: Sampler, real: ClipSource, count: int, stride: int = 1) -> Frames:
    """Sample the clips for a score during training, always of the same latents.

    A generator that continues a first frame gets first frames of real windows, and their classes if it has
    the same, as in training.

    Returns:
        uint8 [count, T, H, W, 3].

    Raises:
        NotEnoughClips: no real clip is as long as those of the generator.
    """
    if not isinstance(generator, Generator) or generator.encoder is None:
        return generator.sample(count, seed=0)
    config = generator.config
    classes = config.classes if {clip.label for clip in real.clips} <= set(config.classes) else ()
    windows = Windows(real, config.size, config.frames, stride, 0, classes=classes, cache_gigabytes=0)
    with closing(windows):
        batch = windows.batch(range(count))
    label = batch.labels.tolist() if classes else None
    return generator.sample(count, seed=0, label=label, first_frame=batch.clips[:, 0])
